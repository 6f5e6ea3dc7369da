"""A session: one sign-in on one device, and the family of refresh tokens that it carries.

A refresh token says a session and a generation. Each is good once; the same successor is given
again for a few seconds, so that an answer that was lost, or two requests at once, lock nobody out.
A token that comes back later was stolen from somebody, and nobody can tell from whom: all of the
session ends.
"""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import ClassVar, Final, Literal, TypeAlias

import msgspec

from bitloot.domain.account import actor_name
from bitloot.domain.decision import AuditEntry, Change, Decision, Row, update
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits

SessionEnd: TypeAlias = Literal[
    "logout", "reuse", "password", "suspended", "deleted", "admin", "role", "email", "crowded"
]

LONGEST_AGENT: Final = 200


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """What signed in, as its owner may recognise it: never a proof of anything."""

    user_agent: str = ""
    address: str = ""


class Session(Row, frozen=True, kw_only=True):
    """`generation` is that of the refresh token given out last, 1 at sign-in.

    It ends `expires_at`, which each rotation moves on, or when it was revoked.
    """

    in_timeline: ClassVar[bool] = False

    user_id: str
    created_at: datetime
    generation: int = 1
    rotated_at: datetime
    expires_at: datetime
    revoked_at: datetime | None = None
    revoked_reason: SessionEnd | None = None
    user_agent: str = ""
    address: str = ""


class Rotated(msgspec.Struct, frozen=True):
    """The session goes on as `session`; the change writes it."""

    session: Session
    change: Change


class Repeated(msgspec.Struct, frozen=True):
    """The token was used a moment ago: its successor is that of the session as it stands."""

    session: Session


class Reused(msgspec.Struct, frozen=True):
    """A token came back that was replaced long ago: the decision ends the session."""

    decision: Decision


def open_session(
    user_id: str, client: Client, *, session_id: str, at: datetime, limits: Limits
) -> Session:
    """A new session of somebody who signed in."""
    return Session(
        id=session_id,
        user_id=user_id,
        created_at=at,
        rotated_at=at,
        expires_at=at + limits.refresh_token_life,
        user_agent=_shown(client.user_agent),
        address=_shown(client.address),
    )


def access_ends(session: Session, *, at: datetime, limits: Limits) -> datetime:
    """When an access token given out now ends: soon, and never after its session."""
    return min(at + limits.access_token_life, session.expires_at)


def rotate(
    session: Session, presented: int, *, at: datetime, limits: Limits
) -> Rotated | Repeated | Reused:
    """What becomes of a refresh token of this generation. Raises Refused `session-ended`."""
    is_over = at >= session.expires_at + limits.token_leeway
    if session.revoked_at is not None or is_over or presented > session.generation:
        raise Refused("session-ended")
    if presented == session.generation:
        change = update(
            session,
            generation=session.generation + 1,
            rotated_at=at,
            expires_at=at + limits.refresh_token_life,
        )
        assert isinstance(change.after, Session)
        return Rotated(change.after, change)
    just_now = at < session.rotated_at + limits.refresh_grace
    if presented == session.generation - 1 and just_now:
        return Repeated(session)
    entry = AuditEntry(
        at=at,
        actor=actor_name(session.user_id),
        action="session.reused",
        subject=session.id,
        facts={"generation": session.generation, "presented": presented},
    )
    return Reused(Decision(save=(_ended(session, "reuse", at),), audit=(entry,)))


def revoked(
    sessions: Iterable[Session], reason: SessionEnd, *, at: datetime, keep: str | None = None
) -> tuple[Change, ...]:
    """The changes that end these sessions, but the one to keep and those that ended before."""
    return tuple(
        _ended(session, reason, at)
        for session in sessions
        if session.revoked_at is None and session.id != keep
    )


def crowded_out(sessions: Sequence[Session], *, at: datetime, limits: Limits) -> tuple[Change, ...]:
    """One more is to be opened: the oldest of too many end. `sessions` are the live ones."""
    oldest = sorted(sessions, key=lambda session: (session.rotated_at, session.id))
    too_many = len(oldest) + 1 - limits.sessions_per_user
    return revoked(oldest[: max(0, too_many)], "crowded", at=at)


def _ended(session: Session, reason: SessionEnd, at: datetime) -> Change:
    return update(session, revoked_at=at, revoked_reason=reason)


def _shown(text: str) -> str:
    """One line that cannot disturb the page on which its owner reads it."""
    plain = (c if c.isprintable() and unicodedata.category(c) != "Cf" else " " for c in text)
    return " ".join("".join(plain).split())[:LONGEST_AGENT].rstrip()
