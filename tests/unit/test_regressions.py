"""Failures that other shops of this kind are known for, each with a test that names it.

Many are held where the thing itself is tested; a test below keeps this list true. The others
follow here, in `tests/unit/test_regressions_at_work.py`, and in
`tests/integration/test_regressions_at_once.py`.

- a placeholder encryption key is accepted:
  unit/test_key_envelope.py::test_placeholder_keys_are_refused_in_production_only
- the check whether an order is fulfilled, and the purchase, are two steps:
  unit/test_regressions_at_work.py::test_two_workers_at_one_fulfilment_buy_it_once_whoever_is_first
- a worker that was taken over buys and writes all the same:
  unit/test_worker_races.py::test_a_worker_whose_lease_was_taken_over_writes_nothing_more
- the check for stock is not atomic:
  integration/test_money_under_concurrency.py::test_many_buyers_of_the_last_unit_of_a_supplier_get_one_order
- a status jumps where no table leads:
  unit/test_state_walk.py::test_no_forbidden_pair_can_be_reached_through_the_rules
- a cache in memory grows without bound:
  contract/test_memory_local.py::test_a_full_cache_lets_the_oldest_go
- the life of a one-time code tells who has an account:
  unit/test_shop_in_a_test.py::test_a_code_opens_no_other_order_and_an_unknown_order_gets_the_same_answer
- a secret is compared in a time that tells how far it was right:
  unit/test_tidy.py::test_every_comparison_of_a_secret_by_its_letters_is_found
- an empty signature header passes:
  unit/test_nowpayments_hostile_values.py::test_a_forged_callback_is_forged_whatever_it_holds
- an order is paid and its job cannot be queued:
  unit/test_relay.py::test_a_bell_that_breaks_while_ringing_leaves_no_job_waiting
- a job is queued before or after what it belongs to is stored:
  unit/test_regressions_at_work.py::test_what_was_stored_is_never_without_the_job_that_looks_into_it
- the answer of the object store is believed:
  unit/test_regressions_at_work.py::test_a_good_answer_of_the_store_delivers_nothing_until_it_shows_what_it_holds
- ids of orders can be guessed without end:
  contract/http/test_http_guesses.py::test_ids_of_orders_cannot_be_guessed_without_end
- an order that is somebody else's is told apart from one that is not there:
  contract/http/test_http_callers.py::test_an_order_is_not_there_for_the_holder_of_another
- a page has no bounds:
  contract/http/test_http_problems.py::test_a_page_has_between_one_and_a_hundred_rows
- an order is mailed about twice, because "sent" was noted apart from the sending:
  unit/test_mail_job.py::test_a_death_around_sending_leads_to_no_second_mail
- a buyer is shown an order from a cache, unpaid when it is paid, or paid when it is fulfilled:
  contract/http/test_http_order_reads.py::test_no_status_that_is_over_is_shown_again
- the page of success pays the order that it shows:
  contract/http/test_http_order_reads.py::test_no_page_of_an_order_pays_it_moves_it_or_asks_the_gateway
- what is kept in a shared cache has no end:
  contract/test_redis.py::test_every_entry_has_an_end_and_a_bounded_size
- the supplier's order is asked for by the id of the buyer's order:
  unit/test_regressions_at_work.py::test_a_supplier_is_asked_for_its_own_order_and_never_by_an_id_of_ours
- a job for what is switched off is queued again without end:
  unit/test_regressions_at_work.py::test_a_job_whose_gateway_was_switched_off_is_given_up_and_not_queued_without_end
- a job that fails is queued again without end:
  unit/test_job_runner.py::test_after_the_last_attempt_a_dead_letter_is_left_and_others_go_on
- addresses that differ in case are two people:
  unit/test_prices.py::test_an_address_is_sent_to_as_typed_and_compared_folded
- a discount is larger than the total:
  unit/test_prices.py::test_a_fixed_discount_is_never_more_than_given_and_never_goes_below_a_floor
- an unsigned message switches the detection of duplicates off:
  unit/test_payment_jobs.py::test_a_forged_callback_is_stored_counted_and_never_hides_a_good_one
- one idempotency key from many clients of several processes gives several orders:
  integration/test_regressions_at_once.py::test_one_idempotency_key_from_eight_clients_over_two_processes_gives_one_order
- a limit of rate is declared and does nothing:
  contract/http/test_http_guesses.py::test_every_limit_that_is_declared_is_active
- a setting is documented and never read:
  unit/test_settings_table.py::test_every_setting_and_limit_of_the_page_is_used_by_the_code
- an unknown setting is not reported:
  unit/test_settings.py::test_an_unknown_name_is_reported_with_the_nearest_that_is_read
- a foreign key has no index:
  integration/test_postgres_schema.py::test_every_foreign_key_has_an_index
- the plan of a list sorts the table:
  integration/test_view_round_trips.py::test_every_view_is_one_statement_and_hot_ones_read_no_table_from_end_to_end
- a stand-in lacks a call that the port demands:
  contract/test_stand_ins.py::test_the_suite_of_a_port_makes_every_call_of_it_and_runs_on_every_stand_in
- a stand-in of the gateway does less than the gateway:
  contract/wire/test_nowpayments_sandbox_process.py::test_every_line_of_what_the_stand_in_must_do_has_a_test
"""

import re
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from litestar.testing import AsyncTestClient

from bitloot.domain.decision import Row
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.order import Order
from bitloot.domain.payment import Payment, PaymentReport
from bitloot.domain.reactions import all_jobs
from bitloot.domain.settlement import settle
from bitloot.domain.webhook import Webhook
from bitloot.testing.order_cases import OrderCases
from bitloot_adapters.memory.unpaid_orders import UnpaidOrders
from bitloot_web.testing import shop as shop_in_memory

TESTS = Path(__file__).parents[1]
HELD_ELSEWHERE = re.findall(r"^  (\S+\.py)::(test_\w+)$", __doc__ or "", re.MULTILINE)


@pytest.fixture
def shop() -> UnpaidOrders:
    return UnpaidOrders()


@pytest.mark.parametrize(("file", "test"), HELD_ELSEWHERE)
def test_what_is_said_to_be_held_elsewhere_is_held_there(file: str, test: str) -> None:
    assert re.search(rf"def {test}\(", (TESTS / file).read_text())


def test_the_list_names_every_failure_that_is_held_elsewhere() -> None:
    assert len(HELD_ELSEWHERE) == (__doc__ or "").count("\n- ")


async def test_goods_are_never_queued_without_a_row_of_the_payment(shop: UnpaidOrders) -> None:
    placed, payment = await shop.payable()
    stray = "4999999999"
    body = shop.gateway.webhook(shop.gateway_id(payment.payment_id))[1].replace(
        shop.gateway_id(payment.payment_id).encode(), stray.encode()
    )
    await shop.deliver(shop.gateway.sign(body), body)
    await shop.work()
    assert shop.store.rows(Fulfilment) == []
    assert shop.order_row(placed.order_id).status == "waiting"
    shop.gateway.pay(shop.gateway_id(payment.payment_id))
    await shop.call_back(shop.gateway_id(payment.payment_id))
    await shop.work()
    order = shop.order_row(placed.order_id)
    assert [f.order_id for f in shop.store.rows(Fulfilment)] == [order.id]
    assert order.settled_by == payment.payment_id


def test_payment_order_books_goods_and_jobs_are_never_written_in_two_transactions() -> None:
    cases = OrderCases()
    file = cases.with_payment(cases.order("waiting"))
    decision = settle(
        file,
        file.payments[0],
        cases.report(file, "finished"),
        at=cases.at,
        terms=cases.terms(),
    )
    written: set[type[Row]] = {type(change.after) for change in decision.save}
    assert {Order, Payment, LedgerLine, Fulfilment} <= written
    assert "fulfil" in {job.kind for job in all_jobs(decision)}


async def test_later_statuses_of_a_payment_are_not_dropped_because_its_id_was_seen(
    shop: UnpaidOrders,
) -> None:
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    for status in ("waiting", "confirming", "confirmed", "sending"):
        shop.gateway.move(there, status)
        assert await shop.call_back(there) == "accepted"
        await shop.work()
    shop.gateway.pay(there)
    assert await shop.call_back(there) == "accepted"
    await shop.work()
    assert len(shop.store.rows(Webhook)) == 5
    assert shop.order_row(placed.order_id).status == "paid"


@pytest.mark.parametrize("late", ["waiting", "confirming", "sending", "expired", "failed"])
async def test_a_paid_order_does_not_move_back_by_a_late_status_of_its_own_payment(
    shop: UnpaidOrders, late: str
) -> None:
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.move(there, late)
    stale = shop.gateway.webhook(there)
    shop.gateway.move(there, "waiting")
    shop.gateway.pay(there)
    await shop.call_back(there)
    await shop.work()
    paid = shop.order_row(placed.order_id)
    assert await shop.deliver(*stale) == "accepted"
    await shop.work()
    assert shop.order_row(placed.order_id) == paid


@pytest.mark.parametrize("word", ["expired", "failed"])
async def test_a_paid_order_does_not_move_back_by_the_end_of_a_second_payment(
    shop: UnpaidOrders, word: str
) -> None:
    placed, payment = await shop.payable()
    second = await shop.opening.pay(placed.order_id, asset="ltc", once=shop.once("payments"))
    shop.gateway.pay(shop.gateway_id(payment.payment_id))
    await shop.call_back(shop.gateway_id(payment.payment_id))
    await shop.work()
    shop.gateway.move(shop.gateway_id(second.payment_id), word)
    await shop.call_back(shop.gateway_id(second.payment_id))
    await shop.work()
    order = shop.order_row(placed.order_id)
    assert (order.status, order.settled_by, order.remarks) == ("paid", payment.payment_id, ())


@pytest.mark.parametrize(
    "wrong",
    [
        {"actually_paid": Decimal("0.00000001")},
        {"actually_paid": None},
        {"price_amount": Decimal("0.01")},
        {"price_amount": None},
        {"price_currency": "usd"},
        {"pay_currency": "doge"},
        {"order_number": "BL00000000"},
        {"order_number": None},
        {"parent_payment_id": "5000000001"},
        {"outcome_amount": Decimal("0.00000001"), "outcome_currency": "btc"},
    ],
    ids="-".join,
)
def test_a_finished_payment_with_a_wrong_fact_pays_for_nothing(
    wrong: Mapping[str, object],
) -> None:
    cases = OrderCases()
    file = cases.with_payment(cases.order("waiting"))
    good = cases.report(file, "finished")
    report: PaymentReport = msgspec.structs.replace(good, **dict(wrong))
    decision = settle(file, file.payments[0], report, at=cases.at, terms=cases.terms())
    kinds = [event.kind for event in decision.events]
    assert "order_paid" not in kinds
    assert {"order_held", "payment_held"} & set(kinds)


async def test_a_flood_of_forgeries_does_not_keep_a_good_callback_out(shop: UnpaidOrders) -> None:
    placed, payment = await shop.payable()
    there = shop.gateway_id(payment.payment_id)
    shop.gateway.pay(there)
    headers, body = shop.gateway.webhook(there)
    for n in range(150):
        assert await shop.deliver({}, body + b" " * n) == "forged"
    assert await shop.deliver(headers, body) == "accepted"
    await shop.work()
    assert shop.order_row(placed.order_id).status == "paid"
    bad = [row for row in shop.store.rows(Webhook) if not row.signature_ok]
    assert len(bad) == shop.limits.forged_webhooks_stored_per_minute


async def test_a_one_time_code_of_another_form_is_refused_before_it_costs_a_try() -> None:
    async with shop_in_memory() as it:
        order_id = it.around.near.new_id()
        for code in (
            "",
            "12345",
            "1234567",
            "12345a",
            "\uff11\uff12\uff13\uff14\uff15\uff16",
            " 23456",
        ):
            with pytest.raises(Refused):
                await it.shop.reentry.verify(order_id, it.around.near.new_id(), code)


async def test_a_money_field_of_a_request_is_refused_and_never_believed() -> None:
    async with shop_in_memory() as it:
        slug = await it.stock_own("Quiet Harbour", price=Decimal("12.50"), keys=2)
        line = {"product": slug, "quantity": 1}
        async with AsyncTestClient(app=it.app, base_url="https://shop.example") as web:
            for lines, more in (
                ([{**line, "discount": "12.00"}], {}),
                ([{**line, "unitPrice": "0.01"}], {}),
                ([line], {"total": "0.01"}),
                ([{"product": slug, "quantity": -1}], {}),
            ):
                answer = await web.post("/v1/quotes", json={"lines": lines, **more})
                assert answer.status_code in {400, 422}, answer.text
            quoted = (await web.post("/v1/quotes", json={"lines": [line]})).json()
            key = {"idempotency-key": "a-key-for-one-order-0001"}
            wanted = {"quoteId": quoted["id"], "email": "buyer@shop.example"}
            for extra in ("total", "amount", "price"):
                body = {**wanted, extra: "0.01"}
                answer = await web.post("/v1/orders", json=body, headers=key)
                assert answer.status_code in {400, 422}, answer.text
            placed = (await web.post("/v1/orders", json=wanted, headers=key)).json()
            opens = {
                "authorization": f"Bearer {placed['orderSessionToken']}",
                "idempotency-key": "a-key-for-one-payment-01",
            }
            where = f"/v1/orders/{placed['id']}/payments"
            cheap = {"asset": "btc", "amount": "0.00000001"}
            answer = await web.post(where, json=cheap, headers=opens)
            assert answer.status_code in {400, 422}, answer.text
            paid = (await web.post(where, json={"asset": "btc"}, headers=opens)).json()
            assert paid["price"] == "12.50"


async def test_no_route_of_the_app_is_there_for_tests_only() -> None:
    async with shop_in_memory() as it:
        paths = {route.path for route in it.app.routes}
    assert len(paths) > 30
    odd = re.compile(r"test|debug|sandbox|fake|mock|seed|control|reset|trigger", re.IGNORECASE)
    of_users = {"/v1/auth/password/reset"}
    assert [path for path in paths - of_users if odd.search(path)] == []


async def test_an_order_whose_payment_row_was_never_answered_is_never_paid_by_it(
    shop: UnpaidOrders,
) -> None:
    """The gateway has the payment and the shop was never told: its money waits for a person."""
    placed = await shop.order(await shop.stock())
    shop.gateway.faults.lose_next_reply(2)
    with pytest.raises(Refused, match="provider-unavailable"):
        await shop.opening.pay(placed.order_id, asset="btc", once=shop.once("payments"))
    first, _ = shop.gateway.of_order(placed.number)
    shop.gateway.pay(first.gateway_payment_id)
    await shop.call_back(first.gateway_payment_id)
    await shop.work_for(timedelta(minutes=20))
    assert shop.order_row(placed.order_id).status == "created"
    assert [hold.reason for hold in shop.holds(placed.order_id)] == ["redeposit"]
    # The goods are not kept for it for ever.
    await shop.work_for(timedelta(hours=2))
    assert shop.order_row(placed.order_id).status == "expired"
