"""The audit log as a chain: the hash of each line covers the line before it.

So no line can be changed, taken out or put in without every later hash being another one.
"""

from hashlib import sha256
from hmac import compare_digest
from typing import Final

import msgspec

from bitloot.domain.decision import AuditEntry


class ChainEnd(msgspec.Struct, frozen=True):
    """Where a chain has come to: the number and the hash of its last line."""

    seq: int
    digest: bytes


class ChainLine(msgspec.Struct, frozen=True, kw_only=True):
    """A stored line: what is shown of it, the bytes that were chained, and its hash."""

    seq: int
    entry: AuditEntry
    payload: bytes
    digest: bytes


class AuditStretch(msgspec.Struct, frozen=True, kw_only=True):
    """Some lines of the log, oldest first; `before` is the line that they follow, None where that
    is gone; `head` is where the log says that it ends.
    """

    before: ChainEnd | None
    lines: tuple[ChainLine, ...]
    head: ChainEnd


class ChainCheck(msgspec.Struct, frozen=True, kw_only=True):
    """`checked` lines hold together up to `last`; `broken_at` is the first that does not."""

    checked: int
    last: int
    broken_at: int | None = None


START: Final = ChainEnd(0, sha256(b"").digest())


def payload_of(entry: AuditEntry) -> bytes:
    """The bytes of a line that the chain is made of: its JSON with sorted names."""
    return msgspec.json.encode(entry, order="sorted")


def following(end: ChainEnd, payload: bytes) -> ChainEnd:
    """The end of the chain with one more line."""
    return ChainEnd(end.seq + 1, sha256(end.digest + payload).digest())


def check(stretch: AuditStretch, *, after: int) -> ChainCheck:
    """Whether the lines behind number `after` follow it, and each the one before."""
    if stretch.before is None:
        return ChainCheck(checked=0, last=after, broken_at=after)
    end = stretch.before
    for line in stretch.lines:
        wanted = following(end, line.payload)
        if not (_same(wanted, ChainEnd(line.seq, line.digest)) and _is_shown(line)):
            return ChainCheck(checked=end.seq - after, last=end.seq, broken_at=end.seq + 1)
        end = wanted
    if end.seq >= stretch.head.seq or not stretch.lines:
        # The lines are over: the log has to end here too, or its last ones were cut off.
        fault = None
        if not _same(end, stretch.head):
            fault = min(end.seq, stretch.head.seq) + (end.seq != stretch.head.seq)
        return ChainCheck(checked=end.seq - after, last=end.seq, broken_at=fault)
    return ChainCheck(checked=end.seq - after, last=end.seq)


def _same(one: ChainEnd, other: ChainEnd) -> bool:
    return one.seq == other.seq and compare_digest(one.digest, other.digest)


def _is_shown(line: ChainLine) -> bool:
    """Whether what people are shown is what was chained."""
    try:
        return msgspec.json.decode(line.payload, type=AuditEntry) == line.entry
    except msgspec.DecodeError:
        return False
