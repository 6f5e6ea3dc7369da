"""From an address to a settled order, with everything that gateways do on the way."""

import asyncio
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from bitloot.domain.decision import as_folded, fold, row_name
from bitloot.domain.errors import Refused
from bitloot.domain.failpoints import (
    AFTER_LEASE,
    AFTER_PAID_COMMIT,
    AFTER_SIGNATURE_CHECK,
    AFTER_WEBHOOK_COMMIT,
    BEFORE_PAID_COMMIT,
    GATEWAY_DONE_NO_REPLY,
    PAYMENT_ROW_BEFORE_CALL,
)
from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.hold import Hold
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.order import Order, OrderItem
from bitloot.domain.payment import Payment
from bitloot.domain.reservation import Reservation
from bitloot.domain.webhook import Webhook
from bitloot.usecases.payments.desk import Ruling
from bitloot_adapters.memory.unpaid_orders import Crashed, UnpaidOrders

HOUR = timedelta(hours=1)


@pytest.fixture
def shop() -> UnpaidOrders:
    return UnpaidOrders()


def sales(shop: UnpaidOrders) -> int:
    return len({line.entry for line in shop.store.rows(LedgerLine) if "sale/" in line.entry})


async def test_a_finished_payment_settles_its_order_once(shop: UnpaidOrders) -> None:
    placed, payment = await shop.payable(await shop.stock(), await shop.stock(own=True))
    assert shop.order_row(placed.order_id).status == "waiting"
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.pay(there)
    assert await shop.call_back(there) == "accepted"
    await shop.work()
    assert shop.order_row(placed.order_id).status == "paid"
    assert await shop.call_back(there) == "duplicate"
    await shop.work()
    assert sales(shop) == 1
    assert shop.kinds(placed.order_id).count("fulfilment_planned") == 2
    assert shop.webhook_classes() == ["applied"]


async def test_the_same_callback_fifty_times_at_once_is_one_row_with_one_effect(
    shop: UnpaidOrders,
) -> None:
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.pay(there)
    headers, body = shop.gateway.webhook(there)
    answers = await asyncio.gather(*(shop.deliver(headers, body) for _ in range(50)))
    assert sorted(answers) == ["accepted", *["duplicate"] * 49]
    await shop.work()
    assert [row.attempts for row in shop.store.rows(Webhook)] == [50]
    assert sales(shop) == 1
    assert shop.order_row(placed.order_id).status == "paid"


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0), (2, 0, 1)])
async def test_callbacks_in_any_order_lead_to_the_same_end(
    shop: UnpaidOrders, order: tuple[int, ...]
) -> None:
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    told = []
    for status in ("confirming", "sending", "finished"):
        if status == "finished":
            shop.gateway.pay(there)
        else:
            shop.gateway.move(there, status)
        told.append(shop.gateway.webhook(there))
    for n in order:
        await shop.deliver(*told[n])
        await shop.work()
    assert shop.order_row(placed.order_id).status == "paid"
    assert sales(shop) == 1


@pytest.mark.parametrize("word", ["waiting", "confirming", "sending"])
async def test_a_callback_of_lower_rank_is_kept_as_stale_and_takes_nothing_back(
    shop: UnpaidOrders, word: str
) -> None:
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.move(there, word)
    late = shop.gateway.webhook(there)
    shop.gateway.pay(there)
    await shop.call_back(there)
    await shop.work()
    before, known = shop.payments(placed.order_id), shop.kinds(placed.order_id)
    await shop.deliver(*late)
    await shop.work()
    assert shop.webhook_classes() == ["applied", "stale"]
    assert [(p.status, p.rank) for p in before] == [("finished", 60)]
    assert shop.payments(placed.order_id) == before
    assert shop.kinds(placed.order_id) == known


async def test_a_lost_callback_is_found_by_polling(shop: UnpaidOrders) -> None:
    placed, payment = await shop.payable()
    shop.gateway.pay(shop.gateway_id(payment.payment_id))
    await shop.work_for(timedelta(minutes=2))
    assert shop.order_row(placed.order_id).status == "paid"
    assert shop.store.rows(Webhook) == []


async def test_late_money_is_found_by_polling_days_after_the_order_expired(
    shop: UnpaidOrders,
) -> None:
    placed, payment = await shop.payable()
    await shop.work_for(timedelta(days=3), step=HOUR / 2)
    assert shop.order_row(placed.order_id).status == "expired"
    shop.gateway.pay(shop.gateway_id(payment.payment_id))
    await shop.work_for(2 * HOUR, step=HOUR / 2)
    order = shop.order_row(placed.order_id)
    assert (order.status, order.remarks) == ("paid", ("paid_late",))


async def test_late_money_that_lost_its_worth_waits_for_a_person(shop: UnpaidOrders) -> None:
    placed, payment = await shop.payable()
    await shop.work_for(HOUR)
    shop.gateway.pay(shop.gateway_id(payment.payment_id))
    shop.gateway.set_rate("btc", Decimal(100))
    await shop.work_for(2 * HOUR, step=HOUR / 2)
    assert shop.order_row(placed.order_id).status == "expired"
    [hold] = shop.holds(placed.order_id)
    assert hold.reason == "paid_late"
    ruling = Ruling(
        by="admin/1",
        reason="goodwill",
        expected_version=shop.order_row(placed.order_id).version,
    )
    once = shop.once("decision")
    with pytest.raises(Refused, match="below-cost"):
        await shop.desk.decide_hold(hold.id, ruling, accept=True, signed_loss=False, once=once)
    ruled = await shop.desk.decide_hold(hold.id, ruling, accept=True, signed_loss=True, once=once)
    assert ruled.status == "paid"
    again = await shop.desk.decide_hold(hold.id, ruling, accept=True, signed_loss=True, once=once)
    assert again == ruled


async def test_a_callback_ahead_of_the_gateways_own_answer_is_tried_again(
    shop: UnpaidOrders,
) -> None:
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.pay(there)
    headers, body = shop.gateway.webhook(there)
    shop.gateway.move(there, "sending")
    await shop.deliver(headers, body)
    await shop.work()
    assert shop.order_row(placed.order_id).status != "paid"
    assert shop.webhook_classes() == ["received"]
    shop.gateway.move(there, "finished")
    await shop.work_for(timedelta(seconds=10), step=timedelta(seconds=1))
    assert shop.order_row(placed.order_id).status == "paid"


async def test_an_outage_of_the_gateway_never_ends_a_payments_job(shop: UnpaidOrders) -> None:
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.pay(there)
    await shop.call_back(there)
    shop.gateway.faults.go_down()
    await shop.work_for(5 * HOUR)
    assert shop.order_row(placed.order_id).status == "expired"
    shop.gateway.faults.come_back()
    await shop.work_for(timedelta(minutes=10))
    assert shop.order_row(placed.order_id).status == "paid"


async def test_a_payment_and_order_that_nobody_knows_are_shown_as_unmatched(
    shop: UnpaidOrders,
) -> None:
    stranger = shop.gateway._open("BLNOBODY1", Decimal(10), "btc")
    await shop.call_back(stranger.gateway_payment_id)
    await shop.work()
    assert shop.webhook_classes() == ["unmatched"]


async def test_a_word_that_nobody_knows_is_stored_and_changes_nothing(shop: UnpaidOrders) -> None:
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    headers, body = shop.gateway.sign(b""), b""
    _, body = shop.gateway.webhook(there, status='"teleported"')
    headers = shop.gateway.sign(body)
    await shop.deliver(headers, body)
    await shop.work()
    assert shop.webhook_classes() == ["unknown_status"]
    assert shop.order_row(placed.order_id).status == "waiting"


async def test_a_forged_callback_is_stored_counted_and_never_hides_a_good_one(
    shop: UnpaidOrders,
) -> None:
    _, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.pay(there)
    headers, body = shop.gateway.webhook(there)
    forged = {name: "0" * len(value) for name, value in headers.items()}
    for _ in range(120):
        assert await shop.deliver(forged, body) == "forged"
    assert shop.webhook_classes() == ["invalid_signature"] * 100
    with pytest.raises(Refused, match="webhook-not-replayable"):
        await shop.replay.replay(shop.store.rows(Webhook)[0].id, by="admin/1", reason="look")
    assert await shop.deliver(headers, body) == "accepted"


async def test_a_malformed_callback_is_kept_as_its_head(shop: UnpaidOrders) -> None:
    body = b"[" * 5000
    assert await shop.deliver(shop.gateway.sign(body), body) == "malformed"
    [kept] = shop.store.rows(Webhook)
    assert kept.classification == "malformed"
    assert len(kept.body) < 5000


async def test_replaying_a_webhook_three_times_has_the_effect_of_one(shop: UnpaidOrders) -> None:
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.pay(there)
    await shop.call_back(there)
    await shop.work()
    for _ in range(3):
        await shop.replay.replay(shop.store.rows(Webhook)[0].id, by="admin/1", reason="again")
        await shop.work()
    assert sales(shop) == 1
    assert shop.order_row(placed.order_id).status == "paid"


@pytest.mark.parametrize(
    "boundary",
    [
        AFTER_SIGNATURE_CHECK,
        AFTER_WEBHOOK_COMMIT,
        AFTER_LEASE,
        BEFORE_PAID_COMMIT,
        AFTER_PAID_COMMIT,
    ],
)
async def test_a_death_at_any_boundary_neither_loses_nor_doubles_a_payment(
    shop: UnpaidOrders, boundary: str
) -> None:
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.pay(there)
    shop.crash_at = boundary

    async def called_back_and_worked() -> None:
        await shop.call_back(there)
        await shop.work()

    with pytest.raises(Crashed):
        await called_back_and_worked()
    await shop.call_back(there)
    await shop.work_for(timedelta(minutes=5))
    assert shop.order_row(placed.order_id).status == "paid"
    assert sales(shop) == 1


@pytest.mark.parametrize("boundary", [PAYMENT_ROW_BEFORE_CALL, GATEWAY_DONE_NO_REPLY])
async def test_a_death_around_the_create_call_lets_the_same_key_try_again(
    shop: UnpaidOrders, boundary: str
) -> None:
    placed = await shop.order(await shop.stock())
    once = shop.once("payments")
    shop.crash_at = boundary
    with pytest.raises(Crashed):
        await shop.opening.pay(placed.order_id, asset="btc", once=once)
    with pytest.raises(Refused, match="idempotency-in-progress"):
        await shop.opening.pay(placed.order_id, asset="btc", once=once)
    shop.clock.advance(timedelta(seconds=61))
    facts = await shop.opening.pay(placed.order_id, asset="btc", once=once)
    assert facts == await shop.opening.pay(placed.order_id, asset="btc", once=once)
    assert [p.call_answered for p in shop.payments(placed.order_id)] == [False, True]


async def test_an_early_callback_waits_until_our_answer_is_stored(shop: UnpaidOrders) -> None:
    placed = await shop.order(await shop.stock())
    shop.crash_at = GATEWAY_DONE_NO_REPLY
    with pytest.raises(Crashed):
        await shop.opening.pay(placed.order_id, asset="btc", once=shop.once("payments"))
    [there] = shop.gateway.of_order(placed.number)
    await shop.call_back(there.gateway_payment_id)
    await shop.work()
    assert shop.webhook_classes() == ["early"]
    assert len(shop.payments(placed.order_id)) == 1
    await shop.work_for(timedelta(minutes=25))
    assert shop.webhook_classes() == ["linked"]


async def test_a_lost_answer_is_followed_by_a_second_row_and_call(shop: UnpaidOrders) -> None:
    placed = await shop.order(await shop.stock())
    shop.gateway.faults.lose_next_reply()
    facts = await shop.opening.pay(placed.order_id, asset="btc", once=shop.once("payments"))
    rows = shop.payments(placed.order_id)
    assert [p.status for p in rows] == ["created", "waiting"]
    assert facts.payment_id == rows[1].id
    shop.gateway.pay(shop.gateway_id(facts.payment_id))
    await shop.work_for(timedelta(minutes=2))
    assert shop.order_row(placed.order_id).status == "paid"


async def test_a_gateway_that_is_down_leaves_the_order_payable(shop: UnpaidOrders) -> None:
    placed = await shop.order(await shop.stock())
    once = shop.once("payments")
    shop.gateway.faults.go_down()
    with pytest.raises(Refused, match="provider-unavailable"):
        await shop.opening.pay(placed.order_id, asset="btc", once=once)
    shop.gateway.faults.come_back()
    facts = await shop.opening.pay(placed.order_id, asset="btc", once=once)
    assert facts.pay_address


async def test_an_unknown_asset_is_refused_with_the_same_answer_each_time(
    shop: UnpaidOrders,
) -> None:
    placed = await shop.order(await shop.stock())
    once = shop.once("payments")
    for _ in range(2):
        with pytest.raises(Refused, match="asset-unavailable"):
            await shop.opening.pay(placed.order_id, asset="nosuch", once=once)
    assert [p.status for p in shop.payments(placed.order_id)] == ["rejected"]


async def test_the_amount_is_quoted_anew_when_the_gateways_quote_ended(
    shop: UnpaidOrders,
) -> None:
    placed, before = await shop.payable()
    shop.clock.advance(timedelta(minutes=25))
    shop.gateway.set_rate("btc", Decimal(30000))
    now = await shop.opening.current(placed.order_id)
    assert now is not None
    assert now.pay_amount != before.pay_amount
    assert now.quote_ends_at is not None
    assert shop.order_row(placed.order_id).window_ends_at >= now.quote_ends_at
    shop.gateway.pay(shop.gateway_id(now.payment_id))
    await shop.work_for(timedelta(minutes=6))
    assert shop.order_row(placed.order_id).status == "paid"


async def test_a_refresh_applies_what_the_gateway_says_now(shop: UnpaidOrders) -> None:
    _, payment = await shop.payable()
    shop.gateway.pay(shop.gateway_id(payment.payment_id))
    assert (await shop.applying.refresh(payment.payment_id)).status == "finished"
    with pytest.raises(Refused, match="not-found"):
        await shop.applying.refresh("nothing")


TIMELINE = (Order, OrderItem, Payment, Reservation, Fulfilment, LedgerLine, Hold)


async def test_an_order_can_be_rebuilt_from_its_timeline(shop: UnpaidOrders) -> None:
    placed, payment = await shop.payable(await shop.stock(), await shop.stock(own=True))
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.move(there, "confirming")
    await shop.call_back(there)
    await shop.work()
    shop.gateway.pay(there, Decimal("1.2"))
    await shop.call_back(there)
    await shop.work()
    shop.gateway.redeposit(there, Decimal("0.0001"))
    await shop.applying.refresh(payment.payment_id)
    child = shop.gateway.of_order(placed.number)[-1]
    await shop.call_back(child.gateway_payment_id)
    await shop.work()
    folded = fold(shop.store.timeline(placed.order_id))
    rebuilt = msgspec.json.decode(msgspec.json.encode(folded))
    stored = {row_name(row): as_folded(row) for kind in TIMELINE for row in shop.store.rows(kind)}
    assert rebuilt == stored
    assert [h.reason for h in shop.holds(placed.order_id)] == ["redeposit"]


async def test_every_ledger_entry_sums_to_zero(shop: UnpaidOrders) -> None:
    _, payment = await shop.payable()
    shop.gateway.pay(shop.gateway_id(payment.payment_id), Decimal("1.0777777"))
    await shop.work_for(timedelta(minutes=2))
    sums: dict[str, Decimal] = {}
    for line in shop.store.rows(LedgerLine):
        sums[line.entry] = sums.get(line.entry, Decimal(0)) + line.amount
    assert len(sums) == 2
    assert set(sums.values()) == {Decimal(0)}


async def test_of_many_who_ask_about_a_late_order_at_once_one_has_it_paid(
    shop: UnpaidOrders,
) -> None:
    placed, payment = await shop.payable()
    await shop.work_for(HOUR)
    shop.gateway.pay(shop.gateway_id(payment.payment_id))
    shop.gateway.set_rate("btc", Decimal(100))
    await shop.work_for(2 * HOUR, step=HOUR / 2)
    [hold] = shop.holds(placed.order_id)
    version = shop.order_row(placed.order_id).version
    ruling = Ruling(by="admin/1", reason="too late", expected_version=version)
    once = shop.once("decision")
    await shop.desk.decide_hold(hold.id, ruling, accept=False, signed_loss=False, once=once)
    assert not await shop.applying.settle_order(placed.order_id, actor="admin/1", reason="please")
    assert shop.order_row(placed.order_id).failure_reason == "late_payment"
    shop.gateway.set_rate("btc", Decimal(60000))
    asked = (
        shop.applying.settle_order(placed.order_id, actor="admin/1", reason="please")
        for _ in range(8)
    )
    assert sorted(await asyncio.gather(*asked)) == [False] * 7 + [True]
    assert shop.order_row(placed.order_id).status == "paid"
    assert sales(shop) == 1


async def test_a_hold_that_pays_nothing_is_closed_while_the_gateway_is_down(
    shop: UnpaidOrders,
) -> None:
    placed, first = await shop.payable()
    once = shop.once("payments")
    second = await shop.opening.pay(placed.order_id, asset="btc", once=once)
    there = shop.gateway_id(second.payment_id)
    for payment_id, word in ((there, "failed"), (shop.gateway_id(first.payment_id), "refunded")):
        shop.gateway.move(payment_id, word)
        await shop.call_back(payment_id)
        await shop.work()
    shop.gateway.pay(there)
    await shop.call_back(there)
    await shop.work()
    [hold] = shop.holds(placed.order_id)
    order = shop.order_row(placed.order_id)
    assert (order.status, hold.reason) == ("refunded", "paid_after_end")
    shop.gateway.faults.go_down()
    ruling = Ruling(by="admin/1", reason="sent back", expected_version=order.version)
    once = shop.once("decision")
    await shop.desk.decide_hold(hold.id, ruling, accept=True, signed_loss=False, once=once)
    assert [h.state for h in shop.holds(placed.order_id)] == ["accepted"]
    assert shop.order_row(placed.order_id).status == "refunded"
