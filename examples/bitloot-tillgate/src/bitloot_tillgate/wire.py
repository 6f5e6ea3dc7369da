"""What Tillgate writes, read without trust and turned into the port's own words.

Every till, whether it was opened, read, listed or called back, has the same shape (Tillgate
reference, "The till"):

    {"till": "T7F3K", "state": "open", "reference": "BL7K2M9QXA", "page": null, "follows": null,
     "price": {"eur": "25.00"}, "due": "0.31250000", "coin": "LTC", "received": "0",
     "address": "ltc1…", "tag": null, "rate_until": "2031-05-04T12:20:00Z",
     "closes_at": "2031-05-11T12:00:00Z", "further": []}
"""

import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, NoReturn, TypeAlias

from bitloot.domain.money import BadMoney, crypto_number, eur_number
from bitloot.domain.payment import PaymentReport

NAME: Final = "tillgate"
MAX_TEXT: Final = 512
MOST_FURTHER: Final = 100

# Tillgate's states in the words of the shop. A state that is not here is passed on as it came: the
# shop then asks a person instead of guessing.
STATES: Final = {
    "open": "waiting",
    "seen": "confirming",
    "safe": "confirmed",
    "short": "partially_paid",
    "settled": "finished",
    "lapsed": "expired",
    "broken": "failed",
    "returned": "refunded",
}

# Decimal itself reads more: signs, exponents, underscores, digits of other scripts.
_PLAIN: Final = re.compile(r"[0-9]{1,40}(\.[0-9]{1,40})?")

Fields: TypeAlias = Mapping[str, object]


class Unreadable(ValueError):
    """No JSON object with each name once, or one that lacks what everything hangs on."""


def read_object(body: bytes) -> Fields:
    """A JSON object. Numbers with a point are exact; raises Unreadable."""
    try:
        read: object = json.loads(
            body, parse_float=Decimal, parse_constant=_refuse, object_pairs_hook=_each_name_once
        )
    except (ValueError, ArithmeticError, RecursionError):
        raise Unreadable("no JSON object") from None
    if not isinstance(read, dict):
        raise Unreadable("no JSON object")
    return read


def report(till: Fields) -> PaymentReport:
    """A till as the shop knows payments. Raises Unreadable without an id or a state."""
    till_id, state = text(till.get("till")), text(till.get("state"))
    if till_id is None or state is None:
        raise Unreadable("till or state is missing")
    price = till.get("price")
    return PaymentReport(
        gateway=NAME,
        gateway_payment_id=till_id,
        status=STATES.get(state, state.lower()),
        order_number=text(till.get("reference")),
        gateway_invoice_id=text(till.get("page")),
        parent_payment_id=text(till.get("follows")),
        price_amount=amount(price.get("eur"), eur_number) if isinstance(price, dict) else None,
        price_currency="eur",
        pay_amount=amount(till.get("due")),
        pay_currency=ticker(till.get("coin")),
        pay_address=text(till.get("address")),
        payin_extra_id=text(till.get("tag")),
        actually_paid=amount(till.get("received")),
        child_payment_ids=_texts(till.get("further")),
        quote_ends_at=moment(till.get("rate_until")),
        valid_until=moment(till.get("closes_at")),
    )


def text(value: object) -> str | None:
    """An id or a word; None where there is none."""
    if not isinstance(value, str) or not value.strip() or len(value) > MAX_TEXT:
        return None
    return value.strip() if value.isprintable() else None


def ticker(value: object) -> str | None:
    """`LTC` is `ltc` in the shop."""
    read = text(value)
    return read.lower() if read else None


def amount(value: object, check: Callable[[Decimal], Decimal] = crypto_number) -> Decimal | None:
    """An amount of money, sent as text or as a number; None where it can be none.

    Negative amounts, NaN, infinities and more digits than money has are no amounts: the shop
    compares them with what it asked for.
    """
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        return None
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        return None
    try:
        return check(Decimal(value))
    except (BadMoney, ArithmeticError):
        return None


def moment(value: object) -> datetime | None:
    """A time with its zone."""
    try:
        read = datetime.fromisoformat(text(value) or "")
    except ValueError:
        return None
    return read if read.tzinfo is not None else None


def _texts(value: object) -> tuple[str, ...]:
    listed = value[:MOST_FURTHER] if isinstance(value, list) else []
    return tuple(read for each in listed if (read := text(each)) is not None)


def _each_name_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise Unreadable("a name stands twice")
    return read


def _refuse(constant: str) -> NoReturn:
    raise Unreadable(f"{constant} is not JSON")
