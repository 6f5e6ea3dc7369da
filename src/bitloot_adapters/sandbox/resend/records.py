"""The rows a stand-in keeps. Times are aware UTC datetimes."""

from datetime import datetime

import msgspec


class Attachment(msgspec.Struct, kw_only=True):
    """``content`` is the base64 text as it was sent; ``path`` an address that is never fetched."""

    filename: str | None = None
    content_type: str | None = None
    content_id: str | None = None
    content: str | None = None
    path: str | None = None


class Mail(msgspec.Struct, kw_only=True):
    """One accepted mail. ``number`` gives the order of acceptance."""

    id: str
    number: int
    team: str
    message_id: str
    created_at: datetime
    sender: str
    to: list[str]
    subject: str
    html: str | None
    text: str | None
    cc: list[str]
    bcc: list[str]
    reply_to: list[str]
    headers: dict[str, str]
    attachments: list[Attachment]
    tags: list[tuple[str, str]]
    topic_id: str | None
    template_id: str | None
    idempotency_key: str | None
    scheduled_at: datetime | None
    released: bool
    last_event: str
    in_mailbox: bool = True


class PlannedEvent(msgspec.Struct, kw_only=True):
    """Something that will happen to a mail at ``due``; ``extra`` joins the webhook's ``data``.

    ``sends_after`` seconds hold the notice back behind later ones, without changing its time.
    """

    id: str
    number: int
    mail_id: str
    type: str
    due: datetime
    extra: dict[str, object] = {}
    sends_after: float = 0.0
    sets_last_event: bool = True


class Endpoint(msgspec.Struct, kw_only=True):
    """One webhook receiver; the first secret signs, the others sign too while rotating."""

    id: str
    team: str
    url: str
    secrets: list[str]
    events: list[str]
    created_at: datetime
    status: str = "enabled"
    failing_since: datetime | None = None


class Attempt(msgspec.Struct, kw_only=True):
    """One try of one notice; status 0 means that no answer came."""

    at: datetime
    status: int
    headers: dict[str, str]


class Notice(msgspec.Struct, kw_only=True):
    """One signed message for one endpoint: its id and body are the same on every attempt."""

    id: str
    number: int
    endpoint_id: str
    type: str
    body: str
    next_at: datetime | None
    status: str = "pending"
    tries: int = 0
    repeats_left: int = 0
    attempts: list[Attempt] = []


class Suppression(msgspec.Struct, kw_only=True):
    """An address that is not written to; ``origin`` is bounce, complaint or manual."""

    id: str
    number: int
    team: str
    email: str
    origin: str
    source_id: str | None
    created_at: datetime


class Remembered(msgspec.Struct, kw_only=True):
    """The first good answer under an idempotency key."""

    id: str
    fingerprint: str
    status: int
    body: bytes
    content_type: str
    stored_at: datetime


class Usage(msgspec.Struct, kw_only=True):
    """Mails accepted for one team in one day (``2026-01-15``) or month (``2026-01``)."""

    id: str
    mails: int


class Scenario(msgspec.Struct, kw_only=True):
    """What becomes of mail to one address: an outcome of `outcomes.OUTCOMES`."""

    id: str
    outcome: str
    extra: dict[str, object] = {}


class Mode(msgspec.Struct, kw_only=True):
    """How webhooks are sent; changed through the control door."""

    id: str = "mode"
    duplicates: int = 0
    out_of_order: bool = False
    legacy_tags: bool = False
    decoy_signature: bool = False
    wrong_signature: bool = False
    paused: bool = False
    timestamp_skew_seconds: int = 0
    header_style: str = "svix"


Row = Mail | PlannedEvent | Endpoint | Notice | Suppression | Remembered | Usage | Scenario | Mode
