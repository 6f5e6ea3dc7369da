"""An embedded PostgreSQL: one folder, one server, reached through a Unix socket only."""

import os
import shutil
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self
from urllib.parse import quote

import psycopg

from bitloot_web.devservices import process
from bitloot_web.devservices.binaries import PostgresBinaries, find_postgres
from bitloot_web.devservices.databases import Databases
from bitloot_web.devservices.faults import DevServiceError
from bitloot_web.devservices.process import ServiceProcess

USER = "bitloot"
START_SECONDS = 60.0
PROBE_SECONDS = 2
POLL_SECONDS = 0.02
CRASHED_BACKENDS_SECONDS = 20.0
"""How long the processes of a killed server may take to notice before a restart gives up."""
BUILTIN_LOCALE_SINCE = 17
SOCKET_NAME = ".s.PGSQL.5432.lock"

ALWAYS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "jit": "off",
}
FORGETFUL = {
    "fsync": "off",
    "full_page_writes": "off",
}
"""Loses data when the machine fails, never when the server is killed: for tests.

``synchronous_commit`` stays on for that reason: off, a kill loses the commits of the last
moments, and without fsync it costs one write to the page cache.
"""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What stays the same from one start to the next."""

    folder: Path
    durable: bool
    binaries: PostgresBinaries
    settings: dict[str, str]
    sockets: Path

    @property
    def cluster(self) -> Path:
        return self.folder / "cluster"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"


class PostgresServer(Databases):
    """A running server that this process started. Stop it, or use it as a context manager."""

    def __init__(self, plan: _Plan, running: ServiceProcess, identity: str) -> None:
        super().__init__(_maintenance_url(plan.sockets))
        self._plan = plan
        self._running = running
        self._identity = identity

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The postmaster's process id."""
        return self._running.pid

    @property
    def folder(self) -> Path:
        return self._plan.folder

    @property
    def socket_dir(self) -> Path:
        return self._plan.sockets

    @property
    def major(self) -> int:
        return self._plan.binaries.major

    def alive(self) -> bool:
        return self._running.alive()

    def owns(self) -> bool:
        """Whether the cluster in the folder is served by the very process started here."""
        told = _pid_file(self._plan.cluster)
        return (
            self.alive()
            and told is not None
            and told[0] == self.pid
            and told[1].exists()
            and told[1].samefile(self._plan.cluster)
        )

    def stop(self) -> None:
        """Fast shutdown (SIGINT): sessions are ended, everything committed is on disk."""
        self._running.stop()
        process.release_socket_folder(self._plan.folder, self._plan.sockets)

    def kill(self) -> None:
        """End the postmaster as a crash would (SIGKILL). ``restart`` recovers."""
        self._running.kill()

    def restart(self) -> None:
        """Stop if running, then start on the same data and at the same address."""
        self._running.stop()
        self._plan.sockets.mkdir(mode=0o700, exist_ok=True)
        lock = process.lock_folder(
            self._plan.folder, "PostgreSQL", patience_seconds=CRASHED_BACKENDS_SECONDS
        )
        try:
            self._running = _serve(self._plan, self._identity, lock)
        finally:
            os.close(lock)


def start_postgres(
    data_dir: Path,
    *,
    durable: bool,
    bin_dir: Path | None = None,
    shared_buffers: str = "64MB",
    max_connections: int = 100,
    identity: str | None = None,
) -> PostgresServer:
    """Start a server on ``data_dir``, making the cluster on the first start.

    ``durable=False`` turns off every wait for the disk: for tests. ``identity`` is as whom the
    server runs: "self", "mapped" (root in a user namespace) or another user's; found out when not
    given. Raises DevServiceError, in one line, when the programs are missing, the folder is
    served by somebody else already, or the server ends instead of answering.
    """
    folder = data_dir.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    lock = process.lock_folder(folder, "PostgreSQL")
    try:
        binaries = find_postgres(bin_dir, major=_cluster_major(folder / "cluster"))
        plan = _Plan(
            folder=folder,
            durable=durable,
            binaries=binaries,
            settings={
                **ALWAYS,
                **({} if durable else FORGETFUL),
                "shared_buffers": shared_buffers,
                "max_connections": str(max_connections),
            },
            sockets=process.socket_folder(folder, SOCKET_NAME),
        )
        try:
            identity = identity or process.unprivileged_identity(
                plan.cluster, binaries.folder, plan.log, lock
            )
            process.give(folder, identity)
            process.give(plan.sockets, identity)
            if not plan.cluster.exists():
                _make_cluster(plan, identity, lock)
            running = _serve(plan, identity, lock)
        except DevServiceError:
            process.release_socket_folder(folder, plan.sockets)
            raise
        return PostgresServer(plan, running, identity)
    finally:
        os.close(lock)


def _make_cluster(plan: _Plan, identity: str, lock: int) -> None:
    """Run initdb beside the final place, then rename: a first start cut short leaves nothing."""
    unfinished = plan.folder / "cluster.new"
    shutil.rmtree(unfinished, ignore_errors=True)
    argv = [
        str(plan.binaries.initdb),
        f"--pgdata={unfinished}",
        f"--username={USER}",
        "--auth=trust",  # the socket's folder and mode decide who may connect
        "--encoding=UTF8",
        *_locale(plan.binaries.major),
        *([] if plan.durable else ["--no-sync"]),
    ]
    begin = _log_size(plan.log)
    making = process.launch(
        argv, identity=identity, log=plan.log, lock=lock, stop_signal=signal.SIGTERM
    )
    if making.wait(START_SECONDS) != 0:
        raise DevServiceError(
            f"PostgreSQL cannot make its data folder {plan.cluster}: "
            f"{process.last_words(plan.log, begin)}"
        )
    unfinished.rename(plan.cluster)


def _locale(major: int) -> list[str]:
    """Sorting by code point, the same on every machine; upper and lower case of every script.

    PostgreSQL 17 and newer bring that locale themselves, older ones borrow the system's.
    """
    if major >= BUILTIN_LOCALE_SINCE:
        return ["--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return ["--locale=C", "--lc-ctype=C.UTF-8"] if sys.platform == "linux" else ["--locale=C"]


def _serve(plan: _Plan, identity: str, lock: int) -> ServiceProcess:
    """Start the postmaster and wait until it answers."""
    _clear_stale_pid_file(plan.cluster)
    begin = _log_size(plan.log)
    settings = {**plan.settings, "unix_socket_directories": str(plan.sockets)}
    argv = [str(plan.binaries.postgres), "-D", str(plan.cluster)]
    for name, value in settings.items():
        argv += ["-c", f"{name}={value}"]
    running = process.launch(
        argv, identity=identity, log=plan.log, lock=lock, stop_signal=signal.SIGINT
    )
    deadline = time.monotonic() + START_SECONDS
    while running.alive() and time.monotonic() < deadline:
        if _answers(plan.sockets):
            return running
        time.sleep(POLL_SECONDS)
    ended = not running.alive()
    running.stop()
    what = "ended at its start" if ended else f"does not answer after {START_SECONDS:.0f} s"
    raise DevServiceError(
        f"PostgreSQL in {plan.folder} {what}: {process.last_words(plan.log, begin)}"
    )


def _answers(sockets: Path) -> bool:
    try:
        psycopg.connect(_maintenance_url(sockets), connect_timeout=PROBE_SECONDS).close()
    except psycopg.OperationalError:
        return False
    return True


def _maintenance_url(sockets: Path) -> str:
    return f"postgresql://{USER}@/postgres?host={quote(str(sockets), safe='/')}"


def _cluster_major(cluster: Path) -> int | None:
    """The version that made the cluster, None before the first start."""
    try:
        return int((cluster / "PG_VERSION").read_text(encoding="ascii"))
    except FileNotFoundError:
        return None
    except ValueError:
        raise DevServiceError(f"{cluster} is not a PostgreSQL data folder") from None


def _pid_file(cluster: Path) -> tuple[int, Path] | None:
    """Process id and data folder as the postmaster wrote them (postmaster.pid, lines 1 and 2)."""
    try:
        lines = (cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        return int(lines[0]), Path(lines[1])
    except (FileNotFoundError, ValueError, IndexError):
        return None


def _clear_stale_pid_file(cluster: Path) -> None:
    """Remove what a killed server left, so that a process which got its id later is no obstacle.

    A server that somebody started by hand on this very cluster is refused, not hurt. Where
    there is no /proc, PostgreSQL's own check decides.
    """
    told = _pid_file(cluster)
    if told is None or not Path("/proc/self").exists():
        return
    try:
        runs_here = Path(f"/proc/{told[0]}/cwd").samefile(cluster)
    except FileNotFoundError:
        runs_here = False
    except PermissionError:
        return
    if runs_here:
        raise DevServiceError(
            f"another PostgreSQL (process {told[0]}) already serves {cluster}: stop it first"
        )
    (cluster / "postmaster.pid").unlink(missing_ok=True)


def _log_size(log: Path) -> int:
    return log.stat().st_size if log.exists() else 0
