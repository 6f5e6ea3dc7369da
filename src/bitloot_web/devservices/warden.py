"""The small process between the launcher and a server: the server never outlives its starter.

Run as a script (``python -I -S warden.py ORDER``), with nothing imported but the standard
library. It holds the reading end of a pipe whose writing end only the launcher has: however the
launcher ends, the pipe closes and the server is told to stop. On Linux the kernel also stops the
server when this process itself is killed (prctl(2), PR_SET_PDEATHSIG; set here because that
signal follows the *thread* that forked, and this process has one).

PostgreSQL refuses to run as root. Started as root it is given a user namespace of its own in
which it is an ordinary user (user_namespaces(7)), or, where the kernel forbids that, another user.

Speaks one line on its standard output: ``started PID`` or ``refused REASON``.
"""

import contextlib
import ctypes
import json
import os
import pwd
import select
import signal
import sys
import time
from typing import TypedDict

CLONE_NEWUSER = 0x10000000
PR_SET_PDEATHSIG = 1
PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522
UNLISTED_ID = 1000
POLL_SECONDS = 0.02


class Order(TypedDict):
    """What the launcher asks for.

    ``identity`` is "self", "mapped", "uid:gid", or "uid:gid:reach" for a user that may go
    through folders which are closed to it.
    """

    argv: list[str]
    identity: str
    stop_signal: int
    grace_seconds: float


def main() -> int:
    order: Order = json.loads(sys.argv[1])
    child_ended, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _noted)
    child = _start(order)
    if child is None:
        return 1
    launcher = sys.stdin.fileno()
    while True:
        ready, _, _ = select.select([launcher, child_ended], [], [])
        if child_ended in ready:
            noted = os.read(child_ended, 64)
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                return os.waitstatus_to_exitcode(status) & 0xFF
            if any(number != signal.SIGCHLD for number in noted):
                return _stop(child, order)
        if launcher in ready and not os.read(launcher, 64):
            return _stop(child, order)


def _noted(number: int, _frame: object) -> None:
    """Only the wake-up byte matters."""


def _start(order: Order) -> int | None:
    """Fork the server; its id once it has truly been started, or None with the reason told."""
    trouble, tell = os.pipe()
    launcher_id = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            _become(order["identity"])
            _die_with(launcher_id, order["stop_signal"])
            for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, 0)
            os.dup2(2, 1)
            os.execv(order["argv"][0], order["argv"])
        except OSError as fault:
            os.write(tell, f"{order['argv'][0]}: {fault}".replace("\n", " ").encode())
        finally:
            os._exit(127)
    os.close(tell)
    with os.fdopen(trouble, encoding="utf-8") as reader:
        reason = reader.read()
    if reason:
        os.waitpid(child, 0)
        _say(f"refused {reason}")
        return None
    _say(f"started {child}")
    return child


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _become(identity: str) -> None:
    if identity == "mapped":
        user, group = os.geteuid(), os.getegid()
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.unshare(CLONE_NEWUSER) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"no user namespace: {os.strerror(number)}")
        _write("/proc/self/setgroups", "deny")
        inside = _listed_user()
        _write("/proc/self/uid_map", f"{inside} {user} 1")
        _write("/proc/self/gid_map", f"{inside} {group} 1")
    elif identity != "self":
        uid, gid, *reach = identity.split(":")
        _switch_user(int(uid), int(gid), reach=bool(reach))


def _listed_user() -> int:
    """A user that the machine knows and that is not root: initdb looks its own name up."""
    listed = {entry.pw_name: entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0}
    last = listed.pop("nobody", UNLISTED_ID)
    return next(iter(listed.values()), last)


def _switch_user(user: int, group: int, *, reach: bool) -> None:
    """Become another user for good, with ``reach`` keeping the right to pass closed folders.

    Without that right a server cannot be run from, or on, a folder inside root's home. It is
    kept over the exec as an ambient capability (capabilities(7)).
    """
    libc = ctypes.CDLL(None)
    if reach:
        libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setgid(group)
    os.setuid(user)
    if reach:
        wanted = 1 << CAP_DAC_OVERRIDE | 1 << CAP_DAC_READ_SEARCH
        header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
        # Two sets of (effective, permitted, inheritable): capabilities 0-31, then 32-63.
        libc.capset(header, (ctypes.c_uint32 * 6)(wanted, wanted, wanted, 0, 0, 0))
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0)


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    os.write(descriptor, text.encode("ascii"))
    os.close(descriptor)


def _die_with(parent: int, stop_signal: int) -> None:
    """Linux only; elsewhere the pipe alone watches. Must follow every change of identity."""
    if not sys.platform.startswith("linux"):
        return
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)
    if os.getppid() != parent:
        raise ProcessLookupError("the starting process has already ended")


def _stop(child: int, order: Order) -> int:
    """Ask, wait, then insist."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, order["stop_signal"])
    deadline = time.monotonic() + order["grace_seconds"]
    while time.monotonic() < deadline:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status) & 0xFF
        time.sleep(POLL_SECONDS)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return 1


if __name__ == "__main__":
    sys.exit(main())
