"""An embedded Valkey (or Redis): one folder, a Unix socket, and a loopback port when asked."""

import os
import signal
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

import redis

from bitloot_web.devservices import process
from bitloot_web.devservices.binaries import find_valkey
from bitloot_web.devservices.faults import DevServiceError
from bitloot_web.devservices.process import ServiceProcess

START_SECONDS = 20.0
CALL_SECONDS = 5.0
POLL_SECONDS = 0.01
SOCKET_NAME = "valkey.sock"
LOOPBACK = "127.0.0.1"
FREED_SECONDS = 10.0


class ValkeyStore:
    """A Valkey or Redis server, ours or somebody else's, by its URL.

    The URL names the logical database: ``unix:///path?db=0`` or ``redis://host:port/0``.
    """

    def __init__(self, url: str) -> None:
        self.url = url

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def flush(self) -> None:
        """Empty the database that the URL names."""
        with self._client() as client:
            try:
                client.flushdb()
            except redis.RedisError as fault:
                raise DevServiceError(f"Valkey cannot be emptied: {fault}") from fault

    def answers(self) -> bool:
        with self._client() as client:
            try:
                return bool(client.ping())
            except redis.RedisError:
                return False

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(
            self.url, socket_timeout=CALL_SECONDS, socket_connect_timeout=CALL_SECONDS
        )


@dataclass(frozen=True, slots=True)
class _Plan:
    """What stays the same from one start to the next."""

    folder: Path
    program: Path
    sockets: Path
    port: int | None
    durable: bool

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def socket(self) -> Path:
        return self.sockets / SOCKET_NAME


class ValkeyServer(ValkeyStore):
    """A running server that this process started. Stop it, or use it as a context manager."""

    def __init__(self, plan: _Plan, running: ServiceProcess) -> None:
        super().__init__(_url(plan.socket))
        self._plan = plan
        self._running = running

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._running.pid

    @property
    def folder(self) -> Path:
        return self._plan.folder

    @property
    def socket_path(self) -> Path:
        return self._plan.socket

    @property
    def tcp_url(self) -> str | None:
        """The address on the loopback port, None when none was asked for."""
        return None if self._plan.port is None else f"redis://{LOOPBACK}:{self._plan.port}/0"

    def alive(self) -> bool:
        return self._running.alive()

    def stop(self) -> None:
        self._running.stop()
        process.release_socket_folder(self._plan.folder, self._plan.sockets)

    def kill(self) -> None:
        """End the server as a crash would (SIGKILL). ``restart`` starts it again."""
        self._running.kill()

    def restart(self) -> None:
        """Stop if running, then start at the same address; without ``durable``, empty."""
        self._running.stop()
        self._plan.sockets.mkdir(mode=0o700, exist_ok=True)
        lock = process.lock_folder(self._plan.folder, "Valkey", patience_seconds=FREED_SECONDS)
        try:
            self._running = _serve(self._plan, lock)
        finally:
            os.close(lock)


def start_valkey(
    data_dir: Path,
    *,
    port: int | None = None,
    durable: bool = False,
    bin_dir: Path | None = None,
) -> ValkeyServer:
    """Start a server on a Unix socket; ``port`` adds a loopback one (0 chooses a free port).

    ``durable=True`` keeps an append-only file, synchronised every second. Raises DevServiceError,
    in one line, when the program is missing, the folder is in use already, or the start fails.
    """
    folder = data_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    lock = process.lock_folder(folder, "Valkey")
    try:
        plan = _Plan(
            folder=folder,
            program=find_valkey(bin_dir),
            sockets=process.socket_folder(folder, SOCKET_NAME),
            port=_free_port() if port == 0 else port,
            durable=durable,
        )
        try:
            running = _serve(plan, lock)
        except DevServiceError:
            process.release_socket_folder(folder, plan.sockets)
            raise
        return ValkeyServer(plan, running)
    finally:
        os.close(lock)


def _serve(plan: _Plan, lock: int) -> ServiceProcess:
    plan.socket.unlink(missing_ok=True)
    begin = plan.log.stat().st_size if plan.log.exists() else 0
    argv = [str(plan.program)]
    for name, value in _settings(plan).items():
        argv += [f"--{name}", *value.split(" ")]
    running = process.launch(
        argv, identity=process.SELF, log=plan.log, lock=lock, stop_signal=signal.SIGTERM
    )
    store = ValkeyStore(_url(plan.socket))
    deadline = time.monotonic() + START_SECONDS
    while running.alive() and time.monotonic() < deadline:
        if plan.socket.exists() and store.answers():
            return running
        time.sleep(POLL_SECONDS)
    ended = not running.alive()
    running.stop()
    what = "ended at its start" if ended else f"does not answer after {START_SECONDS:.0f} s"
    raise DevServiceError(f"Valkey in {plan.folder} {what}: {process.last_words(plan.log, begin)}")


def _settings(plan: _Plan) -> dict[str, str]:
    return {
        "port": str(plan.port or 0),
        "bind": LOOPBACK,
        "unixsocket": str(plan.socket),
        "unixsocketperm": "700",
        "dir": str(plan.folder),
        "daemonize": "no",
        "save": "",
        "appendonly": "yes" if plan.durable else "no",
        "appendfsync": "everysec",
    }


def _url(path: Path) -> str:
    return f"unix://{quote(str(path), safe='/')}?db=0"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        chosen: int = probe.getsockname()[1]
    return chosen
