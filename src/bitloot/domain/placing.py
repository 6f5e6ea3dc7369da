"""Placing an order (O1): a fresh quote becomes an order with its goods kept, in one transaction."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from bitloot.domain.address import Address
from bitloot.domain.decision import Change, Decision, Event, insert, update
from bitloot.domain.errors import Refused
from bitloot.domain.key_inventory import InventoryKey
from bitloot.domain.limits import Limits
from bitloot.domain.money import ZERO, Eur
from bitloot.domain.order import Order, OrderItem
from bitloot.domain.pricing import floor_today, price_today
from bitloot.domain.product import Sellable
from bitloot.domain.quote import Quote, QuoteLine
from bitloot.domain.reservation import Reservation

RETRY_WHEN_BUSY: Final = 60


class Buyer(msgspec.Struct, frozen=True, kw_only=True):
    """Who orders, and from where (`placed_from` is the network address counted for velocity)."""

    address: Address
    placed_from: str


class Pressure(msgspec.Struct, frozen=True, kw_only=True):
    """Unpaid orders of this person and of this network address, and how far deliveries lag."""

    open_by_address: int
    open_by_ip: int
    backlog_seconds: float


class PlacedOrder(msgspec.Struct, frozen=True):
    """The order that a decision makes, for answering the buyer."""

    order: Order
    decision: Decision


def admit(pressure: Pressure, limits: Limits) -> None:
    """Raises Refused `shop-busy` or `too-many-open-orders`."""
    if pressure.backlog_seconds > limits.fulfil_backlog_refuse.total_seconds():
        raise Refused("shop-busy", retry_after=RETRY_WHEN_BUSY)
    if (
        pressure.open_by_address >= limits.open_orders_per_address
        or pressure.open_by_ip >= limits.open_orders_per_ip
    ):
        raise Refused("too-many-open-orders")


def place(
    quote: Quote,
    sellables: Sequence[Sellable],
    keys: Mapping[str, Sequence[InventoryKey]],
    buyer: Buyer,
    *,
    number: str,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> PlacedOrder:
    """O1. `keys` are the free own keys picked and locked for each product of own stock.

    The price asked is the lower of the frozen and today's. Raises Refused `quote-used`,
    `quote-expired`, `price-changed`, `not-for-sale`, `country-locked` or `out-of-stock`.
    """
    if quote.used_by is not None:
        raise Refused("quote-used")
    if at >= quote.frozen_until:
        raise Refused("quote-expired")
    today = {sellable.product.id: sellable for sellable in sellables}
    lines = [_still_sold(line, today, quote.country) for line in quote.lines]
    prices = _asked(quote, lines, limits)
    total = sum((p * n.quantity for p, (n, _) in zip(prices, lines, strict=True)), ZERO)
    order = _order(quote, buyer, total, number=number, order_id=new_id(), at=at, limits=limits)
    save: list[Change] = [insert(order), update(quote, used_by=order.id)]
    for item_no, (price, (line, sellable)) in enumerate(zip(prices, lines, strict=True), start=1):
        item = _item(order, line, sellable, price, item_no=item_no, item_id=new_id())
        picked = _picked(line, keys.get(line.product_id, ()))
        kept = _kept(item, line, picked, order, reservation_id=new_id())
        save += [insert(item), insert(kept)]
        save += [update(key, state="reserved", reservation_id=kept.id) for key in picked]
    placed = Event(
        kind="order_placed",
        at=at,
        subject=order.id,
        due=order.window_ends_at,
        facts={"items": len(lines), "total": str(total)},
    )
    decision = Decision(save=tuple(save), events=(placed,), order_id=order.id)
    return PlacedOrder(order, decision)


def _order(
    quote: Quote,
    buyer: Buyer,
    total: Eur,
    *,
    number: str,
    order_id: str,
    at: datetime,
    limits: Limits,
) -> Order:
    sources = {line.source for line in quote.lines}
    return Order(
        id=order_id,
        number=number,
        quote_id=quote.id,
        email=buyer.address.typed,
        email_key=buyer.address.key,
        email_person=buyer.address.person,
        placed_from=buyer.placed_from,
        country=quote.country,
        source=sources.pop() if len(sources) == 1 else "mixed",
        status="created",
        total=total,
        gateway_fee=limits.gateway_fee,
        created_at=at,
        window_ends_at=at + limits.order_window,
    )


def _kept(
    item: OrderItem,
    line: QuoteLine,
    picked: Sequence[InventoryKey],
    order: Order,
    *,
    reservation_id: str,
) -> Reservation:
    return Reservation(
        id=reservation_id,
        order_id=order.id,
        order_item_id=item.id,
        product_id=line.product_id,
        supplier=line.supplier,
        offer_row_id=line.offer_row_id,
        quantity=line.quantity,
        key_ids=tuple(key.id for key in picked),
        expires_at=order.window_ends_at,
        created_at=order.created_at,
    )


def _still_sold(
    line: QuoteLine, today: Mapping[str, Sellable], country: str | None
) -> tuple[QuoteLine, Sellable]:
    sellable = today.get(line.product_id)
    facts: dict[str, str | int | None] = {"product": line.slug}
    if sellable is None or not sellable.product.is_published:
        raise Refused("not-for-sale", facts=facts)
    if country is not None and country in sellable.product.excluded_countries:
        raise Refused("country-locked", facts=facts)
    if sellable.unit_cost is None or sellable.available < line.quantity:
        raise Refused("out-of-stock", facts={**facts, "available": max(0, sellable.available)})
    return line, sellable


def _asked(
    quote: Quote, lines: Sequence[tuple[QuoteLine, Sellable]], limits: Limits
) -> tuple[Eur, ...]:
    """The unit prices asked, in the order of the lines; their total is never below the floor."""
    fee = limits.gateway_fee
    frozen = tuple(line.unit_price for line, _ in lines)
    today = tuple(price_today(sellable, fee) or ZERO for _, sellable in lines)
    floors = tuple(floor_today(sellable, fee) for _, sellable in lines)

    def total(prices: Sequence[Eur]) -> Eur:
        return sum((p * line.quantity for p, (line, _) in zip(prices, lines, strict=True)), ZERO)

    floor = total(floors)
    if quote.total < floor:
        raise Refused("price-changed", facts={"frozen": str(quote.total), "floor": str(floor)})
    lower = tuple(min(pair) for pair in zip(frozen, today, strict=True))
    # One line got cheaper while another got dearer: the lower of each may lose money in all.
    return lower if total(lower) >= floor else min(frozen, today, key=total)


def _item(
    order: Order, line: QuoteLine, sellable: Sellable, price: Eur, *, item_no: int, item_id: str
) -> OrderItem:
    # Where its line became dearer and another cheaper, the order as a whole carries the cost.
    floor = min(floor_today(sellable, order.gateway_fee), price)
    return OrderItem(
        id=item_id,
        order_id=order.id,
        item_no=item_no,
        product_id=line.product_id,
        title=line.title,
        source=line.source,
        supplier=line.supplier,
        supplier_product_id=line.supplier_product_id,
        offer_id=line.offer_id,
        quantity=line.quantity,
        unit_price=price,
        unit_cost=sellable.unit_cost or ZERO,
        unit_floor=floor,
        is_preorder=line.is_preorder,
        is_wholesale=line.is_wholesale,
        instructions=line.instructions,
    )


def _picked(line: QuoteLine, keys: Sequence[InventoryKey]) -> Sequence[InventoryKey]:
    if line.offer_row_id is not None:
        return ()
    if len(keys) < line.quantity:
        raise Refused("out-of-stock", facts={"product": line.slug, "available": len(keys)})
    return keys[: line.quantity]
