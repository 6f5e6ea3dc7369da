"""One server process under its warden, the lock on its folder, and the place of its socket."""

import contextlib
import fcntl
import json
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bitloot_web.devservices import warden
from bitloot_web.devservices.faults import DevServiceError

GRACE_SECONDS = 15.0
POLL_SECONDS = 0.02
# A keeper lets go of its folder a moment after its server: whoever starts again at once waits.
ENDING_SECONDS = 2.0
SOCKET_PATH_BYTES = 107
"""sockaddr_un.sun_path holds 108 bytes with the closing zero (unix(7))."""
LOG_TAIL_BYTES = 8_192

SELF = "self"
MAPPED = "mapped"


@dataclass(slots=True)
class ServiceProcess:
    """A running server. Only ever signals the process that it started itself."""

    pid: int
    keeper: subprocess.Popen[str]
    stop_signal: signal.Signals

    def alive(self) -> bool:
        return self.keeper.poll() is None

    def wait(self, seconds: float) -> int:
        """Wait for a program that ends by itself; its exit code, or 1 when it had to be ended."""
        try:
            self.keeper.wait(seconds)
        except subprocess.TimeoutExpired:
            self.stop()
        self._close()
        return self.keeper.returncode or 0

    def stop(self) -> None:
        """Ask the server to end and wait until it has; a no-op when it already ended."""
        if self.alive():
            # The warden has not collected its child yet, so the id cannot have been given away.
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, self.stop_signal)
        self._wait()

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        if self.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
        self._wait()

    def _wait(self) -> None:
        # When it takes too long, closing the pipe makes the warden insist.
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.keeper.wait(GRACE_SECONDS)
        self._close()
        self.keeper.wait(GRACE_SECONDS * 2)

    def _close(self) -> None:
        for stream in (self.keeper.stdin, self.keeper.stdout):
            if stream is not None:
                stream.close()


def launch(
    argv: list[str],
    *,
    identity: str,
    log: Path,
    lock: int,
    stop_signal: signal.Signals,
) -> ServiceProcess:
    """Start ``argv`` under a warden, in a session of its own (a Ctrl-C is not the server's).

    ``lock`` is a locked descriptor that the server inherits: it is free again exactly when the
    last of the server's processes has ended. Raises DevServiceError when the start is refused.
    """
    order = {
        "argv": argv,
        "identity": identity,
        "stop_signal": int(stop_signal),
        "grace_seconds": GRACE_SECONDS,
    }
    with log.open("ab") as errors:
        keeper = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", warden.__file__, json.dumps(order)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            pass_fds=(lock,),
            start_new_session=True,
        )
    if keeper.stdout is None:
        raise DevServiceError("the server's keeper has no output")
    word, _, rest = keeper.stdout.readline().strip().partition(" ")
    if word == "started":
        return ServiceProcess(int(rest), keeper, stop_signal)
    keeper.communicate()  # collects it, and closes the pipes
    raise DevServiceError(rest or f"the server could not be started, see {log}")


def lock_folder(folder: Path, service: str, *, patience_seconds: float = ENDING_SECONDS) -> int:
    """A locked descriptor on the folder's lock file.

    Raises DevServiceError when a server of somebody else runs there: it is left alone.
    """
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience_seconds
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:
                time.sleep(POLL_SECONDS)
                continue
            holder = os.pread(descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(descriptor)
            raise DevServiceError(
                f"{service} already runs in {folder} (started by process {holder}): "
                "stop it first, or choose another folder"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, str(os.getpid()).encode(), 0)
        return descriptor


def socket_folder(folder: Path, name: str) -> Path:
    """Where the socket ``name`` goes: in the folder, or in a short one when the path is too long.

    Short folders are temporary and private (mode 0700); ``release_socket_folder`` removes them.
    """
    inside = folder / "run"
    if len(os.fsencode(inside / name)) <= SOCKET_PATH_BYTES:
        inside.mkdir(mode=0o700, exist_ok=True)
        return inside
    return Path(tempfile.mkdtemp(prefix="bitloot-", dir="/tmp"))


def release_socket_folder(folder: Path, sockets: Path) -> None:
    if folder not in sockets.parents:
        shutil.rmtree(sockets, ignore_errors=True)


def unprivileged_identity(data: Path, programs: Path, log: Path, lock: int) -> str:
    """As whom a server that refuses root, and users without a name, runs.

    As we are when that will do, else in a user namespace, else as another user.

    An existing folder decides by its owner, so that a second start reads what the first wrote.
    """
    root = os.geteuid() == 0
    if not root and _is_listed(os.geteuid()):
        return SELF
    if root and data.exists() and data.stat().st_uid != 0:
        return _with_reach(data.stat().st_uid, data.stat().st_gid, programs, data.parent)
    try:
        launch(
            ["/bin/true"], identity=MAPPED, log=log, lock=lock, stop_signal=signal.SIGTERM
        ).stop()
    except DevServiceError:
        return other_user(programs, data.parent) if root else SELF
    return MAPPED


def _is_listed(user: int) -> bool:
    """Whether the machine knows the user: initdb refuses to run for one without a name."""
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def other_user(*paths: Path) -> str:
    """The user ``nobody``, able to reach ``paths``."""
    try:
        nobody = pwd.getpwnam("nobody")
    except KeyError:
        raise DevServiceError(
            "PostgreSQL refuses to run as root, and there is neither a user namespace nor a user "
            "called nobody to run it as: start this as an ordinary user"
        ) from None
    return _with_reach(nobody.pw_uid, nobody.pw_gid, *paths)


def _with_reach(user: int, group: int, *paths: Path) -> str:
    open_to_all = all(
        folder.stat().st_mode & 0o001 for path in paths for folder in path.resolve().parents
    )
    return f"{user}:{group}" if open_to_all else f"{user}:{group}:reach"


def give(path: Path, identity: str) -> None:
    """Let ``identity`` own a folder it has to write in."""
    if identity in {SELF, MAPPED}:
        return
    user, group = identity.split(":")[:2]
    os.chown(path, int(user), int(group))


def last_words(log: Path, begin: int) -> str:
    """The line of a server's log, from byte ``begin`` on, that says why it ended."""
    text = log.read_bytes()[begin:][-LOG_TAIL_BYTES:].decode(errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    grave = [line for line in lines if "FATAL" in line or "PANIC" in line or "rror" in line]
    chosen = (grave or lines or ["it left no log"])[-1]
    return chosen[:300]
