"""Starting and stopping what the demo shop stands on."""

import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from bitloot_web.demo.ports import Ports
from bitloot_web.devservices import start_postgres, start_valkey
from bitloot_web.devservices.process import SELF, ServiceProcess, launch, lock_folder

DATABASE: Final = "bitloot"
LOG: Final = "server.log"
START_SECONDS: Final = 20.0


class DemoError(Exception):
    """The demo cannot go on; the text says why."""


@contextlib.contextmanager
def database(folder: Path) -> Iterator[str]:
    """An embedded PostgreSQL that keeps its data; gives the address of the shop's database."""
    with start_postgres(folder / "postgres", durable=True) as server:
        if not server.has_database(DATABASE):
            server.create_database(DATABASE)
        yield server.url(DATABASE)


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[str]:
    """An embedded Valkey; gives its address."""
    with start_valkey(folder / "valkey") as server:
        yield server.url


@contextlib.contextmanager
def sandboxes(configs: Mapping[str, str], ports: Ports, folder: Path) -> Iterator[None]:
    """The stand-ins, each a process of its own that ends with this one."""
    with contextlib.ExitStack() as stack:
        running = {
            name: stack.enter_context(_sandbox(name, config, ports, folder / "sandbox" / name))
            for name, config in configs.items()
        }
        for name, process in running.items():
            _wait(name, ports.sandboxes[name], process, folder / "sandbox" / name / LOG)
        yield


@contextlib.contextmanager
def _sandbox(name: str, config: str, ports: Ports, folder: Path) -> Iterator[ServiceProcess]:
    settings = folder / "config.json"
    settings.touch(mode=0o600)
    settings.write_text(config)
    command = [sys.executable, "-m", "bitloot_web.cli", "sandbox", name]
    command += ["--port", str(ports.sandboxes[name]), "--config", f"@{settings}"]
    lock = lock_folder(folder, f"the {name} sandbox")
    try:
        process = launch(
            command, identity=SELF, log=folder / LOG, lock=lock, stop_signal=signal.SIGTERM
        )
    finally:
        os.close(lock)
    try:
        yield process
    finally:
        process.stop()


def _wait(name: str, port: int, process: ServiceProcess, log: Path) -> None:
    """Until the stand-in takes connections."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if not process.alive():
            raise DemoError(f"the {name} sandbox ended at once; see {log}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.05)
    raise DemoError(f"the {name} sandbox did not answer within {START_SECONDS:.0f} s; see {log}")
