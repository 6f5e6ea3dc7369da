"""Everything that a purchase needs, each part a process of its own, talking over real sockets."""

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.e2e.programs import Program, free_ports

from bitloot_web.devservices import PostgresServer, ValkeyServer, start_postgres, start_valkey

OWNER = "owner@shop.example"
IPN_SECRET = "ipn-secret-of-these-tests-0123456789"
KINGUIN_SECRET = "kinguin-webhook-secret-of-these-tests"
RESEND_SECRET = "whsec_" + base64.b64encode(b"resend-secret-of-these-te").decode()
GATEWAY_KEY = "0123456789abcdef0123456789abcdef"
SUPPLIER_KEY = "fedcba9876543210fedcba9876543210"
MAIL_KEY = "re_0123456789abcdef"
PRODUCTS = 40
OWN_KEYS = 200

# One shop's day in a minute: every pause of minutes becomes one of about a second. The order
# `2 * http_total < job_lease < settle_window < key_return_window` is kept.
QUICK = {
    "PAYMENT_FIRST_POLL": "1s",
    "PAYMENT_POLL": "1s",
    "PAYMENT_POLL_AFTER_EXPIRY": "1s",
    "EARLY_WEBHOOK_WAIT": "10s",
    "SUPPLIER_POLL_FIRST": "500ms",
    "SUPPLIER_POLL_CAP": "1s",
    "SUPPLIER_POLL_AFTER_HOUR": "1s",
    "HTTP_READ": "3s",
    "HTTP_TOTAL": "4s",
    "JOB_LEASE": "9s",
    "SETTLE_WINDOW": "10s",
    "SETTLE_SEARCHES": "3",
    "SEARCH_DELAYS": "500ms,1s,2s,3s,4s",
    "SEARCH_INTERVAL": "1s",
    "BLOCKED_RECHECK": "1s",
    "JOB_BACKOFF_FIRST": "500ms",
    "JOB_BACKOFF_CAP": "1s",
    "RELAY_RING_AGAIN": "5s",
    "BREAKER_PROBE": "1s",
    "RESEND_PER_SECOND": "50",
    "NOWPAYMENTS_CREATE_PER_SECOND": "50",
    "NOWPAYMENTS_ESTIMATE_PER_SECOND": "50",
}
# Every test is the same client; what is counted has tests of its own.
MANY = dict.fromkeys(
    (
        "OPEN_ORDERS_PER_ADDRESS",
        "OPEN_ORDERS_PER_IP",
        "CATALOGUE_PER_MINUTE",
        "QUOTES_PER_MINUTE",
        "ORDERS_PER_10_MINUTES",
        "REVEALS_PER_HOUR",
        "ADMIN_PER_MINUTE",
        "OTP_REQUESTS_PER_15_MINUTES",
        "OTP_VERIFICATIONS_PER_IP_PER_15_MINUTES",
        "SESSION_TRIES_PER_15_MINUTES",
    ),
    "10000",
)

ROLES = ("shop", "worker", "scheduler")


@dataclass
class Town:
    """Shop, worker, scheduler, stand-ins and servers. `key` is an API key of the shop's owner."""

    folder: Path
    postgres: PostgresServer
    valkey: ValkeyServer
    ports: Mapping[str, int]
    variables: dict[str, str] = field(default_factory=dict)
    programs: dict[str, Program] = field(default_factory=dict)
    key: str = ""

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.ports[name]}"

    def program(self, name: str, *arguments: str, port: int | None = None, **more: str) -> Program:
        """A program of this shop, started."""
        variables = {**self.variables, **more}
        program = Program(name, arguments, variables, self.folder, port)
        self.programs[name] = program
        program.start()
        return program

    def mend(self) -> None:
        """Start again what a test before this one left broken."""
        if not self.postgres.alive():
            self.postgres.restart()
        if not self.valkey.alive():
            self.valkey.restart()
        for role in ROLES:
            program = self.programs[role]
            if not program.alive():
                program.start()
        self.programs["shop"].wait_until_listening()

    def mark(self) -> None:
        for program in self.programs.values():
            program.mark()

    def logs(self) -> Iterator[tuple[str, str]]:
        for name, program in self.programs.items():
            if text := program.tail():
                yield name, text


@contextlib.contextmanager
def open_town(folder: Path) -> Iterator[Town]:
    """A shop with a filled shelf, open for business."""
    names = ("shop", "nowpayments", "kinguin", "resend")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(start_postgres(folder / "postgres", durable=False))
        valkey = stack.enter_context(start_valkey(folder / "valkey"))
        town = Town(folder, postgres, valkey, ports)
        database = postgres.create_database("bitloot")
        town.variables = settings(town, database)
        stack.callback(_stop, town)
        town.program("migrate", "migrate")
        for name, config in sandbox_configs(town).items():
            arguments = ("--port", str(ports[name]), "--config", json.dumps(config))
            town.program(name, "sandbox", name, *arguments, port=ports[name])
        town.programs["migrate"].finish()
        for name in ("nowpayments", "kinguin", "resend"):
            town.programs[name].wait_until_listening()
        filling = [
            town.program("sync", "sync", "kinguin"),
            town.program("seed", "seed", "--keys", str(OWN_KEYS)),
            town.program("owner", "admin", "create", OWNER, "--with-key", "tests"),
        ]
        for program in filling:
            program.finish()
        town.key = town.programs["owner"].tail(0).split()[-1]
        town.program("shop", "serve", port=ports["shop"])
        town.program("worker", "worker")
        town.program("scheduler", "scheduler")
        town.programs["shop"].wait_until_listening()
        yield town


def _stop(town: Town) -> None:
    """All are told at once: none needs another to end well."""
    with ThreadPoolExecutor(len(town.programs)) as pool:
        list(pool.map(Program.stop, town.programs.values()))


def settings(town: Town, database_url: str) -> dict[str, str]:
    """The environment of every role."""
    quick = {f"BITLOOT_LIMIT_{name}": value for name, value in {**QUICK, **MANY}.items()}
    return quick | {
        "BITLOOT_DATABASE_URL": database_url,
        "BITLOOT_REDIS_URL": town.valkey.url,
        "BITLOOT_PUBLIC_URL": town.url("shop"),
        "BITLOOT_PORT": str(town.ports["shop"]),
        "BITLOOT_DATA_DIR": str(town.folder / "data"),
        "BITLOOT_SECRET_KEY": "a-secret-key-for-these-tests-9876543210",
        "BITLOOT_KEY_VAULT": "local",
        "BITLOOT_LOCAL_KEKS": "test-1:" + base64.b64encode(bytes(range(32))).decode(),
        "BITLOOT_LOCAL_PEPPER": "a-pepper-for-these-tests-0123456789abcdef",
        "BITLOOT_NOWPAYMENTS_API_KEY": GATEWAY_KEY,
        "BITLOOT_NOWPAYMENTS_IPN_SECRET": IPN_SECRET,
        "BITLOOT_NOWPAYMENTS_BASE_URL": town.url("nowpayments") + "/v1",
        "BITLOOT_KINGUIN_API_KEY": SUPPLIER_KEY,
        "BITLOOT_KINGUIN_WEBHOOK_SECRET": KINGUIN_SECRET,
        "BITLOOT_KINGUIN_BASE_URL": town.url("kinguin") + "/esa/api",
        "BITLOOT_KINGUIN_KEY_TYPE": "any",
        "BITLOOT_RESEND_API_KEY": MAIL_KEY,
        "BITLOOT_RESEND_WEBHOOK_SECRET": RESEND_SECRET,
        "BITLOOT_RESEND_FROM_ADDRESS": "BitLoot <orders@shop.example>",
        "BITLOOT_RESEND_BASE_URL": town.url("resend"),
    }


def sandbox_configs(town: Town) -> dict[str, dict[str, object]]:
    """What each stand-in is started with."""
    hooks = town.url("shop") + "/v1/webhooks"
    return {
        "nowpayments": {
            "api_keys": [GATEWAY_KEY],
            "ipn_secret": IPN_SECRET,
            "public_url": town.url("nowpayments"),
            "ipn_retry_seconds": 1.0,
        },
        "kinguin": {
            "api_keys": [SUPPLIER_KEY],
            "products": PRODUCTS,
            "balance": "1000000.00",
            "webhook_url": f"{hooks}/kinguin",
            "webhook_secret": KINGUIN_SECRET,
        },
        "resend": {
            "api_keys": [{"token": MAIL_KEY}],
            "webhooks": [{"url": f"{hooks}/resend", "secrets": [RESEND_SECRET]}],
            "rate_limit": 100,
        },
    }
