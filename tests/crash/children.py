"""A warm parent's children: each does one thing in an event loop of its own and may kill itself.

The parent has imported everything and holds no event loop, no connection and no thread. A child
tells what it did by lines of JSON on a pipe; a line that was written is never lost, whatever
happens to the child afterwards.
"""

import ctypes
import json
import os
import random
import signal
import sys
import time
import traceback
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import structlog
import uvloop
from tests.crash.warmth import Warmth, learn

Line: TypeAlias = dict[str, object]
Tell: TypeAlias = Callable[[Line], None]
Job: TypeAlias = Callable[["Inside"], Coroutine[None, None, None]]

_PR_SET_PDEATHSIG = 1
_READ = 65_536


@dataclass
class Inside:
    """What a child has: a way to tell, chance from its seed, and a fail-point that may be armed."""

    tell: Tell
    chance: random.Random
    boundary: str | None
    warmth: Warmth
    subject: str | None = None

    def failpoint(self, name: str) -> None:
        """At the armed boundary: say what is being worked on, then die as by a power cut."""
        if name != self.boundary:
            return
        context = structlog.contextvars.get_contextvars()
        self.die(kind=context.get("kind"), refs=[context.get("ref", self.subject)])

    def tell_learnt(self) -> None:
        """Leave what was learnt to those that come after."""
        if told := self.warmth.told():
            self.tell({"learnt": told})

    def die(self, *, kind: object, refs: list[object]) -> None:
        """SIGKILL to this very process."""
        self.tell_learnt()
        self.tell({"died": self.boundary, "kind": kind, "refs": refs})
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass
class Child:
    """A running child as its parent sees it."""

    name: str
    pid: int
    pipe: int
    boundary: str | None
    deadline: float
    rest: bytes = b""
    lines: list[Line] = field(default_factory=list)
    status: int | None = None

    @property
    def was_killed(self) -> bool:
        """Whether it ended at its boundary."""
        return self.status is not None and os.WIFSIGNALED(self.status)

    @property
    def was_at_boundary(self) -> bool:
        """Whether it said so before it was killed."""
        return any("died" in line for line in self.lines)

    @property
    def failed(self) -> bool:
        """Whether it ended by an exception of the harness."""
        return self.status is not None and os.WIFEXITED(self.status) and self.status != 0

    def look(self) -> list[Line]:
        """What it told since the last look; `status` is set when it has ended."""
        ended, status = os.waitpid(self.pid, os.WNOHANG)
        fresh = []
        for line in self._read():
            if "learnt" in line:
                learn(str(line["learnt"]))
            else:
                fresh.append(line)
        if ended:
            self.status = status
            os.close(self.pipe)
        elif time.monotonic() > self.deadline:
            # Not a crash that is counted: whoever hangs is a fault of the harness.
            self.end()
            raise TimeoutError(f"the child {self.name} did not end in time")
        self.lines += fresh
        return fresh

    def end(self) -> None:
        """Kill what must not go on; nothing is counted."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            _, self.status = os.waitpid(self.pid, 0)
            os.close(self.pipe)

    def _read(self) -> list[Line]:
        while True:
            try:
                chunk = os.read(self.pipe, _READ)
            except BlockingIOError:
                break
            if not chunk:
                break
            self.rest += chunk
        *whole, self.rest = self.rest.split(b"\n")
        return [json.loads(line) for line in whole]


def fork(
    name: str,
    job: Job,
    *,
    seed: str,
    log: Path,
    boundary: str | None = None,
    patience: float = 60.0,
) -> Child:
    """One child that does one job."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        os.close(reading)
        _be_child(parent, job, writing=writing, seed=seed, log=log, boundary=boundary)
    os.close(writing)
    os.set_blocking(reading, False)
    return Child(name, pid, reading, boundary, time.monotonic() + patience)


def finish(child: Child) -> list[Line]:
    """Wait for a child that must end well; everything that it told."""
    while child.status is None:
        child.look()
        time.sleep(0.01)
    if child.status != 0:
        raise RuntimeError(f"the child {child.name} ended with {child.status}")
    return child.lines


def _be_child(
    parent: int, job: Job, *, writing: int, seed: str, log: Path, boundary: str | None
) -> None:
    """Never returns."""
    code = 1
    try:
        # A child never outlives its parent, however that ends.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(out, 1)
        os.dup2(out, 2)
        # A line that waits in a buffer is lost with the process.
        sys.stdout = os.fdopen(out, "w", buffering=1)

        def tell(line: Line) -> None:
            os.write(writing, json.dumps(line).encode() + b"\n")

        inside = Inside(tell, random.Random(seed), boundary, Warmth())
        uvloop.run(job(inside))
        inside.tell_learnt()
        code = 0
    except BaseException:  # noqa: BLE001 - the parent reads it in the log
        traceback.print_exc()
    finally:
        os._exit(code)
