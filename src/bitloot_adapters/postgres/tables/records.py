"""What happened and what is to be done: webhooks, mails, events, the audit chain, jobs."""

from typing import Final, get_args

from sqlalchemy import (
    Column,
    DateTime,
    Index,
    PrimaryKeyConstraint,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy import text as expression
from sqlalchemy.dialects.postgresql import ARRAY

from bitloot.domain.email import CODE_KINDS, EmailKind
from bitloot.domain.webhook import WebhookClass
from bitloot_adapters.postgres.tables.schema import (
    METADATA,
    big,
    check,
    document,
    flag,
    ident,
    link,
    moment,
    number,
    one_of,
    raw,
    text,
    version,
)

PENDING: Final = expression("state = 'pending'")

webhook_logs = Table(
    "webhook_logs",
    METADATA,
    ident(),
    version(),
    text("provider"),
    text("dedupe_key"),
    flag("signature_ok"),
    text("classification"),
    text("subject", optional=True),
    text("status", optional=True),
    text("order_number", optional=True),
    raw("body"),
    number("attempts"),
    text("note"),
    link("order_id", "orders.id", optional=True),
    moment("received_at"),
    moment("handled_at", optional=True),
    PrimaryKeyConstraint("id"),
    # A forger can neither block nor use up the key of a real delivery.
    Index(
        "webhook_logs_dedupe_key",
        "provider",
        "dedupe_key",
        unique=True,
        postgresql_where=expression("signature_ok"),
    ),
    # What is told of a mail, by the provider's id of it.
    Index(
        "webhook_logs_mail_events",
        "subject",
        postgresql_where=expression("signature_ok AND order_number IS NULL"),
    ),
    Index("webhook_logs_order_id", "order_id"),
    Index("webhook_logs_received_at", "received_at", "id"),
    one_of("classification", get_args(WebhookClass)),
)

emails = Table(
    "emails",
    METADATA,
    ident(),
    version(),
    text("key"),
    text("kind"),
    link("order_id", "orders.id", optional=True),
    text("to"),
    text("to_key"),
    text("subject", optional=True),
    text("html", optional=True),
    text("text", optional=True),
    text("state"),
    text("provider"),
    text("provider_key"),
    text("provider_id", optional=True),
    text("provider_event", optional=True),
    text("refusal", optional=True),
    moment("first_try_at"),
    moment("doubtful_since", optional=True),
    moment("sent_at", optional=True),
    moment("created_at"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("key", name="emails_key"),
    UniqueConstraint("provider", "provider_id", name="emails_provider_id"),
    Index("emails_order_id", "order_id"),
    Index("emails_to_key", "to_key", "id"),
    Index("emails_sending", "first_try_at", postgresql_where=expression("state = 'sending'")),
    Index(
        "emails_codes",
        "to_key",
        "created_at",
        postgresql_where=expression(f"kind IN ({', '.join(map(repr, CODE_KINDS))})"),
    ),
    one_of("kind", get_args(EmailKind)),
    one_of("state", ("sending", "sent", "refused", "suppressed", "unknown")),
)

suppressions = Table(
    "suppressions",
    METADATA,
    Column("id", Text, nullable=False),
    version(),
    text("reason"),
    moment("created_at"),
    PrimaryKeyConstraint("id"),
    one_of("reason", ("bounce", "complaint", "manual")),
)

idempotency_keys = Table(
    "idempotency_keys",
    METADATA,
    ident(),
    version(),
    text("route"),
    text("caller"),
    text("key"),
    text("request_hash"),
    text("state"),
    raw("answer", optional=True),
    moment("started_at"),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("route", "caller", "key", name="idempotency_keys_key"),
    Index("idempotency_keys_started_at", "started_at"),
    one_of("state", ("running", "done")),
)

# `xact` is the id of the writing transaction: the feed of all events is read in its order and
# hides what a transaction still running might precede.
events = Table(
    "events",
    METADATA,
    link("order_id", "orders.id"),
    number("seq"),
    text("kind"),
    moment("at"),
    text("subject"),
    document("facts"),
    moment("due", optional=True),
    document("changes"),
    big("xact"),
    PrimaryKeyConstraint("order_id", "seq"),
    Index("events_feed", "xact", "order_id", "seq"),
    check("seq", "seq > 0"),
)

audit_logs = Table(
    "audit_logs",
    METADATA,
    big("seq"),
    moment("at"),
    text("actor"),
    text("action"),
    text("subject"),
    text("reason"),
    document("facts"),
    raw("payload"),
    raw("hash"),
    PrimaryKeyConstraint("seq"),
    Index("audit_logs_subject", "subject", "seq"),
    Index("audit_logs_actor", "actor", "seq"),
)

# One row: where the chain ends. Locked by whoever adds to it.
audit_head = Table(
    "audit_head",
    METADATA,
    Column("id", SmallInteger, nullable=False, autoincrement=False),
    big("seq"),
    raw("hash"),
    PrimaryKeyConstraint("id"),
    check("only_one", "id = 1"),
)

jobs = Table(
    "jobs",
    METADATA,
    ident(),
    text("kind"),
    text("ref"),
    text("state"),
    number("fence"),
    number("attempts"),
    number("max_attempts"),
    number("wakes"),
    Column(
        "lease_until",
        DateTime(timezone=True),
        nullable=False,
        server_default=expression("'-infinity'"),
    ),
    moment("available_at"),
    moment("published_at", optional=True),
    text("last_error", optional=True),
    moment("created_at"),
    PrimaryKeyConstraint("id"),
    Index("jobs_pending", "kind", "ref", unique=True, postgresql_where=PENDING),
    Index("jobs_due", "available_at", postgresql_where=PENDING),
    Index("jobs_due_of_kind", "kind", "available_at", postgresql_where=PENDING),
    Index("jobs_dead", "id", postgresql_where=expression("state = 'dead'")),
    Index("jobs_dead_work", "kind", "ref", postgresql_where=expression("state = 'dead'")),
    one_of("state", ("pending", "done", "dead")),
    check("attempts", "attempts >= 0 AND attempts <= max_attempts"),
)

scheduler_ticks = Table(
    "scheduler_ticks",
    METADATA,
    text("name"),
    moment("at"),
    PrimaryKeyConstraint("name", "at"),
)

breakers = Table(
    "breakers",
    METADATA,
    text("provider"),
    Column("failures", ARRAY(DateTime(timezone=True)), nullable=False),
    moment("opened_at", optional=True),
    moment("probe_at", optional=True),
    PrimaryKeyConstraint("provider"),
)

# A difference between our books and a provider's, until it is settled.
reconciliation_breaks = Table(
    "reconciliation_breaks",
    METADATA,
    ident(),
    version(),
    text("kind"),
    text("subject"),
    text("ours"),
    text("theirs"),
    text("state"),
    text("note"),
    moment("found_at"),
    moment("settled_at", optional=True),
    PrimaryKeyConstraint("id"),
    Index(
        "reconciliation_breaks_open",
        "kind",
        "subject",
        unique=True,
        postgresql_where=expression("state = 'open'"),
    ),
    one_of("state", ("open", "settled")),
)
