"""Goods kept for orders: own keys and supplier's units, each beside the order and not in it."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar.params import FromPath, QueryParameter

from bitloot.domain.order import OrderFile
from bitloot.domain.reservation import Reservation, ReservationState
from bitloot_web.dependencies import TheShop
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.problems import ProblemError
from bitloot_web.routes import get
from bitloot_web.security.access import Staff


class ReservationShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is kept for a line of an order; `ownKeys` of them are keys of our own stock."""

    id: str
    order_id: str
    order_item_id: str
    product_id: str
    supplier: str
    quantity: int
    own_keys: int
    state: str
    expires_at: datetime
    created_at: datetime


class SupplierOrderShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An order at the supplier: `externalId` is our id there, `supplierOrderId` theirs."""

    supplier: str
    external_id: str
    supplier_order_id: str | None
    state: str
    quantity: int
    intent_at: datetime


class ReservationDetail(ReservationShown, frozen=True, kw_only=True, rename="camel"):
    """With the order that it is for, and what was bought for the same line."""

    order_number: str
    order_status: str
    title: str
    supplier_orders: tuple[SupplierOrderShown, ...]


@get("/reservations", access=Staff("orders.read"), operation_id="adminListReservations")
async def reservations(
    *,
    shop: TheShop,
    limit: PageLimit = None,
    cursor: PageCursor = None,
    reservation_state: Annotated[ReservationState | None, QueryParameter(name="state")] = None,
    order: Annotated[UUID | None, QueryParameter()] = None,
    product: Annotated[UUID | None, QueryParameter()] = None,
    supplier: Annotated[str | None, QueryParameter(max_length=64)] = None,
) -> PageOf[ReservationShown]:
    """Reservations, newest first."""
    order_id, product_id = (str(each) if each else None for each in (order, product))
    filters = f"reservations|{reservation_state}|{order_id}|{product_id}|{supplier}"
    paging = Paging(shop, filters, limit, cursor)
    page = await shop.views.desk.reservations(
        state=reservation_state,
        order_id=order_id,
        product_id=product_id,
        supplier=supplier,
        limit=paging.size,
        after=paging.after,
    )
    return paging.page(page, _shown)


@get(
    "/reservations/{reservation_id:uuid}",
    access=Staff("orders.read"),
    operation_id="adminGetReservation",
)
async def reservation(shop: TheShop, reservation_id: FromPath[UUID]) -> ReservationDetail:
    """One reservation, with its order and the supplier's orders for the same line."""
    row = await shop.views.desk.reservation(str(reservation_id))
    file = await shop.views.desk.file(row.order_id) if row is not None else None
    if row is None or file is None:
        raise ProblemError("not-found")
    return ReservationDetail(
        **msgspec.structs.asdict(_shown(row)),
        order_number=file.order.number,
        order_status=file.order.status,
        title=file.item(row.order_item_id).title,
        supplier_orders=_bought(file, row.order_item_id),
    )


def _shown(row: Reservation) -> ReservationShown:
    return ReservationShown(
        id=row.id,
        order_id=row.order_id,
        order_item_id=row.order_item_id,
        product_id=row.product_id,
        supplier=row.supplier,
        quantity=row.quantity,
        own_keys=len(row.key_ids),
        state=row.state,
        expires_at=row.expires_at,
        created_at=row.created_at,
    )


def _bought(file: OrderFile, order_item_id: str) -> tuple[SupplierOrderShown, ...]:
    parts = {part.id for part in file.fulfilments if part.order_item_id == order_item_id}
    return tuple(
        SupplierOrderShown(
            supplier=attempt.supplier,
            external_id=attempt.external_id,
            supplier_order_id=attempt.supplier_order_id,
            state=attempt.state,
            quantity=attempt.quantity,
            intent_at=attempt.intent_at,
        )
        for attempt in file.attempts
        if attempt.fulfilment_id in parts
    )
