"""Another e-mail address for an account: a code to each of the two, both needed at once."""

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Literal

from bitloot.domain.account import User, actor_name
from bitloot.domain.address import Address
from bitloot.domain.decision import AuditEntry, Decision, Row, insert, update
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.session import Session, revoked


class EmailChange(Row, frozen=True, kw_only=True):
    """The codes are those of the two challenges; neither is stored. One is open for each user."""

    in_timeline: ClassVar[bool] = False

    user_id: str
    new_email: str
    new_key: str
    current_challenge: str
    new_challenge: str
    created_at: datetime
    expires_at: datetime
    state: Literal["open", "done", "stopped"] = "open"


def opened(
    user: User,
    address: Address,
    before: EmailChange | None,
    *,
    change_id: str,
    challenges: tuple[str, str],
    at: datetime,
    limits: Limits,
) -> tuple[EmailChange, Decision]:
    """A change that waits for both codes; one that was open before ends.

    Raises Refused `invalid-input` for the address that the account has already.
    """
    if address.key == user.email_key and address.typed == user.email:
        raise Refused("invalid-input", "This is the address of the account already.", field="email")
    change = EmailChange(
        id=change_id,
        user_id=user.id,
        new_email=address.typed,
        new_key=address.key,
        current_challenge=challenges[0],
        new_challenge=challenges[1],
        created_at=at,
        expires_at=at + limits.otp_life,
    )
    stopped = () if before is None else (update(before, state="stopped"),)
    return change, Decision(save=(*stopped, insert(change)))


def check_open(change: EmailChange | None, *, at: datetime) -> EmailChange:
    """The change that waits for codes. Raises Refused `code-wrong` where none does any more."""
    if change is None or change.state != "open" or at >= change.expires_at:
        raise Refused("code-wrong", field="code")
    return change


def confirmed(
    user: User,
    change: EmailChange,
    sessions: Sequence[Session],
    *,
    keep: str | None,
    is_taken: bool,
    at: datetime,
) -> Decision:
    """Both codes were right: the address moves, and every session but the one to keep ends.

    Raises Refused `email-taken` where another account has that address.
    """
    if is_taken:
        raise Refused("email-taken", field="email")
    entry = AuditEntry(at=at, actor=actor_name(user.id), action="email.changed", subject=user.id)
    return Decision(
        save=(
            update(user, email=change.new_email, email_key=change.new_key),
            update(change, state="done"),
            *revoked(sessions, "email", at=at, keep=keep),
        ),
        audit=(entry,),
    )
