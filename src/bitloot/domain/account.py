"""A person's account, and which orders are theirs."""

from datetime import datetime
from typing import ClassVar, Final, Literal, TypeAlias

from bitloot.domain.address import Address
from bitloot.domain.decision import Row
from bitloot.domain.errors import Refused
from bitloot.domain.roles import Role

UserState: TypeAlias = Literal["active", "suspended", "deleted"]

LONGEST_NAME: Final = 100
# RFC 6761, section 6.4: no such domain is ever there.
_NOWHERE: Final = "@invalid"


class User(Row, frozen=True, kw_only=True):
    """Somebody who signed in once. `roles` are sorted; none: a customer like any other.

    `email` is written to as it was typed, `email_key` is what addresses are compared by, and unique
    among those not deleted. Once the person is forgotten, both stand for nobody: `email_key` is a
    keyed hash of what it was, so that the holder of that address can be told.
    """

    in_timeline: ClassVar[bool] = False

    email: str
    email_key: str
    name: str | None = None
    roles: tuple[Role, ...] = ()
    state: UserState = "active"
    suspended_reason: str | None = None
    password_hash: str | None = None
    password_set_at: datetime | None = None
    created_at: datetime
    deleted_at: datetime | None = None

    @property
    def is_forgotten(self) -> bool:
        """Whether nothing of the person is left."""
        return self.email == forgotten_address(self.id)


class OrderClaim(Row, frozen=True, kw_only=True):
    """Whose an order is, besides whoever holds its token. `id` is the order's id."""

    in_timeline: ClassVar[bool] = False

    user_id: str
    at: datetime


def new_user(address: Address, *, user_id: str, at: datetime) -> User:
    """The account of somebody who showed that an address is theirs."""
    return User(id=user_id, email=address.typed, email_key=address.key, created_at=at)


def check_standing(user: User) -> None:
    """Told only to who showed that the account is theirs.

    Raises Refused `account-suspended` or `account-deleted`.
    """
    check_state(user.state)


def check_state(state: UserState) -> None:
    """Raises Refused `account-suspended` or `account-deleted`."""
    if state == "suspended":
        raise Refused("account-suspended")
    if state == "deleted":
        raise Refused("account-deleted")


def check_owned(user: User, *, has_other_owner: bool) -> None:
    """The shop has an owner who may act and means to stay, whatever becomes of this one.

    Raises Refused `last-owner`.
    """
    if "owner" in user.roles and user.state == "active" and not has_other_owner:
        raise Refused("last-owner")


def forgotten_address(user_id: str) -> str:
    """What stands in place of an address that is forgotten; nothing is ever sent there."""
    return f"deleted+{user_id}{_NOWHERE}"


def is_forgotten_address(text: str) -> bool:
    """Whether it stands for somebody who was forgotten; no mailbox has such an address."""
    return text.endswith(_NOWHERE)


def actor_name(user_id: str) -> str:
    """How the audit log names a person."""
    return f"user/{user_id}"
