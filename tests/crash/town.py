"""The servers and stand-ins of a crash run, all of them processes that this run started."""

import asyncio
import contextlib
import gc
import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import msgspec
import redis
from tests.crash.children import Inside, Job, finish, fork
from tests.crash.working import working
from tests.e2e.programs import bytecode, free_ports
from tests.e2e.town import Town, sandbox_configs, settings

from bitloot.domain.limits import Limits
from bitloot_adapters.http import trusted
from bitloot_adapters.postgres.migrate import upgrade
from bitloot_web.devservices import ValkeyServer, start_postgres, start_valkey
from bitloot_web.devservices.process import SELF, ServiceProcess, launch, lock_folder
from bitloot_web.plugins import Configuration, configure
from bitloot_web.settings import Environment
from bitloot_web.shelves import seed_own_stock, sync_catalogue

STAND_INS = ("nowpayments", "kinguin", "resend")
PRODUCTS = 20
FIRST_PRODUCT = 20_000
PLENTY = 100_000
DOOR_SECONDS = 10.0
START_SECONDS = 30.0
LOOK_SECONDS = 0.05
WARM_SECONDS = 0.1
LIMITS_PREFIX = "BITLOOT_LIMIT_"


class StoreNotOwnedError(RuntimeError):
    """The server that would be written to is not one that this run started."""


@contextlib.contextmanager
def open_town(
    folder: Path, *, limits: Limits, share: float, search_lag: float, seed: int, own_keys: int
) -> Iterator[tuple[Town, Configuration]]:
    """Everything running, the shelves full, the network still good."""
    ports = dict(zip(("shop", *STAND_INS), free_ports(4), strict=True))
    with contextlib.ExitStack() as stack:
        postgres = stack.enter_context(start_postgres(folder / "postgres", durable=False))
        valkey = stack.enter_context(start_valkey(folder / "valkey"))
        if not postgres.owns() or not owns(valkey):
            raise StoreNotOwnedError("a server in the run's folder was started by somebody else")
        town = Town(folder, postgres, valkey, ports)
        database = postgres.create_database("bitloot")
        configuration = configured(town, database, limits)
        upgrade(database)
        configs = sandbox_configs(town)
        configs["kinguin"] |= {
            "products": PRODUCTS,
            "webhook_url": None,
            "search_lag_seconds": search_lag,
            # The harsher kind of supplier: it sells the same order twice if asked twice.
            "duplicate_external_id": "accept",
            "balance": "100000000.00",
        }
        configs["resend"] |= {"webhooks": [], "rate_limit": PLENTY}
        for name in STAND_INS:
            state = folder / f"{name}-state"
            state.mkdir()
            config = configs[name] | {"state_dir": str(state)}
            running = stand_in(town, name, config, share=share, seed=seed)
            stack.callback(running.stop)
        first = {
            "shelves": filling(town, configuration, own_keys),
            "first worker": working(configuration, WARM_SECONDS),
        }
        for name, job in first.items():
            finish(fork(name, job, seed=name, log=log_of(town)))
        gc.freeze()
        yield town, configuration


def owns(valkey: ValkeyServer) -> bool:
    """Whether the server behind the socket is the very process that was started here."""
    with redis.Redis.from_url(valkey.url) as client:
        told = client.info("server")
    return valkey.alive() and told["process_id"] == valkey.pid


def log_of(town: Town) -> Path:
    """Where every child writes what it logs."""
    return town.folder / "children.log"


def configured(town: Town, database: str, limits: Limits) -> Configuration:
    """The shop's configuration with these limits, checked like any other."""
    variables = {
        name: value
        for name, value in settings(town, database).items()
        if not name.startswith(LIMITS_PREFIX)
    }
    read = configure(Environment(variables | {"BITLOOT_LOG_LEVEL": "warning"}))
    return Configuration(msgspec.structs.replace(read.settings, limits=limits), read.plugins)


def stand_in(
    town: Town, name: str, config: dict[str, object], *, share: float, seed: int
) -> ServiceProcess:
    """One provider behind its weather."""
    arguments = (name, str(town.ports[name]), json.dumps(config), str(share), str(seed))
    variables = [f"{key}={value}" for key, value in bytecode(town.folder).items()]
    home = town.folder / name
    home.mkdir()
    lock = lock_folder(home, name)
    try:
        return launch(
            ["/usr/bin/env", *variables, sys.executable, "-m", "tests.crash.weather", *arguments],
            identity=SELF,
            log=town.folder / f"{name}.log",
            lock=lock,
            stop_signal=signal.SIGTERM,
        )
    finally:
        os.close(lock)


def filling(town: Town, configuration: Configuration, own_keys: int) -> Job:
    """The child that fills the shelves once the stand-ins answer."""

    async def fill(inside: Inside) -> None:
        for name in STAND_INS:
            await answering(town, name)
        async with door(town, "kinguin") as kinguin:
            for number in range(FIRST_PRODUCT, FIRST_PRODUCT + PRODUCTS):
                # No order of the run waits because a shelf is empty.
                change = {"stock": PLENTY, "is_preorder": False}
                path = f"/_control/products/{number}"
                (await kinguin.post(path, json=change)).raise_for_status()
        await sync_catalogue(configuration, "kinguin", lambda _: None)
        await seed_own_stock(configuration, own_keys)
        inside.tell({"filled": True})

    return fill


def turning(town: Town, word: str) -> Job:
    """The child that begins (`rough`) or ends (`calm`) the faults, and tells what there was."""

    async def turn(inside: Inside) -> None:
        for name in STAND_INS:
            async with door(town, name) as client:
                told = (await client.post(f"/_weather/{word}")).raise_for_status().json()
                inside.tell({"name": name, **told})

    return turn


def door(town: Town, name: str) -> httpx.AsyncClient:
    """A client for the control door of a stand-in."""
    return httpx.AsyncClient(
        base_url=town.url(name), timeout=DOOR_SECONDS, trust_env=False, verify=trusted()
    )


async def answering(town: Town, name: str) -> None:
    """Return when the stand-in listens."""
    async with door(town, name) as client:
        for _ in range(int(START_SECONDS / LOOK_SECONDS)):
            try:
                await client.get("/_weather")
            except httpx.TransportError:
                await asyncio.sleep(LOOK_SECONDS)
            else:
                return
    raise TimeoutError(f"the stand-in {name} does not answer")
