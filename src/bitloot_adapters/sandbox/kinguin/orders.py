"""Orders and their units as the stand-in keeps them, and as the vendor writes them."""

from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal
from typing import Literal

import msgspec

from bitloot_adapters.sandbox.kinguin.catalogue import Catalogue
from bitloot_adapters.sandbox.kinguin.product_wire import seconds
from bitloot_adapters.sandbox.kinguin.serials import serial

OrderStatus = Literal["processing", "completed", "canceled", "refunded"]
KeyStatus = Literal["PENDING", "PROCESSING", "DELIVERED", "RETURNED", "REFUNDED", "CANCELED"]
OPEN_KEYS = ("PENDING", "PROCESSING")


class Unit(msgspec.Struct, frozen=True):
    """One key. `serial_of` names the key whose serial it carries, usually its own."""

    key_id: str
    line: int
    media: str
    style: str
    serial_of: str
    status: KeyStatus = "PENDING"
    late: bool = False
    claimed: bool = False
    credited: bool = False
    returning: bool = False
    delivered_at: datetime | None = None


class Line(msgspec.Struct, frozen=True):
    """One product of an order; prices are per unit, in EUR."""

    kinguin_id: int
    product_id: str
    offer_id: str
    name: str
    qty: int
    price: Decimal
    request_price: Decimal
    is_preorder: bool
    release_date: date | None
    key_type: str | None
    wholesale: bool


class Order(msgspec.Struct, frozen=True):
    """An accepted order."""

    order_id: str
    number: int
    external_id: str | None
    status: OrderStatus
    created_at: datetime
    updated_at: datetime
    lines: tuple[Line, ...]
    units: tuple[Unit, ...]
    return_requested: bool = False
    wrong_product_id: int | None = None

    @property
    def total_price(self) -> Decimal:
        return sum((line.price * line.qty for line in self.lines), Decimal(0))

    @property
    def request_total_price(self) -> Decimal:
        return sum((line.request_price * line.qty for line in self.lines), Decimal(0))

    @property
    def is_preorder(self) -> bool:
        return any(line.is_preorder for line in self.lines)

    @property
    def is_wholesale(self) -> bool:
        return any(line.wholesale for line in self.lines)

    def with_units(self, changed: Iterable[Unit]) -> "Order":
        """The order with some of its units replaced, matched by key id."""
        by_id = {unit.key_id: unit for unit in changed}
        units = tuple(by_id.get(unit.key_id, unit) for unit in self.units)
        return msgspec.structs.replace(self, units=units)


def order_json(
    order: Order, *, store_id: int, user_email: str, payment_as_text: bool, with_keys: bool
) -> dict[str, object]:
    """The order object (ESA reference, "Order object"); `keys` are left out of the 201."""
    total = float(order.total_price)
    shown: dict[str, object] = {
        "totalPrice": total,
        "requestTotalPrice": float(order.request_total_price),
        "paymentPrice": f"{order.total_price:.2f}" if payment_as_text else total,
        "status": order.status,
        "userEmail": user_email,
        "storeId": store_id,
        "createdAt": seconds(order.created_at),
        "orderId": order.order_id,
        "kinguinOrderId": order.number,
        "totalQty": sum(line.qty for line in order.lines),
        "isPreorder": order.is_preorder,
        "products": [
            _line_json(order, position, with_keys=with_keys) for position in range(len(order.lines))
        ],
    }
    if order.external_id is not None:
        shown["orderExternalId"] = order.external_id
    release = next((line.release_date for line in order.lines if line.is_preorder), None)
    if release is not None:
        shown["preorderReleaseDate"] = release.isoformat()
    return shown


def _line_json(order: Order, position: int, *, with_keys: bool) -> dict[str, object]:
    line = order.lines[position]
    shown: dict[str, object] = {
        "kinguinId": line.kinguin_id,
        "productId": line.product_id,
        "offerId": line.offer_id,
        "qty": line.qty,
        "name": line.name,
        "price": float(line.price),
        "totalPrice": float(line.price * line.qty),
        "requestPrice": float(line.request_price),
        "isPreorder": line.is_preorder,
    }
    if line.release_date is not None:
        shown["releaseDate"] = line.release_date.isoformat()
    if line.key_type is not None:
        shown["keyType"] = line.key_type
    if with_keys:
        shown["keys"] = [
            {"id": unit.key_id, "status": unit.status}
            for unit in order.units
            if unit.line == position
        ]
    return shown


def keys_json(
    order: Order, catalogue: Catalogue, start: int, limit: int
) -> list[dict[str, object]]:
    """One page of the keys delivered so far (ESA reference, "Keys")."""
    delivered = [unit for unit in order.units if unit.status == "DELIVERED"]
    return [_key_json(order, unit, catalogue) for unit in delivered[start : start + limit]]


def _key_json(order: Order, unit: Unit, catalogue: Catalogue) -> dict[str, object]:
    line = order.lines[unit.line]
    name, kinguin_id, product_id = line.name, line.kinguin_id, line.product_id
    offer_id = line.offer_id
    wrong = None if order.wrong_product_id is None else catalogue.get(order.wrong_product_id)
    if wrong is not None:
        name, kinguin_id, product_id = wrong.name, wrong.kinguin_id, wrong.product_id
        offer_id = wrong.offers[0].offer_id
    return {
        "id": unit.key_id,
        "serial": serial(unit.serial_of, unit.media, unit.style),
        "type": unit.media,
        "name": name,
        "kinguinId": kinguin_id,
        "offerId": offer_id,
        "productId": product_id,
    }
