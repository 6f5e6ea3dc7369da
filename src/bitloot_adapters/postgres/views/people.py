"""What people see of their accounts, and what guards and the desk of people see."""

from datetime import datetime
from functools import lru_cache
from typing import Final, TypeVar

import msgspec
from sqlalchemy import (
    ColumnElement,
    Integer,
    ScalarSelect,
    Table,
    Text,
    and_,
    bindparam,
    func,
    literal_column,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

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
from bitloot_adapters.postgres.order_reads import ID
from bitloot_adapters.postgres.people_reads import SESSION_LIVE, USER_ID
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.statements import Statement, Values, ask, compiled, is_id
from bitloot_adapters.postgres.tables import (
    account_deletions,
    api_keys,
    email_changes,
    emails,
    order_claims,
    order_items,
    orders,
    recoveries,
    sessions,
    users,
)
from bitloot_adapters.postgres.views.orders import word

S = TypeVar("S", bound=msgspec.Struct)
V = TypeVar("V")

_MOST: Final = bindparam("most", type_=Integer)
_AFTER: Final = bindparam("after", type_=ID)
_LAST_ID: Final = "ffffffff-ffff-ffff-ffff-ffffffffffff"
_RECOVERIES_TOLD: Final = 100

_SESSION_STATE: Final = compiled(
    select(
        users.c.id,
        users.c.state,
        users.c.roles,
        sessions.c.revoked_at.is_not(None),
        sessions.c.expires_at,
        sessions.c.generation,
        sessions.c.created_at,
        users.c.password_set_at,
    )
    .select_from(sessions.join(users, users.c.id == sessions.c.user_id))
    .where(sessions.c.id == bindparam("row_id", type_=ID))
)
_CREDENTIALS: Final = compiled(
    select(users.c.id, users.c.state, users.c.password_hash)
    .where(users.c.email_key == bindparam("email_key", type_=Text))
    .order_by(users.c.state == word("deleted"), users.c.id)
    .limit(literal_column("1"))
)
_KEY_STATE: Final = compiled(
    select(
        api_keys.c.id,
        api_keys.c.scopes,
        api_keys.c.revoked_at.is_not(None),
        api_keys.c.expires_at,
        users.c.id,
        users.c.state,
        users.c.roles,
        api_keys.c.last_used_at,
    )
    .select_from(api_keys.join(users, users.c.id == api_keys.c.created_by))
    .where(api_keys.c["digest"] == bindparam("digest", type_=Text))
)
_OWNER: Final = compiled(
    select(order_claims.c.user_id).where(order_claims.c.id == bindparam("row_id", type_=ID))
)
_PROFILES: Final = select(
    users.c.id,
    users.c.email,
    users.c.name,
    users.c.roles,
    users.c.state,
    users.c.suspended_reason,
    users.c.password_hash.is_not(None),
    users.c.created_at,
    users.c.deleted_at,
    users.c.version,
    account_deletions.c.id,
    account_deletions.c.requested_at,
    account_deletions.c.due_at,
).select_from(
    users.outerjoin(
        account_deletions,
        and_(
            account_deletions.c.user_id == users.c.id,
            account_deletions.c.state == word("requested"),
        ),
    )
)
_PROFILE: Final = compiled(_PROFILES.where(users.c.id == USER_ID))
_SESSIONS: Final = compiled(
    select(*(sessions.c[name] for name in SessionLine.__struct_fields__))
    .where(sessions.c.user_id == USER_ID, SESSION_LIVE)
    .order_by(sessions.c.rotated_at.desc(), sessions.c.id.desc())
)


def _of_lines(what: ColumnElement[V]) -> ScalarSelect[V]:
    return (
        select(what)
        .where(order_items.c.order_id == orders.c.id)
        .correlate(orders)
        .scalar_subquery()
    )


_TITLES: Final = _of_lines(
    func.array_agg(aggregate_order_by(order_items.c.title, order_items.c.item_no))
)
_UNITS: Final = _of_lines(func.sum(order_items.c.quantity))
_BOUGHT: Final = (
    select(
        orders.c.id,
        orders.c.number,
        orders.c.status,
        orders.c.failure_reason,
        orders.c.total,
        _TITLES,
        _UNITS,
        orders.c.created_at,
        orders.c.paid_at,
        orders.c.fulfilled_at,
    )
    .select_from(order_claims.join(orders, orders.c.id == order_claims.c.id))
    .where(order_claims.c.user_id == USER_ID, order_claims.c.id < _AFTER)
    .order_by(order_claims.c.id.desc())
    .limit(_MOST)
)
_ORDERS: Final = compiled(_BOUGHT)
_ALL_ORDERS: Final = compiled(_BOUGHT.add_columns(orders.c.email, orders.c.placed_from))


def _newest(table: Table, shape: type[msgspec.Struct], whose: ColumnElement[bool]) -> Statement:
    """The rows of somebody, as the shape has them, newest first."""
    return compiled(
        select(*(table.c[name] for name in shape.__struct_fields__))
        .where(whose)
        .order_by(table.c.id.desc())
        .limit(_MOST)
    )


_KEYS: Final = _newest(api_keys, KeyView, api_keys.c.id < _AFTER)
_RECOVERIES: Final = _newest(recoveries, RecoveryView, recoveries.c.user_id == USER_ID)
_ALL_SESSIONS: Final = _newest(sessions, ExportedSession, sessions.c.user_id == USER_ID)
_MAILS: Final = compiled(
    select(*(emails.c[name] for name in MailLine.__struct_fields__))
    .select_from(emails.join(users, users.c.email_key == emails.c.to_key))
    .where(users.c.id == USER_ID)
    .order_by(emails.c.id.desc())
    .limit(_MOST)
)
_CHANGES: Final = _newest(email_changes, AddressChange, email_changes.c.user_id == USER_ID)
_OWN_KEYS: Final = _newest(api_keys, KeyView, api_keys.c.created_by == USER_ID)


@lru_cache(maxsize=16)
def _users(filters: tuple[str, ...]) -> Statement:
    """A page of accounts, newest first."""
    tests = {
        "state": (users.c.state == bindparam("state", type_=Text),),
        # As the partial index has it.
        "role": (
            users.c.roles != literal_column("'{}'::text[]"),
            bindparam("role", type_=Text) == func.any(users.c.roles),
        ),
        "email_key": (users.c.email_key == bindparam("email_key", type_=Text),),
    }
    wanted = [test for name in filters for test in tests[name]]
    found = _PROFILES.where(users.c.id < _AFTER, *wanted)
    return compiled(found.order_by(users.c.id.desc()).limit(_MOST))


class PostgresPeopleViews:
    """The port `PeopleViews`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def session_state(self, session_id: str) -> SessionState | None:
        if not is_id(session_id):
            return None
        (rows,) = await self._database.read(ask(_SESSION_STATE, row_id=session_id))
        return _told(SessionState, rows[0]) if rows else None

    async def api_key_state(self, digest: str) -> ApiKeyState | None:
        (rows,) = await self._database.read(ask(_KEY_STATE, digest=digest))
        return _told(ApiKeyState, rows[0]) if rows else None

    async def credentials(self, email_key: str) -> Credentials | None:
        (rows,) = await self._database.read(ask(_CREDENTIALS, email_key=email_key))
        return _told(Credentials, rows[0]) if rows else None

    async def owner_of(self, order_id: str) -> str | None:
        if not is_id(order_id):
            return None
        (rows,) = await self._database.read(ask(_OWNER, row_id=order_id))
        return str(rows[0][0]) if rows else None

    async def profile(self, user_id: str) -> Profile | None:
        if not is_id(user_id):
            return None
        (rows,) = await self._database.read(ask(_PROFILE, user_id=user_id))
        return _profile(rows[0]) if rows else None

    async def sessions(self, user_id: str, *, at: datetime) -> tuple[SessionLine, ...]:
        if not is_id(user_id):
            return ()
        (rows,) = await self._database.read(ask(_SESSIONS, user_id=user_id, at=at))
        return tuple(_told(SessionLine, row) for row in rows)

    async def orders(self, user_id: str, *, limit: int, after: str | None) -> Page[OwnOrder]:
        before = id_after(after) or _LAST_ID
        if not is_id(user_id):
            return Page((), None)
        question = ask(_ORDERS, user_id=user_id, after=before, most=limit + 1)
        (rows,) = await self._database.read(question)
        return page_of([_told(OwnOrder, row) for row in rows], limit, lambda order: order.id)

    async def users(self, only: UserFilter, *, limit: int, after: str | None) -> Page[Profile]:
        before = id_after(after) or _LAST_ID
        values = {n: v for n, v in msgspec.structs.asdict(only).items() if v is not None}
        statement = _users(tuple(values))
        (rows,) = await self._database.read(ask(statement, **values, after=before, most=limit + 1))
        return page_of([_profile(row) for row in rows], limit, lambda each: each.id)

    async def api_keys(self, *, limit: int, after: str | None) -> Page[KeyView]:
        before = id_after(after) or _LAST_ID
        (rows,) = await self._database.read(ask(_KEYS, after=before, most=limit + 1))
        return page_of([_told(KeyView, row) for row in rows], limit, lambda key: key.id)

    async def recoveries(self, user_id: str) -> tuple[RecoveryView, ...]:
        if not is_id(user_id):
            return ()
        question = ask(_RECOVERIES, user_id=user_id, most=_RECOVERIES_TOLD)
        (rows,) = await self._database.read(question)
        return tuple(_recovery(row) for row in rows)

    async def export(self, user_id: str, *, limit: int) -> UserExport | None:
        if not is_id(user_id):
            return None
        own, bought, signed_in, mailed, moved, recovered, keys = await self._database.read(
            ask(_PROFILE, user_id=user_id),
            ask(_ALL_ORDERS, user_id=user_id, after=_LAST_ID, most=limit),
            *(
                ask(each, user_id=user_id, most=limit)
                for each in (_ALL_SESSIONS, _MAILS, _CHANGES, _RECOVERIES, _OWN_KEYS)
            ),
        )
        if not own:
            return None
        return UserExport(
            profile=_profile(own[0]),
            orders=tuple(_told(ExportedOrder, row) for row in bought),
            sessions=tuple(_told(ExportedSession, row) for row in signed_in),
            mails=tuple(_told(MailLine, row) for row in mailed),
            address_changes=tuple(_told(AddressChange, row) for row in moved),
            recoveries=tuple(_recovery(row) for row in recovered),
            api_keys=tuple(_told(KeyView, row) for row in keys),
        )


def _told(shape: type[S], values: Values) -> S:
    return msgspec.convert(dict(zip(shape.__struct_fields__, values, strict=True)), shape)


def _recovery(values: Values) -> RecoveryView:
    told = dict(zip(RecoveryView.__struct_fields__, values, strict=True))
    return msgspec.convert(
        {**told, "proofs": msgspec.json.decode(str(told["proofs"]))}, RecoveryView
    )


_PROFILE_FIELDS: Final = tuple(
    name for name in Profile.__struct_fields__ if name not in {"deletion", "version"}
)


def _profile(values: Values) -> Profile:
    own, deletion = values[:-3], values[-3:]
    told = dict(zip((*_PROFILE_FIELDS, "version"), own, strict=True))
    under_way = None if deletion[0] is None else _told(DeletionView, deletion)
    return msgspec.convert({**told, "deletion": under_way}, Profile)
