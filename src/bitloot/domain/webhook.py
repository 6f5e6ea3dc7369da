"""An incoming webhook: stored before it is acted on."""

from datetime import datetime
from typing import ClassVar, Literal, TypeAlias

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
