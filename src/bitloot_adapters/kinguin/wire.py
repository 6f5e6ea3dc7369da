"""Orders, keys and errors as Kinguin writes them, turned into the port's own.

Order statuses are lower-case, key statuses upper-case; both come out in the port's lower-case
words. A status that is not documented counts as one that still moves: polling goes on, and nothing
is bought again because of a word that nobody knows.

Source: Kinguin eCommerce API documentation, order v1 and v2, `ErrorsCodes.md`.
"""

import base64
import binascii
from collections.abc import Mapping
from typing import Final

import msgspec

from bitloot.domain.supply import (
    SuppliedKey,
    SupplierKeyState,
    SupplierOrder,
    SupplierOrderState,
    UnitState,
)
from bitloot_adapters.kinguin.values import (
    Json,
    count,
    elements,
    eur,
    fields,
    flag,
    identifier,
    moment,
    word,
)

ORDER_STATES: Final[Mapping[str, SupplierOrderState]] = {
    "processing": "processing",
    "completed": "completed",
    "canceled": "canceled",
    "cancelled": "canceled",
    "refunded": "refunded",
}
KEY_STATES: Final[Mapping[str, UnitState]] = {
    "PENDING": "pending",
    "PROCESSING": "pending",
    "DELIVERED": "delivered",
    "RETURNED": "returned",
    "REFUNDED": "refunded",
    "CANCELED": "canceled",
    "CANCELLED": "canceled",
}
TEXT: Final = "text/plain"
# Names that are in use beside the registered one.
_SAME_TYPE: Final = {"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg"}
MAX_DETAIL: Final = 200
_DATA: Final = "data:"


class WireError(msgspec.Struct, frozen=True, kw_only=True):
    """What an error says. Only `kind` decides; `field` names the refused part of a request, and
    `value` is what was refused there.
    """

    kind: str | None
    detail: str
    field: str
    value: str


def error(value: Json) -> WireError:
    """An error body. The text stands in `detail`, else in `title` or `type`; all may be missing."""
    body = fields(value)
    told = (body.get(name) for name in ("detail", "title", "type"))
    detail = next((text for text in told if isinstance(text, str) and text), "")
    return WireError(
        kind=word(body.get("kind")),
        detail="".join(each for each in detail if each.isprintable())[:MAX_DETAIL],
        field=word(body.get("propertyPath")) or "",
        value=word(body.get("invalidValue")) or "",
    )


def order(value: Json, *, quantity: int = 0) -> SupplierOrder | None:
    """An order, None without an id. `quantity` is what was asked for, where the answer is silent.

    `paymentPrice`, a number or a text, is what it took from the balance; else `totalPrice`.
    """
    body = fields(value)
    order_id = identifier(body.get("orderId"))
    if order_id is None:
        return None
    lines = [fields(each) for each in elements(body.get("products"))]
    paid = eur(body.get("paymentPrice"))
    keys = [
        state
        for each in lines
        for key in elements(each.get("keys"))
        if (state := _key_state(key)) is not None
    ]
    return SupplierOrder(
        supplier_order_id=order_id,
        external_id=word(body.get("orderExternalId")),
        state=ORDER_STATES.get((word(body.get("status")) or "").lower(), "processing"),
        quantity=(
            count(body.get("totalQty"))
            or sum(count(each.get("qty")) or 0 for each in lines)
            or len(keys)
            or quantity
        ),
        total=eur(body.get("totalPrice")) if paid is None else paid,
        is_preorder=flag(body.get("isPreorder"))
        or any(flag(each.get("isPreorder")) for each in lines),
        keys=tuple(keys),
        created_at=moment(body.get("createdAt")),
        updated_at=moment(body.get("updatedAt")),
    )


def _key_state(value: Json) -> SupplierKeyState | None:
    key_id = identifier(fields(value).get("id"))
    status = (word(fields(value).get("status")) or "").upper()
    return None if key_id is None else SupplierKeyState(key_id, KEY_STATES.get(status, "pending"))


def key(value: Json) -> SuppliedKey | None:
    """A delivered key, its serial byte for byte; None where there is no id or no usable serial."""
    body = fields(value)
    key_id, serial = identifier(body.get("id")), body.get("serial")
    if key_id is None or not isinstance(serial, str) or not serial:
        return None
    said = (word(body.get("type")) or TEXT).lower().partition(";")[0].strip()
    said = _SAME_TYPE.get(said, said)
    is_image = said.startswith("image/")
    content = _image(serial) if is_image else _text(serial)
    if not content:
        return None
    return SuppliedKey(
        key_id=key_id,
        serial=content,
        content_type=said,
        supplier_product_id=identifier(body.get("productId")) or "",
    )


def _text(serial: str) -> bytes | None:
    try:
        return serial.encode()
    except UnicodeEncodeError:
        return None


def _image(serial: str) -> bytes | None:
    """Base64, folded or not, padded or not, behind a `data:` prefix or not."""
    if serial[: len(_DATA)].lower() == _DATA:
        serial = serial.partition(",")[2]
    encoded = "".join(serial.split()).rstrip("=")
    try:
        return base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except (binascii.Error, ValueError):
        return None
