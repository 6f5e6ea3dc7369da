"""Incoming webhooks, outgoing mails, and the permissions to download."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import msgspec
from sqlalchemy import (
    ARRAY,
    Integer,
    Text,
    bindparam,
    func,
    literal_column,
    select,
    update,
)

from bitloot.domain.email import CODE_KINDS, Email
from bitloot.domain.forgetting import FORGOTTEN_BODY
from bitloot.domain.reveal import Grant
from bitloot.domain.webhook import Webhook
from bitloot.ports.unit_of_work import Facts
from bitloot_adapters.postgres.job_statements import MOMENT
from bitloot_adapters.postgres.order_reads import ID, locked_by_id
from bitloot_adapters.postgres.rows import codec
from bitloot_adapters.postgres.session import Session
from bitloot_adapters.postgres.statements import Rows, Statement, ask, compiled, is_id
from bitloot_adapters.postgres.tables import emails, events, grants, suppressions, webhook_logs

WEBHOOK: Final = codec(Webhook)
EMAIL: Final = codec(Email)
GRANT: Final = codec(Grant)
# As the partial index has it: what providers of mails tell names no order.
_MAIL_EVENT: Final = webhook_logs.c.signature_ok & webhook_logs.c.order_number.is_(None)

_WEBHOOK: Final = locked_by_id(WEBHOOK, "row_id")
COUNT_REPEAT: Final = compiled(
    update(webhook_logs)
    .values(attempts=webhook_logs.c.attempts + 1, version=webhook_logs.c.version + 1)
    .where(
        webhook_logs.c.provider == bindparam("of_provider", type_=Text),
        webhook_logs.c.dedupe_key == bindparam("of_key", type_=Text),
        webhook_logs.c.signature_ok,
    )
    .returning(literal_column("1"))
)
_HINTED: Final = compiled(
    select(literal_column("1"))
    .where(
        webhook_logs.c.order_id == bindparam("row_id", type_=ID),
        webhook_logs.c.provider == bindparam("provider", type_=Text),
        webhook_logs.c.order_number == bindparam("key", type_=Text),
        webhook_logs.c.signature_ok,
    )
    .limit(literal_column("1"))
)
_EMAIL: Final = compiled(
    select(*EMAIL.columns)
    .where(emails.c.key == bindparam("key", type_=Text))
    .with_for_update(key_share=True)
)
_EMAIL_BY_PROVIDER_ID: Final = compiled(
    select(*EMAIL.columns)
    .where(
        emails.c.provider == bindparam("provider", type_=Text),
        emails.c.provider_id == bindparam("key", type_=Text),
    )
    .with_for_update(key_share=True)
)
_TO: Final = emails.c.to_key == bindparam("key", type_=Text)
_MAILS: Final = select(*EMAIL.columns).where(_TO).order_by(emails.c.id)
_MOST: Final = bindparam("most", type_=Integer)
_MAILS_TO: Final = compiled(_MAILS.limit(_MOST).with_for_update(key_share=True))
_MAILS_ABOUT: Final = compiled(
    _MAILS.where(emails.c.order_id == bindparam("row_id", type_=ID))
    .limit(_MOST)
    .with_for_update(key_share=True)
)
_MAILS_NAMED: Final = compiled(
    select(*EMAIL.columns)
    .where(emails.c.key == func.any(bindparam("keys", type_=ARRAY(Text))))
    .order_by(emails.c.id)
    .with_for_update(key_share=True)
)
_MAIL_EVENTS: Final = compiled(
    select(*WEBHOOK.columns)
    .where(
        _MAIL_EVENT,
        webhook_logs.c.subject == func.any(bindparam("ids", type_=ARRAY(Text))),
        webhook_logs.c.body != literal_column(f"'\\x{FORGOTTEN_BODY.hex()}'::bytea"),
    )
    .order_by(webhook_logs.c.id)
    .limit(_MOST)
    .with_for_update(key_share=True)
)
_SUPPRESSED: Final = compiled(
    select(literal_column("1")).where(suppressions.c.id == bindparam("key", type_=Text))
)
_CODES: Final = compiled(
    select(func.count()).where(
        emails.c.to_key == bindparam("key", type_=Text),
        emails.c.kind.in_([literal_column(f"'{kind}'") for kind in CODE_KINDS]),
        emails.c.created_at >= bindparam("since", type_=MOMENT),
        emails.c.state != literal_column("'suppressed'"),
    )
)
_LAST_FACTS: Final = compiled(
    select(events.c.facts)
    .where(
        events.c.order_id == bindparam("row_id", type_=ID),
        events.c.kind == bindparam("key", type_=Text),
    )
    .order_by(events.c.seq.desc())
    .limit(literal_column("1"))
)
_FACTS: Final = msgspec.json.Decoder(dict[str, str | int | None])
_GRANT: Final = locked_by_id(GRANT, "row_id")
_USABLE: Final = compiled(
    select(*GRANT.columns)
    .where(
        grants.c.order_id == bindparam("row_id", type_=ID),
        grants.c.revoked_at.is_(None),
        grants.c.expires_at > bindparam("at", type_=MOMENT),
    )
    .order_by(grants.c.id)
    .with_for_update(key_share=True)
)


class InboxReads:
    """The port `Inbox`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def webhook(self, webhook_id: str) -> Webhook | None:
        if not is_id(webhook_id):
            return None
        return WEBHOOK.first(await _rows(self._session, _WEBHOOK, row_id=webhook_id))

    async def was_hinted(self, order_id: str, provider: str, external_id: str) -> bool:
        return bool(
            await _rows(self._session, _HINTED, row_id=order_id, provider=provider, key=external_id)
        )

    async def email(self, key: str) -> Email | None:
        return EMAIL.first(await _rows(self._session, _EMAIL, key=key))

    async def email_by_provider_id(self, provider: str, provider_id: str) -> Email | None:
        rows = await _rows(self._session, _EMAIL_BY_PROVIDER_ID, provider=provider, key=provider_id)
        return EMAIL.first(rows)

    async def mails_to(
        self, address_key: str, *, order_id: str | None = None, limit: int
    ) -> Sequence[Email]:
        if order_id is None:
            rows = await _rows(self._session, _MAILS_TO, key=address_key, most=limit)
        else:
            named = {"key": address_key, "row_id": order_id, "most": limit}
            rows = await _rows(self._session, _MAILS_ABOUT, **named)
        return EMAIL.rows(rows)

    async def mails_named(self, keys: Sequence[str]) -> Sequence[Email]:
        return EMAIL.rows(await _rows(self._session, _MAILS_NAMED, keys=list(keys)))

    async def mail_events(self, provider_ids: Sequence[str], *, limit: int) -> Sequence[Webhook]:
        rows = await _rows(self._session, _MAIL_EVENTS, ids=list(provider_ids), most=limit)
        return WEBHOOK.rows(rows)

    async def is_suppressed(self, address_key: str) -> bool:
        return bool(await _rows(self._session, _SUPPRESSED, key=address_key))

    async def codes_sent(self, address_key: str, *, since: datetime) -> int:
        rows = await _rows(self._session, _CODES, key=address_key, since=since)
        count = rows[0][0]
        assert isinstance(count, int)
        return count

    async def last_facts(self, order_id: str, kind: str) -> Facts | None:
        if not is_id(order_id):
            return None
        rows = await _rows(self._session, _LAST_FACTS, row_id=order_id, key=kind)
        return _FACTS.decode(str(rows[0][0])) if rows else None


class GrantReads:
    """The port `Grants`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def get(self, grant_id: str) -> Grant | None:
        if not is_id(grant_id):
            return None
        return GRANT.first(await _rows(self._session, _GRANT, row_id=grant_id))

    async def usable(self, order_id: str, *, at: datetime) -> Sequence[Grant]:
        return GRANT.rows(await _rows(self._session, _USABLE, row_id=order_id, at=at))


async def _rows(session: Session, statement: Statement, **values: object) -> Rows:
    (rows,) = await session.ask(ask(statement, **values))
    return rows
