"""What somebody has to look at is told in the log, at error, and counted."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import httpx
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict
from tests import asgi
from tests.unit.test_operations import called_back, own, payable, placed, samples, supplied, write

from bitloot.domain.decision import Decision, insert, update
from bitloot.domain.email import Email
from bitloot.testing.rows import Rows
from bitloot_web.composition.memory import GATEWAY
from bitloot_web.testing import TestShop, shop


def alarmed(it: TestShop) -> dict[str, float]:
    found = samples(it)
    return {what: found[name, what] for name, what in found if name == "bitloot_alerts_total"}


def told(lines: Sequence[EventDict], name: str) -> list[dict[str, object]]:
    of_it = (line for line in lines if line["event"] == name and line["log_level"] == "error")
    return [{k: v for k, v in line.items() if k not in {"event", "log_level"}} for line in of_it]


async def test_a_forged_webhook_of_any_provider_is_a_security_alert() -> None:
    async with shop(seed=31) as it:
        with capture_logs() as lines:
            transport = asgi.transport(it.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop") as http:
                for provider in (GATEWAY, it.around.mailer.name):
                    answer = await http.post(f"/v1/webhooks/{provider}", content=b'{"a":"secret"}')
                    assert answer.status_code == 401
        assert [each["provider"] for each in told(lines, "webhook_forged")] == [
            GATEWAY,
            it.around.mailer.name,
        ]
        assert "secret" not in str(lines)
        assert alarmed(it) == {"webhook_forged": 2}


async def test_a_status_that_nobody_knows_is_an_alert_once() -> None:
    async with shop(seed=32) as it:
        _, payment = await payable(it, await supplied(it))
        it.around.gateway.move(payment, "teleported")
        with capture_logs() as lines:
            await called_back(it, payment)
        (alert,) = told(lines, "payment_status_unknown")
        assert alert["provider"] == GATEWAY
        assert alarmed(it) == {"payment_status_unknown": 1}


async def test_every_hold_is_an_alert_with_its_reason() -> None:
    async with shop(seed=33) as it:
        order, payment = await payable(it, await supplied(it))
        it.around.gateway.pay(payment, Decimal("0.9"), status="finished")
        with capture_logs() as lines:
            await called_back(it, payment)
        assert told(lines, "order_held") == [{"order": order.order_id, "reason": "amount_mismatch"}]
        assert alarmed(it) == {"order_held": 1}


@pytest.mark.parametrize("what", ["supplier_credentials_refused", "supplier_balance_low"])
async def test_a_supplier_that_does_not_sell_to_us_is_an_alert_not_at_every_try(what: str) -> None:
    async with shop(seed=34) as it:
        order, payment = await payable(it, await supplied(it))
        if what == "supplier_balance_low":
            it.around.supplier.set_balance(Decimal(1))
        else:
            it.around.supplier.faults.knows_credentials = False
        it.around.gateway.pay(payment)
        with capture_logs() as lines:
            await called_back(it, payment)
            await it.advance(timedelta(hours=1))
        assert [alert["order"] for alert in told(lines, what)] == [order.order_id]
        assert alarmed(it) == {what: 1}


@pytest.mark.parametrize("what", ["mail_quota_used_up", "mail_credentials_refused"])
async def test_that_no_mail_goes_out_for_long_is_an_alert_once_until_one_does(what: str) -> None:
    async with shop(seed=35) as it:
        mailer, slug = it.around.mailer, await own(it)

        async def stop_and_go_on() -> None:
            mailer.faults.knows_credentials = what != "mail_credentials_refused"
            if what == "mail_quota_used_up":
                mailer.use_up_quota(until=it.around.clock.now() + timedelta(hours=3))
            await payable(it, slug)
            await it.advance(timedelta(minutes=90))
            mailer.faults.knows_credentials = True
            await it.advance(timedelta(hours=3))

        with capture_logs() as lines:
            await stop_and_go_on()
            assert len(mailer.mailbox) > 0
            assert told(lines, what) == [{"provider": mailer.name}]
            await stop_and_go_on()
        assert alarmed(it)[what] == 2


@pytest.mark.parametrize(
    ("state", "refusal", "what"),
    [
        ("refused", "invalid", "mail_refused"),
        ("unknown", None, "mail_unsettled"),
        ("refused", "address", None),
        ("refused", "ended", None),
    ],
)
async def test_a_mail_that_is_lost_by_our_fault_is_an_alert(
    state: str, refusal: str | None, what: str | None
) -> None:
    async with shop(seed=36) as it:
        await placed(it, await own(it))
        rows = Rows(clock=it.around.clock.now, new_id=it.around.near.new_id)
        await write(it, insert(rows.email(kind="order-ready")))
        mail = it.around.store.rows(Email)[-1]
        with capture_logs() as lines:
            async with it.shop.emails.uow.begin() as tx:
                lost = update(mail, state=state, refusal=refusal)
                await tx.record(Decision(save=(lost,)))
        if what is None:
            assert alarmed(it) == {}
        else:
            assert told(lines, what) == [
                {"provider": mail.provider, "mail": mail.id, "kind": "order-ready"}
            ]
            assert alarmed(it) == {what: 1}
