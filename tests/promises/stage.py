"""A whole shop of processes whose connections to its servers a test can cut.

Each role reaches PostgreSQL through a proxy of its own and Valkey through a common one; the tests
and the audit reach them directly. Windows are those of a real shop divided by one factor.
"""

import contextlib
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Final

import msgspec
import psycopg
from psycopg.abc import Params
from tests.crash.scale import A_LOT, scaled
from tests.crash.town import owns
from tests.e2e.programs import free_ports, until
from tests.e2e.town import MANY, QUICK, ROLES, Town, _stop, sandbox_configs, settings
from tests.promises.proxy import Proxies, Proxy, open_proxies

from bitloot.domain.limits import Limits
from bitloot_web.devservices import start_postgres, start_valkey
from bitloot_web.plugins import Configuration, configure
from bitloot_web.settings import Environment

QUICK_FACTOR: Final = 30.0
FULL_FACTOR: Final = 20.0
STAND_INS: Final = ("nowpayments", "kinguin", "resend")
OWN_KEYS: Final = {False: 400, True: 6_000}
LIMIT: Final = "BITLOOT_LIMIT_"
MORE: Final[dict[str, dict[str, object]]] = {
    "nowpayments": {},
    "kinguin": {"balance": "100000000.00"},
    "resend": {"rate_limit": A_LOT},
}


class NotOursError(RuntimeError):
    """A server that would be hurt is not one that this run started."""


@dataclass
class Stage:
    """The town, and the levers of everything between its parts."""

    town: Town
    proxies: Proxies
    database: dict[str, Proxy]
    valkey: Proxy
    gateway: Proxy
    limits: Limits
    configuration: Configuration
    factor: float
    is_full: bool
    paid: list[str] = field(default_factory=list)

    @property
    def scale(self) -> str:
        return "real windows" if self.factor == 1 else f"windows ÷ {self.factor:g}"

    def real(self, seconds: float) -> str:
        """A time of this run as it would be in earnest."""
        return f"{seconds:.1f} s (≙ {seconds * self.factor / 60:.1f} min)"

    def own(self) -> None:
        """Raises NotOursError unless the servers are those that this run started."""
        if not self.town.postgres.owns():
            raise NotOursError(f"the server on {self.town.postgres.folder} is not ours")
        if not owns(self.town.valkey):
            raise NotOursError(f"the server on {self.town.valkey.folder} is not ours")

    def pids(self) -> dict[str, int]:
        """The process of each role; another number later means that it was started again."""
        found = {}
        for role in ROLES:
            running = self.town.programs[role].running
            assert running is not None
            assert running.alive(), f"the {role} ended:\n{self.town.programs[role].tail()}"
            found[role] = running.pid
        return found

    def mend(self) -> None:
        """As it was before the last test."""
        for proxy in (*self.database.values(), self.valkey, self.gateway):
            proxy.lose_commits(None)
            proxy.lost.clear()
            proxy.turn("pass")
        self.town.mend()
        self.town.mark()

    async def sql(self, statement: str, values: Params = ()) -> list[tuple[object, ...]]:
        """What the database says, asked directly."""
        url = self.configuration.settings.database_url
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
            cursor = await connection.execute(statement.encode(), values)
            return await cursor.fetchall() if cursor.description else []

    async def count(self, statement: str, values: Params = ()) -> int:
        ((number,),) = await self.sql(statement, values)
        assert isinstance(number, int)
        return number

    async def until_no_job_is_due(self, seconds: float) -> float:
        """How long it took until nothing was under way or could run now."""
        begun = time.monotonic()

        async def idle() -> bool | None:
            busy = await self.count(
                "SELECT count(*)::int FROM jobs WHERE state = 'pending' AND kind <> 'sweep'"
                " AND (available_at <= now() OR lease_until > now())"
            )
            return True if busy == 0 else None

        await until("the jobs to be done", idle, seconds=seconds)
        return time.monotonic() - begun


def environment(limits: Limits) -> dict[str, str]:
    """Limits as variables of a program."""
    changed = {
        name: value
        for name, value in msgspec.structs.asdict(limits).items()
        if value != getattr(Limits(), name)
    }
    return {f"{LIMIT}{name.upper()}": _text(value) for name, value in changed.items()}


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    if isinstance(value, timedelta):
        return f"{value.total_seconds() * 1000:.3f}ms"
    return str(value)


def limits_of(factor: float, **changes: object) -> Limits:
    """The real windows divided, and what paces a single buyer lifted."""
    many = {name.lower(): A_LOT for name in MANY}
    return msgspec.structs.replace(scaled(factor), **{**many, **changes})


@contextlib.contextmanager
def open_stage(
    folder: Path, *, is_full: bool, factor: float | None = None, **changes: object
) -> Iterator[Stage]:
    """Open for business, with a filled shelf."""
    factor = factor or (FULL_FACTOR if is_full else QUICK_FACTOR)
    limits = limits_of(factor, **changes)
    ports = dict(zip(("shop", *STAND_INS), free_ports(4), strict=True))
    with contextlib.ExitStack() as stack:
        proxies = stack.enter_context(open_proxies())
        postgres = stack.enter_context(start_postgres(folder / "postgres", durable=False))
        valkey = stack.enter_context(start_valkey(folder / "valkey"))
        town = Town(folder, postgres, valkey, ports)
        direct = postgres.create_database("bitloot")
        variables = {
            name: value
            for name, value in settings(town, direct).items()
            if name.removeprefix(LIMIT) not in QUICK
        }
        town.variables = variables
        within = variables | environment(limits)
        socket = postgres.socket_dir / ".s.PGSQL.5432"
        stage = Stage(
            town=town,
            proxies=proxies,
            database={role: proxies.open(socket, reads_commits=True) for role in ROLES},
            valkey=proxies.open(valkey.socket_path),
            gateway=proxies.open(ports["nowpayments"]),
            limits=limits,
            configuration=configure(Environment(dict(within))),
            factor=factor,
            is_full=is_full,
        )
        stage.own()
        stack.callback(_stop, town)
        _fill(town, keys=OWN_KEYS[is_full])
        town.variables = within
        for role in ROLES:
            word = "serve" if role == "shop" else role
            more = reached(stage, role)
            town.program(role, word, port=ports["shop"] if role == "shop" else None, **more)
        town.programs["shop"].wait_until_listening()
        yield stage


def reached(stage: Stage, role: str) -> dict[str, str]:
    """How a program of this role reaches its neighbours."""
    database = stage.database[role].port
    return {
        "BITLOOT_DATABASE_URL": f"postgresql://bitloot@127.0.0.1:{database}/bitloot"
        "?sslmode=disable&gssencmode=disable",
        "BITLOOT_REDIS_URL": f"redis://127.0.0.1:{stage.valkey.port}/0",
        "BITLOOT_NOWPAYMENTS_BASE_URL": f"http://127.0.0.1:{stage.gateway.port}/v1",
    }


def _fill(town: Town, *, keys: int) -> None:
    """Stand-ins that answer, a migrated database, full shelves."""
    town.program("migrate", "migrate")
    for name, config in sandbox_configs(town).items():
        arguments = ("--port", str(town.ports[name]), "--config", json.dumps(config | MORE[name]))
        town.program(name, "sandbox", name, *arguments, port=town.ports[name])
    town.programs["migrate"].finish()
    for name in STAND_INS:
        town.programs[name].wait_until_listening()
    filling: Sequence[tuple[str, ...]] = (("sync", "kinguin"), ("seed", "--keys", str(keys)))
    for name, *rest in filling:
        town.program(name, name, *rest)
    for name, *_ in filling:
        town.programs[name].finish()
