"""The load generator as its user sees it."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self

import msgspec

from bench.load_generator import Outcome, Task
from bench.rounds import Sample

CONNECTIONS: Final = 16


class BadAnswersError(Exception):
    """Some answers were no success, so the figure would mean nothing; shows the first of them."""


class Requests:
    """Requests in a file, used up from its beginning, each once, unless they are cycled."""

    def __init__(
        self,
        path: Path,
        requests: Iterable[bytes],
        *,
        is_cycled: bool = False,
        connections: int = CONNECTIONS,
    ) -> None:
        self._path = path
        self._connections = connections
        made = list(requests)
        self.count = len(made)
        self.used = 0
        self.is_cycled = is_cycled
        path.write_bytes(msgspec.msgpack.encode(made))

    def task(self, port: int, seconds: float) -> Task:
        """The next ones, to that port."""
        if not self.is_cycled and self.used >= self.count:
            raise BadAnswersError(f"{self._path.name}: all {self.count} requests are used up")
        return Task(
            port=port,
            connections=self._connections,
            seconds=seconds,
            requests=str(self._path),
            first=0 if self.is_cycled else self.used,
            is_cycled=self.is_cycled,
        )


class LoadGenerator:
    """A process that sends and counts."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.load_generator"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(timeout=10)

    def run(self, requests: Requests, port: int, seconds: float) -> Outcome:
        """Send for so long. Raises BadAnswersError."""
        self.begin(requests, port, seconds)
        return self.end(requests, port)

    def begin(self, requests: Requests, port: int, seconds: float) -> None:
        """Send for so long from now on, which nobody waits for before `end`."""
        assert self._process.stdin is not None
        task = requests.task(port, seconds)
        self._process.stdin.write(msgspec.json.encode(task).decode() + "\n")
        self._process.stdin.flush()

    def end(self, requests: Requests, port: int) -> Outcome:
        """What became of those that were begun. Raises BadAnswersError."""
        assert self._process.stdout is not None
        outcome = msgspec.json.decode(self._process.stdout.readline(), type=Outcome)
        requests.used += outcome.sent
        if outcome.bad or not outcome.sent:
            raise BadAnswersError(f"port {port}: {outcome.statuses} {outcome.bad}")
        return outcome

    def sample(self, requests: Requests, port: int, seconds: float) -> Sample:
        """The same as a sample."""
        outcome = self.run(requests, port, seconds)
        return Sample(per_second=outcome.sent / outcome.seconds, p50=outcome.p50, p99=outcome.p99)
