"""Money and goods when many act at once, on a real PostgreSQL: nothing twice, nothing lost."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import timedelta
from itertools import permutations

import pytest
from tests.integration.till import Till, fresh_key, in_turn, open_till

from bitloot.domain.errors import Refused
from bitloot.domain.order import OrderFile, OrderStatus
from bitloot.usecases.checkout import OrderFacts
from bitloot.usecases.payments.desk import Ruling

LATE = timedelta(minutes=45)


@pytest.fixture
async def till(shop_url: str) -> AsyncIterator[Till]:
    async with open_till(shop_url) as till:
        yield till


async def at_once(acts: Sequence[Awaitable[object]]) -> list[object]:
    return await asyncio.gather(*acts, return_exceptions=True)


def codes(answers: Sequence[object]) -> Counter[str]:
    """The refusals among these; anything else that was raised is a failure."""
    raised = [a for a in answers if isinstance(a, BaseException)]
    assert all(isinstance(a, Refused) for a in raised), raised
    return Counter(a.code for a in raised if isinstance(a, Refused))


# --- goods -------------------------------------------------------------------------------------


async def test_many_buyers_of_the_last_unit_of_a_supplier_get_one_order(till: Till) -> None:
    slug = await till.supplied(1)
    quotes = [await till.quote(slug) for _ in range(20)]
    answers = await at_once([till.place(quote, buyer=n) for n, quote in enumerate(quotes)])
    placed = [a for a in answers if isinstance(a, OrderFacts)]
    assert (len(placed), codes(answers)) == (1, {"out-of-stock": 19})
    await till.assert_in_order(placed[0].order_id)


async def test_baskets_of_the_same_products_in_any_order_never_wait_for_each_other(
    till: Till,
) -> None:
    slugs = [await till.own(30, f"own-game-{n}") for n in range(3)]
    baskets = [list(p) for p in permutations(slugs)] * 5
    quotes = [await till.quote(*basket) for basket in baskets]
    answers = await at_once([till.place(quote, buyer=n) for n, quote in enumerate(quotes)])
    assert all(isinstance(answer, OrderFacts) for answer in answers), answers
    assert await till.goods_are_counted_once()


# --- one key, one effect -----------------------------------------------------------------------


async def test_the_same_callback_fifty_times_at_once_is_one_row_with_one_effect(till: Till) -> None:
    placed, there = await till.payable(await till.own(5))
    till.gateway.pay(there)
    answers = await at_once([till.call_back(there) for _ in range(50)])
    assert Counter(answers) == {"accepted": 1, "duplicate": 49}
    assert await till.sql("SELECT attempts FROM webhook_logs") == [(50,)]
    jobs = await till.jobs("apply_payment", None)
    # Whoever is rung, and however often: one holds the lease, one effect.
    await asyncio.gather(*(till.runner.run(job) for job in jobs * 10))
    file = await till.assert_in_order(placed.order_id)
    assert (file.order.status, len(file.fulfilments)) == ("paid", 1)


async def test_a_payment_of_a_hosted_page_seen_at_once_by_callback_and_list_is_one_row(
    till: Till,
) -> None:
    placed = await till.place(await till.quote(await till.own(5)))
    await till.shop.opening.pay_hosted(
        placed.order_id, asset=None, return_url=None, once=fresh_key("payments")
    )
    [page] = (await till.file(placed.order_id)).invoices
    assert page.gateway_invoice_id is not None
    report = till.gateway.pay_invoice(page.gateway_invoice_id, "btc")
    await till.call_back(report.gateway_payment_id)
    called = await till.jobs("apply_payment")
    listed = await till.jobs("adopt_invoice")
    await in_turn(till, placed.order_id, lambda: till.run(*called), lambda: till.run(*listed))
    file = await till.assert_in_order(placed.order_id)
    assert (file.order.status, len(file.payments), len(file.fulfilments)) == ("paid", 1, 1)


# --- two payments ------------------------------------------------------------------------------


@pytest.mark.parametrize("first", [0, 1])
async def test_of_two_finished_payments_the_first_pays_and_the_second_waits_for_a_person(
    till: Till, first: int
) -> None:
    placed, there = await till.payable(await till.own(5))
    file = await till.file(placed.order_id)
    ids = [there, till.there(file, await till.pay(placed.order_id))]
    for one in ids:
        till.gateway.pay(one)
        await till.call_back(one)
    winning, losing = ids[first], ids[1 - first]
    acts = [await till.settling(winning), await till.settling(losing)]
    await in_turn(till, placed.order_id, *acts)
    file = await till.assert_in_order(placed.order_id)
    winner = await till.payment(placed.order_id, winning)
    second = await till.payment(placed.order_id, losing)
    assert (file.order.status, file.order.settled_by) == ("paid", winner.id)
    assert file.order.remarks == ("duplicate_payment",)
    assert [(h.subject_id, h.reason) for h in file.holds] == [(second.id, "duplicate_payment")]
    assert len(file.fulfilments) == 1


# --- settling against everything else ----------------------------------------------------------


async def paid_at_the_gateway(till: Till) -> tuple[OrderFile, Callable[[], Awaitable[object]]]:
    """An order whose money has come, and the job that is to say so."""
    placed, there = await till.payable(await till.own(2))
    till.gateway.pay(there)
    await till.call_back(there)
    return await till.file(placed.order_id), await till.settling(there)


@pytest.mark.parametrize("settles_first", [True, False])
async def test_settling_against_a_cancellation(till: Till, *, settles_first: bool) -> None:
    file, settle = await paid_at_the_gateway(till)
    once = fresh_key("cancel")
    acts = [settle, lambda: till.shop.checkout.cancel(file.order.id, once=once)]
    answers = await in_turn(till, file.order.id, *(acts if settles_first else acts[::-1]))
    after = await till.assert_in_order(file.order.id)
    if settles_first:
        assert codes(answers) == {"order-not-cancellable": 1}
        assert (after.order.status, after.holds) == ("paid", ())
    else:
        assert (after.order.status, codes(answers)) == ("cancelled", {})
        assert [h.reason for h in after.holds] == ["paid_after_end"]


@pytest.mark.parametrize("settles_first", [True, False])
async def test_settling_against_the_end_of_the_window(till: Till, *, settles_first: bool) -> None:
    file, settle = await paid_at_the_gateway(till)
    till.clock.ahead = LATE
    timer = await till.jobs("expire_order", file.order.id)
    acts = [settle, lambda: till.run(*timer)]
    await in_turn(till, file.order.id, *(acts if settles_first else acts[::-1]))
    after = await till.assert_in_order(file.order.id)
    assert (after.order.status, after.holds) == ("paid", ())
    assert after.order.remarks == (() if settles_first else ("paid_late",))
    assert [r.state for r in after.reservations] == ["consumed"]


@pytest.mark.parametrize("settles_first", [True, False])
@pytest.mark.parametrize(
    ("to", "ends", "held"),
    [
        ("cancelled", "cancelled", ["paid_after_end"]),
        ("refunded", "refunded", ["paid_after_end"]),
        ("expired", "paid", []),
        ("failed", "paid", []),
        ("confirming", "paid", []),
    ],
)
async def test_settling_against_a_status_set_by_hand(
    till: Till, to: OrderStatus, ends: str, held: list[str], *, settles_first: bool
) -> None:
    file, settle = await paid_at_the_gateway(till)
    ruling = Ruling(by="admin/1", reason="as asked", expected_version=file.order.version)
    acts = [
        settle,
        lambda: till.shop.money_desk.override(file.order.id, to, ruling, confirmed=True),
    ]
    answers = await in_turn(till, file.order.id, *(acts if settles_first else acts[::-1]))
    after = await till.assert_in_order(file.order.id)
    if settles_first:
        assert codes(answers) == {"version-conflict": 1}
        assert (after.order.status, after.order.remarks) == ("paid", ())
    else:
        assert codes(answers) == {}
        assert (after.order.status, [h.reason for h in after.holds]) == (ends, held)
        assert "manual" in after.order.remarks


async def test_everything_at_once_ends_in_an_allowed_state_with_all_money_accounted_for(
    till: Till,
) -> None:
    """No turn is given: whoever is faster, ten times over."""
    slug = await till.own(40)
    ends: Counter[str] = Counter()
    for n in range(10):
        placed, there = await till.payable(slug, buyer=n)
        other = till.there(await till.file(placed.order_id), await till.pay(placed.order_id))
        jobs = []
        for one in (there, other):
            till.gateway.pay(one)
            await till.call_back(one)
            jobs += await till.callback_jobs(one)
        seen = (await till.file(placed.order_id)).order
        ruling = Ruling(by="admin/1", reason="as asked", expected_version=seen.version)
        acts: list[Awaitable[object]] = [
            *(till.runner.run(job) for job in jobs),
            till.shop.checkout.cancel(placed.order_id, once=fresh_key("cancel")),
            till.shop.money_desk.override(placed.order_id, "expired", ruling, confirmed=True),
        ]
        random.Random(n).shuffle(acts)
        codes(await at_once(acts))
        await till.run(*await till.callback_jobs(there), *await till.callback_jobs(other))
        ends[(await till.assert_in_order(placed.order_id)).order.status] += 1
    assert set(ends) <= {"paid", "cancelled"}
