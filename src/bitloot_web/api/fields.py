"""What the fields of requests are made of: bounded texts without control characters."""

from decimal import Decimal
from typing import Annotated, Final, TypeAlias

import msgspec
from msgspec import UNSET, Meta

from bitloot.domain.address import MAX_ADDRESS
from bitloot.domain.fulfilment import FULFILMENT
from bitloot.domain.money import BadMoney, Eur, eur_text, parse_eur, plain
from bitloot.domain.order import ORDER
from bitloot.domain.payment import PAYMENT
from bitloot.domain.state_tables import states_told
from bitloot_web.problems import FieldError, ProblemError

# The end of the text, in every dialect: `$` alone also stands before a last line break.
PRINTABLE: Final = r"^[^\x00-\x1f\x7f]*$(?!\n)"
# Line breaks and tabs belong into longer texts, other control characters do not.
_LINES: Final = r"^[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*$(?!\n)"

Name: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200, pattern=PRINTABLE)]
Mailbox: TypeAlias = Annotated[str, Meta(min_length=1, max_length=MAX_ADDRESS, pattern=PRINTABLE)]
ShortText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=64, pattern=PRINTABLE)]
Reason: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1000, pattern=PRINTABLE)]
Caption: TypeAlias = Annotated[str, Meta(max_length=200, pattern=PRINTABLE)]
LongText: TypeAlias = Annotated[str, Meta(max_length=20_000, pattern=_LINES)]
Slug: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=80, pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$(?!\n)")
]
Address: TypeAlias = Annotated[
    str, Meta(min_length=1, max_length=2000, description="A whole http or https address.")
]
OrderStatusText: TypeAlias = Annotated[str, Meta(description=states_told(ORDER))]
PaymentStatusText: TypeAlias = Annotated[
    str, Meta(description=f"{states_told(PAYMENT)} A hosted page is `created` or `open`.")
]
FulfilmentStateText: TypeAlias = Annotated[str, Meta(description=states_told(FULFILMENT))]
Token: TypeAlias = Annotated[str, Meta(min_length=1, max_length=4096, pattern=PRINTABLE)]
# What a form sends whose widget was not solved is empty: no token, not a wrong one.
CaptchaToken: TypeAlias = Annotated[str, Meta(max_length=4096, pattern=PRINTABLE)]
Money: TypeAlias = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=64,
        pattern=PRINTABLE,
        description="A plain decimal string such as 12.50: no sign, no exponent.",
    ),
]


def given(data: msgspec.Struct, *leave_out: str) -> dict[str, object]:
    """The fields that a request for a change names, by the names that the core has for them."""
    fields = ((name, getattr(data, name)) for name in data.__struct_fields__)
    return {name: value for name, value in fields if value is not UNSET and name not in leave_out}


def eur(text: str, field: str) -> Eur:
    """An EUR amount of a request. Raises ProblemError `invalid-input`."""
    try:
        return parse_eur(text)
    except BadMoney as error:
        raise no_money(error, field) from None


def no_money(error: BadMoney, field: str) -> ProblemError:
    """An amount of a request that cannot be used."""
    detail = f"{str(error)[0].upper()}{str(error)[1:]}."
    return ProblemError("invalid-input", errors=(FieldError(field, detail),))


def eur_or_none(amount: Eur | None) -> str | None:
    """How an EUR amount is answered."""
    return None if amount is None else eur_text(amount)


def crypto_or_none(amount: Decimal | None) -> str | None:
    """How a crypto amount is answered: as the gateway wrote it."""
    return None if amount is None else plain(amount)
