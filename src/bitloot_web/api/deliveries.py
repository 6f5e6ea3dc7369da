"""What was delivered, the link that shows it, and the receipt of the order."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import MediaType, Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from bitloot.domain.key_inventory import ReportReason
from bitloot.domain.money import eur_text
from bitloot.ports.views.orders import ReceiptView
from bitloot_web.api.fields import PRINTABLE, OrderStatusText, crypto_or_none, eur_or_none
from bitloot_web.dependencies import TheRepeatable, TheShop
from bitloot_web.problems import ProblemError
from bitloot_web.receipt_page import receipt_page
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.routes import get, post
from bitloot_web.security.access import OrderOwner
from bitloot_web.security.callers import ORDER_SESSION, known_caller
from bitloot_web.security.rate_limits import count


class Delivery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What can be revealed of a line, never a key. `isRevealable`: asking would be granted."""

    item_id: str
    item_no: int
    title: str
    quantity: int
    delivered: int
    state: str
    is_revealable: bool
    downloads: int
    first_download_at: datetime | None
    last_download_at: datetime | None


class Deliveries(msgspec.Struct, frozen=True):
    """Every line of the order."""

    items: tuple[Delivery, ...]


class RevealedLink(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The link to the keys of a line. It can be opened a few times until `expiresAt`.

    `<url>/units/1` is the first unit alone, as it is. `instructions` say how to use what is there.
    """

    url: str
    expires_at: datetime
    instructions: str | None


class UnitComplaint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is wrong with a unit. `note` is for the shop; a key of the order is refused in it."""

    reason: ReportReason
    note: Annotated[str, Meta(max_length=500, pattern=PRINTABLE)] = ""


class ReportedUnit(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The report was noted; a person looks at it."""

    reported_at: datetime


class ReceiptLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A line of a receipt; EUR."""

    item_no: int
    title: str
    quantity: int
    unit_price: str
    total: str


class Receipt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was bought and paid. EUR, but `payAmount` and `actuallyPaid` in `payCurrency`."""

    order_id: str
    number: str
    status: OrderStatusText
    email: str
    country: str | None
    created_at: datetime
    paid_at: datetime
    lines: tuple[ReceiptLine, ...]
    total: str
    currency: str
    paid_over: str | None
    refunded: str | None
    gateway: str | None
    gateway_payment_id: str | None
    pay_currency: str | None
    pay_amount: str | None
    actually_paid: str | None
    payin_hash: str | None


@get(
    "/v1/orders/{order_id:uuid}/deliveries",
    access=OrderOwner(),
    operation_id="listDeliveries",
)
async def deliveries(shop: TheShop, order_id: FromPath[UUID]) -> Deliveries:
    """What was delivered of each line."""
    found = await shop.views.orders.deliveries(str(order_id))
    if found is None:
        raise ProblemError("not-found")
    return Deliveries(
        tuple(
            Delivery(
                item_id=view.item_id,
                item_no=view.item_no,
                title=view.title,
                quantity=view.quantity,
                delivered=view.delivered,
                state=view.state,
                is_revealable=view.is_revealable,
                downloads=view.downloads,
                first_download_at=view.first_download_at,
                last_download_at=view.last_download_at,
            )
            for view in found
        )
    )


@post(
    "/v1/orders/{order_id:uuid}/items/{item_id:uuid}/reveal",
    access=OrderOwner(),
    operation_id="revealItem",
)
async def reveal(
    request: EdgeRequest,
    shop: TheShop,
    order_id: FromPath[UUID],
    item_id: FromPath[UUID],
    repeatable: TheRepeatable,
) -> RevealedLink:
    """Grant the download of a line's keys for some minutes; every grant is on record."""
    once = await repeatable.once(f"order/{order_id}")
    await count(shop, request.scope, "reveals", str(order_id))
    caller = known_caller(request)
    granted_to = ORDER_SESSION if caller is None else caller.name
    link = await shop.reveal.reveal(str(order_id), str(item_id), granted_to=granted_to, once=once)
    return RevealedLink(
        url=f"{shop.edge.public_url}/v1/downloads/{link.token}",
        expires_at=link.expires_at,
        instructions=link.instructions,
    )


@post(
    "/v1/orders/{order_id:uuid}/items/{item_id:uuid}/units/{unit:int}/report",
    access=OrderOwner(),
    operation_id="reportUnit",
)
async def report(
    *,
    request: EdgeRequest,
    shop: TheShop,
    order_id: FromPath[UUID],
    item_id: FromPath[UUID],
    unit: FromPath[int],
    data: JSONBody[UnitComplaint],
    repeatable: TheRepeatable,
) -> ReportedUnit:
    """Say once that a unit that was handed over is no good. A person decides what follows."""
    once = await repeatable.once(f"order/{order_id}")
    caller = known_caller(request)
    facts = await shop.reveal.report(
        str(order_id),
        str(item_id),
        unit,
        reason=data.reason,
        note=data.note.strip(),
        reported_by=ORDER_SESSION if caller is None else caller.name,
        once=once,
    )
    return ReportedUnit(reported_at=facts.reported_at)


@get(
    "/v1/orders/{order_id:uuid}/receipt",
    access=OrderOwner(),
    responses={200: ResponseSpec(Receipt, generate_examples=False, description="The receipt.")},
    operation_id="getReceipt",
)
async def receipt(
    request: EdgeRequest, shop: TheShop, order_id: FromPath[UUID]
) -> Response[Receipt] | Response[str]:
    """The receipt of a paid order, as JSON or as a page to print, by `Accept`."""
    wanted = request.accept.best_match([MediaType.JSON, MediaType.HTML])
    if wanted is None:
        raise ProblemError("not-acceptable")
    view = await shop.views.orders.receipt(str(order_id))
    if view is None:
        raise ProblemError("not-found", "There is a receipt once the order is paid.")
    if wanted == MediaType.HTML:
        return Response(receipt_page(view), media_type=MediaType.HTML)
    return Response(_receipt(view))


def _receipt(view: ReceiptView) -> Receipt:
    return Receipt(
        order_id=view.order_id,
        number=view.number,
        status=view.status,
        email=view.email,
        country=view.country,
        created_at=view.created_at,
        paid_at=view.paid_at,
        lines=tuple(
            ReceiptLine(
                item_no=line.item_no,
                title=line.title,
                quantity=line.quantity,
                unit_price=eur_text(line.unit_price),
                total=eur_text(line.total),
            )
            for line in view.lines
        ),
        total=eur_text(view.total),
        currency="EUR",
        paid_over=eur_or_none(view.paid_over),
        refunded=eur_or_none(view.refunded),
        gateway=view.gateway,
        gateway_payment_id=view.gateway_payment_id,
        pay_currency=view.pay_currency,
        pay_amount=crypto_or_none(view.pay_amount),
        actually_paid=crypto_or_none(view.actually_paid),
        payin_hash=view.payin_hash,
    )
