"""What is answered about a payment: the same facts at the first request and at each repetition."""

from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from bitloot.domain.errors import Refused
from bitloot.domain.payment import Invoice, Payment

Kind: TypeAlias = Literal["address", "hosted"]


class PaymentFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is answered about a payment, and stored as the answer.

    `pay_amount` in `pay_currency`, as the gateway wrote it; `price` in EUR. A hosted page has a
    `url` and no address.
    """

    payment_id: str
    kind: Kind
    status: str
    price: Decimal
    pay_currency: str | None = None
    pay_amount: Decimal | None = None
    pay_address: str | None = None
    payin_extra_id: str | None = None
    network: str | None = None
    url: str | None = None
    quote_ends_at: datetime | None = None
    valid_until: datetime | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The stored answer of a create request: the facts, or the refusal in their place."""

    facts: PaymentFacts | None = None
    refused: str | None = None

    def given(self) -> PaymentFacts:
        """The facts. Raises Refused where the answer was a refusal."""
        if self.facts is None:
            raise Refused(self.refused or "payment-rejected")
        return self.facts


def facts_of(row: Payment | Invoice) -> PaymentFacts:
    """The facts of a stored payment or hosted page."""
    if isinstance(row, Invoice):
        return PaymentFacts(
            payment_id=row.id, kind="hosted", status=row.status, price=row.price_amount, url=row.url
        )
    return PaymentFacts(
        payment_id=row.id,
        kind="address",
        status=row.status,
        price=row.price_amount,
        pay_currency=row.pay_currency,
        pay_amount=row.pay_amount,
        pay_address=row.pay_address,
        payin_extra_id=row.payin_extra_id,
        network=row.network,
        quote_ends_at=row.quote_ends_at,
        valid_until=row.valid_until,
    )
