"""What a transaction reads about people, locked by it where the port says so."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import ARRAY, Integer, Text, bindparam, exists, func, literal_column, or_, select
from sqlalchemy.sql import ColumnElement

from bitloot.domain.account import User
from bitloot.domain.account_deletion import AccountDeletion
from bitloot.domain.api_key import ApiKey
from bitloot.domain.email_change import EmailChange
from bitloot.domain.recovery import Recovery
from bitloot.domain.session import Session as SignedIn
from bitloot.ports.people import SessionFile
from bitloot_adapters.postgres.job_statements import MOMENT
from bitloot_adapters.postgres.order_reads import ID, locked_by_id
from bitloot_adapters.postgres.rows import Codec, R, codec
from bitloot_adapters.postgres.session import Session
from bitloot_adapters.postgres.statements import Rows, Statement, ask, compiled, is_id
from bitloot_adapters.postgres.tables import (
    account_deletions,
    api_keys,
    email_changes,
    order_claims,
    orders,
    recoveries,
    sessions,
    users,
)

USER: Final = codec(User)
SESSION: Final = codec(SignedIn)
API_KEY: Final = codec(ApiKey)
CHANGE: Final = codec(EmailChange)
DELETION: Final = codec(AccountDeletion)
RECOVERY: Final = codec(Recovery)

AT: Final = bindparam("at", type_=MOMENT)
USER_ID: Final = bindparam("user_id", type_=ID)
_MOST: Final = bindparam("most", type_=Integer)

SESSION_LIVE: Final = sessions.c.revoked_at.is_(None) & (sessions.c.expires_at > AT)
KEY_LIVE: Final = api_keys.c.revoked_at.is_(None) & or_(
    api_keys.c.expires_at.is_(None), api_keys.c.expires_at > AT
)


def _word(text: str) -> ColumnElement[str]:
    return literal_column(f"'{text}'", Text)


def _open(kind: Codec[R], state: str) -> Statement:
    """What is under way about a user, locked."""
    of = kind.table.c
    return compiled(
        select(*kind.columns)
        .where(of.user_id == USER_ID, of.state == _word(state))
        .with_for_update(key_share=True)
    )


_USER: Final = locked_by_id(USER, "row_id")
_BY_EMAIL: Final = compiled(
    select(*USER.columns)
    .where(users.c.email_key == func.any(bindparam("keys", type_=ARRAY(Text))))
    .order_by(users.c.state == _word("deleted"), users.c.id)
    .limit(literal_column("1"))
    .with_for_update(key_share=True)
)
_OTHER_OWNER: Final = compiled(
    select(users.c.id)
    .where(
        users.c.roles != literal_column("'{}'::text[]"),
        _word("owner") == func.any(users.c.roles),
        users.c.state == _word("active"),
        users.c.id != USER_ID,
        ~exists().where(
            account_deletions.c.user_id == users.c.id,
            account_deletions.c.state == _word("requested"),
        ),
    )
    .order_by(users.c.id)
    .limit(literal_column("1"))
    .with_for_update(read=True)
)
_SESSION: Final = compiled(
    select(*SESSION.columns, *USER.columns)
    .select_from(sessions.join(users, users.c.id == sessions.c.user_id))
    .where(sessions.c.id == bindparam("row_id", type_=ID))
    .with_for_update(key_share=True, of=sessions)
)
_SESSIONS: Final = compiled(
    select(*SESSION.columns)
    .where(sessions.c.user_id == USER_ID, SESSION_LIVE)
    .order_by(sessions.c.id)
    .with_for_update(key_share=True)
)
_API_KEY: Final = locked_by_id(API_KEY, "row_id")
_KEYS: Final = compiled(select(func.count()).where(api_keys.c.created_by == USER_ID, KEY_LIVE))
_NAMED: Final = compiled(
    select(*API_KEY.columns).where(
        api_keys.c.created_by == USER_ID,
        api_keys.c.name == bindparam("name", type_=Text),
        api_keys.c.revoked_at.is_(None),
    )
)
_CHANGE: Final = _open(CHANGE, "open")
_DELETION: Final = locked_by_id(DELETION, "row_id")
_OPEN_DELETION: Final = _open(DELETION, "requested")
_DUE: Final = compiled(
    select(account_deletions.c.id)
    .where(account_deletions.c.state == _word("requested"), account_deletions.c.due_at <= AT)
    .order_by(account_deletions.c.due_at, account_deletions.c.id)
    .limit(_MOST)
)
_RECOVERY: Final = locked_by_id(RECOVERY, "row_id")
_OPEN_RECOVERY: Final = _open(RECOVERY, "open")
_UNCLAIMED: Final = compiled(
    select(orders.c.id)
    .where(
        orders.c.email_key == bindparam("email_key", type_=Text),
        ~exists().where(order_claims.c.id == orders.c.id),
    )
    .order_by(orders.c.id.desc())
    .limit(_MOST)
)
_NOBODY: Final = bindparam("nobody", type_=Text)
_TO_FORGET: Final = compiled(
    select(orders.c.id)
    .select_from(order_claims.join(orders, orders.c.id == order_claims.c.id))
    .where(order_claims.c.user_id == USER_ID, orders.c.email_key != _NOBODY)
    .order_by(orders.c.id)
    .limit(_MOST)
)


def _moved_elsewhere(kind: Codec[R], new_key: ColumnElement[str]) -> Statement:
    """What named another address for a user, oldest first, locked."""
    of = kind.table.c
    return compiled(
        select(*kind.columns)
        .where(of.user_id == USER_ID, new_key != _NOBODY)
        .order_by(of.id)
        .limit(_MOST)
        .with_for_update(key_share=True)
    )


_CHANGES: Final = _moved_elsewhere(CHANGE, email_changes.c.new_key)
_RECOVERIES: Final = _moved_elsewhere(RECOVERY, recoveries.c.new_key)


class PeopleReads:
    """The port `People`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def user(self, user_id: str) -> User | None:
        return await self._one(USER, _USER, row_id=user_id)

    async def user_by_email(self, *keys: str) -> User | None:
        return USER.first(await self._rows(_BY_EMAIL, keys=list(keys)))

    async def has_other_owner(self, user_id: str) -> bool:
        return is_id(user_id) and bool(await self._rows(_OTHER_OWNER, user_id=user_id))

    async def session(self, session_id: str) -> SessionFile | None:
        if not is_id(session_id):
            return None
        rows = await self._rows(_SESSION, row_id=session_id)
        width = len(SESSION.names)
        found = (SessionFile(SESSION.row(v[:width]), USER.row(v[width:])) for v in rows)
        return next(found, None)

    async def sessions_of(self, user_id: str, *, at: datetime) -> Sequence[SignedIn]:
        if not is_id(user_id):
            return ()
        return SESSION.rows(await self._rows(_SESSIONS, user_id=user_id, at=at))

    async def api_key(self, key_id: str) -> ApiKey | None:
        return await self._one(API_KEY, _API_KEY, row_id=key_id)

    async def living_keys(self, user_id: str, *, at: datetime) -> int:
        return _count(await self._rows(_KEYS, user_id=user_id, at=at)) if is_id(user_id) else 0

    async def key_named(self, user_id: str, name: str) -> ApiKey | None:
        if not is_id(user_id):
            return None
        return API_KEY.first(await self._rows(_NAMED, user_id=user_id, name=name))

    async def open_change(self, user_id: str) -> EmailChange | None:
        return await self._one(CHANGE, _CHANGE, user_id=user_id)

    async def deletion(self, deletion_id: str) -> AccountDeletion | None:
        return await self._one(DELETION, _DELETION, row_id=deletion_id)

    async def open_deletion(self, user_id: str) -> AccountDeletion | None:
        return await self._one(DELETION, _OPEN_DELETION, user_id=user_id)

    async def due_deletions(self, *, at: datetime, limit: int) -> Sequence[str]:
        return [str(row[0]) for row in await self._rows(_DUE, at=at, most=limit)]

    async def recovery(self, recovery_id: str) -> Recovery | None:
        return await self._one(RECOVERY, _RECOVERY, row_id=recovery_id)

    async def open_recovery(self, user_id: str) -> Recovery | None:
        return await self._one(RECOVERY, _OPEN_RECOVERY, user_id=user_id)

    async def unclaimed_orders(self, email_key: str, *, limit: int) -> Sequence[str]:
        rows = await self._rows(_UNCLAIMED, email_key=email_key, most=limit)
        return [str(row[0]) for row in rows]

    async def orders_to_forget(self, user_id: str, *, nobody: str, limit: int) -> Sequence[str]:
        return [str(row[0]) for row in await self._of(_TO_FORGET, user_id, nobody, limit)]

    async def changes(self, user_id: str, *, nobody: str, limit: int) -> Sequence[EmailChange]:
        return CHANGE.rows(await self._of(_CHANGES, user_id, nobody, limit))

    async def recoveries(self, user_id: str, *, nobody: str, limit: int) -> Sequence[Recovery]:
        return RECOVERY.rows(await self._of(_RECOVERIES, user_id, nobody, limit))

    async def _one(self, kind: Codec[R], statement: Statement, **named: str) -> R | None:
        if not all(map(is_id, named.values())):
            return None
        return kind.first(await self._rows(statement, **named))

    async def _of(self, statement: Statement, user_id: str, nobody: str, most: int) -> Rows:
        if not is_id(user_id):
            return []
        return await self._rows(statement, user_id=user_id, nobody=nobody, most=most)

    async def _rows(self, statement: Statement, **values: object) -> Rows:
        (rows,) = await self._session.ask(ask(statement, **values))
        return rows


def _count(rows: Rows) -> int:
    count = rows[0][0]
    assert isinstance(count, int)
    return count
