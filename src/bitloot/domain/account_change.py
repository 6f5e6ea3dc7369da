"""Accounts as people change them: their owners, and those who look after them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from bitloot.domain.account import (
    LONGEST_NAME,
    OrderClaim,
    User,
    actor_name,
    check_owned,
    check_standing,
)
from bitloot.domain.account_deletion import AccountDeletion
from bitloot.domain.decision import AuditEntry, Change, Decision, insert, update
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.roles import Actor, Role, check_reach, permissions_of, staff_roles
from bitloot.domain.session import Session, crowded_out, revoked

LONGEST_REASON: Final = 200


def signed_in(
    user: User,
    session: Session,
    live: Sequence[Session],
    orders: Sequence[str],
    *,
    is_new: bool,
    at: datetime,
    limits: Limits,
) -> Decision:
    """The session opens; of too many the oldest ends; orders of the same address are theirs now.

    Raises Refused `account-suspended` or `account-deleted`.
    """
    check_standing(user)
    made = (insert(user),) if is_new else ()
    claims = tuple(insert(OrderClaim(id=order, user_id=user.id, at=at)) for order in orders)
    facts: dict[str, str | int | None] = {"orders": len(orders), "new": int(is_new)}
    entry = AuditEntry(
        at=at, actor=actor_name(user.id), action="session.opened", subject=session.id, facts=facts
    )
    return Decision(
        save=(*made, insert(session), *crowded_out(live, at=at, limits=limits), *claims),
        audit=(entry,),
    )


def renamed(user: User, name: str | None) -> Decision:
    """The name that its owner wants. Raises Refused `invalid-input`."""
    shown = None if name is None else " ".join(name.split()) or None
    if shown is not None and (len(shown) > LONGEST_NAME or not shown.isprintable()):
        detail = f"A name is one line of at most {LONGEST_NAME} letters."
        raise Refused("invalid-input", detail, field="name")
    if shown == user.name:
        return Decision(reason="as it was")
    return Decision(save=(update(user, name=shown),))


def suspended(
    user: User,
    sessions: Sequence[Session],
    reason: str,
    *,
    has_other_owner: bool,
    actor: Actor,
    at: datetime,
) -> Decision:
    """Nobody signs in any more, and every session ends.

    Raises Refused `beyond-your-rights`, `last-owner`, `account-deleted` or `invalid-input`.
    """
    _check_alive(user)
    check_reach(actor, user.roles)
    check_owned(user, has_other_owner=has_other_owner)
    why = " ".join(reason.split())
    if not why or len(why) > LONGEST_REASON:
        detail = f"Give a reason of 1 to {LONGEST_REASON} letters."
        raise Refused("invalid-input", detail, field="reason")
    change = update(user, state="suspended", suspended_reason=why)
    return Decision(
        save=(change, *revoked(sessions, "suspended", at=at)),
        audit=(_entry("user.suspended", user, actor, at, why),),
    )


def let_in_again(user: User, *, actor: Actor, at: datetime) -> Decision:
    """The account is as good as any other. Raises Refused `beyond-your-rights`."""
    check_reach(actor, user.roles)
    if user.state != "suspended":
        return Decision(reason="not suspended")
    return Decision(
        save=(update(user, state="active", suspended_reason=None),),
        audit=(_entry("user.unsuspended", user, actor, at),),
    )


def signed_out(user: User, sessions: Sequence[Session], *, actor: Actor, at: datetime) -> Decision:
    """Every session ends; whoever can, signs in again. Raises Refused `beyond-your-rights`."""
    check_reach(actor, user.roles)
    return Decision(
        save=revoked(sessions, "admin", at=at),
        audit=(_entry("user.signed_out", user, actor, at),),
    )


def with_roles(
    user: User,
    roles: Sequence[Role],
    sessions: Sequence[Session],
    *,
    has_other_owner: bool,
    expected_version: int | None,
    actor: Actor,
    at: datetime,
) -> Decision:
    """The person has these roles and no others; every session ends, so that none keeps the old.

    `expected_version` is what the actor looked at.
    Raises Refused `beyond-your-rights`, `last-owner`, `account-deleted`, `version-conflict` or
    `invalid-input`.
    """
    _check_alive(user)
    if expected_version not in {None, user.version}:
        raise Refused("version-conflict")
    wanted = staff_roles(roles)
    if wanted == user.roles:
        return Decision(reason="as it was")
    check_reach(actor, user.roles)
    if "roles.grant" not in actor.permissions or not permissions_of(wanted) <= actor.permissions:
        raise Refused("beyond-your-rights", field="roles")
    if "owner" not in wanted:
        check_owned(user, has_other_owner=has_other_owner)
    facts: dict[str, str | int | None] = {
        "before": " ".join(user.roles),
        "after": " ".join(wanted),
    }
    entry = AuditEntry(at=at, actor=actor.name, action="user.roles", subject=user.id, facts=facts)
    return Decision(
        save=(update(user, roles=wanted), *revoked(sessions, "role", at=at)), audit=(entry,)
    )


def taken_down(
    user: User,
    sessions: Sequence[Session],
    deletion: AccountDeletion | None,
    *,
    has_other_owner: bool,
    deletion_id: str,
    actor: Actor,
    at: datetime,
    limits: Limits,
) -> Decision:
    """Staff delete an account: it is closed at once, and forgotten when the grace is over.

    Raises Refused `beyond-your-rights`, `last-owner` or `account-deleted`.
    """
    _check_alive(user)
    check_reach(actor, user.roles)
    check_owned(user, has_other_owner=has_other_owner)
    clock: tuple[Change, ...] = ()
    if deletion is None:
        due = at + limits.deletion_grace
        clock = (
            insert(AccountDeletion(id=deletion_id, user_id=user.id, requested_at=at, due_at=due)),
        )
    return Decision(
        save=(
            update(user, state="deleted", deleted_at=at),
            *clock,
            *revoked(sessions, "deleted", at=at),
        ),
        audit=(_entry("user.deleted", user, actor, at),),
    )


def restored(
    user: User, deletion: AccountDeletion | None, *, is_taken: bool, actor: Actor, at: datetime
) -> Decision:
    """What staff deleted comes back as it was, suspended if it was that, unless it was forgotten.

    Raises Refused `account-deleted`, `beyond-your-rights`, or `email-taken` where another account
    has the address by now.
    """
    if user.is_forgotten:
        raise Refused("account-deleted")
    check_reach(actor, user.roles)
    if user.state != "deleted":
        return Decision(reason="not deleted")
    if is_taken:
        raise Refused("email-taken")
    stopped = () if deletion is None else (update(deletion, state="cancelled"),)
    state = "active" if user.suspended_reason is None else "suspended"
    return Decision(
        save=(update(user, state=state, deleted_at=None), *stopped),
        audit=(_entry("user.restored", user, actor, at),),
    )


def _check_alive(user: User) -> None:
    if user.state == "deleted":
        raise Refused("account-deleted")


def _entry(action: str, user: User, actor: Actor, at: datetime, reason: str = "") -> AuditEntry:
    return AuditEntry(at=at, actor=actor.name, action=action, subject=user.id, reason=reason)
