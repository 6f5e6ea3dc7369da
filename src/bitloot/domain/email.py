"""An e-mail: one message to one address, rendered once, sent once."""

from datetime import datetime
from typing import ClassVar, Final, Literal, TypeAlias

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
    "sign-in-code",
    "password-reset-code",
    "email-change-code",
    "email-changed",
    "password-changed",
    "deletion-requested",
    "deletion-done",
    "recovery-started",
    "recovery-done",
]
# Mails with a one-time code; of these only so many a day go to one address.
CODE_KINDS: Final[tuple[EmailKind, ...]] = (
    "reentry-code",
    "sign-in-code",
    "password-reset-code",
    "email-change-code",
)
# Mails with a link that is signed; like those with a code they are stored without their text.
LINK_KINDS: Final[tuple[EmailKind, ...]] = ("deletion-requested", "recovery-started")
# Mails of accounts: what they are about is no order.
ACCOUNT_KINDS: Final[tuple[EmailKind, ...]] = (
    *CODE_KINDS[1:],
    *LINK_KINDS,
    "email-changed",
    "password-changed",
    "deletion-done",
    "recovery-done",
)


class Email(Row, frozen=True, kw_only=True):
    """`key` is `<kind>/<subject id>/<n>`: the provider's idempotency key.

    `to` is written to as it was typed, `to_key` is what addresses are compared by.
    `doubtful_since` is when the first try under `provider_key` began whose outcome nobody knows; a
    mail that stays in doubt for too long is `unknown` and waits for a person.
    A mail with a code or a signed link stores no text: it is rendered at sending, the same bytes
    each time.
    """

    unlogged: ClassVar[frozenset[str]] = frozenset({"to", "to_key", "subject", "html", "text"})

    # A mail is a log of its own; what a buyer's order has to tell of it is an event.
    in_timeline: ClassVar[bool] = False

    key: str
    kind: EmailKind
    order_id: str | None
    to: str
    to_key: str
    subject: str | None
    html: str | None
    text: str | None
    state: Literal["sending", "sent", "refused", "suppressed", "unknown"] = "sending"
    provider: str
    provider_key: str
    provider_id: str | None = None
    provider_event: str | None = None
    refusal: str | None = None
    first_try_at: datetime
    doubtful_since: datetime | None = None
    sent_at: datetime | None = None
    created_at: datetime


class Suppression(Row, frozen=True, kw_only=True):
    """An address that is not written to any more; `id` is its key."""

    reason: Literal["bounce", "complaint", "manual"]
    created_at: datetime
