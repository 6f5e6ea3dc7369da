"""Many requests over a few connections, from a process of its own.

Each line of the standard input is a `Task` in JSON, each line of the output its `Outcome`. The
requests are bytes made ahead; an answer is read no further than its status and its end.
"""

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Final, cast

import msgspec
import uvloop

from bench.rounds import percentile

MOST_SECONDS: Final = 60.0
HEAD_END: Final = b"\r\n\r\n"
LENGTH: Final = b"content-length: "
SHOWN: Final = 600
# Whoever asks whether something changed is glad to hear that it did not.
NOT_MODIFIED: Final = "304"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """`requests` names a file: a MessagePack array of whole requests.

    They run out unless they are cycled.
    """

    port: int
    connections: int
    seconds: float
    requests: str
    first: int
    is_cycled: bool


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """Times are milliseconds. `bad` is the first answer that was no success."""

    sent: int
    seconds: float
    p50: float
    p99: float
    statuses: dict[str, int]
    bad: str


class Run:
    """What the connections of a task share."""

    def __init__(self, requests: Iterator[bytes], until: float) -> None:
        self.requests = requests
        self.until = until
        self.took: list[float] = []
        self.statuses: Counter[str] = Counter()
        self.bad = ""
        self.last = 0.0


class Caller(asyncio.Protocol):
    """One connection: the next request goes out when the answer to the last one is complete."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self._buffer = b""
        self._sent_at = 0.0
        self._transport: asyncio.WriteTransport | None = None
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for `begin`."""
        # The loop's own transports are none by inheritance.
        self._transport = cast("asyncio.WriteTransport", transport)

    def begin(self) -> None:
        """Send the next request, or hang up."""
        assert self._transport is not None
        now = time.perf_counter()
        request = next(self._run.requests, None) if now < self._run.until else None
        if request is None:
            self._transport.close()
            return
        self._sent_at = now
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        """Count an answer when all of it is here."""
        self._buffer = self._buffer + data if self._buffer else data
        head_end = self._buffer.find(HEAD_END)
        if head_end < 0:
            return
        place = self._buffer.find(LENGTH, 0, head_end)
        length = 0
        if place >= 0:
            begin = place + len(LENGTH)
            length = int(self._buffer[begin : self._buffer.find(b"\r", begin)])
        if len(self._buffer) < head_end + len(HEAD_END) + length:
            return
        self._count()
        self._buffer = b""
        self.begin()

    def _count(self) -> None:
        run = self._run
        run.last = time.perf_counter()
        run.took.append(run.last - self._sent_at)
        status = self._buffer[9:12].decode()
        run.statuses[status] += 1
        if status[0] != "2" and status != NOT_MODIFIED and not run.bad:
            run.bad = self._buffer[:SHOWN].decode(errors="replace")

    def connection_lost(self, exc: Exception | None) -> None:
        """Over, by us or by the server."""
        if exc is not None and not self._run.bad:
            self._run.bad = f"connection lost: {exc}"
        if not self.done.done():
            self.done.set_result(None)


def turns(task: Task) -> Iterator[bytes]:
    """The requests of a task, in turn."""
    packed = Path(task.requests).read_bytes()
    requests = msgspec.msgpack.decode(packed, type=list[bytes])[task.first :]
    return cycle(requests) if task.is_cycled else iter(requests)


async def carry_out(task: Task, requests: Iterator[bytes]) -> Outcome:
    """One task, at most a minute longer than it asks for."""
    loop = asyncio.get_running_loop()
    run = Run(requests, 0.0)
    callers: list[Caller] = []
    for _ in range(task.connections):
        caller = Caller(run)
        await loop.create_connection(partial(_same, caller), "127.0.0.1", task.port)
        callers.append(caller)
    begun = time.perf_counter()
    run.until = begun + task.seconds
    for caller in callers:
        caller.begin()
    await asyncio.wait([caller.done for caller in callers], timeout=task.seconds + MOST_SECONDS)
    return Outcome(
        sent=len(run.took),
        seconds=max(run.last - begun, 1e-9),
        p50=percentile(run.took, 0.5) * 1000,
        p99=percentile(run.took, 0.99) * 1000,
        statuses=dict(run.statuses),
        bad=run.bad,
    )


def _same(caller: Caller) -> Caller:
    return caller


def main() -> None:
    """Until the standard input ends."""
    for line in sys.stdin:
        task = msgspec.json.decode(line, type=Task)
        outcome = uvloop.run(carry_out(task, turns(task)))
        sys.stdout.write(msgspec.json.encode(outcome).decode() + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
