"""Adapters that are wrong on purpose: the suites find each of them, by the test named here."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal

import msgspec
import pytest

from bitloot.domain.limits import Limits
from bitloot.domain.money import Eur
from bitloot.domain.sealed import Bound, SealedBytes
from bitloot.ports.errors import OutcomeUnknown, Unavailable, VaultFault
from bitloot.ports.mailer import MailWebhook, Message
from bitloot.ports.payment_gateway import (
    NewPayment,
    OpenedPayment,
    VerifiedPayment,
    WebhookReading,
)
from bitloot.ports.supplier import CataloguePage, SupplierOrder, SupplierRequest
from bitloot.testing.captcha import CaptchaContract
from bitloot.testing.contract import Contract, needs
from bitloot.testing.key_vault import KeyVaultContract
from bitloot.testing.mailer import MailerContract
from bitloot.testing.password_hasher import PasswordHasherContract
from bitloot.testing.payment_gateway import PaymentGatewayContract
from bitloot.testing.seeded import SeededBytes
from bitloot.testing.supplier import SupplierContract
from bitloot_adapters.memory.captcha import MemoryCaptcha
from bitloot_adapters.memory.key_vault import MemoryKeyVault
from bitloot_adapters.memory.local_rigs import MemoryCaptchaRig, MemoryPasswordHasherRig
from bitloot_adapters.memory.mailer import MemoryMailer
from bitloot_adapters.memory.password_hasher import MemoryPasswordHasher
from bitloot_adapters.memory.payment_gateway import MemoryPaymentGateway
from bitloot_adapters.memory.rigs import (
    SEED,
    MemoryGatewayRig,
    MemoryMailerRig,
    MemorySupplierRig,
    MemoryVaultRig,
)
from bitloot_adapters.memory.supplier import MemorySupplier

# --- payment gateways ------------------------------------------------------------------------


class RepeatsAfterALostAnswer(MemoryPaymentGateway):
    """Opens a second payment when it does not know what became of the first."""

    async def create_payment(self, request: NewPayment) -> OpenedPayment:
        try:
            return await super().create_payment(request)
        except OutcomeUnknown:
            return await super().create_payment(request)


class ReadsAmountsThroughFloats(MemoryPaymentGateway):
    """Loses the last digits of what was paid."""

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookReading:
        reading = super().read_webhook(headers, body)
        if not isinstance(reading, VerifiedPayment) or reading.report.actually_paid is None:
            return reading
        paid = Decimal(str(float(reading.report.actually_paid)))
        report = msgspec.structs.replace(reading.report, actually_paid=paid)
        return VerifiedPayment(reading.dedupe_key, report)


class TrustsWithoutASignature(MemoryPaymentGateway):
    """Reads whatever arrives."""

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> WebhookReading:
        return super().read_webhook(self.sign(body), body)


def gateway_rig(broken: type[MemoryPaymentGateway]) -> MemoryGatewayRig:
    rig = MemoryGatewayRig()
    rig.provider = broken(clock=rig.clock.now, random_bytes=SeededBytes(SEED))
    return rig


# --- suppliers -------------------------------------------------------------------------------


class IgnoresTheCeiling(MemorySupplier):
    """Buys at any price."""

    async def place(self, request: SupplierRequest) -> SupplierOrder:
        return await super().place(msgspec.structs.replace(request, max_price=Eur(10_000)))


class FindsByTheBeginning(MemorySupplier):
    """Takes an order whose id only begins like ours."""

    async def find(self, external_id: str) -> Sequence[SupplierOrder]:
        return [
            order
            for order_id in self.known_ids()
            if (order := await self.order(order_id)).external_id is not None
            and order.external_id.startswith(external_id)
        ]

    def known_ids(self) -> Sequence[str]:
        return list(self._orders)


class BuysAgainAfterALostAnswer(MemorySupplier):
    """Places a second order when it does not know what became of the first."""

    async def place(self, request: SupplierRequest) -> SupplierOrder:
        try:
            return await super().place(request)
        except OutcomeUnknown:
            return await super().place(request)


class LosesTheFirstOfEachPage(MemorySupplier):
    """Begins each page one product too late."""

    async def catalogue(
        self, *, updated_since: datetime | None, first_page: int = 1
    ) -> AsyncIterator[CataloguePage]:
        async for page in super().catalogue(updated_since=updated_since, first_page=first_page):
            yield msgspec.structs.replace(page, products=page.products[1:])


class BeginsAgainWhereItStopped(MemorySupplier):
    """Takes the page that is asked for as the one that was read."""

    async def catalogue(
        self, *, updated_since: datetime | None, first_page: int = 1
    ) -> AsyncIterator[CataloguePage]:
        begun = first_page + 1 if first_page > 1 else 1
        async for page in super().catalogue(updated_since=updated_since, first_page=begun):
            yield page


def supplier_rig(broken: type[MemorySupplier]) -> MemorySupplierRig:
    rig = MemorySupplierRig()
    rig.provider = broken(clock=rig.clock.now, random_bytes=SeededBytes(SEED))
    return rig


# --- key vaults ------------------------------------------------------------------------------


class UsesOneNonce(MemoryKeyVault):
    """Encrypts everything under the same data key and nonce."""

    def seal(self, plaintext: bytes, bound: Bound) -> SealedBytes:
        self._random_bytes = SeededBytes(1)
        return super().seal(plaintext, bound)


class BindsToNothing(MemoryKeyVault):
    """Opens for whoever asks."""

    def seal(self, plaintext: bytes, bound: Bound) -> SealedBytes:
        return super().seal(plaintext, _nobody(bound))

    def unseal(
        self, ciphertext: bytes, *, nonce: bytes, wrapped_dek: bytes, kek_id: str, bound: Bound
    ) -> bytes:
        return super().unseal(
            ciphertext, nonce=nonce, wrapped_dek=wrapped_dek, kek_id=kek_id, bound=_nobody(bound)
        )


def _nobody(bound: Bound) -> Bound:
    return Bound(sealed_key_id=bound.sealed_key_id, product_id="anything")


class TellsWhatIsWrong(MemoryKeyVault):
    """Says which part did not open."""

    def unseal(
        self, ciphertext: bytes, *, nonce: bytes, wrapped_dek: bytes, kek_id: str, bound: Bound
    ) -> bytes:
        try:
            return super().unseal(
                ciphertext, nonce=nonce, wrapped_dek=wrapped_dek, kek_id=kek_id, bound=bound
            )
        except VaultFault:
            raise VaultFault("nonce" if len(nonce) != 12 else "key") from None


def vault_rig(broken: type[MemoryKeyVault]) -> MemoryVaultRig:
    rig = MemoryVaultRig()
    rig.provider = broken(random_bytes=SeededBytes(SEED))
    return rig


# --- mailers ---------------------------------------------------------------------------------


class ForgetsItsKeys(MemoryMailer):
    """Sends again whatever the key."""

    async def send(self, message: Message, *, idempotency_key: str) -> str:
        self._keys.clear()
        return await super().send(message, idempotency_key=idempotency_key)


class BelievesOldWebhooks(MemoryMailer):
    """Does not look at the time of a webhook."""

    def read_webhook(self, headers: Mapping[str, str], body: bytes, *, now: float) -> MailWebhook:
        stamp = headers.get("webhook-timestamp", "")
        return super().read_webhook(headers, body, now=float(stamp) if stamp.isdigit() else now)


def mailer_rig(broken: type[MemoryMailer]) -> MemoryMailerRig:
    rig = MemoryMailerRig()
    rig.provider = broken(clock=rig.clock.now, random_bytes=SeededBytes(SEED), limits=Limits())
    return rig


# --- captchas and passwords ------------------------------------------------------------------


class FailsOpen(MemoryCaptcha):
    """Lets everybody pass while the provider is away."""

    async def passes(
        self, token: str | None, *, action: str, remote_ip: str, mark: str | None = None
    ) -> bool:
        try:
            return await super().passes(token, action=action, remote_ip=remote_ip, mark=mark)
        except Unavailable:
            return True


class TakesAnyForm(MemoryCaptcha):
    """Does not look where a token was made."""

    def solve(self, action: str) -> str:
        return super().solve(action and "order")


def captcha_rig(broken: type[MemoryCaptcha]) -> MemoryCaptchaRig:
    rig = MemoryCaptchaRig()
    rig.captcha = broken(clock=rig.clock.now, random_bytes=SeededBytes(SEED))
    return rig


class SpendsNothingOnNobody(MemoryPasswordHasher):
    """Knows at once who is unknown."""

    async def verify(self, password: str, hashed: str | None) -> bool:
        return hashed is not None and await super().verify(password, hashed)


class HoldsUpTheLoop(MemoryPasswordHasher):
    """Hashes where everything else has to wait for it."""

    async def hash(self, password: str) -> str:
        return f"memory${password}"


def hasher_rig(broken: type[MemoryPasswordHasher]) -> MemoryPasswordHasherRig:
    rig = MemoryPasswordHasherRig()
    rig.hasher = broken(limits=rig.limits, random_bytes=SeededBytes(SEED))
    return rig


# --- each is found ---------------------------------------------------------------------------

GATEWAYS = PaymentGatewayContract()
SUPPLIERS = SupplierContract()
VAULTS = KeyVaultContract()
MAILERS = MailerContract()
CAPTCHAS = CaptchaContract()
HASHERS = PasswordHasherContract()
EXACT = "1234567.123456789012345678"

Run = Callable[[], Awaitable[None]]

BROKEN: dict[str, tuple[Run, Run]] = {
    "a gateway that repeats after a lost answer": (
        lambda: GATEWAYS.test_a_lost_answer_is_an_unknown_outcome_and_never_repeated(
            gateway_rig(RepeatsAfterALostAnswer)
        ),
        lambda: GATEWAYS.test_a_lost_answer_is_an_unknown_outcome_and_never_repeated(
            MemoryGatewayRig()
        ),
    ),
    "a gateway that reads amounts through floats": (
        lambda: GATEWAYS.test_an_amount_is_exact_to_the_last_digit_as_number_and_as_text(
            gateway_rig(ReadsAmountsThroughFloats), EXACT
        ),
        lambda: GATEWAYS.test_an_amount_is_exact_to_the_last_digit_as_number_and_as_text(
            MemoryGatewayRig(), EXACT
        ),
    ),
    "a gateway that trusts without a signature": (
        lambda: GATEWAYS.test_a_changed_body_is_forged(gateway_rig(TrustsWithoutASignature)),
        lambda: GATEWAYS.test_a_changed_body_is_forged(MemoryGatewayRig()),
    ),
    "a supplier that ignores the ceiling": (
        lambda: SUPPLIERS.test_an_order_never_costs_more_than_its_ceiling(
            supplier_rig(IgnoresTheCeiling)
        ),
        lambda: SUPPLIERS.test_an_order_never_costs_more_than_its_ceiling(MemorySupplierRig()),
    ),
    "a supplier that finds by the beginning": (
        lambda: SUPPLIERS.test_an_order_is_found_by_exactly_its_id(
            supplier_rig(FindsByTheBeginning)
        ),
        lambda: SUPPLIERS.test_an_order_is_found_by_exactly_its_id(MemorySupplierRig()),
    ),
    "a supplier that buys again after a lost answer": (
        lambda: SUPPLIERS.test_a_lost_answer_is_an_unknown_outcome_and_the_order_is_found(
            supplier_rig(BuysAgainAfterALostAnswer)
        ),
        lambda: SUPPLIERS.test_a_lost_answer_is_an_unknown_outcome_and_the_order_is_found(
            MemorySupplierRig()
        ),
    ),
    "a supplier that loses the first product of each page": (
        lambda: SUPPLIERS.test_the_catalogue_is_read_to_its_end(
            supplier_rig(LosesTheFirstOfEachPage)
        ),
        lambda: SUPPLIERS.test_the_catalogue_is_read_to_its_end(MemorySupplierRig()),
    ),
    "a supplier that goes on one page too late": (
        lambda: SUPPLIERS.test_a_full_read_goes_on_from_any_page_as_if_it_had_not_stopped(
            supplier_rig(BeginsAgainWhereItStopped)
        ),
        lambda: SUPPLIERS.test_a_full_read_goes_on_from_any_page_as_if_it_had_not_stopped(
            MemorySupplierRig()
        ),
    ),
    "a vault that uses one nonce": (
        lambda: VAULTS.test_no_two_seals_share_anything_that_must_be_fresh(vault_rig(UsesOneNonce)),
        lambda: VAULTS.test_no_two_seals_share_anything_that_must_be_fresh(MemoryVaultRig()),
    ),
    "a vault that binds to nothing": (
        lambda: VAULTS.test_a_key_does_not_open_for_another_unit(vault_rig(BindsToNothing)),
        lambda: VAULTS.test_a_key_does_not_open_for_another_unit(MemoryVaultRig()),
    ),
    "a vault that tells what is wrong": (
        lambda: VAULTS.test_cut_swapped_and_foreign_parts_are_refused_in_the_same_form(
            vault_rig(TellsWhatIsWrong)
        ),
        lambda: VAULTS.test_cut_swapped_and_foreign_parts_are_refused_in_the_same_form(
            MemoryVaultRig()
        ),
    ),
    "a mailer that forgets its keys": (
        lambda: MAILERS.test_the_same_mail_with_the_same_key_is_sent_once(
            mailer_rig(ForgetsItsKeys)
        ),
        lambda: MAILERS.test_the_same_mail_with_the_same_key_is_sent_once(MemoryMailerRig()),
    ),
    "a mailer that believes old webhooks": (
        lambda: MAILERS.test_an_old_or_future_webhook_is_forged(mailer_rig(BelievesOldWebhooks)),
        lambda: MAILERS.test_an_old_or_future_webhook_is_forged(MemoryMailerRig()),
    ),
    "a captcha that fails open": (
        lambda: CAPTCHAS.test_nobody_passes_while_the_provider_is_down(captcha_rig(FailsOpen)),
        lambda: CAPTCHAS.test_nobody_passes_while_the_provider_is_down(MemoryCaptchaRig()),
    ),
    "a captcha that takes tokens of any form": (
        lambda: CAPTCHAS.test_a_token_of_another_form_proves_nothing(captcha_rig(TakesAnyForm)),
        lambda: CAPTCHAS.test_a_token_of_another_form_proves_nothing(MemoryCaptchaRig()),
    ),
    "a hasher that spends nothing on nobody": (
        lambda: HASHERS.test_so_many_are_taken_in_and_the_next_are_sent_away_with_a_time(
            hasher_rig(SpendsNothingOnNobody)
        ),
        lambda: HASHERS.test_so_many_are_taken_in_and_the_next_are_sent_away_with_a_time(
            MemoryPasswordHasherRig()
        ),
    ),
    "a hasher that holds up the loop": (
        lambda: HASHERS.test_other_tasks_go_on_while_a_password_is_hashed(
            hasher_rig(HoldsUpTheLoop)
        ),
        lambda: HASHERS.test_other_tasks_go_on_while_a_password_is_hashed(
            MemoryPasswordHasherRig()
        ),
    ),
}


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_broken_adapter_fails_the_test_that_is_meant_for_it(broken: str) -> None:
    run, _ = BROKEN[broken]
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        await run()


@pytest.mark.parametrize("broken", BROKEN)
async def test_an_adapter_that_is_whole_passes_the_same_test(broken: str) -> None:
    _, run = BROKEN[broken]
    await run()


# --- levers that are missing -----------------------------------------------------------------


class Small(Contract):
    """A suite of two."""

    def test_plain(self) -> None:
        """Needs nothing."""

    @needs("magnet")
    def test_with_magnet(self) -> None:
        """Needs a lever."""


SMALL_TESTS = ("test_plain", "test_with_magnet")


def test_a_declared_lack_takes_out_the_tests_that_need_it_and_no_others() -> None:
    without = type("Without", (Small,), {"lacks": {"magnet": "this provider has none"}})
    tests = {name: vars(without).get(name, getattr(Small, name)) for name in SMALL_TESTS}
    assert {name: callable(test) for name, test in tests.items()} == {
        "test_plain": True,
        "test_with_magnet": False,
    }


@pytest.mark.parametrize("lacks", [{"magnett": "a slip of the pen"}, {"magnet": " "}])
def test_a_lack_without_a_reason_or_without_a_test_is_refused(lacks: dict[str, str]) -> None:
    with pytest.raises(TypeError, match="magnet"):
        type("Wrong", (Small,), {"lacks": lacks})
