"""What a transaction reads about people: rows locked until it ends, unless it says otherwise.

Rows of several kinds are locked in the order user, session, what is under way: whoever needs a
user and their sessions asks for the user first.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

import msgspec

from bitloot.domain.account import User
from bitloot.domain.account_deletion import AccountDeletion
from bitloot.domain.api_key import ApiKey
from bitloot.domain.email_change import EmailChange
from bitloot.domain.recovery import Recovery
from bitloot.domain.session import Session


class SessionFile(msgspec.Struct, frozen=True):
    """A session with whose it is; only the session is locked."""

    session: Session
    user: User


class People(Protocol):
    """Accounts and what belongs to them."""

    async def user(self, user_id: str) -> User | None:
        """One user."""
        ...

    async def user_by_email(self, *keys: str) -> User | None:
        """The user under one of these keys; of several the one who is not deleted."""
        ...

    async def has_other_owner(self, user_id: str) -> bool:
        """Whether an active user but this one has the role `owner` and no deletion under way.

        One of them is locked, so that they stay until the transaction ends.
        """
        ...

    async def session(self, session_id: str) -> SessionFile | None:
        """One session, ended or not."""
        ...

    async def sessions_of(self, user_id: str, *, at: datetime) -> Sequence[Session]:
        """The sessions of a user that are neither revoked nor over, by id."""
        ...

    async def api_key(self, key_id: str) -> ApiKey | None:
        """One key, revoked or not."""
        ...

    async def living_keys(self, user_id: str, *, at: datetime) -> int:
        """How many keys of a user are neither revoked nor over; nothing is locked."""
        ...

    async def key_named(self, user_id: str, name: str) -> ApiKey | None:
        """The key of a user with this name that was not revoked; nothing is locked: two that are
        made at once meet at `api_keys_name`.
        """
        ...

    async def open_change(self, user_id: str) -> EmailChange | None:
        """The change of address that waits for its codes."""
        ...

    async def deletion(self, deletion_id: str) -> AccountDeletion | None:
        """One deletion in any state."""
        ...

    async def open_deletion(self, user_id: str) -> AccountDeletion | None:
        """The deletion that a user asked for and may still cancel."""
        ...

    async def due_deletions(self, *, at: datetime, limit: int) -> Sequence[str]:
        """The ids of up to `limit` deletions whose grace is over, oldest first; none is locked."""
        ...

    async def recovery(self, recovery_id: str) -> Recovery | None:
        """One recovery in any state."""
        ...

    async def open_recovery(self, user_id: str) -> Recovery | None:
        """The recovery of a user that is under way."""
        ...

    async def unclaimed_orders(self, email_key: str, *, limit: int) -> Sequence[str]:
        """The ids of up to `limit` orders of this address that are nobody's, newest first.

        Nothing is locked: two who claim one order meet at `order_claims_pkey`.
        """
        ...

    async def orders_to_forget(self, user_id: str, *, nobody: str, limit: int) -> Sequence[str]:
        """The ids of up to `limit` orders that a user claimed and whose address is not `nobody`,
        oldest first; nothing is locked.
        """
        ...

    async def changes(self, user_id: str, *, nobody: str, limit: int) -> Sequence[EmailChange]:
        """Up to `limit` changes of address in any state, to another one than `nobody`."""
        ...

    async def recoveries(self, user_id: str, *, nobody: str, limit: int) -> Sequence[Recovery]:
        """Up to `limit` recoveries in any state, to another address than `nobody`."""
        ...
