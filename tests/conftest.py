"""What every test runs under: real servers on demand, a guard on sockets, fixed randomness.

The servers are embedded ones, started when the first test asks. ``BITLOOT_TEST_DATABASE_URL``
(any database of a server on which databases may be made) and ``BITLOOT_TEST_REDIS_URL`` (a
logical database that may be emptied) name others.
"""

import gc
import ipaddress
import os
import shutil
import sys
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from tests.promises.figures import Figures
from tests.side_by_side import SideBySide
from xdist.remote import Producer

from bitloot_adapters.postgres.migrate import upgrade
from bitloot_web.devservices import Databases, ValkeyStore, start_postgres, start_valkey

DATABASE_URL = os.environ.get("BITLOOT_TEST_DATABASE_URL")
REDIS_URL = os.environ.get("BITLOOT_TEST_REDIS_URL")
HERE = Path(__file__).parent
MEMORY = Path("/dev/shm")
ROOM_BYTES = 6 * 1024**3

settings.register_profile(
    "bitloot",
    derandomize="CI" in os.environ,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("bitloot")


def pytest_addoption(parser: pytest.Parser) -> None:
    """The tests of promises run at a small scale unless told otherwise."""
    group = parser.getgroup("promises")
    group.addoption("--full", action="store_true", help="run the promises at their full scale")
    group.addoption("--figures-into", metavar="FILE", help="write the table of promises there")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> SideBySide:
    """Test by test, but for those that share what is slow to make."""
    return SideBySide(config, log)


def pytest_collection_finish() -> None:
    """What is collected stays until the end: the collector of garbage need not look at it again."""
    gc.freeze()


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """`figures.note(…)` writes down what was reached; `figures.full` asks for the full scale."""
    return Figures(request.node, full=bool(request.config.getoption("--full")))


# --- servers ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def services_folder() -> Iterator[Path]:
    """One short folder for the servers of the run, so that their sockets fit beside them.

    In memory where there is room: a test's database is a copy of a thousand small files.
    """
    has_room = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free >= ROOM_BYTES
    near = MEMORY if has_room and os.access(MEMORY, os.W_OK) else None
    folder = Path(tempfile.mkdtemp(prefix="bitloot-tests-", dir=near))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres_server(services_folder: Path) -> Iterator[Databases]:
    """A PostgreSQL server on which a test makes and drops databases of its own."""
    if DATABASE_URL is not None:
        yield Databases(DATABASE_URL)
        return
    with start_postgres(services_folder / "postgres", durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def shop_template(postgres_server: Databases) -> Iterator[str]:
    """A database at the newest revision, made once and copied for each test that needs one."""
    name = f"bitloot_template_{os.getpid()}"
    upgrade(postgres_server.create_database(name))
    yield name
    postgres_server.drop_database(name)


@pytest.fixture
def shop_url(postgres_server: Databases, shop_template: str) -> Iterator[str]:
    """The URL of an empty, migrated database of this test's own."""
    name = f"bitloot_{uuid4().hex}"
    yield postgres_server.create_database(name, shop_template)
    postgres_server.drop_database(name)


@pytest.fixture(scope="session")
def valkey_server(services_folder: Path) -> Iterator[ValkeyStore]:
    """A Valkey server; whoever needs it empty calls ``flush``."""
    if REDIS_URL is not None:
        yield ValkeyStore(REDIS_URL)
        return
    with start_valkey(services_folder / "valkey") as server:
        yield server


# --- sockets ---------------------------------------------------------------------------------


class SocketForbiddenError(AssertionError):
    """A test reached further than its folder allows."""


@dataclass
class SocketGuard:
    """Watches Python's audit events (PEP 578), so that no code under test is replaced.

    ``tests/unit`` reaches nothing; every other folder reaches Unix sockets, loopback, and the
    servers named by the environment. An attempt raises where it is made and, because the code
    under test may swallow that, fails its test as well.
    """

    scope: str | None = None
    allowed: frozenset[str] = frozenset()
    attempts: list[str] = field(default_factory=list)

    def heard(self, event: str, arguments: tuple[object, ...]) -> None:
        if self.scope is None:
            return
        if event in {"socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg"}:
            self._judge(event, arguments[1])
        elif event in {"socket.getaddrinfo", "socket.gethostbyname"}:
            self._judge(event, (arguments[0],))

    def _judge(self, event: str, address: object) -> None:
        if self.scope != "unit" and self._is_near(address):
            return
        attempt = f"{event} {address!r} in tests/{self.scope}"
        self.attempts.append(attempt)
        raise SocketForbiddenError(attempt)

    def _is_near(self, address: object) -> bool:
        if not isinstance(address, tuple):
            return True  # the path of a Unix socket, or an already connected one
        host = address[0]
        name = host.decode() if isinstance(host, bytes) else host
        if name is None or name in {"", "localhost"} or name in self.allowed:
            return True
        try:
            return ipaddress.ip_address(str(name).partition("%")[0]).is_loopback
        except ValueError:
            return False

    def settle(self) -> None:
        attempts, self.attempts = self.attempts, []
        if attempts:
            raise SocketForbiddenError("; ".join(attempts))


GUARD = SocketGuard(
    allowed=frozenset(
        host
        for url in (DATABASE_URL, REDIS_URL)
        if url is not None and (host := urlsplit(url).hostname) is not None
    )
)
sys.addaudithook(GUARD.heard)


@pytest.fixture
def socket_guard() -> SocketGuard:
    """The guard itself, for the test that shows it can say no."""
    return GUARD


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    inside = item.path.relative_to(HERE).parts if item.path.is_relative_to(HERE) else ("",)
    GUARD.scope = inside[0]
    try:
        return (yield)
    finally:
        GUARD.scope = None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    try:
        return (yield)
    finally:
        GUARD.settle()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Generator[None, object, object]:
    try:
        return (yield)
    finally:
        GUARD.settle()
