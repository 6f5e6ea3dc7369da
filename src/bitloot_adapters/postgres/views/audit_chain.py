"""The audit log as it is chained: read back for checking, a stretch at a time."""

from typing import Final

import msgspec
from sqlalchemy import BigInteger, Integer, bindparam, select, true

from bitloot.domain.audit_chain import START, AuditStretch, ChainEnd, ChainLine
from bitloot.domain.decision import AuditEntry
from bitloot_adapters.postgres.statements import Rows, Values, compiled
from bitloot_adapters.postgres.tables import audit_head, audit_logs

_FACTS: Final = msgspec.json.Decoder(dict[str, str | int | None])
_ENTRY: Final = ("at", "actor", "action", "subject", "reason")
# With the line before, whose hash the first one covers.
_LINES: Final = (
    select(audit_logs)
    .where(audit_logs.c.seq >= bindparam("after", type_=BigInteger))
    .order_by(audit_logs.c.seq)
    .limit(bindparam("most", type_=Integer))
    .subquery("lines")
)
STRETCH: Final = compiled(
    select(
        audit_head.c.seq,
        audit_head.c.hash,
        _LINES.c.seq,
        _LINES.c.payload,
        _LINES.c.hash,
        _LINES.c.facts,
        *(_LINES.c[name] for name in _ENTRY),
    )
    .select_from(audit_head.outerjoin(_LINES, true()))
    .order_by(_LINES.c.seq)
)


def stretch_of(rows: Rows, *, after: int) -> AuditStretch:
    """What `STRETCH` found."""
    head, digest = rows[0][0], rows[0][1]
    assert isinstance(head, int)
    assert isinstance(digest, bytes)
    found = [_line(row) for row in rows if row[2] is not None]
    before = START if after == 0 else None
    if after > 0 and found and found[0].seq == after:
        before = ChainEnd(after, found[0].digest)
        found = found[1:]
    return AuditStretch(before=before, lines=tuple(found), head=ChainEnd(head, digest))


def _line(row: Values) -> ChainLine:
    _, _, seq, payload, digest, facts, *plain = row
    fields = dict(zip(_ENTRY, plain, strict=True))
    entry = msgspec.convert({**fields, "facts": _FACTS.decode(str(facts))}, AuditEntry)
    return msgspec.convert(
        {"seq": seq, "entry": entry, "payload": payload, "digest": digest}, ChainLine
    )
