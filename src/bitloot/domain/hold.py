"""A hold: a decision that waits for a person. Not a status."""

from datetime import datetime
from typing import Literal, TypeAlias

from bitloot.domain.decision import Row

HoldSubject: TypeAlias = Literal["order", "item", "payment"]
HoldReason: TypeAlias = Literal[
    "amount_mismatch",
    "wrong_asset",
    "paid_late",
    "paid_after_end",
    "gateway_refund",
    "fulfilment",
    "duplicate_payment",
    "redeposit",
    "repeated_key",
    "supplier_refund",
]


class Hold(Row, frozen=True, kw_only=True):
    """On an order it stops timers and deliveries; on an item that item; on a payment its money.

    `subject_id` is the id of the order, order item or payment.
    """

    order_id: str
    subject: HoldSubject
    subject_id: str
    reason: HoldReason
    state: Literal["open", "accepted", "rejected"] = "open"
    opened_at: datetime
    decided_at: datetime | None = None
    decided_by: str | None = None
    decision_reason: str | None = None

    @property
    def is_open(self) -> bool:
        """Nobody has decided yet."""
        return self.state == "open"
