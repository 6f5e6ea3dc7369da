"""An e-mail: one message to one address, rendered once, sent once."""

from datetime import datetime
from typing import ClassVar, Literal, TypeAlias

from bitloot.domain.decision import Row

EmailKind: TypeAlias = Literal[
    "order-created",
    "order-underpaid",
    "order-overpaid",
    "order-failed",
    "order-refunded",
    "order-expired",
    "payment-held",
    "hold-rejected",
    "order-ready",
    "order-partly-ready",
    "order-delayed",
    "reentry-code",
]


class Email(Row, frozen=True, kw_only=True):
    """`key` is `<kind>/<subject id>/<n>`: the provider's idempotency key.

    `to` is written to as it was typed, `to_key` is what addresses are compared by.
    A mail with a code stores no text: it is rendered at sending, the same bytes each time.
    """

    unlogged: ClassVar[frozenset[str]] = frozenset({"to", "to_key", "subject", "html", "text"})

    key: str
    kind: EmailKind
    order_id: str | None
    to: str
    to_key: str
    subject: str | None
    html: str | None
    text: str | None
    state: Literal["sending", "sent", "refused", "suppressed"] = "sending"
    provider: str
    provider_key: str
    provider_id: str | None = None
    provider_event: str | None = None
    refusal: str | None = None
    first_try_at: datetime
    sent_at: datetime | None = None
    created_at: datetime


class Suppression(Row, frozen=True, kw_only=True):
    """An address that is not written to any more; `id` is its key."""

    reason: Literal["bounce", "complaint", "manual"]
    created_at: datetime
