"""Whatever is done to the audit log behind the shop's back shows at the line where it was done."""

from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256

import msgspec
import pytest

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

Lines = tuple[ChainLine, ...]


def written(count: int) -> Lines:
    """So many lines as the shop writes them."""
    lines: list[ChainLine] = []
    end = START
    for n in range(count):
        at = datetime(2026, 3, 1, tzinfo=UTC)
        entry = AuditEntry(at=at, actor="admin", action="look", subject="x", facts={"n": n})
        payload = payload_of(entry)
        end = following(end, payload)
        lines.append(ChainLine(seq=end.seq, entry=entry, payload=payload, digest=end.digest))
    return tuple(lines)


def broken_at(lines: Lines, *, ends_like: Lines) -> int | None:
    """Where a log of these lines does not hold, read two at a time; its end is that of others."""
    head = START
    for line in ends_like:
        head = following(head, line.payload)
    before, place = START, 0
    while True:
        some = lines[place : place + 2]
        found = check(AuditStretch(before=before, lines=some, head=head), after=before.seq)
        if found.broken_at is not None or not some:
            return found.broken_at
        before, place = ChainEnd(some[-1].seq, some[-1].digest), place + 2


def replaced(lines: Lines, place: int, **fields: object) -> Lines:
    return (*lines[:place], msgspec.structs.replace(lines[place], **fields), *lines[place + 1 :])


def shown_otherwise(lines: Lines) -> Lines:
    return replaced(lines, 2, entry=msgspec.structs.replace(lines[2].entry, actor="nobody"))


def rewritten(lines: Lines) -> Lines:
    entry = msgspec.structs.replace(lines[2].entry, reason="never happened")
    return replaced(lines, 2, entry=entry, payload=payload_of(entry))


def rewritten_with_its_hash(lines: Lines) -> Lines:
    changed = rewritten(lines)
    digest = sha256(lines[1].digest + changed[2].payload).digest()
    return replaced(changed, 2, digest=digest)


def taken_out(lines: Lines) -> Lines:
    return (*lines[:2], *lines[3:])


def cut_off(lines: Lines) -> Lines:
    return lines[:4]


def swapped(lines: Lines) -> Lines:
    return (*lines[:2], lines[3], lines[2], lines[4])


def unreadable(lines: Lines) -> Lines:
    return replaced(lines, 2, payload=b"{")


@pytest.mark.parametrize(
    ("tamper", "place"),
    [
        (shown_otherwise, 3),
        (rewritten, 3),
        (rewritten_with_its_hash, 4),
        (taken_out, 3),
        (swapped, 3),
        (unreadable, 3),
        (cut_off, 5),
    ],
)
def test_a_change_shows_at_its_line(tamper: Callable[[Lines], Lines], place: int) -> None:
    lines = written(5)
    assert broken_at(lines, ends_like=lines) is None
    assert broken_at(tamper(lines), ends_like=lines) == place


def test_a_line_that_was_added_behind_the_end_shows() -> None:
    assert broken_at(written(5), ends_like=written(4)) == 5
