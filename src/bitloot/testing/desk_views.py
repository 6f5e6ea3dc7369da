"""The suite of the desk: lists newest first, whole files, the books, the audit log."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from bitloot.domain.audit_chain import check
from bitloot.domain.decision import AuditEntry, Decision, Event, fold, update
from bitloot.domain.errors import Refused
from bitloot.testing.contract import Contract
from bitloot.testing.desk_checks import BreachesContract, StuckContract
from bitloot.testing.recording import assert_rebuilt
from bitloot.testing.store_rig import file_of, placed, record, rows_of
from bitloot.testing.view_rig import ViewsRig, change, handed_over, ordered, put, sold, whole

NOBODY = "01890a5d-ac96-774b-bcce-b302099a8057"


class DeskListsContract(Contract):
    """What happened is found again, newest first, a page at a time."""

    async def test_orders_are_listed_newest_first(self, rig: ViewsRig) -> None:
        made = [await ordered(rig) for _ in range(5)]
        lines = await whole(lambda after: rig.desk.orders(limit=2, after=after))
        assert [line.id for line in lines] == [order.id for order in reversed(made)]
        newest = lines[0]
        assert (newest.number, newest.status, newest.total) == (
            made[-1].number,
            "waiting",
            made[-1].total,
        )
        assert (newest.open_holds, newest.version, newest.paid_at) == (0, 2, None)

    async def test_a_list_that_ends_with_a_full_page_has_no_next(self, rig: ViewsRig) -> None:
        for _ in range(2):
            await ordered(rig)
        page = await rig.desk.orders(limit=2, after=None)
        assert (len(page.items), page.after) == (2, None)

    async def test_orders_are_found_by_status_and_by_address(self, rig: ViewsRig) -> None:
        first = (await placed(rig, email="ann@shop.example")).order
        second = await ordered(rig)
        await put(rig, rows_of(rig).hold(second))
        by_status = await rig.desk.orders(status="waiting", limit=9, after=None)
        assert [(line.id, line.open_holds) for line in by_status.items] == [(second.id, 1)]
        by_address = await rig.desk.orders(email_key="ann@shop.example", limit=9, after=None)
        assert [line.id for line in by_address.items] == [first.id]

    async def test_holds_are_listed_by_state_and_order(self, rig: ViewsRig) -> None:
        rows, one, two = rows_of(rig), await ordered(rig), await ordered(rig)
        first, second = await put(rig, rows.hold(one)), await put(rig, rows.hold(two))
        closed = await change(rig, first, state="rejected", decided_by="admin")
        assert await whole(lambda after: rig.desk.holds(limit=1, after=after)) == [
            second,
            closed,
        ]
        assert (await rig.desk.holds(state="open", limit=9, after=None)).items == (second,)
        assert (await rig.desk.holds(order_id=one.id, limit=9, after=None)).items == (closed,)
        assert (await rig.desk.holds(order_id="none", limit=9, after=None)).items == ()

    async def test_reservations_are_listed_by_state_order_product_and_supplier(
        self, rig: ViewsRig
    ) -> None:
        one, two = await ordered(rig), await ordered(rig)
        (first,) = (await file_of(rig, one.id)).reservations
        (second,) = (await file_of(rig, two.id)).reservations
        gone = await change(rig, first, state="released")
        assert await whole(lambda after: rig.desk.reservations(limit=1, after=after)) == [
            second,
            gone,
        ]
        held = await rig.desk.reservations(
            state="held",
            product_id=second.product_id,
            supplier=second.supplier,
            limit=9,
            after=None,
        )
        assert held.items == (second,)
        of_order = await rig.desk.reservations(order_id=one.id, limit=9, after=None)
        assert of_order.items == (gone,)
        for nothing in ("none", NOBODY):
            none = await rig.desk.reservations(product_id=nothing, limit=9, after=None)
            assert none.items == ()
            assert await rig.desk.reservation(nothing) is None
        elsewhere = await rig.desk.reservations(supplier="nowhere", limit=9, after=None)
        assert elsewhere.items == ()
        assert await rig.desk.reservation(gone.id) == gone

    async def test_webhooks_are_listed_without_bodies(self, rig: ViewsRig) -> None:
        rows, order = rows_of(rig), await ordered(rig)
        made = [
            await put(rig, rows.webhook(provider="one", order_id=order.id)),
            await put(rig, rows.webhook(provider="two", classification="stale")),
            await put(rig, rows.webhook(provider="two", note="why")),
        ]
        found = await whole(lambda after: rig.desk.webhooks(limit=2, after=after))
        assert [hook.id for hook in found] == [hook.id for hook in reversed(made)]
        assert {hook.body for hook in found} == {None}
        assert (found[0].note, found[0].signature_ok, found[0].attempts) == ("why", True, 1)
        by_provider = await rig.desk.webhooks(
            provider="two", classification="stale", limit=9, after=None
        )
        assert [hook.id for hook in by_provider.items] == [made[1].id]
        of_order = await rig.desk.webhooks(order_id=order.id, limit=9, after=None)
        assert [hook.id for hook in of_order.items] == [made[0].id]

    async def test_the_neighbour_of_a_webhook_is_told(self, rig: ViewsRig) -> None:
        rows, desk = rows_of(rig), rig.desk
        one = await put(rig, rows.webhook(provider="one"))
        two = await put(rig, rows.webhook(provider="two", classification="stale"))
        three = await put(rig, rows.webhook(provider="one"))
        assert await desk.newer_webhook(one.id) == two.id
        assert await desk.newer_webhook(one.id, provider="one") == three.id
        assert await desk.newer_webhook(one.id, classification="stale") == two.id
        assert await desk.newer_webhook(two.id, classification="stale") is None
        assert await desk.newer_webhook(three.id) is None
        assert await desk.newer_webhook("none") is None

    async def test_webhooks_are_counted_whole_and_by_the_hour(self, rig: ViewsRig) -> None:
        rows, hour = rows_of(rig), rig.now().replace(minute=0, second=0, microsecond=0)
        for minutes, provider, kind in (
            (-1, "one", "applied"), (0, "one", "applied"), (59, "one", "applied"),
            (60, "one", "applied"), (61, "two", "stale"),
        ):  # fmt: skip
            at = hour + timedelta(minutes=minutes)
            await put(rig, rows.webhook(provider=provider, classification=kind, received_at=at))

        async def told(*, hourly: bool) -> list[tuple[datetime | None, str, str, int]]:
            found = await rig.desk.webhook_counts(since=hour, hourly=hourly)
            return [(each.at, each.provider, each.classification, each.count) for each in found]

        later = hour + timedelta(hours=1)
        assert await told(hourly=True) == [
            (hour, "one", "applied", 2), (later, "one", "applied", 1), (later, "two", "stale", 1),
        ]  # fmt: skip
        assert await told(hourly=False) == [
            (None, "one", "applied", 3), (None, "two", "stale", 1),
        ]  # fmt: skip

    async def test_a_single_webhook_has_its_body_even_if_it_is_no_text(self, rig: ViewsRig) -> None:
        row = await put(rig, rows_of(rig).webhook(body=b'{"a":"\xff"}'))
        found = await rig.desk.webhook(row.id)
        assert found is not None
        assert (found.id, found.body) == (row.id, '{"a":"\ufffd"}')
        assert await rig.desk.webhook(NOBODY) is None
        assert await rig.desk.webhook("none") is None

    async def test_the_audit_log_is_read_from_its_end(self, rig: ViewsRig) -> None:
        for n in range(5):
            await record(rig, Decision(audit=(_line(rig, "x", n),)))
        found = await whole(lambda after: rig.desk.audit(limit=2, after=after))
        assert [line.seq for line in found] == [5, 4, 3, 2, 1]
        assert [line.facts["n"] for line in found] == [4, 3, 2, 1, 0]
        assert (found[0].actor, found[0].action, found[0].reason) == ("admin", "look", "über")
        assert len({line.hash for line in found}) == 5
        assert all(len(line.hash) == 64 for line in found)

    async def test_the_audit_of_an_order_holds_what_was_done_to_its_parts(
        self, rig: ViewsRig
    ) -> None:
        sale = await handed_over(rig)
        grant = await put(rig, rows_of(rig).grant(sale.item))
        other = await ordered(rig)
        subjects = (sale.order.id, grant.id, other.id, sale.payment.id, "x")
        for n, subject in enumerate(subjects):
            await record(rig, Decision(audit=(_line(rig, subject, n),)))
        found = await rig.desk.audit(order_id=sale.order.id, limit=9, after=None)
        assert [line.subject for line in found.items] == [
            sale.payment.id,
            grant.id,
            sale.order.id,
        ]
        nothing = await rig.desk.audit(order_id="none", limit=9, after=None)
        assert nothing.items == ()

    async def test_the_audit_log_is_checked_a_stretch_at_a_time(self, rig: ViewsRig) -> None:
        empty = check(await rig.desk.audit_chain(after=0, limit=9), after=0)
        assert (empty.checked, empty.broken_at) == (0, None)
        for n in range(5):
            await record(rig, Decision(audit=(_line(rig, "x", n),)))
        last = 0
        for checked in (2, 2, 1, 0):
            found = check(await rig.desk.audit_chain(after=last, limit=2), after=last)
            assert (found.checked, found.broken_at) == (checked, None)
            last = found.last
        assert last == 5
        beyond = check(await rig.desk.audit_chain(after=9, limit=2), after=9)
        assert beyond.broken_at == 9

    @pytest.mark.parametrize("after", ["", "no key", "-1", "9" * 40])
    async def test_a_key_that_is_none_is_refused(self, rig: ViewsRig, after: str) -> None:
        desk = rig.desk
        for read in (desk.orders, desk.holds, desk.reservations, desk.webhooks, desk.audit):
            with pytest.raises(Refused) as refused:
                await read(limit=1, after=after)
            assert (refused.value.code, refused.value.field) == ("invalid-input", "cursor")

    async def test_the_books_of_an_order_are_told_line_by_line(self, rig: ViewsRig) -> None:
        sale = await sold(rig)
        lines = await rig.desk.ledger(sale.order.id)
        assert [(line.account, line.amount) for line in lines] == [
            ("gateway", sale.order.total),
            ("sale", -sale.order.total),
        ]
        assert sum((line.amount for line in lines), Decimal(0)) == 0
        assert await rig.desk.ledger(NOBODY) == ()

    async def test_a_file_is_what_a_transaction_reads(self, rig: ViewsRig) -> None:
        rows, sale = rows_of(rig), await handed_over(rig, quantity=2)
        await put(rig, rows.hold(sale.order))
        await put(rig, rows.invoice(sale.order))
        await put(rig, rows.payment(sale.order))
        await put(rig, rows.fulfilment(sale.item, part=2, replaces=sale.fulfilment.id))
        assert await rig.desk.file(sale.order.id) == await file_of(rig, sale.order.id)
        assert await rig.desk.file(NOBODY) is None
        assert await rig.desk.file("none") is None

    async def test_the_events_of_an_order_rebuild_its_rows(self, rig: ViewsRig) -> None:
        order = (await placed(rig, quantity=2)).order
        before = (await file_of(rig, order.id)).order
        later = Event(kind="window_extended", at=rig.now(), subject=order.id, due=rig.now())
        await record(
            rig,
            Decision(
                save=(update(before, total=Decimal("1.50")),), events=(later,), order_id=order.id
            ),
        )
        events = await rig.desk.events(order.id)
        assert events == tuple(await rig.events(order.id))
        assert_rebuilt(await file_of(rig, order.id), events)
        assert fold(events)[f"order/{order.id}"]["event_seq"] == 2
        assert await rig.desk.events(NOBODY) == ()

    async def test_an_order_is_found_by_its_number(self, rig: ViewsRig) -> None:
        order = (await placed(rig)).order
        assert await rig.desk.order_id_of_number(order.number) == order.id
        assert await rig.desk.order_id_of_number("BL00000000") is None


def _line(rig: ViewsRig, subject: str, n: int) -> AuditEntry:
    return AuditEntry(
        at=rig.now(), actor="admin", action="look", subject=subject, reason="über", facts={"n": n}
    )


class DeskViewsContract(DeskListsContract, StuckContract, BreachesContract):
    """The lists, what is stuck, and what must never be."""
