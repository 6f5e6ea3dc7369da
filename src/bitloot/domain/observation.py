"""What a report of the gateway does to the payment row: the rank rule.

A report is applied only when its rank is above the stored one. Equal is a duplicate, lower is
stale; both are harmless. So the order in which reports arrive does not matter.
"""

from datetime import datetime
from typing import Final, Literal, TypeAlias

from bitloot.domain.draft import Draft
from bitloot.domain.payment import GATEWAY_STATUS, WRONG_ASSET, Payment, PaymentReport

Seen: TypeAlias = Literal[
    "applied",
    "duplicate",
    "stale",
    "late_sighting",
    "wrong_asset",
    "unknown_status",
]

# Money is on its way: seen on the chain, confirmed, or being paid out to the shop.
FUNDS_SEEN: Final = frozenset({"confirming", "confirmed", "sending"})

# What a row that was made from its parent's list alone learns when it is first read.
_FIRST_LEARNT: Final = ("pay_currency", "pay_amount", "pay_address")
# What a report may still tell after the row was made; None never overwrites.
_LEARNT: Final = (
    "parent_payment_id",
    "payin_extra_id",
    "network",
    "purchase_id",
    "actually_paid",
    "outcome_amount",
    "outcome_currency",
    "payin_hash",
    "valid_until",
)


def classify(payment: Payment, report: PaymentReport) -> Seen:
    """How the report stands to what is stored."""
    if report.status == WRONG_ASSET:
        return "wrong_asset"
    if report.status not in GATEWAY_STATUS:
        return "unknown_status"
    if report.rank > payment.rank:
        return "applied"
    if report.rank == payment.rank:
        return "duplicate"
    if report.status in FUNDS_SEEN and payment.status == "expired":
        return "late_sighting"
    return "stale"


def observe(draft: Draft, payment: Payment, report: PaymentReport) -> Payment:
    """Move the payment to the status of a report that rises above it, with all that it tells.

    The amount asked stays the stored one: only a new quote that was shown to the buyer changes it.
    What came of another asset than asked is told, not stored beside an amount of that one.
    """
    row = draft.now(payment)
    following, rank = GATEWAY_STATUS[report.status]
    learnt = _LEARNT if row.pay_currency else (*_LEARNT, *_FIRST_LEARNT)
    told = {name: value for name in learnt if (value := getattr(report, name)) is not None}
    seen_at: datetime | None = draft.at if following in FUNDS_SEEN else row.last_seen_at
    facts: dict[str, str | int | None] = {"from": row.status, "to": following}
    asset = (report.pay_currency or row.pay_currency).lower()
    if row.pay_currency and asset != row.pay_currency and told.pop("actually_paid", None):
        facts |= {"paid": str(report.actually_paid), "asset": asset}
    row = draft.set(
        row, status=following, rank=rank, last_seen_at=seen_at, updated_at=draft.at, **told
    )
    draft.event("payment_moved", row.id, facts=facts)
    return row
