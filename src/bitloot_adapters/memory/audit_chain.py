"""The audit log of the memory store: each line's digest covers the line before."""

from collections.abc import Sequence
from hashlib import sha256
from hmac import compare_digest

import msgspec

from bitloot.domain.decision import AuditEntry


class AuditLine(msgspec.Struct, frozen=True, kw_only=True):
    """`digest` is the hex SHA-256 over the previous digest, the number and the entry."""

    seq: int
    entry: AuditEntry
    previous: str
    digest: str


class AuditChain:
    """Append-only."""

    def __init__(self) -> None:
        self._lines: list[AuditLine] = []

    @property
    def lines(self) -> Sequence[AuditLine]:
        """Every line, oldest first."""
        return tuple(self._lines)

    def append(self, entry: AuditEntry) -> None:
        """Add a line to the chain."""
        previous = self._lines[-1].digest if self._lines else ""
        seq = len(self._lines) + 1
        digest = _digest(seq, previous, entry)
        self._lines.append(AuditLine(seq=seq, entry=entry, previous=previous, digest=digest))

    def begin_with(self, lines: Sequence[AuditLine]) -> None:
        """Go on behind the lines of another chain."""
        self._lines[:] = lines

    def is_whole(self) -> bool:
        """Whether nothing was changed, taken out or put in."""
        previous = ""
        for seq, line in enumerate(self._lines, start=1):
            if line.seq != seq or line.previous != previous:
                return False
            if not compare_digest(line.digest, _digest(seq, previous, line.entry)):
                return False
            previous = line.digest
        return True


def _digest(seq: int, previous: str, entry: AuditEntry) -> str:
    body = msgspec.json.encode([previous, seq, entry], order="sorted")
    return sha256(body).hexdigest()
