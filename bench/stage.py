"""What a run stands on: servers, a filled database, and settings with high rates."""

import base64
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench import shelves
from bench.load import LoadGenerator
from bench.programs import BITLOOT, Program, free_ports, running
from bitloot_adapters.postgres.migrate import upgrade
from bitloot_web.devservices import PostgresServer, ValkeyServer, start_postgres, start_valkey

TEMPLATE: Final = "filled"
SHARED_BUFFERS: Final = "256MB"
MANY: Final = "100000000"
# Counted as always, but nobody is turned away: the load comes from one machine.
HIGH_LIMITS: Final = (
    "OPEN_ORDERS_PER_ADDRESS",
    "OPEN_ORDERS_PER_IP",
    "CATALOGUE_PER_MINUTE",
    "QUOTES_PER_MINUTE",
    "ORDERS_PER_10_MINUTES",
    "REVEALS_PER_HOUR",
    "ADMIN_PER_MINUTE",
    "NOWPAYMENTS_CREATE_PER_SECOND",
    "NOWPAYMENTS_ESTIMATE_PER_SECOND",
    "RESEND_PER_SECOND",
)
SECRET_KEY: Final = "a-secret-key-for-measuring-9876543210"
IPN_SECRET: Final = "an-ipn-secret-for-measuring-0123456789"
ADMIN_TOKEN: Final = "an-admin-token-for-measuring-0123456789"
GATEWAY_KEY: Final = "0123456789abcdef0123456789abcdef"
SUPPLIER_KEY: Final = "fedcba9876543210fedcba9876543210"
SUPPLIER_SECRET: Final = "a-kinguin-webhook-secret-for-measuring"
MAIL_KEY: Final = "re_0123456789abcdef"
MAIL_SECRET: Final = "whsec_" + base64.b64encode(b"a-secret-for-measuring-x").decode()


@dataclass(frozen=True, kw_only=True)
class Stage:
    """Servers that run, and how long each round of a figure takes."""

    folder: Path
    postgres: PostgresServer
    valkey: ValkeyServer
    load: LoadGenerator
    ports: Mapping[str, int]
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
        """The environment of every role: the defaults, but for what measuring needs."""
        return {f"BITLOOT_LIMIT_{name}": MANY for name in HIGH_LIMITS} | {
            "BITLOOT_DATABASE_URL": database_url,
            "BITLOOT_REDIS_URL": self.valkey.url,
            "BITLOOT_PUBLIC_URL": self.url("shop"),
            "BITLOOT_PORT": str(self.ports["shop"]),
            # The load generator is the proxy in front: each buyer has an address of their own.
            "BITLOOT_TRUSTED_PROXIES": "127.0.0.0/8",
            "BITLOOT_DATA_DIR": str(self.folder / "data"),
            "BITLOOT_SECRET_KEY": SECRET_KEY,
            "BITLOOT_ADMIN_TOKEN": ADMIN_TOKEN,
            "BITLOOT_KEY_VAULT": "local",
            "BITLOOT_LOCAL_KEKS": "bench-1:" + base64.b64encode(bytes(range(32))).decode(),
            "BITLOOT_LOCAL_PEPPER": "a-pepper-for-measuring-0123456789abcdef",
            "BITLOOT_NOWPAYMENTS_API_KEY": GATEWAY_KEY,
            "BITLOOT_NOWPAYMENTS_IPN_SECRET": IPN_SECRET,
            "BITLOOT_NOWPAYMENTS_BASE_URL": self.url("nowpayments") + "/v1",
            "BITLOOT_KINGUIN_API_KEY": SUPPLIER_KEY,
            "BITLOOT_KINGUIN_WEBHOOK_SECRET": SUPPLIER_SECRET,
            "BITLOOT_KINGUIN_BASE_URL": self.url("kinguin") + "/esa/api",
            "BITLOOT_KINGUIN_KEY_TYPE": "any",
            "BITLOOT_RESEND_API_KEY": MAIL_KEY,
            "BITLOOT_RESEND_WEBHOOK_SECRET": MAIL_SECRET,
            "BITLOOT_RESEND_FROM_ADDRESS": "BitLoot <orders@shop.example>",
            "BITLOOT_RESEND_BASE_URL": self.url("resend"),
        }

    @contextlib.contextmanager
    def serving(self, database_url: str) -> Iterator[Program]:
        """`bitloot serve` on that database."""
        variables = self.variables(database_url)
        with running("shop", (*BITLOOT, "serve"), variables, self.folder) as shop:
            shop.wait_for(self.url("shop") + "/readyz")
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
    names = ("shop", "limit", "nowpayments", "kinguin", "resend")
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
            ports=dict(zip(names, free_ports(len(names)), strict=True)),
            rounds=rounds,
            seconds=seconds,
            orders=orders,
        )
