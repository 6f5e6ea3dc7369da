"""What a new password changes about an account."""

from collections.abc import Sequence
from datetime import datetime
from hmac import compare_digest
from typing import Literal

from bitloot.domain.account import User, actor_name, check_standing
from bitloot.domain.decision import AuditEntry, Decision, insert, update
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.session import Session, revoked


def is_fresh(signed_in_at: datetime, *, at: datetime, limits: Limits) -> bool:
    """Whether somebody signed in so lately that nobody asks them again who they are."""
    return at < signed_in_at + limits.fresh_sign_in


def with_password(
    user: User,
    hashed: str,
    sessions: Sequence[Session],
    *,
    how: Literal["set", "reset"],
    is_new: bool = False,
    keep: str | None = None,
    at: datetime,
) -> Decision:
    """The account has this password; every session but the one to keep ends.

    Raises Refused `account-suspended` or `account-deleted`.
    """
    check_standing(user)
    changed = update(user, password_hash=hashed, password_set_at=at)
    entry = AuditEntry(at=at, actor=actor_name(user.id), action=f"password.{how}", subject=user.id)
    saved = insert(changed.after) if is_new else changed
    return Decision(save=(saved, *revoked(sessions, "password", at=at, keep=keep)), audit=(entry,))


def check_unchanged(user: User, before: str | None) -> None:
    """Raises Refused `credentials-wrong` where the password was changed meanwhile."""
    if not compare_digest(user.password_hash or "", before or ""):
        raise Refused("credentials-wrong", field="currentPassword")


def rehashed(user: User, before: str, hashed: str) -> Decision:
    """The same password by today's parameters. Raises Refused `credentials-wrong` where it was
    changed meanwhile.
    """
    check_unchanged(user, before)
    return Decision(save=(update(user, password_hash=hashed),))
