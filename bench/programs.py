"""The programs under measurement: each a process of its own that ends with the run."""

import contextlib
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from bitloot_web.devservices.process import SELF, ServiceProcess, launch, lock_folder

BITLOOT: Final = ("-m", "bitloot_web.cli")
READY_SECONDS: Final = 60.0
# The whole catalogue may be read, or taken off the shelves.
FINISH_SECONDS: Final = 300.0
LOOK_SECONDS: Final = 0.01
TAIL: Final = 3000


class Program:
    """A started Python program, its output in `log`."""

    def __init__(
        self, name: str, arguments: Sequence[str], variables: Mapping[str, str], folder: Path
    ) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        home = folder / f"program-{name}"
        home.mkdir(exist_ok=True)
        settings = [f"{key}={text}" for key, text in {**variables, **bytecode(folder)}.items()]
        lock = lock_folder(home, name, patience_seconds=10)
        try:
            self._running: ServiceProcess = launch(
                ["/usr/bin/env", *settings, sys.executable, *arguments],
                identity=SELF,
                log=self.log,
                lock=lock,
                stop_signal=signal.SIGTERM,
            )
        finally:
            os.close(lock)

    @property
    def pid(self) -> int:
        """Of the program itself."""
        return self._running.pid

    def wait_for(self, url: str) -> None:
        """Until a GET of the URL is answered with a success. Raises RuntimeError."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if not self._running.alive():
                break
            with contextlib.suppress(OSError, urllib.error.URLError):
                urllib.request.urlopen(url, timeout=1).close()
                return
            time.sleep(LOOK_SECONDS)
        raise RuntimeError(f"{self.name} is not ready: {self.tail()}")

    def wait_until_listening(self, port: int) -> None:
        """Until it takes connections. Raises RuntimeError."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._running.alive():
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return
            time.sleep(LOOK_SECONDS)
        raise RuntimeError(f"{self.name} does not listen: {self.tail()}")

    def finish(self) -> None:
        """Wait for a program that ends by itself. Raises RuntimeError when it failed."""
        if self._running.wait(FINISH_SECONDS) != 0:
            raise RuntimeError(f"{self.name} failed: {self.tail()}")

    def stop(self) -> None:
        """End it in order."""
        self._running.stop()

    def tail(self) -> str:
        """The end of its output."""
        return self.log.read_bytes()[-TAIL:].decode(errors="replace") if self.log.exists() else ""


@contextlib.contextmanager
def running(
    name: str, arguments: Sequence[str], variables: Mapping[str, str], folder: Path
) -> Iterator[Program]:
    """A program while the block runs."""
    program = Program(name, arguments, variables, folder)
    try:
        yield program
    finally:
        program.stop()


def bytecode(folder: Path) -> dict[str, str]:
    """Where programs keep their bytecode on a machine that is told to write none.

    An installed shop has its bytecode beside its code.
    """
    if not sys.dont_write_bytecode:
        return {}
    return {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder / "bytecode")}


def free_ports(count: int) -> list[int]:
    """So many ports of the loopback on which nobody listens now."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()
