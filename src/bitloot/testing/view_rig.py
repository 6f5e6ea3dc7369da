"""What the suites of the views ask of a rig, and purchases as far as they may have come."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from decimal import Decimal
from typing import Protocol, TypeVar

import msgspec

from bitloot.domain.decision import Decision, JobRequest, Row, insert, update
from bitloot.domain.fulfilment import Fulfilment, FulfilmentState, SupplierAttempt
from bitloot.domain.order import Order, OrderItem, OrderStatus
from bitloot.domain.payment import Payment
from bitloot.ports.jobs import Done
from bitloot.ports.views.catalog import CatalogViews
from bitloot.ports.views.desk import DeskViews
from bitloot.ports.views.orders import OrderViews
from bitloot.ports.views.paging import Page
from bitloot.testing.rows import Goods
from bitloot.testing.store_rig import StoreRig, file_of, placed, record, rows_of, store

R = TypeVar("R", bound=Row)
T = TypeVar("T")


class ViewsRig(StoreRig, Protocol):
    """A store that is empty before each test, its views, and a way past its rules.

    The catalogue's prices carry a gateway fee of one percent.
    """

    @property
    def orders(self) -> OrderViews: ...
    @property
    def catalog(self) -> CatalogViews: ...
    @property
    def desk(self) -> DeskViews: ...

    async def force(self, row: Row, rule: str) -> None:
        """Store a row although it breaks the unique rule of this name."""
        ...


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """A paid order of one line with its only fulfilment and the attempt to buy it."""

    order: Order
    item: OrderItem
    payment: Payment
    fulfilment: Fulfilment
    attempt: SupplierAttempt


async def put(rig: StoreRig, row: R) -> R:
    """Store a new row; gives it as it is stored."""
    await store(rig, insert(row))
    return msgspec.structs.replace(row, version=1)


async def change(rig: StoreRig, row: R, **fields: object) -> R:
    """Change a stored row; gives it as it is stored."""
    await store(rig, update(row, **fields))
    return msgspec.structs.replace(row, version=row.version + 1, **fields)


async def ordered(
    rig: StoreRig, status: OrderStatus = "waiting", *goods: Goods, quantity: int = 1
) -> Order:
    """A stored unpaid order in this status, its timer armed."""
    purchase = await placed(rig, *goods, quantity=quantity)
    order = (await file_of(rig, purchase.order.id)).order
    return order if status == "created" else await change(rig, order, status=status)


async def sold(
    rig: StoreRig,
    state: FulfilmentState = "reserving",
    *,
    quantity: int = 1,
    status: OrderStatus = "paid",
    goods: Goods | None = None,
) -> Sale:
    """A paid order with everything that paying brings, its fulfilment in this state."""
    rows, at = rows_of(rig), rig.now()
    order = await ordered(rig, "waiting", *([goods] if goods else []), quantity=quantity)
    file = await file_of(rig, order.id)
    for reservation in file.reservations:
        await change(rig, reservation, state="consumed")
    payment = await put(
        rig,
        rows.payment(order, status="finished", rank=60, actually_paid=Decimal("0.00021")),
    )
    order = await change(rig, order, status=status, paid_at=at, settled_by=payment.id)
    for account, amount in (("gateway", order.total), ("sale", -order.total)):
        await put(rig, rows.ledger_line(order, account=account, amount=amount))
    item = file.items[0]
    fulfilment = await put(rig, rows.fulfilment(item, state=state))
    attempt = await put(
        rig,
        rows.attempt(
            fulfilment, state="created", supplier_order_id=f"so-{fulfilment.id}", created_at=at
        ),
    )
    await record(rig, Decision(jobs=(JobRequest(kind="fulfil", ref=fulfilment.id),)))
    return Sale(order=order, item=item, payment=payment, fulfilment=fulfilment, attempt=attempt)


async def handed_over(rig: StoreRig, *, quantity: int = 1) -> Sale:
    """A fulfilled order whose keys can be revealed."""
    sale = await sold(rig, "delivered", quantity=quantity)
    rows = rows_of(rig)
    for slot in range(1, quantity + 1):
        await put(rig, rows.sold_key(sale.item, slot, fulfilment_id=sale.fulfilment.id))
    order = await change(rig, sale.order, status="fulfilled", fulfilled_at=rig.now())
    attempt = await change(rig, sale.attempt, state="completed")
    return msgspec.structs.replace(sale, order=order, attempt=attempt)


async def all_jobs_end(rig: StoreRig) -> None:
    """Every job that is due is lost: it ends, and nothing was done."""
    await rig.pass_time(timedelta(hours=2))
    for job_id in await rig.jobs.claim_due(100):
        lease = await rig.jobs.lease(job_id)
        if lease is not None:
            await rig.jobs.finish(lease, Done())


async def whole(read: Callable[[str | None], Awaitable[Page[T]]]) -> list[T]:
    """Every page of a list, one after the other."""
    items: list[T] = []
    after: str | None = None
    while True:
        page = await read(after)
        items += page.items
        after = page.after
        if after is None:
            return items
