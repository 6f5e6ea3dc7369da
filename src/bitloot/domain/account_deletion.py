"""The end of an account: asked for, reconsidered for a while, then forgotten."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal

from bitloot.domain.account import OrderClaim, User, check_owned, forgotten_address
from bitloot.domain.decision import (
    AuditEntry,
    Change,
    Decision,
    JobRequest,
    Row,
    insert,
    update,
)
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.session import Session, revoked


class AccountDeletion(Row, frozen=True, kw_only=True):
    """One is open for each user. At `due_at` the person is forgotten; their orders are kept."""

    in_timeline: ClassVar[bool] = False

    user_id: str
    requested_at: datetime
    due_at: datetime
    state: Literal["requested", "cancelled", "done"] = "requested"
    done_at: datetime | None = None


def asked(
    user: User,
    *,
    has_other_owner: bool,
    deletion_id: str,
    actor: str,
    at: datetime,
    limits: Limits,
) -> tuple[AccountDeletion, Decision]:
    """The account is to end when the grace is over; until then nothing changes.

    Raises Refused `last-owner`.
    """
    check_owned(user, has_other_owner=has_other_owner)
    deletion = AccountDeletion(
        id=deletion_id, user_id=user.id, requested_at=at, due_at=at + limits.deletion_grace
    )
    entry = _entry("account.deletion_requested", user.id, actor, at)
    return deletion, Decision(save=(insert(deletion),), audit=(entry,))


def cancelled(deletion: AccountDeletion, *, actor: str, at: datetime) -> Decision:
    """The account stays. Raises Refused `deletion-over` once it was done or cancelled."""
    if deletion.state != "requested":
        raise Refused("deletion-over")
    entry = _entry("account.deletion_cancelled", deletion.user_id, actor, at)
    return Decision(save=(update(deletion, state="cancelled"),), audit=(entry,))


def is_due(deletion: AccountDeletion, *, at: datetime) -> bool:
    """Whether the grace is over, and nobody changed their mind."""
    return deletion.state == "requested" and at >= deletion.due_at


def carried_out(
    deletion: AccountDeletion,
    user: User,
    sessions: Sequence[Session],
    *,
    hidden_key: str,
    orders: Sequence[str] = (),
    at: datetime,
) -> Decision:
    """The person is forgotten. `hidden_key` is a keyed hash of the address: whoever shows to hold
    it later is told that the account is gone. `orders` of the address that nobody claimed are
    theirs, so that these are forgotten with the others.

    Nothing is decided before the grace is over, or about what was cancelled meanwhile.
    """
    if not is_due(deletion, at=at):
        return Decision(reason="not due")
    gone: tuple[Change, ...] = ()
    jobs: tuple[JobRequest, ...] = ()
    if not user.is_forgotten:
        jobs = (JobRequest(kind="forget_orders", ref=user.id),)
        gone = (
            update(
                user,
                email=forgotten_address(user.id),
                email_key=hidden_key,
                name=None,
                roles=(),
                state="deleted",
                suspended_reason=None,
                password_hash=None,
                password_set_at=None,
                deleted_at=user.deleted_at or at,
            ),
        )
    return Decision(
        save=(
            *gone,
            update(deletion, state="done", done_at=at),
            *revoked(sessions, "deleted", at=at),
            *(insert(OrderClaim(id=order, user_id=user.id, at=at)) for order in orders),
        ),
        jobs=jobs,
        audit=(_entry("account.forgotten", user.id, "scheduler", at),),
    )


def _entry(action: str, user_id: str, actor: str, at: datetime) -> AuditEntry:
    return AuditEntry(at=at, actor=actor, action=action, subject=user_id)
