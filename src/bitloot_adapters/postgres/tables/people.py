"""Accounts, sessions, keys for machines, and what is under way about them."""

from typing import get_args

from sqlalchemy import (
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)
from sqlalchemy import text as written

from bitloot.domain.account import UserState
from bitloot.domain.session import SessionEnd
from bitloot_adapters.postgres.tables.schema import (
    METADATA,
    check,
    document,
    ident,
    link,
    moment,
    number,
    one_of,
    text,
    texts,
    version,
)

users = Table(
    "users",
    METADATA,
    ident(),
    version(),
    text("email"),
    text("email_key"),
    text("name", optional=True),
    texts("roles"),
    text("state"),
    text("suspended_reason", optional=True),
    text("password_hash", optional=True),
    moment("password_set_at", optional=True),
    moment("created_at"),
    moment("deleted_at", optional=True),
    PrimaryKeyConstraint("id"),
    Index(
        "users_email_key",
        "email_key",
        unique=True,
        postgresql_where=written("state <> 'deleted'"),
    ),
    Index("users_any_email_key", "email_key"),
    Index("users_state", "state", "id"),
    Index("users_staff", "id", postgresql_where=written("roles <> '{}'::text[]")),
    one_of("state", get_args(UserState)),
    check("deleted_at", "(state = 'deleted') = (deleted_at IS NOT NULL)"),
    check("password", "(password_hash IS NULL) = (password_set_at IS NULL)"),
)

sessions = Table(
    "sessions",
    METADATA,
    ident(),
    version(),
    link("user_id", "users.id"),
    moment("created_at"),
    number("generation"),
    moment("rotated_at"),
    moment("expires_at"),
    moment("revoked_at", optional=True),
    text("revoked_reason", optional=True),
    text("user_agent"),
    text("address"),
    PrimaryKeyConstraint("id"),
    Index("sessions_user_id", "user_id", "id"),
    Index("sessions_live", "user_id", "id", postgresql_where=written("revoked_at IS NULL")),
    Index("sessions_expires_at", "expires_at"),
    one_of("revoked_reason", get_args(SessionEnd)),
    check("generation", "generation > 0"),
    check("revoked", "(revoked_at IS NULL) = (revoked_reason IS NULL)"),
)

api_keys = Table(
    "api_keys",
    METADATA,
    ident(),
    version(),
    text("name"),
    text("prefix"),
    text("digest"),
    texts("scopes"),
    link("created_by", "users.id"),
    moment("created_at"),
    moment("expires_at", optional=True),
    moment("last_used_at", optional=True),
    moment("revoked_at", optional=True),
    PrimaryKeyConstraint("id"),
    UniqueConstraint("digest", name="api_keys_digest"),
    Index(
        "api_keys_name",
        "created_by",
        "name",
        unique=True,
        postgresql_where=written("revoked_at IS NULL"),
    ),
    Index("api_keys_created_by", "created_by", "id"),
)

# Whose an order is: its id is the order's.
order_claims = Table(
    "order_claims",
    METADATA,
    ident(),
    version(),
    link("user_id", "users.id"),
    moment("at"),
    PrimaryKeyConstraint("id"),
    ForeignKeyConstraint(["id"], ["orders.id"]),
    Index("order_claims_user_id", "user_id", "id"),
)

email_changes = Table(
    "email_changes",
    METADATA,
    ident(),
    version(),
    link("user_id", "users.id"),
    text("new_email"),
    text("new_key"),
    ident("current_challenge"),
    ident("new_challenge"),
    moment("created_at"),
    moment("expires_at"),
    text("state"),
    PrimaryKeyConstraint("id"),
    Index(
        "email_changes_one_open",
        "user_id",
        unique=True,
        postgresql_where=written("state = 'open'"),
    ),
    Index("email_changes_user_id", "user_id", "id"),
    one_of("state", ("open", "done", "stopped")),
)

account_deletions = Table(
    "account_deletions",
    METADATA,
    ident(),
    version(),
    link("user_id", "users.id"),
    moment("requested_at"),
    moment("due_at"),
    text("state"),
    moment("done_at", optional=True),
    PrimaryKeyConstraint("id"),
    Index(
        "account_deletions_one_open",
        "user_id",
        unique=True,
        postgresql_where=written("state = 'requested'"),
    ),
    Index("account_deletions_user_id", "user_id", "id"),
    Index("account_deletions_due", "due_at", "id", postgresql_where=written("state = 'requested'")),
    one_of("state", ("requested", "cancelled", "done")),
)

recoveries = Table(
    "recoveries",
    METADATA,
    ident(),
    version(),
    link("user_id", "users.id"),
    text("new_email"),
    text("new_key"),
    document("proofs"),
    text("opened_by"),
    moment("opened_at"),
    moment("ready_at"),
    text("state"),
    PrimaryKeyConstraint("id"),
    Index(
        "recoveries_one_open",
        "user_id",
        unique=True,
        postgresql_where=written("state = 'open'"),
    ),
    Index("recoveries_user_id", "user_id", "id"),
    one_of("state", ("open", "stopped", "completed", "cancelled")),
)
