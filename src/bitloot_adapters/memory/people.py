"""What a transaction reads about people, from the memory tables."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from bitloot.domain.account import OrderClaim, User
from bitloot.domain.account_deletion import AccountDeletion
from bitloot.domain.api_key import ApiKey
from bitloot.domain.decision import Row
from bitloot.domain.email_change import EmailChange
from bitloot.domain.order import Order
from bitloot.domain.recovery import Recovery
from bitloot.domain.session import Session
from bitloot.ports.people import SessionFile
from bitloot_adapters.memory.tables import Tables


class MemoryPeople(msgspec.Struct, frozen=True):
    """The port `People`. One transaction runs at a time, so whoever reads holds the lock."""

    tables: Tables

    async def user(self, user_id: str) -> User | None:
        """One user."""
        return self.tables.get(User, user_id)

    async def user_by_email(self, *keys: str) -> User | None:
        """The user under one of these keys."""
        found = [row for row in self.tables.all(User) if row.email_key in keys]
        return min(found, key=lambda row: (row.state == "deleted", row.id), default=None)

    async def has_other_owner(self, user_id: str) -> bool:
        """Whether another active owner means to stay."""
        others = (
            row
            for row in self.tables.all(User)
            if row.id != user_id and "owner" in row.roles and row.state == "active"
        )
        for row in others:
            if await self.open_deletion(row.id) is None:
                return True
        return False

    async def session(self, session_id: str) -> SessionFile | None:
        """One session with its user."""
        row = self.tables.get(Session, session_id)
        if row is None:
            return None
        user = self.tables.get(User, row.user_id)
        assert user is not None
        return SessionFile(row, user)

    async def sessions_of(self, user_id: str, *, at: datetime) -> Sequence[Session]:
        """The live sessions of a user."""
        return live_sessions(self.tables, user_id, at)

    async def api_key(self, key_id: str) -> ApiKey | None:
        """One key."""
        return self.tables.get(ApiKey, key_id)

    async def living_keys(self, user_id: str, *, at: datetime) -> int:
        """How many keys of a user open something."""
        return sum(
            row.created_by == user_id and key_is_live(row, at) for row in self.tables.all(ApiKey)
        )

    async def key_named(self, user_id: str, name: str) -> ApiKey | None:
        """The key of this name."""
        return self.tables.by_key(ApiKey, "api_keys_name", user_id, name)

    async def open_change(self, user_id: str) -> EmailChange | None:
        """The open change of address."""
        return self.tables.by_key(EmailChange, "email_changes_one_open", user_id)

    async def deletion(self, deletion_id: str) -> AccountDeletion | None:
        """One deletion."""
        return self.tables.get(AccountDeletion, deletion_id)

    async def open_deletion(self, user_id: str) -> AccountDeletion | None:
        """The open deletion."""
        return self.tables.by_key(AccountDeletion, "account_deletions_one_open", user_id)

    async def due_deletions(self, *, at: datetime, limit: int) -> Sequence[str]:
        """Deletions whose grace is over."""
        due = (
            row
            for row in self.tables.all(AccountDeletion)
            if row.state == "requested" and row.due_at <= at
        )
        return [row.id for row in sorted(due, key=lambda row: (row.due_at, row.id))][:limit]

    async def recovery(self, recovery_id: str) -> Recovery | None:
        """One recovery."""
        return self.tables.get(Recovery, recovery_id)

    async def open_recovery(self, user_id: str) -> Recovery | None:
        """The open recovery."""
        return self.tables.by_key(Recovery, "recoveries_one_open", user_id)

    async def unclaimed_orders(self, email_key: str, *, limit: int) -> Sequence[str]:
        """Orders of an address that are nobody's."""
        found = (
            row.id
            for row in self.tables.all(Order)
            if row.email_key == email_key and self.tables.get(OrderClaim, row.id) is None
        )
        return sorted(found, reverse=True)[:limit]

    async def orders_to_forget(self, user_id: str, *, nobody: str, limit: int) -> Sequence[str]:
        """Orders of a user that say who bought them."""
        claims = (row.id for row in self.tables.all(OrderClaim) if row.user_id == user_id)
        found = (self.tables.get(Order, order_id) for order_id in claims)
        return sorted(row.id for row in found if row is not None and row.email_key != nobody)[
            :limit
        ]

    async def changes(self, user_id: str, *, nobody: str, limit: int) -> Sequence[EmailChange]:
        """Changes of address."""
        rows = (row for row in self.tables.all(EmailChange) if row.user_id == user_id)
        return sorted((row for row in rows if row.new_key != nobody), key=_by_id)[:limit]

    async def recoveries(self, user_id: str, *, nobody: str, limit: int) -> Sequence[Recovery]:
        """Recoveries."""
        rows = (row for row in self.tables.all(Recovery) if row.user_id == user_id)
        return sorted((row for row in rows if row.new_key != nobody), key=_by_id)[:limit]


def _by_id(row: Row) -> str:
    return row.id


def live_sessions(tables: Tables, user_id: str, at: datetime) -> tuple[Session, ...]:
    """The sessions of a user that are neither revoked nor over, by id."""
    found = (
        row
        for row in tables.all(Session)
        if row.user_id == user_id and row.revoked_at is None and row.expires_at > at
    )
    return tuple(sorted(found, key=lambda row: row.id))


def key_is_live(row: ApiKey, at: datetime) -> bool:
    """Whether a key is neither revoked nor over."""
    return row.revoked_at is None and (row.expires_at is None or row.expires_at > at)
