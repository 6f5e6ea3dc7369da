"""What somebody has to look at is told in the log, at error, and counted."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import httpx
import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict
from tests import asgi
from tests.unit.test_operations import called_back, payable, samples, supplied

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
