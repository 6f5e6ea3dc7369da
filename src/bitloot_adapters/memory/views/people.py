"""What people see of their accounts, and guards and the desk of people, from the memory tables."""

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TypeVar

import msgspec

from bitloot.domain.account import OrderClaim, User
from bitloot.domain.account_deletion import AccountDeletion
from bitloot.domain.api_key import ApiKey
from bitloot.domain.decision import Row
from bitloot.domain.email import Email
from bitloot.domain.email_change import EmailChange
from bitloot.domain.order import Order, OrderItem
from bitloot.domain.recovery import Recovery
from bitloot.domain.session import Session
from bitloot.ports.views.paging import Page, id_after, page_of
from bitloot.ports.views.people import (
    AddressChange,
    ApiKeyState,
    Credentials,
    DeletionView,
    ExportedOrder,
    ExportedSession,
    KeyView,
    MailLine,
    OwnOrder,
    Profile,
    RecoveryView,
    SessionLine,
    SessionState,
    UserExport,
    UserFilter,
)
from bitloot_adapters.memory.people import live_sessions
from bitloot_adapters.memory.tables import Tables
from bitloot_adapters.memory.unit_of_work import MemoryStore

R = TypeVar("R", bound=Row)
S = TypeVar("S")


class MemoryPeopleViews:
    """The port `PeopleViews`."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    @property
    def _tables(self) -> Tables:
        self._store.reach()
        return self._store.tables

    async def session_state(self, session_id: str) -> SessionState | None:
        """What a guard asks of a session."""
        row = self._tables.get(Session, session_id)
        if row is None:
            return None
        user = self._user(row.user_id)
        return SessionState(
            user_id=user.id,
            state=user.state,
            roles=user.roles,
            is_revoked=row.revoked_at is not None,
            expires_at=row.expires_at,
            generation=row.generation,
            created_at=row.created_at,
            password_set_at=user.password_set_at,
        )

    async def api_key_state(self, digest: str) -> ApiKeyState | None:
        """What a guard asks of a key."""
        row = self._tables.by_key(ApiKey, "api_keys_digest", digest)
        if row is None:
            return None
        maker = self._user(row.created_by)
        return ApiKeyState(
            key_id=row.id,
            scopes=row.scopes,
            is_revoked=row.revoked_at is not None,
            expires_at=row.expires_at,
            maker_id=maker.id,
            maker_state=maker.state,
            maker_roles=maker.roles,
            last_used_at=row.last_used_at,
        )

    async def credentials(self, email_key: str) -> Credentials | None:
        """The account under an address."""
        found = [row for row in self._tables.all(User) if row.email_key == email_key]
        user = min(found, key=lambda row: (row.state == "deleted", row.id), default=None)
        if user is None:
            return None
        return Credentials(user_id=user.id, state=user.state, password_hash=user.password_hash)

    async def owner_of(self, order_id: str) -> str | None:
        """Whose an order is."""
        claim = self._tables.get(OrderClaim, order_id)
        return None if claim is None else claim.user_id

    async def profile(self, user_id: str) -> Profile | None:
        """One account."""
        user = self._tables.get(User, user_id)
        return None if user is None else self._profile(user)

    async def sessions(self, user_id: str, *, at: datetime) -> tuple[SessionLine, ...]:
        """The live sessions of a user."""
        live = live_sessions(self._tables, user_id, at)
        newest = sorted(live, key=lambda row: (row.rotated_at, row.id), reverse=True)
        return tuple(_told(SessionLine, row) for row in newest)

    async def orders(self, user_id: str, *, limit: int, after: str | None) -> Page[OwnOrder]:
        """The orders of a user."""
        before, tables = id_after(after), self._tables
        ids = sorted(
            (
                claim.id
                for claim in tables.all(OrderClaim)
                if claim.user_id == user_id and (before is None or claim.id < before)
            ),
            reverse=True,
        )
        found = [_own_order(tables, order_id) for order_id in ids[: limit + 1]]
        return page_of(found, limit, lambda order: order.id)

    async def users(self, only: UserFilter, *, limit: int, after: str | None) -> Page[Profile]:
        """Accounts."""
        page = self._newest(
            User,
            lambda row: (
                only.state in {None, row.state}
                and (only.role is None or only.role in row.roles)
                and only.email_key in {None, row.email_key}
            ),
            limit,
            after,
        )
        return Page(tuple(self._profile(row) for row in page.items), page.after)

    async def api_keys(self, *, limit: int, after: str | None) -> Page[KeyView]:
        """Keys of machines."""
        page = self._newest(ApiKey, lambda _: True, limit, after)
        return Page(tuple(_told(KeyView, row) for row in page.items), page.after)

    async def recoveries(self, user_id: str) -> tuple[RecoveryView, ...]:
        """The recoveries of a user."""
        rows = (row for row in self._tables.all(Recovery) if row.user_id == user_id)
        newest = sorted(rows, key=lambda row: row.id, reverse=True)
        return tuple(_told(RecoveryView, row) for row in newest[:100])

    async def export(self, user_id: str, *, limit: int) -> UserExport | None:
        """All that is kept of a person."""
        tables = self._tables
        user = tables.get(User, user_id)
        if user is None:
            return None
        sessions = (row for row in tables.all(Session) if row.user_id == user_id)
        mails = (row for row in tables.all(Email) if row.to_key == user.email_key)
        changes = (row for row in tables.all(EmailChange) if row.user_id == user_id)
        recoveries = (row for row in tables.all(Recovery) if row.user_id == user_id)
        keys = (row for row in tables.all(ApiKey) if row.created_by == user_id)
        bought = await self.orders(user_id, limit=limit, after=None)
        return UserExport(
            profile=self._profile(user),
            orders=tuple(_exported(tables, order) for order in bought.items),
            sessions=tuple(_told(ExportedSession, row) for row in _newest_of(sessions, limit)),
            mails=tuple(_told(MailLine, row) for row in _newest_of(mails, limit)),
            address_changes=tuple(_told(AddressChange, row) for row in _newest_of(changes, limit)),
            recoveries=tuple(_told(RecoveryView, row) for row in _newest_of(recoveries, limit)),
            api_keys=tuple(_told(KeyView, row) for row in _newest_of(keys, limit)),
        )

    def _user(self, user_id: str) -> User:
        user = self._tables.get(User, user_id)
        assert user is not None
        return user

    def _profile(self, user: User) -> Profile:
        row = self._tables.by_key(AccountDeletion, "account_deletions_one_open", user.id)
        return Profile(
            id=user.id,
            email=user.email,
            name=user.name,
            roles=user.roles,
            state=user.state,
            suspended_reason=user.suspended_reason,
            has_password=user.password_hash is not None,
            created_at=user.created_at,
            deleted_at=user.deleted_at,
            deletion=None if row is None else _told(DeletionView, row),
            version=user.version,
        )

    def _newest(
        self, kind: type[R], fits: Callable[[R], bool], limit: int, after: str | None
    ) -> Page[R]:
        before = id_after(after)
        rows = (
            row
            for row in self._tables.all(kind)
            if (before is None or row.id < before) and fits(row)
        )
        return page_of(_newest_of(rows, limit + 1), limit, lambda row: row.id)


def _newest_of(rows: Iterable[R], limit: int) -> list[R]:
    return sorted(rows, key=lambda row: row.id, reverse=True)[:limit]


def _own_order(tables: Tables, order_id: str) -> OwnOrder:
    order = tables.get(Order, order_id)
    assert order is not None
    items = sorted(tables.of_order(OrderItem, order_id), key=lambda item: item.item_no)
    return OwnOrder(
        id=order.id,
        number=order.number,
        status=order.status,
        failure_reason=order.failure_reason,
        total=order.total,
        titles=tuple(item.title for item in items),
        units=sum(item.quantity for item in items),
        created_at=order.created_at,
        paid_at=order.paid_at,
        fulfilled_at=order.fulfilled_at,
    )


def _exported(tables: Tables, own: OwnOrder) -> ExportedOrder:
    order = tables.get(Order, own.id)
    assert order is not None
    told = msgspec.structs.asdict(own)
    return ExportedOrder(**told, email=order.email, placed_from=order.placed_from)


def _told(shape: Callable[..., S], row: Row) -> S:
    """What a view tells of a row: the fields that both have."""
    names: tuple[str, ...] = getattr(shape, "__struct_fields__", ())
    return shape(**{name: getattr(row, name) for name in names})
