"""Money that comes short, over, late, many times, in the wrong order, or unannounced."""

import asyncio
import time
from decimal import Decimal

import httpx
from tests.e2e.buyer import Buyer, Order, Seen, good, listed, once
from tests.e2e.programs import until

ANSWER_SECONDS = 3.0
"""NOWPayments gives a callback up after three seconds."""
WEBHOOK = "/v1/webhooks/nowpayments"


async def callback(buyer: Buyer, payment: str, status: str) -> Seen:
    """The callback of a payment about a status, as the gateway wrote and signed it."""
    query = {"payment_id": payment}

    async def look() -> Seen | None:
        sent = listed(await buyer.gateway.get("/_control/ipns", params=query), "ipns")
        return next((each for each in sent if each["payment_status"] == status), None)

    return await until(f"a callback {status}", look)


def signed(sent: Seen) -> dict[str, str]:
    return {"content-type": "application/json", "x-nowpayments-sig": sent["signature"]}


async def effects(buyer: Buyer, order: Order) -> tuple[int, int, Decimal]:
    """Ledger lines, units sold by the supplier, and the sum of the ledger."""
    ledger = await buyer.shop.get(f"/v1/admin/orders/{order.id}/ledger", headers=buyer.admin)
    lines = listed(ledger, "items")
    return (
        len(lines),
        len(await buyer.bought(order)),
        sum((Decimal(line["amount"]) for line in lines), Decimal(0)),
    )


async def test_an_underpaid_order_fails_and_gives_no_key(buyer: Buyer) -> None:
    order = await buyer.order("kinguin", "custom")
    await buyer.pay(await buyer.ask_to_pay(order), fraction="0.5")
    seen = await buyer.until_status(order, "failed")
    assert seen["failureReason"] == "underpaid"
    refused = await buyer.shop.post(
        f"{order.path}/items/{seen['items'][0]['id']}/reveal", headers=once(**order.token)
    )
    assert refused.status_code == 409, refused.text
    assert await buyer.bought(order) == []
    retried = await buyer.shop.post(
        f"/v1/admin/orders/{order.id}/retry-fulfillment",
        json={"reason": "the buyer asks"},
        headers=once(**buyer.admin),
    )
    assert retried.status_code == 409
    assert retried.json()["type"] == "urn:bitloot:problem:underpaid-non-refundable"


async def test_an_overpaid_order_is_delivered_and_says_by_how_much(buyer: Buyer) -> None:
    order = await buyer.order("custom")
    await buyer.pay(await buyer.ask_to_pay(order), fraction="1.25")
    seen = await buyer.until_status(order, "fulfilled")
    assert "paid_over" in seen["remarks"]
    share = Decimal(seen["paidOver"]) / Decimal(seen["total"])
    assert abs(share - Decimal("0.25")) < Decimal("0.02"), seen["paidOver"]
    assert len(await buyer.keys(order)) == 1


async def test_money_after_the_order_expired_is_found_and_delivered(buyer: Buyer) -> None:
    order = await buyer.order("custom")
    payment = await buyer.ask_to_pay(order)
    good(await buyer.gateway.post(f"/_control/payments/{payment}/expire", json={}))
    await buyer.until_status(order, "expired")
    await buyer.pay(payment)  # the gateway sends no callback of an expired payment
    seen = await buyer.until_status(order, "fulfilled")
    assert "paid_late" in seen["remarks"]
    assert len(await buyer.keys(order)) == 1


async def test_lost_callbacks_are_made_up_for_by_asking_the_gateway(buyer: Buyer) -> None:
    order = await buyer.order("custom")
    payment = await buyer.ask_to_pay(order)
    await buyer.pay(payment, ipn="lost")
    await buyer.until_status(order, "fulfilled")
    assert [each for each in await buyer.webhooks(order) if each["status"] == "finished"] == []


async def test_doubled_and_shuffled_callbacks_have_the_effect_of_one(buyer: Buyer) -> None:
    for travel in ("duplicate", "shuffled", "reversed"):
        order = await buyer.order("kinguin")
        await buyer.pay(await buyer.ask_to_pay(order), ipn=travel)
        await buyer.until_status(order, "fulfilled")
        assert (await effects(buyer, order))[1:] == (1, Decimal(0)), travel
        assert len(await buyer.keys(order)) == 1


async def test_the_same_callback_fifty_times_at_once_is_one_row_and_one_effect(
    buyer: Buyer,
) -> None:
    order = await buyer.order("kinguin", "custom")
    payment = await buyer.ask_to_pay(order)
    await buyer.pay(payment, ipn="lost")
    sent = await callback(buyer, payment, "finished")
    limits = httpx.Limits(max_connections=50)
    async with httpx.AsyncClient(
        base_url=buyer.town.url("shop"), limits=limits, timeout=30, trust_env=False
    ) as client:

        async def deliver() -> tuple[int, float]:
            began = time.monotonic()
            answer = await client.post(WEBHOOK, content=sent["body"], headers=signed(sent))
            return answer.status_code, time.monotonic() - began

        answers = await asyncio.gather(*(deliver() for _ in range(50)))
    assert {status for status, _ in answers} == {200}
    assert max(seconds for _, seconds in answers) < ANSWER_SECONDS
    await buyer.until_status(order, "fulfilled")
    (row,) = [each for each in await buyer.webhooks(order) if each["status"] == "finished"]
    assert row["attempts"] == 50
    before = await effects(buyer, order)
    assert before[1:] == (1, Decimal(0))
    again = await buyer.shop.post(WEBHOOK, content=sent["body"], headers=signed(sent))
    assert again.status_code == 200
    assert await effects(buyer, order) == before
    assert len(set(await buyer.keys(order))) == 2


async def test_a_forged_callback_is_refused_kept_as_such_and_cannot_be_replayed(
    buyer: Buyer,
) -> None:
    order = await buyer.order("custom")
    payment = await buyer.ask_to_pay(order)
    await buyer.pay(payment, ipn="lost", steps=["confirming"])
    sent = await callback(buyer, payment, "confirming")
    forged = sent["body"].replace("confirming", "finished")
    for headers in (signed(sent), {}, {"x-nowpayments-sig": "0" * 128}):
        answer = await buyer.shop.post(WEBHOOK, content=forged, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
    kept = await buyer.shop.get(
        "/v1/admin/webhooks", params={"classification": "invalid_signature"}, headers=buyer.admin
    )
    rows = listed(kept, "items")
    assert rows
    assert not any(row["signatureOk"] for row in rows)
    replayed = await buyer.shop.post(
        f"/v1/admin/webhooks/{rows[0]['id']}/replay",
        json={"reason": "to see whether it works"},
        headers=once(**buyer.admin),
    )
    assert replayed.status_code == 409, replayed.text
    await buyer.until_status(order, "confirming")
    assert await buyer.bought(order) == []


async def test_malformed_and_oversized_callbacks_are_told_so(buyer: Buyer) -> None:
    for body, status in (
        (b"", 401),
        (b"{", 401),
        (b"\xff\xfe", 401),
        (b'{"a":' * 2000, 401),
        (b"x" * (256 * 1024 + 1), 413),
    ):
        headers = {"x-nowpayments-sig": "f" * 128}
        answer = await buyer.shop.post(WEBHOOK, content=body, headers=headers)
        assert answer.status_code == status, (body[:20], answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
    for provider in ("kinguin", "resend"):
        answer = await buyer.shop.post(
            f"/v1/webhooks/{provider}", content=b"{}", headers={"x-event-secret": "wrong"}
        )
        assert answer.status_code == 401, answer.text
    assert (await buyer.shop.post("/v1/webhooks/nobody", content=b"{}")).status_code == 404
