"""An incoming webhook: stored before it is acted on."""

from datetime import datetime
from typing import ClassVar, Final, Literal, TypeAlias

from bitloot.domain.decision import Row

WebhookClass: TypeAlias = Literal[
    "received",
    "applied",
    "duplicate",
    "stale",
    "early",
    "linked",
    "unmatched",
    "unknown_status",
    "ignored",
    "invalid_signature",
    "malformed",
]
Ending: TypeAlias = Literal["succeeded", "failed", "waiting"]
_FAILED: Final = frozenset({"invalid_signature", "malformed", "unmatched", "unknown_status"})
_WAITING: Final = frozenset({"received", "early"})


def ending(classification: str) -> Ending:
    """What became of a webhook: a failed one had no effect, though its sender meant one."""
    if classification in _FAILED:
        return "failed"
    return "waiting" if classification in _WAITING else "succeeded"


class Webhook(Row, frozen=True, kw_only=True):
    """One delivery. `dedupe_key` is unique per provider among good signatures.

    `subject` is the provider's id of what it speaks of and `status` its word for it, both only
    read from verified bodies. `body` of a malformed one is its head only.
    """

    unlogged: ClassVar[frozenset[str]] = frozenset({"body"})
    in_timeline: ClassVar[bool] = False

    provider: str
    dedupe_key: str
    signature_ok: bool
    classification: WebhookClass
    subject: str | None = None
    status: str | None = None
    order_number: str | None = None
    body: bytes
    attempts: int = 1
    note: str = ""
    order_id: str | None = None
    received_at: datetime
    handled_at: datetime | None = None
