"""The suite of what buyers say of units, as the desk reads it."""

from datetime import timedelta

import pytest

from bitloot.domain.errors import Refused
from bitloot.domain.key_inventory import ReportReason, SealedKey
from bitloot.ports.views.assortment import ReportFilter
from bitloot.testing.assortment import NOBODY, AssortmentRig
from bitloot.testing.contract import Contract
from bitloot.testing.rows import inserts
from bitloot.testing.store_rig import own_stock, rows_of, store
from bitloot.testing.view_rig import Sale, change, put, sold, whole

EVERY = ReportFilter()


async def _reported(
    rig: AssortmentRig, sale: Sale, slot: int, reason: ReportReason, **fields: object
) -> SealedKey:
    """A unit of a sale that is reported some time after the last one."""
    await rig.pass_time(timedelta(seconds=1))
    key = rows_of(rig).sold_key(sale.item, slot, fulfilment_id=sale.fulfilment.id, **fields)
    at = rig.now()
    return await change(rig, await put(rig, key), reported_at=at, report_reason=reason)


class UnitReportsContract(Contract):
    """Reports with the unit that they are about, the latest first."""

    async def test_reports_are_told_latest_first_with_their_units(self, rig: AssortmentRig) -> None:
        sale = await sold(rig, "delivered", quantity=3)
        rows = rows_of(rig)
        early = await put(rig, rows.sold_key(sale.item, 3, fulfilment_id=sale.fulfilment.id))
        first = await _reported(rig, sale, 1, "invalid", report_note="no luck")
        second = await _reported(rig, sale, 2, "other", kind="account", state="replaced")
        await rig.pass_time(timedelta(seconds=1))
        late = await change(rig, early, reported_at=rig.now(), report_reason="invalid")
        found = await whole(lambda after: rig.assortment.reports(EVERY, limit=1, after=after))
        assert [report.id for report in found] == [late.id, second.id, first.id]
        told = found[2]
        assert (told.order_number, told.product_id) == (sale.order.number, sale.item.product_id)
        assert (told.unit, told.reason, told.note) == (1, "invalid", "no luck")
        assert (told.reported_at, told.title) == (first.reported_at, sale.item.title)
        assert (found[1].kind, found[1].key_state) == ("account", "replaced")

    async def test_reports_are_found_by_each_question(self, rig: AssortmentRig) -> None:
        sale, other = await sold(rig, "delivered"), await sold(rig, "delivered")
        key = await _reported(rig, sale, 1, "invalid")
        await _reported(rig, other, 1, "other", state="replaced")
        for only in (
            ReportFilter(reason="invalid"),
            ReportFilter(product_id=sale.item.product_id),
            ReportFilter(order_id=sale.order.id),
            ReportFilter(key_state="live", reason="invalid"),
        ):
            page = await rig.assortment.reports(only, limit=9, after=None)
            assert [report.id for report in page.items] == [key.id], only
        for only in (
            ReportFilter(reason="wrong-region"),
            ReportFilter(order_id=NOBODY),
            ReportFilter(product_id="none"),
        ):
            assert (await rig.assortment.reports(only, limit=9, after=None)).items == (), only

    async def test_own_stock_is_listed_by_whether_it_was_reported(self, rig: AssortmentRig) -> None:
        goods, rows = await own_stock(rig, "2.00"), rows_of(rig)
        sealed, key = rows.stock_key(goods.product)
        await store(rig, *inserts(sealed, key))
        async with rig.uow.begin() as tx:
            (stored,) = await tx.keys.sealed([sealed.id])
        at = rig.now()
        await change(rig, stored, reported_at=at, report_reason="other")
        for is_reported, times in ((True, [at]), (False, [None])):
            page = await rig.assortment.keys(
                goods.product.id, state=None, is_reported=is_reported, limit=9, after=None
            )
            assert [line.reported_at for line in page.items] == times

    async def test_a_place_that_is_none_of_the_list_is_refused(self, rig: AssortmentRig) -> None:
        with pytest.raises(Refused) as refused:
            await rig.assortment.reports(EVERY, limit=1, after="x")
        assert refused.value.field == "cursor"
