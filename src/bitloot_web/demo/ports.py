"""Which ports a demo listens on, none of them another demo's.

A port is free until somebody listens there, so two demos that start in the same moment would find
the same ones. Each reserves what it chose, by locks that end with its process.
"""

import contextlib
import fcntl
import os
import socket
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

SANDBOXES: Final = {"nowpayments": 9101, "kinguin": 9102, "resend": 9103}
TRIES: Final = 50


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Where everything listens, all on the loopback address."""

    shop: int
    sandboxes: Mapping[str, int]

    def sandbox_url(self, name: str) -> str:
        """Where a stand-in is reached."""
        return f"http://127.0.0.1:{self.sandboxes[name]}"


@contextlib.contextmanager
def reserved_ports(shop: int, locks: Path | None = None) -> Iterator[Ports]:
    """Ports for the shop and each stand-in, the usual ones where they are free.

    They are this demo's until the block is left. `locks` is the folder in which demos of this user
    agree. Raises OSError where nothing is free.
    """
    folder = locks or Path(tempfile.gettempdir()) / f"bitloot-ports-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    with contextlib.ExitStack() as held:
        chosen = {
            name: _reserve(preferred, folder, held)
            for name, preferred in {"shop": shop, **SANDBOXES}.items()
        }
        yield Ports(shop=chosen.pop("shop"), sandboxes=chosen)


def _reserve(preferred: int, folder: Path, held: contextlib.ExitStack) -> int:
    for wanted in (preferred, *[0] * TRIES):
        port = _free(wanted)
        if port is not None and _locked(folder / f"{port}.lock", held):
            return port
    raise OSError("no free port on the loopback address")


def _free(wanted: int) -> int | None:
    """The port if nobody listens there; any free one for 0."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return None
        found: int = probe.getsockname()[1]
        return found


def _locked(path: Path, held: contextlib.ExitStack) -> bool:
    """Whether the port is ours now. The file stays: it is the lock that counts."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return False
    held.callback(os.close, lock)
    return True
