"""The audit log of the memory store: each line's digest covers the line before."""

from collections.abc import Sequence

import msgspec

from bitloot.domain.audit_chain import (
    START,
    AuditStretch,
    ChainEnd,
    ChainLine,
    check,
    following,
    payload_of,
)
from bitloot.domain.decision import AuditEntry


class AuditLine(msgspec.Struct, frozen=True, kw_only=True):
    """`digest` is the hex SHA-256 over the digest before and the entry."""

    seq: int
    entry: AuditEntry
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
        end = following(self._end(len(self._lines)), payload_of(entry))
        self._lines.append(AuditLine(seq=end.seq, entry=entry, digest=end.digest.hex()))

    def begin_with(self, lines: Sequence[AuditLine]) -> None:
        """Go on behind the lines of another chain."""
        self._lines[:] = lines

    def stretch(self, *, after: int, limit: int) -> AuditStretch:
        """Some lines, for checking them."""
        head = self._end(len(self._lines))
        return AuditStretch(
            before=self._end(after) if after <= head.seq else None,
            lines=tuple(
                ChainLine(
                    seq=line.seq,
                    entry=line.entry,
                    payload=payload_of(line.entry),
                    digest=bytes.fromhex(line.digest),
                )
                for line in self._lines[after : after + limit]
            ),
            head=head,
        )

    def is_whole(self) -> bool:
        """Whether nothing was changed, taken out or put in."""
        whole = self.stretch(after=0, limit=len(self._lines))
        return check(whole, after=0).broken_at is None

    def _end(self, seq: int) -> ChainEnd:
        return ChainEnd(seq, bytes.fromhex(self._lines[seq - 1].digest)) if seq else START
