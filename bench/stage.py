"""What a run stands on: servers, a filled database, and settings with high rates."""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import shelves
from bench.load import LoadGenerator
from bench.programs import BITLOOT, Program, free_ports, running
from bench.shop_settings import PORTS, shop_variables
from bitloot_adapters.postgres.migrate import upgrade
from bitloot_web.devservices import PostgresServer, ValkeyServer, start_postgres, start_valkey

TEMPLATE: Final = "filled"
SHARED_BUFFERS: Final = "256MB"
SERVE: Final = (*BITLOOT, "serve")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Servers that run, and how long each round of a figure takes.

    `filled` is the address of the database with the catalogue: to be read, and to be copied.
    """

    folder: Path
    postgres: PostgresServer
    valkey: ValkeyServer
    load: LoadGenerator
    ports: Mapping[str, int]
    filled: str
    rounds: int
    seconds: float
    orders: int

    def fresh_database(self, name: str) -> str:
        """A copy of the filled database; gives its address."""
        self.postgres.drop_database(name)
        return self.postgres.create_database(name, TEMPLATE)

    def url(self, name: str) -> str:
        """Where a program listens."""
        return f"http://127.0.0.1:{self.ports[name]}"

    def variables(self, database_url: str) -> dict[str, str]:
        """The environment of every role."""
        return shop_variables(database_url, self.valkey.url, self.ports, self.folder)

    @contextlib.contextmanager
    def serving(
        self,
        database_url: str,
        name: str = "shop",
        settings: Mapping[str, str] | None = None,
        *,
        program: Sequence[str] = SERVE,
    ) -> Iterator[Program]:
        """`bitloot serve` on that database, where the shop of that name listens. `settings` are
        those that this shop alone has.
        """
        variables = self.variables(database_url) | {
            "BITLOOT_PUBLIC_URL": self.url(name),
            "BITLOOT_PORT": str(self.ports[name]),
            **(settings or {}),
        }
        with running(name, program, variables, self.folder) as shop:
            shop.wait_for(self.url(name) + "/readyz")
            yield shop

    @contextlib.contextmanager
    def limit_serving(self, database_url: str) -> Iterator[Program]:
        """The bare routes on that database."""
        arguments = ("-m", "bench.limits.server", database_url, str(self.ports["limit"]))
        with running("limit", arguments, {}, self.folder) as limit:
            limit.wait_for(self.url("limit") + "/ready")
            yield limit


@contextlib.contextmanager
def open_stage(folder: Path, *, rounds: int, seconds: float, orders: int) -> Iterator[Stage]:
    """Servers that wait for the disk as a real shop's do, and a template with the catalogue."""
    with (
        start_postgres(
            folder / "postgres", durable=True, shared_buffers=SHARED_BUFFERS, max_connections=200
        ) as postgres,
        start_valkey(folder / "valkey") as valkey,
        LoadGenerator() as load,
    ):
        template = postgres.create_database(TEMPLATE)
        upgrade(template)
        shelves.fill(template)
        yield Stage(
            folder=folder,
            postgres=postgres,
            valkey=valkey,
            load=load,
            ports=dict(zip(PORTS, free_ports(len(PORTS)), strict=True)),
            filled=template,
            rounds=rounds,
            seconds=seconds,
            orders=orders,
        )
