"""People with an account and a session each, by COPY, and the tokens that they hold."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import psycopg
import uuid_utils

from bench.shop_settings import SECRET_KEY
from bitloot.domain.address import parse_address
from bitloot.domain.limits import Limits
from bitloot.domain.session import Client, Session, open_session
from bitloot_web.tokens import SessionTokens

NO_ROLES: Final[list[str]] = []
_USERS: Final = """
COPY users (id, version, email, email_key, roles, state, password_hash, password_set_at, created_at)
FROM STDIN
"""
_SESSIONS: Final = """
COPY sessions (id, version, user_id, created_at, generation, rotated_at, expires_at, user_agent,
    address) FROM STDIN
"""
_REFRESHES: Final = "SELECT coalesce(sum(generation - 1), 0) FROM sessions"


def email_of(number: int) -> str:
    """The address of each of them."""
    return f"reader{number}@reader.example"


def signed_in(url: str, count: int, *, password_hash: str | None = None) -> list[Session]:
    """So many people who have just signed in; with the hash of their password, if they have one."""
    at = datetime.now(UTC)
    limits, client = Limits(), Client(user_agent="bench", address="192.0.2.7")
    made = [
        open_session(
            str(uuid_utils.uuid7()),
            client,
            session_id=str(uuid_utils.uuid7()),
            at=at,
            limits=limits,
        )
        for _ in range(count)
    ]
    set_at = None if password_hash is None else at
    with psycopg.connect(url, autocommit=True) as connection:
        with connection.cursor() as cursor:
            with cursor.copy(_USERS.encode()) as rows:
                for number, each in enumerate(made):
                    email = parse_address(email_of(number))
                    known = (each.user_id, 1, email.typed, email.key)
                    rows.write_row((*known, NO_ROLES, "active", password_hash, set_at, at))
            with cursor.copy(_SESSIONS.encode()) as rows:
                for each in made:
                    own = (each.id, 1, each.user_id, at, each.generation, at, each.expires_at)
                    rows.write_row((*own, each.user_agent, each.address))
        connection.execute("VACUUM ANALYZE users, sessions")
    return made


def tokens_at(issuer: str) -> SessionTokens:
    """What makes the tokens of a shop at that address, as the shop itself does."""
    return SessionTokens([SECRET_KEY], issuer=issuer, limits=Limits())


def refreshes_of(url: str) -> int:
    """How often sessions were refreshed, as the database has it."""
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(_REFRESHES).fetchone()
    assert row is not None
    return int(row[0])


def bearer(tokens: SessionTokens, sessions: Sequence[Session]) -> list[dict[str, str]]:
    """The header that shows the access token of each."""
    return [{"Authorization": f"Bearer {tokens.pair(each).access}"} for each in sessions]
