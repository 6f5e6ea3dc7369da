"""Units that their buyers say are no good: a list for whoever replaces or refunds."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar.params import FromQuery, QueryParameter

from bitloot.domain.key_inventory import ReportReason, SealedState
from bitloot.ports.views.assortment import ReportFilter, UnitReport
from bitloot_web.dependencies import TheShop
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.routes import get
from bitloot_web.security.access import Staff


class UnitReportShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a buyer said of a unit; `keyId` is that of its key, in own stock or not.

    `keyState` is `live` until the key is replaced or goes back.
    """

    key_id: str
    order_id: str
    order_number: str
    item_id: str
    product_id: str
    title: str
    unit: int
    supplier: str
    kind: str
    key_state: str
    reason: str
    note: str | None
    first_download_at: datetime | None
    reported_at: datetime


@get("/unit-reports", access=Staff("orders.read"), operation_id="adminListUnitReports")
async def unit_reports(
    *,
    shop: TheShop,
    limit: PageLimit = None,
    cursor: PageCursor = None,
    reason: FromQuery[ReportReason | None] = None,
    product_id: Annotated[UUID | None, QueryParameter(name="productId")] = None,
    order_id: Annotated[UUID | None, QueryParameter(name="orderId")] = None,
    key_state: Annotated[SealedState | None, QueryParameter(name="keyState")] = None,
) -> PageOf[UnitReportShown]:
    """What buyers reported, the latest first."""
    only = ReportFilter(
        reason=reason,
        product_id=None if product_id is None else str(product_id),
        order_id=None if order_id is None else str(order_id),
        key_state=key_state,
    )
    paging = Paging(shop, f"unit-reports|{only}", limit, cursor)
    page = await shop.views.assortment.reports(only, limit=paging.size, after=paging.after)
    return paging.page(page, _shown)


def _shown(report: UnitReport) -> UnitReportShown:
    return UnitReportShown(
        key_id=report.id,
        order_id=report.order_id,
        order_number=report.order_number,
        item_id=report.order_item_id,
        product_id=report.product_id,
        title=report.title,
        unit=report.unit,
        supplier=report.supplier,
        kind=report.kind,
        key_state=report.key_state,
        reason=report.reason,
        note=report.note,
        first_download_at=report.first_download_at,
        reported_at=report.reported_at,
    )
