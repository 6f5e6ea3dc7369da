"""The shapes that NOWPayments sends, read leniently and turned into the port's own.

Ids come as text or as numbers, amounts as numbers or as text, optional fields may be missing, and
new ones may appear: everything is normalised here and nowhere else. Amounts are read from the JSON
text into `Decimal`; one that no amount of money can be (negative, NaN, too many digits) counts as
absent, because every decision compares it with what we asked for.

Source: NOWPayments API documentation, `POST /payment`, `GET /payment/{id}`, IPN bodies.
"""

import json
import math
import re
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Final, TypeAlias, TypeVar

import msgspec

from bitloot.domain.money import (
    CRYPTO_DIGITS,
    BadMoney,
    crypto_number,
    eur_number,
    money_context,
)
from bitloot.domain.payment import PaymentReport

# What may stand where a text or a number is expected: anything, read by `decode` and then judged
# here. (The decoder cannot tell a text from a `Decimal` in one union, so the fields are untyped.)
Scalar: TypeAlias = object

T = TypeVar("T")

MAX_TEXT: Final = 512
# A time outside of these years is none of a payment; at the last one no span could be added to it.
FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 2199
UNREADABLE: Final = "unreadable"
_TOKEN: Final = re.compile(r"[!-~]+")
_LEAST: Final = Decimal(1).scaleb(-CRYPTO_DIGITS[1])
_CONTEXT: Final = money_context()


class WirePayment(msgspec.Struct, frozen=True, kw_only=True):
    """A payment in any of its forms: created, read, listed, or called back."""

    payment_id: Scalar = None
    payment_status: Scalar = None
    parent_payment_id: Scalar = None
    invoice_id: Scalar = None
    purchase_id: Scalar = None
    pay_address: Scalar = None
    payin_extra_id: Scalar = None
    price_amount: Scalar = None
    price_currency: Scalar = None
    pay_amount: Scalar = None
    pay_currency: Scalar = None
    actually_paid: Scalar = None
    outcome_amount: Scalar = None
    outcome_currency: Scalar = None
    order_id: Scalar = None
    network: Scalar = None
    payin_hash: Scalar = None
    payment_extra_ids: Scalar = None
    expiration_estimate_date: Scalar = None
    valid_until: Scalar = None
    is_fixed_rate: Scalar = None


class WireInvoice(msgspec.Struct, frozen=True, kw_only=True):
    id: Scalar
    invoice_url: Scalar


class WireEstimate(msgspec.Struct, frozen=True, kw_only=True):
    estimated_amount: Scalar


class WireMinimum(msgspec.Struct, frozen=True, kw_only=True):
    min_amount: Scalar


class WireRequote(msgspec.Struct, frozen=True, kw_only=True):
    pay_amount: Scalar
    expiration_estimate_date: Scalar = None


class WireCoin(msgspec.Struct, frozen=True, kw_only=True):
    """An element of `/full-currencies`; `code` is upper-case there."""

    code: Scalar = None
    name: Scalar = None
    enable: Scalar = None
    network: Scalar = None
    network_precision: Scalar = None
    extra_id_exists: Scalar = None
    available_for_payment: Scalar = None


class WireCoins(msgspec.Struct, frozen=True, kw_only=True):
    currencies: list[Scalar]

    def coins(self) -> list[WireCoin]:
        """Each coin that is an object, or a ticker alone; one odd element hides no other."""
        shaped = (each if isinstance(each, dict) else {"code": each} for each in self.currencies)
        return [msgspec.convert(each, WireCoin) for each in shaped]


class WireSelection(msgspec.Struct, frozen=True, kw_only=True):
    """`/merchant/coins`: documented under one name, live under another, upper-case."""

    currencies: list[Scalar] | None = None
    selected: list[Scalar] | None = msgspec.field(name="selectedCurrencies", default=None)

    def tickers(self) -> set[str]:
        """In lower case, of texts and of objects with a `code`."""
        listed = self.selected or self.currencies or []
        codes = (each.get("code") if isinstance(each, dict) else each for each in listed)
        return {read for code in codes if (read := ticker(code))}


class WireList(msgspec.Struct, frozen=True, kw_only=True, rename={"pages_count": "pagesCount"}):
    data: list[Scalar]
    pages_count: Scalar = None
    total: Scalar = None

    def payments(self) -> list[WirePayment]:
        """Each row that is an object; one odd row hides no other."""
        rows = (each for each in self.data if isinstance(each, dict))
        return [msgspec.convert(each, WirePayment) for each in rows]

    def pages(self, asked: int) -> float:
        """How many pages there are, by their count or by that of all payments; unknown (endless)
        for a full page that tells neither.
        """
        if (count := _whole(self.pages_count)) is not None:
            return count
        if (total := _whole(self.total)) is not None:
            return math.ceil(total / max(len(self.data), 1))
        return math.inf if len(self.data) >= asked else 0


class WireToken(msgspec.Struct, frozen=True, kw_only=True):
    token: Scalar

    def bearer(self) -> str | None:
        """The token, None where no header could carry it."""
        read = self.token if isinstance(self.token, str) else ""
        return read if _TOKEN.fullmatch(read) else None


class WireError(msgspec.Struct, frozen=True, kw_only=True):
    """Some replies lack `code`, some `status`; a text of another type hides no code."""

    code: Scalar = None
    message: Scalar = None


def reader(shape: type[T]) -> msgspec.json.Decoder[T]:
    """What reads a shape with exact numbers, to be kept by whoever reads it often."""
    return msgspec.json.Decoder(shape, float_hook=_number)


def decode(body: bytes, strictly: msgspec.json.Decoder[T]) -> T:
    """A body in the reader's shape; numbers with a point or an exponent are exact. DecodeError.

    What JavaScript reads and the strict decoder does not (half a surrogate pair in a text, a whole
    number of thousands of digits) is read leniently, so that one odd field hides no other.
    """
    try:
        return strictly.decode(body)
    except msgspec.DecodeError as error:
        try:
            loose = json.loads(
                body.decode(), parse_float=_number, parse_int=_number, object_pairs_hook=_named
            )
            return msgspec.convert(loose, strictly.type)
        except ValueError:
            # No JSON, or half a surrogate pair where an object, a list or a text should be.
            raise error from None


def _named(pairs: list[tuple[str, Scalar]]) -> dict[str, Scalar]:
    """An object without the names that are no text: none of ours is."""
    return {name: value for name, value in pairs if name.isprintable()}


def _number(digits: str) -> Decimal | str:
    """A JSON number, exactly; as text where no `Decimal` can hold it, so that it is not absent."""
    try:
        return Decimal(digits)
    except ArithmeticError:
        return digits


def text(value: Scalar) -> str | None:
    """An id as text: a number without a point, a string trimmed; None where there is nothing.

    Texts with control characters or beyond 512 characters count as absent.
    """
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    if isinstance(value, Decimal):
        if not value.is_finite() or value.adjusted() >= MAX_TEXT:
            return None
        if value != value.to_integral_value():
            return None
        value = format(value.to_integral_value(), "f")
    read = str(value).strip()
    return read if read and len(read) <= MAX_TEXT and read.isprintable() else None


def _whole(value: Scalar) -> int | None:
    """A count, as a number or as text."""
    read = text(value)
    return int(read) if read is not None and read.isascii() and read.isdigit() else None


def amount(value: Scalar) -> Decimal | None:
    """A crypto amount exactly as written, None where it is none."""
    read = _decimal(value)
    try:
        return None if read is None else crypto_number(read)
    except BadMoney:
        return None


def about(value: Scalar) -> Decimal | None:
    """An estimate, a minimum or a net, which nobody pays to the digit, None where it is none.

    The gateway reckons them in doubles: what has more places than an amount is rounded up.
    """
    read = _decimal(value)
    try:
        return None if read is None else amount(read.quantize(_LEAST, ROUND_CEILING, _CONTEXT))
    except ArithmeticError:
        return None


def eur(value: Scalar) -> Decimal | None:
    """A price, None where it is none."""
    read = _decimal(value)
    try:
        return None if read is None else eur_number(read)
    except BadMoney:
        return None


def _decimal(value: Scalar) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        return None
    # `Decimal` itself would also take `1_000`.
    if isinstance(value, str) and (len(value) > MAX_TEXT or not value.isascii() or "_" in value):
        return None
    try:
        return Decimal(value)
    except ArithmeticError:
        return None


def moment(value: Scalar) -> datetime | None:
    """An ISO time with its zone, UTC where it names none; None where it cannot be read."""
    if not isinstance(value, str):
        return None
    try:
        read = datetime.fromisoformat(value)
    except ValueError:
        return None
    if not FIRST_YEAR <= read.year <= LAST_YEAR:
        return None
    return read if read.tzinfo else read.replace(tzinfo=UTC)


def flag(value: Scalar, *, unsaid: bool) -> bool:
    """True for `true`, 1 and their texts; `unsaid` where there is nothing."""
    if value is None:
        return unsaid
    return str(value).strip().lower() in {"true", "1"}


def ticker(value: Scalar) -> str | None:
    """A ticker or currency in lower case, as it is sent and stored everywhere."""
    read = text(value)
    return read.lower() if read else None


def report(gateway: str, wire: WirePayment) -> PaymentReport | None:
    """The port's form of a payment, None where it names no payment or no status."""
    payment_id, status = text(wire.payment_id), text(wire.payment_status)
    if payment_id is None or status is None:
        return None
    children = (text(child) for child in _elements(wire.payment_extra_ids))
    return PaymentReport(
        gateway=gateway,
        gateway_payment_id=payment_id,
        status=status.lower(),
        order_number=text(wire.order_id),
        gateway_invoice_id=text(wire.invoice_id),
        parent_payment_id=_parent(wire.parent_payment_id),
        price_amount=eur(wire.price_amount),
        price_currency=ticker(wire.price_currency),
        pay_amount=amount(wire.pay_amount),
        pay_currency=ticker(wire.pay_currency),
        pay_address=text(wire.pay_address),
        payin_extra_id=text(wire.payin_extra_id),
        network=ticker(wire.network),
        purchase_id=text(wire.purchase_id),
        actually_paid=amount(wire.actually_paid),
        outcome_amount=about(wire.outcome_amount),
        outcome_currency=ticker(wire.outcome_currency),
        payin_hash=text(wire.payin_hash),
        child_payment_ids=tuple(child for child in children if child),
        quote_ends_at=moment(wire.expiration_estimate_date),
        valid_until=moment(wire.valid_until),
    )


def _parent(value: Scalar) -> str | None:
    """The parent of a child deposit. One that cannot be read is a parent all the same: a child
    taken for a payment of its own would deliver.
    """
    if value is None or value is False or (isinstance(value, str) and not value.strip()):
        return None
    read = text(value)
    return None if read in {"0", "null"} else read or UNREADABLE


def _elements(value: Scalar) -> list[Scalar]:
    """The ids of child payments: an array, or an object with index keys."""
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []
