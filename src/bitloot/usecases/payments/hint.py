"""What a payment job was told to look at, and how it ends when there is nothing to decide."""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from bitloot.domain.order import OrderFile
from bitloot.domain.payment import GATEWAY_STATUS, Payment, PaymentReport
from bitloot.ports.jobs import Outcome

# A report, or why there is none: a create call of ours is still unanswered, or the gateway knows
# no such payment.
Told: TypeAlias = PaymentReport | Literal["early", "not_found"]


class Hint(msgspec.Struct, frozen=True, kw_only=True):
    """What a job was told to look at: a stored webhook, or a payment whose turn it is."""

    gateway: str
    gateway_payment_id: str
    since: datetime
    status: str | None = None
    order_number: str | None = None
    webhook_id: str | None = None
    payment_id: str | None = None

    @property
    def rank(self) -> int:
        """The rank of the status that was called back, -1 where there is none."""
        return GATEWAY_STATUS.get(self.status or "", ("created", -1))[1]

    def as_report(self) -> PaymentReport:
        """The callback's own word, for what needs no asking."""
        return PaymentReport(
            gateway=self.gateway,
            gateway_payment_id=self.gateway_payment_id,
            status=self.status or "",
            order_number=self.order_number,
        )


class Ended(Exception):
    """The job ends here, without a decision about an order."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__()
        self.outcome = outcome


def payment_of(file: OrderFile | None, hint: Hint) -> Payment | None:
    """The row of the payment that a hint speaks of."""
    return next(
        (
            p
            for p in (file.payments if file else ())
            if p.gateway == hint.gateway and p.gateway_payment_id == hint.gateway_payment_id
        ),
        None,
    )
