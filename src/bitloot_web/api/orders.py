"""An order as its buyer sees it: placed, looked at, cancelled."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, TypeAlias
from uuid import UUID

import msgspec
from litestar import Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromPath, HeaderParameter, JSONBody, QueryParameter

from bitloot.domain.address import parse_address
from bitloot.domain.money import eur_text
from bitloot.ports.views.orders import OrderView, TimelineEntry
from bitloot.usecases.checkout import OrderFacts
from bitloot_web.answers import is_among
from bitloot_web.api.fields import CaptchaToken, Mailbox, OrderStatusText, ShortText, eur_or_none
from bitloot_web.api.order_payments import PaymentDetails, payment_shown
from bitloot_web.dependencies import TheRepeatable, TheShop
from bitloot_web.paging import PageLimit, page_size
from bitloot_web.problems import ProblemError
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.routes import get, post
from bitloot_web.security.access import Anyone, OrderOwner
from bitloot_web.security.callers import known_caller
from bitloot_web.security.captcha import is_person, no_person
from bitloot_web.security.client_address import client_of, counted
from bitloot_web.security.rate_limits import count, limited_once
from bitloot_web.shop import Shop

After: TypeAlias = Annotated[int, QueryParameter(ge=0, le=2**31 - 1)]


class NewOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """A quote and the address that the order belongs to. `captcha` where the shop asks for one."""

    quote_id: ShortText
    email: Mailbox
    captcha: CaptchaToken | None = None


class PlacedOrder(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The order and the token that opens it for an hour. Keep the token: it is told once."""

    id: str
    number: str
    status: OrderStatusText
    total: str
    currency: str
    created_at: datetime
    window_ends_at: datetime
    order_session_token: str
    order_session_expires_at: datetime


class CancelledOrder(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The order after its end."""

    id: str
    number: str
    status: OrderStatusText


class Item(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A line; EUR. `state` is for people, `delivered` units can be revealed."""

    id: str
    item_no: int
    product_id: str
    title: str
    source: str
    quantity: int
    unit_price: str
    delivered: int
    state: str
    is_preorder: bool
    instructions: str | None


class Order(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An order; EUR. `isHeld`: a person has to decide something first."""

    id: str
    number: str
    status: OrderStatusText
    failure_reason: str | None
    remarks: tuple[str, ...]
    source: str
    email: str
    country: str | None
    total: str
    currency: str
    paid_over: str | None
    is_held: bool
    items: tuple[Item, ...]
    payment: PaymentDetails | None
    created_at: datetime
    window_ends_at: datetime
    paid_at: datetime | None
    fulfilled_at: datetime | None
    last_event: int
    version: int


class TimelineEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A fact of the order. `id` rises; it is what `after` and `Last-Event-ID` speak of."""

    id: int
    kind: str
    at: datetime
    facts: Mapping[str, str | int | None]


class Timeline(msgspec.Struct, frozen=True, kw_only=True):
    """Events, oldest first. `next` is the `after` to go on with, null at the end."""

    items: tuple[TimelineEvent, ...]
    next: int | None


def event_shown(entry: TimelineEntry) -> TimelineEvent:
    """The event as it is answered."""
    return TimelineEvent(id=entry.seq, kind=entry.kind, at=entry.at, facts=entry.facts)


def timeline_shown(entries: Sequence[TimelineEntry], size: int) -> Timeline:
    """The events as they are answered, where at most `size` were asked for."""
    items = tuple(event_shown(entry) for entry in entries)
    return Timeline(items=items, next=items[-1].id if len(items) == size else None)


def shown(view: OrderView) -> Order:
    """The order as it is answered."""
    return Order(
        id=view.id,
        number=view.number,
        status=view.status,
        failure_reason=view.failure_reason,
        remarks=view.remarks,
        source=view.source,
        email=view.email,
        country=view.country,
        total=eur_text(view.total),
        currency="EUR",
        paid_over=eur_or_none(view.paid_over),
        is_held=view.is_held,
        items=tuple(
            Item(
                id=item.id,
                item_no=item.item_no,
                product_id=item.product_id,
                title=item.title,
                source=item.source,
                quantity=item.quantity,
                unit_price=eur_text(item.unit_price),
                delivered=item.delivered,
                state=item.state,
                is_preorder=item.is_preorder,
                instructions=item.instructions,
            )
            for item in view.items
        ),
        payment=payment_shown(view.payment) if view.payment else None,
        created_at=view.created_at,
        window_ends_at=view.window_ends_at,
        paid_at=view.paid_at,
        fulfilled_at=view.fulfilled_at,
        last_event=view.last_seq,
        version=view.version,
    )


def placed(facts: OrderFacts, shop: Shop) -> PlacedOrder:
    """The answer to placing: the token is made from what is stored, so it repeats itself."""
    at = facts.created_at
    return PlacedOrder(
        id=facts.order_id,
        number=facts.number,
        status=facts.status,
        total=eur_text(facts.total),
        currency="EUR",
        created_at=at,
        window_ends_at=facts.window_ends_at,
        order_session_token=shop.sessions.issue(facts.order_id, at=at),
        order_session_expires_at=shop.sessions.expires_at(at=at),
    )


@post(
    "/v1/orders",
    access=Anyone(may_sign_in=True),
    guards=[limited_once("orders-by-ip", "order-repeats")],
    operation_id="createOrder",
)
async def create_order(
    request: EdgeRequest,
    shop: TheShop,
    data: JSONBody[NewOrder],
    repeatable: TheRepeatable,
) -> PlacedOrder:
    """Turn a quote into an order, once for each Idempotency-Key; theirs who is signed in."""
    client = counted(client_of(request.scope, shop.edge.trusted_proxies))
    caller = known_caller(request)
    name = f"guest/{client}" if caller is None else caller.name
    once = await repeatable.once(name)
    address = parse_address(data.email)
    mark = f"{client}/{once.key}"
    await count(shop, request.scope, "orders-by-address", address.person, mark=mark)
    if not await is_person(request, shop, data.captcha, action="order", mark=mark):
        # The token of a request that was answered long ago is spent; its answer is not.
        earlier = await shop.checkout.answered(once)
        if earlier is None:
            raise no_person(data.captcha)
        return placed(earlier, shop)
    facts = await shop.checkout.place(
        data.quote_id,
        email=data.email,
        placed_from=client,
        once=once,
        user_id=None if caller is None else caller.user_id,
    )
    return placed(facts, shop)


@get(
    "/v1/orders/{order_id:uuid}",
    access=OrderOwner(),
    operation_id="getOrder",
    responses={
        200: ResponseSpec(Order, generate_examples=False, description="As it is now."),
        304: ResponseSpec(None, generate_examples=False, description="As it was."),
    },
)
async def order(
    shop: TheShop,
    order_id: FromPath[UUID],
    if_none_match: Annotated[str | None, HeaderParameter(name="If-None-Match")] = None,
) -> Response[Order | None]:
    """The order as it stands. Reading it changes nothing."""
    view = await shop.views.orders.order(str(order_id))
    if view is None:
        raise ProblemError("not-found")
    etag = f'"{view.version}-{view.last_seq}"'
    if if_none_match is not None and is_among(etag, if_none_match):
        return Response(None, status_code=304, headers={"etag": etag})
    return Response(shown(view), headers={"etag": etag})


@get(
    "/v1/orders/{order_id:uuid}/timeline",
    access=OrderOwner(),
    operation_id="getTimeline",
)
async def timeline(
    shop: TheShop,
    order_id: FromPath[UUID],
    limit: PageLimit = None,
    after: After = 0,
) -> Timeline:
    """What happened to the order, as its buyer may see it."""
    size = page_size(limit, shop.limits)
    entries = await shop.views.orders.buyer_timeline(str(order_id), after=after, limit=size)
    return timeline_shown(entries, size)


@post(
    "/v1/orders/{order_id:uuid}/cancel",
    access=OrderOwner(),
    status_code=200,
    operation_id="cancelOrder",
)
async def cancel(
    shop: TheShop,
    order_id: FromPath[UUID],
    repeatable: TheRepeatable,
) -> CancelledOrder:
    """Cancel an order for which nothing was received."""
    once = await repeatable.once(f"order/{order_id}")
    facts = await shop.checkout.cancel(str(order_id), once=once)
    return CancelledOrder(id=facts.order_id, number=facts.number, status=facts.status)
