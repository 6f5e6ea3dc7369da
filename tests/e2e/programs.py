"""The shop's programs as processes of their own, and waiting for what they do."""

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from importlib.util import cache_from_source
from pathlib import Path
from typing import TypeVar

import litestar

from bitloot_web.devservices.process import SELF, ServiceProcess, launch, lock_folder

T = TypeVar("T")

PATIENCE_SECONDS = 40.0
# Several programs start at once, on a machine that may have other work.
START_SECONDS = 120.0
LOOK_SECONDS = 0.05
LOG_TAIL = 6_000
BITLOOT = (sys.executable, "-m", "bitloot_web.cli")


async def until(
    what: str, look: Callable[[], Awaitable[T | None]], *, seconds: float = PATIENCE_SECONDS
) -> T:
    """The first answer of `look` that is not None; an AssertionError when none comes in time."""
    deadline = time.monotonic() + seconds
    while True:
        found = await look()
        if found is not None:
            return found
        assert time.monotonic() < deadline, f"waited {seconds:.0f} s in vain for {what}"
        await asyncio.sleep(LOOK_SECONDS)


def bytecode(folder: Path) -> dict[str, str]:
    """Where the programs keep their bytecode, on a machine that is told to write none.

    Each would compile every library anew at its start, which takes seconds of a core, unless they
    were installed with their bytecode.
    """
    if not sys.dont_write_bytecode or Path(cache_from_source(litestar.__file__)).exists():
        return {}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def inherited() -> dict[str, str]:
    """The environment of this run without any setting of a shop."""
    return {name: text for name, text in os.environ.items() if not name.startswith("BITLOOT_")}


def free_ports(count: int) -> list[int]:
    """So many ports of the loopback on which nobody listens now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


@dataclass
class Program:
    """One `bitloot …` process under a warden: it never outlives the test run."""

    name: str
    arguments: tuple[str, ...]
    variables: Mapping[str, str]
    folder: Path
    port: int | None = None
    running: ServiceProcess | None = None
    marked: int = 0

    @property
    def log(self) -> Path:
        return self.folder / f"{self.name}.log"

    def start(self) -> None:
        assert not self.alive()
        home = self.folder / self.name
        home.mkdir(exist_ok=True)
        lock = lock_folder(home, self.name, patience_seconds=10)
        variables = {**self.variables, **bytecode(self.folder)}
        settings = [f"{name}={value}" for name, value in variables.items()]
        try:
            self.running = launch(
                ["/usr/bin/env", *settings, *BITLOOT, *self.arguments],
                identity=SELF,
                log=self.log,
                lock=lock,
                stop_signal=signal.SIGTERM,
            )
        finally:
            os.close(lock)

    def alive(self) -> bool:
        return self.running is not None and self.running.alive()

    def wait_until_listening(self) -> None:
        assert self.port is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.running is not None
            assert self.running.alive(), f"{self.name} ended: {self.tail(0)}"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(LOOK_SECONDS)
        raise AssertionError(f"{self.name} does not listen: {self.tail(0)}")

    def finish(self) -> None:
        """Wait for a program that ends by itself, with 0."""
        assert self.running is not None
        assert self.running.wait(START_SECONDS) == 0, f"{self.name} failed: {self.tail(0)}"

    def stop(self) -> None:
        if self.running is not None:
            self.running.stop()

    def kill(self) -> None:
        """As a crash would."""
        assert self.running is not None
        self.running.kill()

    def mark(self) -> None:
        """What is logged from now on belongs to the next test."""
        self.marked = self.log.stat().st_size if self.log.exists() else 0

    def tail(self, begin: int | None = None) -> str:
        """The end of what was logged since the mark."""
        if not self.log.exists():
            return ""
        text = self.log.read_bytes()[self.marked if begin is None else begin :]
        return text[-LOG_TAIL:].decode(errors="replace")
