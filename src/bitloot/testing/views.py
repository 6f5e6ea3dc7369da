"""The suite of the views of orders: what is written is what is shown."""

from datetime import timedelta
from decimal import Decimal

from bitloot.domain.buyer_timeline import BUYER_EVENTS
from bitloot.domain.decision import Decision, Event, update
from bitloot.ports.views.orders import ItemView, OrderView, TimelineEntry
from bitloot.testing.contract import Contract
from bitloot.testing.rows import PRICE, stocked
from bitloot.testing.store_rig import file_of, placed, record, rows_of
from bitloot.testing.view_rig import ViewsRig, change, handed_over, ordered, put, sold

NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"


async def shown(rig: ViewsRig, order_id: str) -> OrderView:
    """The order as its buyer sees it."""
    view = await rig.orders.order(order_id)
    assert view is not None
    return view


async def line(rig: ViewsRig, order_id: str) -> ItemView:
    """The first line as its buyer sees it."""
    return (await shown(rig, order_id)).items[0]


async def tell(rig: ViewsRig, order_id: str, *events: Event) -> None:
    """Record these events of an order."""
    order = (await file_of(rig, order_id)).order
    await record(rig, Decision(save=(update(order),), events=events, order_id=order_id))


class OrderViewsContract(Contract):
    """A buyer sees the order, what was delivered, the receipt, and a timeline without secrets."""

    async def test_an_order_is_shown_with_its_lines_in_order(self, rig: ViewsRig) -> None:
        rows = rows_of(rig)
        goods = (rows.goods(), rows.goods(), rows.goods())
        await record(rig, stocked(*goods))
        purchase = await placed(rig, *goods, quantity=2)
        order, view = purchase.order, await shown(rig, purchase.order.id)
        assert (view.id, view.number, view.status) == (order.id, order.number, "created")
        assert (view.email, view.country, view.source) == (order.email, "DE", order.source)
        assert (view.total, view.is_held, view.payment) == (PRICE * 6, False, None)
        assert (view.created_at, view.window_ends_at) == (order.created_at, order.window_ends_at)
        assert (view.last_seq, view.version) == (1, 1)
        assert [item.item_no for item in view.items] == [1, 2, 3]
        assert [item.product_id for item in view.items] == [one.product.id for one in goods]
        first = view.items[0]
        assert (first.quantity, first.unit_price, first.delivered) == (2, PRICE, 0)
        assert (first.state, first.title) == ("waiting", "A game")

    async def test_nothing_is_shown_of_orders_that_do_not_exist(self, rig: ViewsRig) -> None:
        for order_id in (NOBODY, "no id at all", ""):
            assert await rig.orders.order(order_id) is None
            assert await rig.orders.deliveries(order_id) is None
            assert await rig.orders.receipt(order_id) is None
            assert await rig.orders.timeline(order_id, after=0, limit=9, kinds=None) == ()
            assert await rig.orders.buyer_timeline(order_id, after=0, limit=9) == ()

    # --- payment ---------------------------------------------------------------------------------

    async def test_a_payment_is_shown_as_the_gateway_wrote_it(self, rig: ViewsRig) -> None:
        order = await ordered(rig)
        payment = await put(
            rig,
            rows_of(rig).payment(
                order,
                payin_extra_id="12345",
                network="btc",
                actually_paid=Decimal("0.0000000000000001"),
                valid_until=rig.now() + timedelta(days=7),
            ),
        )
        view = (await shown(rig, order.id)).payment
        assert view is not None
        assert (view.id, view.gateway_payment_id) == (payment.id, payment.gateway_payment_id)
        assert (view.pay_currency, view.pay_amount) == ("btc", payment.pay_amount)
        assert (view.pay_address, view.memo, view.network) == ("bc1q", "12345", "btc")
        assert view.actually_paid == Decimal("0.0000000000000001")
        assert (view.valid_until, view.created_at) == (payment.valid_until, payment.created_at)
        assert (view.is_hosted, view.url) == (False, None)

    async def test_the_newest_payment_that_is_not_rejected_is_shown(self, rig: ViewsRig) -> None:
        rows, order = rows_of(rig), await ordered(rig)
        await put(rig, rows.payment(order))
        newer = await put(rig, rows.payment(order))
        await put(rig, rows.payment(order, status="rejected", rejection="no"))
        await put(rig, rows.payment(order, parent_payment_id="gp-1"))
        await put(rig, rows.payment(order, is_linked=True))
        view = (await shown(rig, order.id)).payment
        assert view is not None
        assert view.id == newer.id

    async def test_a_hosted_page_is_shown_and_then_the_payment_made_on_it(
        self, rig: ViewsRig
    ) -> None:
        rows, order = rows_of(rig), await ordered(rig)
        page = await put(rig, rows.invoice(order))
        view = (await shown(rig, order.id)).payment
        assert view is not None
        assert (view.id, view.is_hosted, view.url) == (page.id, True, page.url)
        assert (view.status, view.pay_address) == ("open", None)
        adopted = await put(rig, rows.payment(order, invoice_id=page.id, status="confirming"))
        view = (await shown(rig, order.id)).payment
        assert view is not None
        assert (view.id, view.is_hosted, view.url) == (adopted.id, True, page.url)

    async def test_the_payment_that_paid_is_shown_even_when_a_newer_one_was_opened(
        self, rig: ViewsRig
    ) -> None:
        sale = await sold(rig)
        await put(rig, rows_of(rig).payment(sale.order))
        view = await shown(rig, sale.order.id)
        assert view.payment is not None
        assert (view.payment.id, view.payment.status) == (sale.payment.id, "finished")
        assert (view.status, view.paid_at) == ("paid", sale.order.paid_at)

    # --- how far the lines are -------------------------------------------------------------------

    async def test_only_a_hold_on_the_order_itself_holds_it(self, rig: ViewsRig) -> None:
        rows, sale = rows_of(rig), await sold(rig)
        on_payment = rows.hold(sale.order, subject="payment", subject_id=sale.payment.id)
        await put(rig, on_payment)
        assert not (await shown(rig, sale.order.id)).is_held
        hold = await put(rig, rows.hold(sale.order))
        view = await shown(rig, sale.order.id)
        assert (view.is_held, view.items[0].state) == (True, "delayed")
        await change(rig, hold, state="accepted")
        view = await shown(rig, sale.order.id)
        assert (view.is_held, view.items[0].state) == (False, "preparing")

    async def test_a_line_is_prepared_delayed_or_awaits_its_release(self, rig: ViewsRig) -> None:
        sale = await sold(rig, "pending")
        words = {
            "reserving": "preparing",
            "retry_wait": "preparing",
            "awaiting_release": "awaiting_release",
            "vaulted": "preparing",
            "blocked": "delayed",
            "failed_terminal": "delayed",
        }
        part = sale.fulfilment
        for state, word in words.items():
            part = await change(rig, part, state=state)
            assert (await line(rig, sale.order.id)).state == word
        await put(rig, rows_of(rig).hold(sale.order, subject="item", subject_id=sale.item.id))
        await change(rig, part, state="reserved")
        assert (await line(rig, sale.order.id)).state == "delayed"

    async def test_delivered_counts_the_units_that_have_a_key_to_show(self, rig: ViewsRig) -> None:
        rows, sale = rows_of(rig), await sold(rig, "vaulted", quantity=2)
        keys = [
            await put(rig, rows.sold_key(sale.item, slot, fulfilment_id=sale.fulfilment.id))
            for slot in (1, 2)
        ]
        assert (await line(rig, sale.order.id)).delivered == 0
        await change(rig, sale.fulfilment, state="delivered")
        order = await change(rig, sale.order, status="fulfilled")
        shown_line = await line(rig, order.id)
        assert (shown_line.delivered, shown_line.state) == (2, "delivered")
        await change(rig, keys[0], state="replaced")
        shown_line = await line(rig, order.id)
        assert (shown_line.delivered, shown_line.state) == (1, "partly_delivered")

    async def test_lines_of_orders_that_ended_are_cancelled(self, rig: ViewsRig) -> None:
        unpaid = await ordered(rig)
        await change(rig, unpaid, status="expired")
        assert (await line(rig, unpaid.id)).state == "cancelled"
        sale = await handed_over(rig)
        await change(rig, sale.order, status="refunded")
        assert (await line(rig, sale.order.id)).state == "cancelled"

    # --- deliveries and receipt ------------------------------------------------------------------

    async def test_what_was_delivered_can_be_revealed_unless_the_order_is_held(
        self, rig: ViewsRig
    ) -> None:
        sale = await handed_over(rig, quantity=2)
        (delivery,) = await rig.orders.deliveries(sale.order.id) or ()
        assert (delivery.item_id, delivery.delivered, delivery.quantity) == (sale.item.id, 2, 2)
        assert (delivery.is_revealable, delivery.downloads) == (True, 0)
        assert delivery.first_download_at is None
        await put(rig, rows_of(rig).hold(sale.order, reason="gateway_refund"))
        (delivery,) = await rig.orders.deliveries(sale.order.id) or ()
        assert not delivery.is_revealable

    async def test_a_line_that_is_not_delivered_whole_cannot_be_revealed(
        self, rig: ViewsRig
    ) -> None:
        rows = rows_of(rig)
        sale = await sold(rig, "delivered", quantity=2, status="partially_fulfilled")
        await change(rig, sale.fulfilment, slots=(1,))
        key = rows.sold_key(sale.item, 1, fulfilment_id=sale.fulfilment.id)
        await put(rig, key)
        (delivery,) = await rig.orders.deliveries(sale.order.id) or ()
        assert (delivery.delivered, delivery.is_revealable) == (1, False)

    async def test_downloads_are_told_over_all_units(self, rig: ViewsRig) -> None:
        sale, rows = await sold(rig, "delivered", quantity=2), rows_of(rig)
        early, late = rig.now() - timedelta(minutes=9), rig.now() - timedelta(minutes=1)
        for slot, at in ((1, early), (2, late)):
            seen = rows.sold_key(
                sale.item,
                slot,
                fulfilment_id=sale.fulfilment.id,
                downloads=slot,
                first_download_at=at,
                last_download_at=at,
            )
            await put(rig, seen)
        (delivery,) = await rig.orders.deliveries(sale.order.id) or ()
        assert delivery.downloads == 3
        assert (delivery.first_download_at, delivery.last_download_at) == (early, late)

    async def test_a_receipt_is_given_for_what_was_paid(self, rig: ViewsRig) -> None:
        unpaid = await ordered(rig)
        assert await rig.orders.receipt(unpaid.id) is None
        sale = await sold(rig, quantity=3)
        receipt = await rig.orders.receipt(sale.order.id)
        assert receipt is not None
        assert (receipt.number, receipt.paid_at) == (sale.order.number, sale.order.paid_at)
        assert (receipt.total, receipt.refunded) == (PRICE * 3, None)
        assert [(x.quantity, x.unit_price, x.total) for x in receipt.lines] == [
            (3, PRICE, PRICE * 3)
        ]
        assert (receipt.pay_currency, receipt.actually_paid) == ("btc", Decimal("0.00021"))
        await put(
            rig,
            rows_of(rig).ledger_line(
                sale.order, entry="refund/1", account="refund", amount=Decimal(5)
            ),
        )
        receipt = await rig.orders.receipt(sale.order.id)
        assert receipt is not None
        assert receipt.refunded == Decimal(5)

    # --- timeline --------------------------------------------------------------------------------

    async def test_a_timeline_goes_on_after_the_last_event_seen(self, rig: ViewsRig) -> None:
        order = await ordered(rig)
        await tell(
            rig,
            order.id,
            *(
                Event(kind="remark_added", at=rig.now(), subject=order.id, facts={"n": n})
                for n in range(4)
            ),
        )
        first = await rig.orders.timeline(order.id, after=0, limit=3, kinds=None)
        assert [(e.seq, e.kind) for e in first] == [
            (1, "order_placed"),
            (2, "remark_added"),
            (3, "remark_added"),
        ]
        rest = await rig.orders.timeline(order.id, after=first[-1].seq, limit=3, kinds=None)
        assert [(e.seq, dict(e.facts), e.subject) for e in rest] == [
            (4, {"n": 2}, order.id),
            (5, {"n": 3}, order.id),
        ]
        only = await rig.orders.timeline(
            order.id, after=0, limit=9, kinds=frozenset({"order_placed"})
        )
        assert [e.seq for e in only] == [1]

    async def test_a_buyer_is_told_nothing_of_attempts_and_reasons(self, rig: ViewsRig) -> None:
        order = await ordered(rig)
        at = rig.now()
        await tell(
            rig,
            order.id,
            Event(kind="attempt_intended", at=at, subject=NOBODY, facts={"gen": 1}),
            Event(kind="order_held", at=at, subject=NOBODY, facts={"reason": "wrong_asset"}),
            Event(kind="item_failed", at=at, subject=NOBODY, facts={"item": 1, "error": "x"}),
            Event(kind="fulfilment_moved", at=at, subject=NOBODY, facts={"to": "blocked"}),
        )
        seen = await rig.orders.buyer_timeline(order.id, after=1, limit=9)
        assert [(e.seq, e.kind, dict(e.facts)) for e in seen] == [
            (3, "order_held", {}),
            (4, "item_failed", {"item": 1}),
        ]
        assert {e.kind for e in seen} <= BUYER_EVENTS
        assert "changes" not in TimelineEntry.__struct_fields__
