"""A request that may be sent twice and acts once."""

from datetime import datetime, timedelta
from math import ceil
from typing import Literal

import msgspec

from bitloot.domain.decision import Change, Row, insert, update
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits


class Once(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks for what under which key. `request_hash` is the hex SHA-256 of the request."""

    route: str
    caller: str
    key: str
    request_hash: str


class IdempotencyRecord(Row, frozen=True, kw_only=True):
    """(route, caller, key) is unique. `answer` holds facts, never a token: those are minted again.

    `running` from before an external call until its outcome is stored.
    """

    route: str
    caller: str
    key: str
    request_hash: str
    state: Literal["running", "done"]
    answer: bytes | None = None
    started_at: datetime


def recall(
    record: IdempotencyRecord | None, once: Once, *, at: datetime, limits: Limits
) -> bytes | None:
    """The stored answer of an earlier request under this key; None: go on and act.

    An answer older than `limits.idempotency_life` is forgotten. A request that ran into nothing for
    longer than `limits.idempotency_running` (its process died) may run again. Raises Refused
    `idempotency-key-reused` for another request, `idempotency-in-progress` while the first runs.
    """
    if record is None or at >= record.started_at + limits.idempotency_life:
        return None
    if record.request_hash != once.request_hash:
        raise Refused("idempotency-key-reused", field="Idempotency-Key")
    if record.state == "done":
        return record.answer
    still = record.started_at + limits.idempotency_running - at
    if still > timedelta(0):
        raise Refused("idempotency-in-progress", retry_after=max(1, ceil(still.total_seconds())))
    return None


def keep_running(
    record: IdempotencyRecord | None, once: Once, *, at: datetime, record_id: str
) -> Change:
    """Written before an external call: whoever comes now has to wait."""
    return _keep(record, once, at=at, record_id=record_id, state="running", answer=None)


def keep_answer(
    record: IdempotencyRecord | None, once: Once, answer: bytes, *, at: datetime, record_id: str
) -> Change:
    """Written in the transaction that acted: every repetition gets this answer."""
    return _keep(record, once, at=at, record_id=record_id, state="done", answer=answer)


def let_go(record: IdempotencyRecord, *, limits: Limits) -> Change:
    """The call came to nothing that could be stored: the same key may try again at once."""
    return update(record, started_at=record.started_at - limits.idempotency_running)


def _keep(
    record: IdempotencyRecord | None,
    once: Once,
    *,
    at: datetime,
    record_id: str,
    state: Literal["running", "done"],
    answer: bytes | None,
) -> Change:
    if record is not None:
        return update(
            record, request_hash=once.request_hash, state=state, answer=answer, started_at=at
        )
    return insert(
        IdempotencyRecord(
            id=record_id,
            route=once.route,
            caller=once.caller,
            key=once.key,
            request_hash=once.request_hash,
            state=state,
            answer=answer,
            started_at=at,
        )
    )
