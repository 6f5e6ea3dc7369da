"""Remembers the answer to each ``Idempotency-Key`` of a team for 24 hours.

Only good answers are kept: after a refusal the same key may carry a corrected payload.
Source: Resend documentation, "Idempotency Keys".
"""

import hashlib
from datetime import datetime, timedelta
from typing import Final, Literal

import msgspec

from bitloot_adapters.sandbox.resend.errors import WireError
from bitloot_adapters.sandbox.resend.records import Remembered
from bitloot_adapters.sandbox.resend.reply import Reply
from bitloot_adapters.sandbox.resend.state import State

MAX_KEY_LENGTH: Final = 256


def fingerprint_of(path: str, raw: bytes, mode: Literal["bytes", "json"]) -> str:
    """Two payloads are the same when this is the same; the path is part of it."""
    content = raw
    if mode == "json":
        try:
            content = msgspec.json.encode(msgspec.json.decode(raw), order="sorted")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            content = raw
    return hashlib.sha256(path.encode() + b"\n" + content).hexdigest()


class IdempotencyDesk:
    """One row per (team, key), and the keys whose first request is still running."""

    def __init__(self, state: State, hours: float) -> None:
        self._state = state
        self._lifetime = timedelta(hours=hours)
        self._running: set[str] = set()

    def begin(self, team: str, key: str, fingerprint: str, at: datetime) -> Reply | None:
        """The remembered answer, or None when the caller is now the first and must `end`.

        Raises:
            WireError: 400 for the length, 409 for another payload or a running first request.

        """
        if not 1 <= len(key) <= MAX_KEY_LENGTH:
            raise WireError(
                "invalid_idempotency_key",
                f"The idempotency key must be between 1-{MAX_KEY_LENGTH} characters.",
            )
        row_id = self._row_id(team, key)
        if row_id in self._running:
            raise WireError(
                "concurrent_idempotent_requests",
                "Another request with the same idempotency key is in progress.",
            )
        row = self._state.remembered.get(row_id)
        if row is not None and at >= row.stored_at + self._lifetime:
            self._state.remembered.drop(row)
            row = None
        if row is None:
            self._running.add(row_id)
            return None
        if row.fingerprint != fingerprint:
            raise WireError(
                "invalid_idempotent_request",
                "This idempotency key was already used with a different request body.",
            )
        return Reply(row.status, {"content-type": row.content_type}, row.body)

    def end(self, team: str, key: str, fingerprint: str, reply: Reply | None, at: datetime) -> None:
        """Keep a good answer; anything else frees the key."""
        row_id = self._row_id(team, key)
        self._running.discard(row_id)
        if reply is not None and 200 <= reply.status < 300:
            self._state.remembered.put(
                Remembered(
                    id=row_id,
                    fingerprint=fingerprint,
                    status=reply.status,
                    body=reply.body,
                    content_type=reply.headers.get("content-type", "application/json"),
                    stored_at=at,
                )
            )

    @staticmethod
    def _row_id(team: str, key: str) -> str:
        return f"{team}\n{key}"
