"""The body of an order request, checked against every documented rule before anything is bought."""

from decimal import Decimal

import msgspec

from bitloot_adapters.sandbox.kinguin.errors import EsaError, violation

MAX_LINES = 10
MAX_PER_LINE = 9
MAX_TOTAL = 90
MAX_WHOLESALE = 1000
MAX_EXTERNAL_ID = 255
MOST_PRICE = Decimal("1e12")


class Wanted(msgspec.Struct, frozen=True):
    """One product asked for; `price` is the most that the buyer pays per unit, in EUR."""

    kinguin_id: int | None
    product_id: str | None
    qty: int
    price: Decimal
    key_type: str | None
    offer_id: str | None


class Request(msgspec.Struct, frozen=True):
    products: tuple[Wanted, ...]
    external_id: str | None


_decoder = msgspec.json.Decoder(float_hook=Decimal)


def read_request(body: bytes, *, version: int) -> Request:
    """Read and check an order request; v1 names products by `kinguinId`, v2 by `productId`.

    Fields that are not documented (`name`, `couponCode`) are ignored.

    :raises EsaError: `Http` for a body that is no JSON, `ConstraintViolation` for the rest.
    """
    try:
        decoded: object = _decoder.decode(body)
    except (msgspec.DecodeError, RecursionError, ArithmeticError):
        raise EsaError("Http", "The request body is not valid JSON.") from None
    if not isinstance(decoded, dict):
        raise violation("", "The request body should be an object.")
    products: object = decoded.get("products")
    if not isinstance(products, list) or not products:
        raise violation("products", "This value should be a list that is not blank.", None)
    if len(products) > MAX_LINES:
        raise violation(
            "products",
            f"This collection should contain {MAX_LINES} elements or less.",
            len(products),
        )
    wanted = tuple(_read_line(item, f"products[{n}]", version) for n, item in enumerate(products))
    _check_together(wanted)
    return Request(wanted, _external_id(decoded.get("orderExternalId")))


def _read_line(item: object, path: str, version: int) -> Wanted:
    if not isinstance(item, dict):
        raise violation(path, "This value should be an object.")
    kinguin_id, product_id = None, None
    if version == 1:
        kinguin_id = _positive(item.get("kinguinId"), f"{path}.kinguinId")
    else:
        product_id = _text(item.get("productId"), f"{path}.productId")
    qty = _positive(item.get("qty"), f"{path}.qty")
    offer_id = None if item.get("offerId") is None else _text(item["offerId"], f"{path}.offerId")
    if qty > MAX_WHOLESALE:
        raise violation(
            f"{path}.qty", f"This value should be less than or equal to {MAX_WHOLESALE}.", qty
        )
    if qty > MAX_PER_LINE and offer_id is None:
        raise violation(
            f"{path}.qty",
            f"This value should be less than or equal to {MAX_PER_LINE}; wholesale needs offerId.",
            qty,
        )
    key_type: object = item.get("keyType")
    if key_type is not None and key_type != "text":
        raise violation(f"{path}.keyType", "The value must be one of: text.", _echo(key_type))
    return Wanted(
        kinguin_id=kinguin_id,
        product_id=product_id,
        qty=qty,
        price=_price(item.get("price"), f"{path}.price"),
        key_type=None if key_type is None else "text",
        offer_id=offer_id,
    )


def _check_together(wanted: tuple[Wanted, ...]) -> None:
    offers = [line.offer_id for line in wanted if line.offer_id is not None]
    if len(offers) != len(set(offers)):
        raise violation("products", "Each offerId must be unique within the order.", offers)
    total = sum(line.qty for line in wanted)
    wholesale = any(line.qty > MAX_PER_LINE for line in wanted)
    most = MAX_WHOLESALE if wholesale else MAX_TOTAL
    if total > most:
        raise violation(
            "products",
            f'Sum of total values of "qty" must be lower than or equal {most}.',
            total,
        )


def _positive(value: object, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise violation(path, "This value should be of type int.", _echo(value))
    if value < 1:
        raise violation(path, "This value should be greater than or equal to 1.", value)
    return value


def _text(value: object, path: str) -> str:
    if not isinstance(value, str) or not value:
        raise violation(path, "This value should be of type string.", _echo(value))
    return value


def _price(value: object, path: str) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise violation(path, "This value should be of type float.", _echo(value))
    price = Decimal(value)
    if price <= 0:
        raise violation(path, "This value should be greater than 0.", float(price))
    if price >= MOST_PRICE:
        raise violation(path, "This value is out of range.", str(price))
    return price


def _external_id(value: object) -> str | None:
    if value is None:
        return None
    text = _text(value, "orderExternalId")
    if len(text) > MAX_EXTERNAL_ID:
        raise violation("orderExternalId", "This value is too long.", text)
    return text


def _echo(value: object) -> object:
    """An invalid value as it may be written back: exact numbers as floats again."""
    return float(value) if isinstance(value, Decimal) else value
