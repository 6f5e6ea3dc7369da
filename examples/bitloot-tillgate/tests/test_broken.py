"""Five clients that are wrong on purpose. The suite finds each, by exactly the tests named here.

Everything that an author gets wrong in a hurry is here: a second call when the first one got no
answer, money read as floats, a seal that is not checked, an id that goes into a path as it came,
and a callback that is known by its payment alone.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import product

import msgspec
import pytest

from bitloot.domain.payment import PaymentReport
from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot.ports.payment_gateway import (
    NewPayment,
    OpenedPayment,
    VerifiedPayment,
    WebhookReading,
)
from bitloot.testing import PaymentGatewayContract
from bitloot_tillgate.client import Tillgate
from bitloot_tillgate.wire import Unreadable, read_object, report
from rig import TillgateRig


class RepeatsAfterALostAnswer(Tillgate):
    """Opens a second till when it does not know what became of the first."""

    async def create_payment(self, request: NewPayment) -> OpenedPayment:
        try:
            return await super().create_payment(request)
        except OutcomeUnknown:
            return await super().create_payment(request)


class ReadsAmountsThroughFloats(Tillgate):
    """Loses the last digits of what was paid."""

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookReading:
        reading = super().read_webhook(headers, body)
        if not isinstance(reading, VerifiedPayment) or reading.report.actually_paid is None:
            return reading
        paid = Decimal(str(float(reading.report.actually_paid)))
        return VerifiedPayment(
            reading.dedupe_key, msgspec.structs.replace(reading.report, actually_paid=paid)
        )


class DoesNotCheckTheSeal(Tillgate):
    """Reads whatever arrives with a seal on it."""

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookReading:
        try:
            return VerifiedPayment(str(hash(body)), report(read_object(body)))
        except Unreadable:
            return super().read_webhook(headers, body)


class PutsIdsIntoPathsAsTheyCome(Tillgate):
    """Reads `/tills/../me` where `../me` was asked for."""

    async def payment(self, gateway_payment_id: str) -> PaymentReport:
        return report(await self._ask(f"/tills/{gateway_payment_id}"))


class KnowsCallbacksByTheirPayment(Tillgate):
    """Takes the callback of the money for a repetition of the one before it."""

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookReading:
        reading = super().read_webhook(headers, body)
        if not isinstance(reading, VerifiedPayment):
            return reading
        return VerifiedPayment(reading.report.gateway_payment_id, reading.report)


BROKEN: dict[type[Tillgate], set[str]] = {
    RepeatsAfterALostAnswer: {
        "test_a_lost_answer_is_an_unknown_outcome_and_never_repeated",
    },
    ReadsAmountsThroughFloats: {
        "test_an_amount_is_exact_to_the_last_digit_as_number_and_as_text",
    },
    DoesNotCheckTheSeal: {
        "test_a_callback_without_a_good_signature_is_forged",
        "test_a_changed_body_is_forged",
    },
    PutsIdsIntoPathsAsTheyCome: {
        "test_an_unknown_payment_is_not_found",
    },
    KnowsCallbacksByTheirPayment: {
        "test_the_same_callback_has_the_same_key_and_another_has_another",
    },
}

FAILURES = (
    *(AssertionError, pytest.fail.Exception),
    *(Unavailable, Rejected, OutcomeUnknown, Unreadable),
)


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_broken_client_fails_the_tests_that_are_meant_for_it_and_no_others(
    broken: type[Tillgate],
) -> None:
    assert await failures(broken) == BROKEN[broken]


async def test_the_whole_client_fails_none() -> None:
    assert await failures(Tillgate) == set()


async def failures(client: type[Tillgate]) -> set[str]:
    """The names of the suite's tests that a client fails, each run on a rig of its own."""
    suite = PaymentGatewayContract()
    failed = set()
    for name in dir(suite):
        if not name.startswith("test_"):
            continue
        test = getattr(suite, name)
        for arguments in argument_sets(getattr(test, "pytestmark", [])):
            rig = TillgateRig(client)
            try:
                await test(rig, **arguments)
            except FAILURES:
                failed.add(name)
            finally:
                await rig.close()
    return failed


def argument_sets(marks: list[pytest.Mark]) -> Iterator[dict[str, object]]:
    """What `parametrize` would call a test with."""
    columns = [
        [(str(mark.args[0]), value) for value in mark.args[1]]
        for mark in marks
        if mark.name == "parametrize"
    ]
    return (dict(row) for row in product(*columns))
