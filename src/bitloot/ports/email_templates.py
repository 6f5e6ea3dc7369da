"""The seam to the texts of e-mails: facts in, a rendered mail out. Pure: same facts, same bytes."""

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import TypeAlias

import msgspec

from bitloot.domain.email import EmailKind
from bitloot.domain.hold import HoldReason
from bitloot.domain.money import CryptoAmount, Eur
from bitloot.domain.order import FailureReason


class EmailLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the order as its mails name it; never a key."""

    title: str
    quantity: int
    is_ready: bool = False


class EmailFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a mail may say. Facts that a kind does not speak of are ignored, absent ones left out.

    `order_ref` stands in the link `{public_url}/orders/{order_ref}`: the order's id or number.
    Mails of accounts name no order. `code` is told by mails with a code only, and `code_minutes` is
    how long it lives. `asked` and `received` are crypto amounts as the gateway wrote them;
    `surplus` is the EUR paid over. `email` is the address that an account has now, `due` when
    something happens to it, `action_link` the signed link that stops it.
    """

    kind: EmailKind
    public_url: str
    order_number: str = ""
    order_ref: str = ""
    shop_name: str = "BitLoot"
    lines: tuple[EmailLine, ...] = ()
    total: Eur | None = None
    pay_until: datetime | None = None
    pay_address: str | None = None
    pay_memo: str | None = None
    pay_network: str | None = None
    pay_page: str | None = None
    asked: CryptoAmount | None = None
    received: CryptoAmount | None = None
    tolerance: Decimal = Decimal(0)
    surplus: Eur | None = None
    failure_reason: FailureReason | None = None
    hold_reason: HoldReason | None = None
    refund: CryptoAmount | None = None
    refund_transaction: str | None = None
    code: str | None = None
    code_minutes: int = 5
    email: str | None = None
    due: datetime | None = None
    action_link: str | None = None


class Rendered(msgspec.Struct, frozen=True, kw_only=True):
    """A mail's texts. `subject` is one line without control characters."""

    subject: str
    html: str
    text: str


RenderEmail: TypeAlias = Callable[[EmailFacts], Rendered]
