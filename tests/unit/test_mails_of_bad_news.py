"""Whoever paid too little, too late or not at all is written to, and told what to do next."""

from datetime import timedelta
from decimal import Decimal
from itertools import count

from bitloot.domain.idempotency import Once
from bitloot.domain.quote import Wanted
from bitloot_web.composition.memory import GATEWAY
from bitloot_web.testing import TestShop, shop

_numbers = count()


def once() -> Once:
    key = f"key-{next(_numbers):020}"
    return Once(route="test", caller="test", key=key, request_hash=key)


async def payable(it: TestShop, slug: str, email: str) -> str:
    """An order that waits for its money; gives the gateway's id of its payment."""
    wanted = [Wanted(product=slug, quantity=1)]
    quoted = await it.shop.checkout.quote(wanted, country=None, asset=None)
    order = await it.shop.checkout.place(
        quoted.quote.id, email=email, placed_from="203.0.113.7", once=once()
    )
    await it.shop.opening.pay(order.order_id, asset="btc", once=once())
    await it.run_due()
    return it.around.gateway.of_order(order.number)[-1].gateway_payment_id


async def pay(it: TestShop, payment: str, fraction: str = "1") -> None:
    it.around.gateway.pay(payment, Decimal(fraction))
    headers, body = it.around.gateway.webhook(payment)
    assert await it.shop.webhook_intake.accept(GATEWAY, headers, body) == "accepted"
    await it.run_due()


def mailed(it: TestShop, email: str) -> dict[str, str]:
    """The text of each mail to an address, by its kind."""
    sent = [each.message for each in it.around.mailer.mailbox if each.message.to == email]
    assert len({message.kind for message in sent}) == len(sent)
    return {message.kind: message.text for message in sent}


async def test_an_order_that_nobody_paid_ends_with_a_mail_that_says_what_to_do() -> None:
    async with shop(seed=21) as it:
        slug = await it.stock_own("Thing", price=Decimal("10.00"), keys=1)
        await payable(it, slug, "ann@shop.example")
        await it.advance(timedelta(minutes=31))
        told = mailed(it, "ann@shop.example")
        assert set(told) == {"order-created", "order-expired"}
        assert "If you have not paid" in told["order-expired"]
        assert "If you have paid already" in told["order-expired"]


async def test_a_payment_that_is_too_small_ends_with_a_mail_that_says_what_to_do() -> None:
    async with shop(seed=22) as it:
        slug = await it.stock_own("Thing", price=Decimal("10.00"), keys=1)
        await pay(it, await payable(it, slug, "bob@shop.example"), "0.5")
        told = mailed(it, "bob@shop.example")
        assert set(told) == {"order-created", "order-underpaid"}
        assert "not refundable" in told["order-underpaid"]
        assert "place a new order" in told["order-underpaid"]


async def test_money_that_comes_when_the_goods_are_gone_ends_with_a_mail_that_says_so() -> None:
    async with shop(seed=23) as it:
        slug = await it.stock_own("Last One", price=Decimal("10.00"), keys=1)
        late = await payable(it, slug, "late@shop.example")
        await it.advance(timedelta(minutes=31))
        await pay(it, await payable(it, slug, "quick@shop.example"))
        await pay(it, late)
        told = mailed(it, "late@shop.example")
        assert set(told) == {"order-created", "order-expired", "payment-held"}
        assert "came after the order's time was over" in told["payment-held"]
        assert "do not pay again" in told["payment-held"]
        assert "order-ready" in mailed(it, "quick@shop.example")
