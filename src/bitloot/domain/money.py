"""Money: two kinds, never mixed, rounded only where a rule here says so.

A EUR amount is a `Decimal` that fits `numeric(20,8)`. A crypto amount is a `Decimal` with its
lower-case ticker that fits `numeric(48,18)` and is never rounded by us: it is shown, stored and
compared as the gateway wrote it. Neither ever passes through a float.
"""

import re
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal, localcontext
from typing import Final, TypeAlias

import msgspec

Eur: TypeAlias = Decimal

CENT: Final = Decimal("0.01")
LEDGER_STEP: Final = Decimal("0.00000001")
ZERO: Final = Decimal(0)
PRECISION: Final = 50

EUR_DIGITS: Final = (12, 8)
CRYPTO_DIGITS: Final = (30, 18)
MAX_MONEY_TEXT: Final = 64

_PLAIN: Final = re.compile(r"\d+(\.\d+)?")


def money_context() -> Context:
    """The context of all arithmetic on money: 50 digits, half-even between the rounding points."""
    return Context(prec=PRECISION, rounding=ROUND_HALF_EVEN)


# Asked at every price: one that is made anew takes ten times as long as the rounding itself.
_CONTEXT: Final = money_context()


class CryptoAmount(msgspec.Struct, frozen=True):
    """An amount of one asset, as the gateway wrote it. `asset` is the lower-case ticker."""

    amount: Decimal
    asset: str


class BadMoney(ValueError):
    """A text or number that is not an amount of money. The text says what is wrong with it."""


def parse_eur(text: str) -> Eur:
    """A plain decimal string, zero or more, at most 12 digits before the point and 8 after.

    Raises BadMoney for signs, exponents, NaN, infinities, separators and too many digits.
    """
    return _parse_plain(text, *EUR_DIGITS)


def parse_crypto(text: str) -> Decimal:
    """A plain decimal string, zero or more, at most 30 digits before the point and 18 after."""
    return _parse_plain(text, *CRYPTO_DIGITS)


def _parse_plain(text: str, whole: int, scale: int) -> Decimal:
    if len(text) > MAX_MONEY_TEXT or not text.isascii() or not _PLAIN.fullmatch(text):
        raise BadMoney("write the amount as plain digits with an optional point, such as 12.50")
    return checked(Decimal(text), whole=whole, scale=scale)


def checked(amount: Decimal, *, whole: int, scale: int) -> Decimal:
    """`amount`, if it is finite, not negative and fits the digits; raises BadMoney otherwise.

    For amounts that a provider sent as JSON numbers: exponents are fine, values are not trusted.
    """
    if not amount.is_finite():
        raise BadMoney("the amount is not a finite number")
    if amount.is_signed() and amount != 0:
        raise BadMoney("the amount is negative")
    _, digits, exponent = amount.as_tuple()
    assert isinstance(exponent, int)
    if -exponent <= scale and len(digits) + exponent <= whole:
        return amount.copy_abs()
    significant = len("".join(map(str, digits)).rstrip("0") or "0")
    trailing = len(digits) - significant
    if any(digits) and -(exponent + trailing) > scale:
        raise BadMoney(f"the amount has more than {scale} digits after the point")
    if any(digits) and len(digits) + exponent > whole:
        raise BadMoney(f"the amount has more than {whole} digits before the point")
    # Not abs(): that rounds to the digits of the ambient context.
    return amount.copy_abs()


def eur_number(amount: Decimal) -> Eur:
    """A provider's EUR number, checked against `numeric(20,8)`."""
    return checked(amount, whole=EUR_DIGITS[0], scale=EUR_DIGITS[1])


def crypto_number(amount: Decimal) -> Decimal:
    """A provider's crypto number, checked against `numeric(48,18)`."""
    return checked(amount, whole=CRYPTO_DIGITS[0], scale=CRYPTO_DIGITS[1])


def plain(amount: Decimal) -> str:
    """The shortest plain form: no exponent, no trailing zeros, `0` for every zero."""
    if amount == 0:
        return "0"
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def eur_text(amount: Eur) -> str:
    """How EUR is written on our API: at least two decimals, more only where they carry value."""
    text = str(amount)
    if amount and text[-3:-2] == "." and "E" not in text:
        return text
    text = plain(amount)
    whole, _, decimals = text.partition(".")
    return f"{whole}.{decimals:0<2}"


def up_to_cent(amount: Decimal) -> Eur:
    """Rounded up to the cent: prices of a unit, cost floors, estimates shown in EUR."""
    return _round(amount, ROUND_CEILING)


def down_to_cent(amount: Decimal) -> Eur:
    """Rounded down to the cent: ceilings sent to a supplier, discounts, surpluses."""
    return _round(amount, ROUND_FLOOR)


def shown(amount: Decimal) -> Eur:
    """A figure for people to read: half-even to the cent, at the edge only."""
    return _round(amount, ROUND_HALF_EVEN)


def ledger_amount(amount: Decimal) -> Eur:
    """The eight decimals that a ledger line keeps."""
    with localcontext(money_context()):
        return amount.quantize(LEDGER_STEP, rounding=ROUND_HALF_EVEN)


def _round(amount: Decimal, rounding: str) -> Decimal:
    return amount.quantize(CENT, rounding=rounding, context=_CONTEXT)


def cost_floor(cost: Eur, gateway_fee: Decimal) -> Eur:
    """The lowest price of a unit that does not lose money: cost / (1 - gateway fee), cent up."""
    with localcontext(money_context()):
        return up_to_cent(cost / (1 - gateway_fee))


def price_ceiling(unit_price_paid: Eur, gateway_fee: Decimal) -> Eur:
    """The most we let a supplier charge for a unit: price paid x (1 - gateway fee), cent down."""
    with localcontext(money_context()):
        return down_to_cent(unit_price_paid * (1 - gateway_fee))


def is_underpaid(actually_paid: Decimal, pay_amount: Decimal, tolerance: Decimal) -> bool:
    """Whether less came than asked, exactly: `actually_paid` < `pay_amount` x (1 - tolerance)."""
    with localcontext(money_context()):
        return actually_paid < pay_amount * (1 - tolerance)


def surplus(price: Eur, actually_paid: Decimal, pay_amount: Decimal) -> Eur:
    """What was paid over, in EUR: price x (paid / asked - 1), cent down, never below zero."""
    if pay_amount <= 0 or actually_paid <= pay_amount:
        return ZERO
    with localcontext(money_context()):
        # Divided last: a surplus of a whole cent is not lost to a ratio that is not even.
        return down_to_cent(price * (actually_paid - pay_amount) / pay_amount)


def shortage(price: Eur, actually_paid: Decimal, pay_amount: Decimal) -> Eur:
    """What was paid short, in EUR: price x (1 - paid / asked), not rounded, never below zero."""
    if pay_amount <= 0 or actually_paid >= pay_amount:
        return ZERO
    with localcontext(money_context()):
        return price * (1 - actually_paid / pay_amount)


def estimate_up(amount: Decimal, precision: int) -> Decimal:
    """A crypto estimate for people: rounded up at the asset's precision."""
    with localcontext(money_context()):
        return amount.quantize(Decimal(1).scaleb(-precision), rounding=ROUND_CEILING)
