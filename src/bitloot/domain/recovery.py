"""Somebody lost their mailbox: support moves the account to another address, slowly.

Two or three proofs are written down, the old address is told at once, and nothing moves before a
cooling period is over: whoever still reads the old mailbox can stop it.
"""

from collections.abc import Sequence
from datetime import datetime
from math import ceil
from typing import ClassVar, Final, Literal, TypeAlias

import msgspec

from bitloot.domain.account import User, check_standing
from bitloot.domain.address import Address
from bitloot.domain.decision import AuditEntry, Decision, Row, insert, update
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.roles import Actor, check_reach
from bitloot.domain.session import Session, revoked

ProofKind: TypeAlias = Literal[
    "order-number", "payment-transaction", "key-fragment", "purchase-date", "previous-code"
]

LONGEST_NOTE: Final = 200


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """What the person knew, and how it was checked. `note` never holds a key or a code."""

    kind: ProofKind
    note: str = ""


class Recovery(Row, frozen=True, kw_only=True):
    """One is open for each user. It can be completed from `ready_at` on."""

    in_timeline: ClassVar[bool] = False

    user_id: str
    new_email: str
    new_key: str
    proofs: tuple[Proof, ...]
    opened_by: str
    opened_at: datetime
    ready_at: datetime
    state: Literal["open", "stopped", "completed", "cancelled"] = "open"


def started(
    user: User,
    address: Address,
    proofs: Sequence[Proof],
    before: Recovery | None,
    *,
    recovery_id: str,
    actor: Actor,
    at: datetime,
    limits: Limits,
) -> tuple[Recovery, Decision]:
    """The cooling period begins.

    Raises Refused `recovery-pending`, `beyond-your-rights`, `account-suspended`, `account-deleted`
    or `invalid-input`.
    """
    check_standing(user)
    check_reach(actor, user.roles)
    if before is not None:
        raise Refused("recovery-pending")
    if address.key == user.email_key:
        raise Refused("invalid-input", "This is the address of the account already.", field="email")
    _check(proofs, limits)
    recovery = Recovery(
        id=recovery_id,
        user_id=user.id,
        new_email=address.typed,
        new_key=address.key,
        proofs=tuple(proofs),
        opened_by=actor.name,
        opened_at=at,
        ready_at=at + limits.recovery_cooling,
    )
    kinds = " ".join(sorted(proof.kind for proof in proofs))
    entry = _entry("recovery.started", recovery, actor.name, at, {"proofs": kinds})
    return recovery, Decision(save=(insert(recovery),), audit=(entry,))


def ended(
    recovery: Recovery, state: Literal["stopped", "cancelled"], *, actor: str, at: datetime
) -> Decision:
    """The account stays where it is. Raises Refused `recovery-over` for one that ended before."""
    _check_open(recovery)
    return Decision(
        save=(update(recovery, state=state),),
        audit=(_entry(f"recovery.{state}", recovery, actor, at),),
    )


def completed(
    recovery: Recovery,
    user: User,
    sessions: Sequence[Session],
    *,
    is_taken: bool,
    actor: Actor,
    at: datetime,
) -> Decision:
    """The account moves to the new address; its password and every session end.

    Raises Refused `recovery-over`, `recovery-not-ready` before the cooling period is over,
    `email-taken`, `beyond-your-rights`, `account-suspended` or `account-deleted`.
    """
    _check_open(recovery)
    check_standing(user)
    check_reach(actor, user.roles)
    left = (recovery.ready_at - at).total_seconds()
    if left > 0:
        raise Refused("recovery-not-ready", retry_after=ceil(left))
    if is_taken:
        raise Refused("email-taken", field="email")
    return Decision(
        save=(
            update(
                user,
                email=recovery.new_email,
                email_key=recovery.new_key,
                password_hash=None,
                password_set_at=None,
            ),
            update(recovery, state="completed"),
            *revoked(sessions, "email", at=at),
        ),
        audit=(_entry("recovery.completed", recovery, actor.name, at),),
    )


def _check_open(recovery: Recovery) -> None:
    if recovery.state != "open":
        raise Refused("recovery-over")


def _check(proofs: Sequence[Proof], limits: Limits) -> None:
    fewest, most = limits.recovery_proofs_min, limits.recovery_proofs_max
    kinds = {proof.kind for proof in proofs}
    if not fewest <= len(proofs) <= most or len(kinds) != len(proofs):
        detail = f"Write down {fewest} to {most} proofs, each of another kind."
        raise Refused("invalid-input", detail, field="proofs")
    if any(len(p.note) > LONGEST_NOTE or not p.note.isprintable() for p in proofs):
        detail = f"A note is one line of at most {LONGEST_NOTE} letters."
        raise Refused("invalid-input", detail, field="proofs")


def _entry(
    action: str,
    recovery: Recovery,
    actor: str,
    at: datetime,
    facts: dict[str, str | int | None] | None = None,
) -> AuditEntry:
    told: dict[str, str | int | None] = {"recovery": recovery.id, **(facts or {})}
    return AuditEntry(at=at, actor=actor, action=action, subject=recovery.user_id, facts=told)
