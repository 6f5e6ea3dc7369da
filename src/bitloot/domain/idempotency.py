"""A request that may be sent twice and acts once."""

from datetime import datetime
from typing import Literal

import msgspec

from bitloot.domain.decision import Row


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
