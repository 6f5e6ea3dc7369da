"""The seam to the mail provider."""

from collections.abc import Mapping
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from bitloot.ports.payment_gateway import Forged, Malformed

# The reason of an Unavailable that is no outage: the provider was asked more often than it allows.
TOO_OFTEN: Final = "rate_limited"


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One mail to one address, the same bytes at each try. `kind` becomes a tag."""

    to: str
    subject: str
    html: str
    text: str
    kind: str
    headers: tuple[tuple[str, str], ...] = ()


class MailEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A verified webhook of the provider."""

    dedupe_key: str
    provider_id: str | None
    event: Literal["sent", "delivered", "delayed", "bounced", "complained", "failed", "other"]
    permanent: bool
    to: tuple[str, ...]


MailWebhook: TypeAlias = MailEvent | Forged | Malformed


class Mailer(Protocol):
    """Raises Unavailable (`rate_limited` where it is asked too often; also for quotas, with a long
    `retry_after`), Rejected (`address`, `credentials`, `invalid`), OutcomeUnknown (repeat with the
    same key).
    """

    @property
    def name(self) -> str:
        """The plugin's name."""
        ...

    async def send(self, message: Message, *, idempotency_key: str) -> str:
        """Send once per key; gives the provider's id. Repeatable with the same key for 23 hours."""
        ...

    async def check(self) -> None:
        """Reach the provider and try the credentials."""
        ...

    def read_webhook(self, headers: Mapping[str, str], body: bytes, *, now: float) -> MailWebhook:
        """Check the signature over the raw bytes, read the event. Pure; `now` in epoch seconds."""
        ...
