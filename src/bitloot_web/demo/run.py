"""The demo from the first service to the last printed line."""

import asyncio
import contextlib
import secrets
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rich.console import Console

from bitloot.domain.api_key import digest_of
from bitloot_web.composition.opening import OpenShop, open_shop
from bitloot_web.composition.schema import upgrade
from bitloot_web.composition.walking import open_walker
from bitloot_web.demo.home import (
    demo_environment,
    demo_secrets,
    keep_key,
    kept_key,
    sandbox_configs,
    write_environment,
)
from bitloot_web.demo.ports import Ports, reserved_ports
from bitloot_web.demo.purchase import BUYER, Bought, buy
from bitloot_web.demo.services import DemoError, database, redis, sandboxes
from bitloot_web.logs import configure_logs
from bitloot_web.plugins import Configuration, configure, secret_values
from bitloot_web.process_roles import ALL_ROLES, running
from bitloot_web.settings import Environment
from bitloot_web.shelves import OWN_PRODUCTS, catalog, stock_up
from bitloot_web.shop import Shop
from bitloot_web.staffing import owner_key

OWNER: Final = "owner@example.org"
OWN_KEYS: Final = 20
FEWEST_PRODUCTS: Final = 500
FEWEST_KEYS: Final = 5
READY_SECONDS: Final = 20.0


class Progress:
    """A line for each step, with the time since the start."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._began = time.monotonic()

    def __call__(self, text: str) -> None:
        self.console.print(f"[dim]{time.monotonic() - self._began:6.2f} s[/]  {text}")


async def run_demo(folder: Path, *, port: int, once: bool) -> None:
    """Start everything, sell two keys, and go on serving unless `once`. Raises DemoError."""
    console = Console(highlight=False, soft_wrap=True)
    told = Progress(console)
    with _services(folder, port, told) as (configuration, ports):
        settings = configuration.settings
        configure_logs(
            level=settings.log_level,
            form=settings.log_format,
            secrets=secret_values(configuration),
            stream=sys.stderr,
        )
        upgrade(settings.database_url)
        told("database migrated")
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        async with open_shop(configuration) as opened:
            await _fill(opened, told)
            key = await _owner(opened.shop, folder, told)
            async with running(opened, ALL_ROLES, stop):
                bought = await _walk(ports, told)
                _show(console, bought, ports, key, folder)
                if not once:
                    console.print("\nServing. Stop with Ctrl-C.")
                    await stop.wait()


@contextlib.contextmanager
def _services(folder: Path, port: int, told: Progress) -> Iterator[tuple[Configuration, Ports]]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    made = demo_secrets(folder)
    with reserved_ports(port) as ports:
        configs = sandbox_configs(folder, made, ports)
        with database(folder) as database_url, redis(folder) as redis_url:
            told("PostgreSQL and Valkey are up")
            with sandboxes(configs, ports, folder):
                told("stand-ins of NOWPayments, Kinguin and Resend are up")
                variables = demo_environment(
                    folder, made, ports, database_url=database_url, redis_url=redis_url
                )
                write_environment(folder, variables)
                yield configure(Environment(variables)), ports


async def _fill(opened: OpenShop, told: Progress) -> None:
    """The supplier's catalogue, and keys of our own where they run low."""
    synced = await catalog(opened).sync("kinguin", told=lambda _: None)
    if synced.products < FEWEST_PRODUCTS:
        raise DemoError(f"the supplier's catalogue has {synced.products} products only")
    told(f"{synced.products} products read from Kinguin, {synced.new} of them new")
    imported = 0
    for product in OWN_PRODUCTS:
        row = await catalog(opened).put_own(product, actor="demo")
        view = await opened.shop.views.catalog.product(row.slug)
        if view is None or view.available < FEWEST_KEYS:
            imported += (await stock_up(opened, product, OWN_KEYS))[1]
    told(f"{imported} own keys imported, each encrypted by itself")


async def _owner(shop: Shop, folder: Path, told: Progress) -> str:
    """An API key of the demo's owner: that of the last start, or a new one if it opens nothing."""
    text = kept_key(folder)
    digest = digest_of(text)
    state = None if digest is None else await shop.views.people.api_key_state(digest)
    if state is None or not state.permissions(shop.clock()):
        text = await owner_key(shop, OWNER, f"demo {shop.clock():%Y-%m-%d %H:%M:%S}")
        keep_key(folder, text)
        told(f"{OWNER} owns the shop")
    return text


async def _walk(ports: Ports, told: Progress) -> Bought:
    shop_url = f"http://127.0.0.1:{ports.shop}"
    await _ready(ports.shop)
    told(f"shop is serving at {shop_url}")
    async with (
        open_walker(shop_url) as shop,
        open_walker(ports.sandbox_url("nowpayments")) as gateway,
    ):
        return await buy(shop, gateway, fresh_key=lambda: secrets.token_hex(16), told=told)


async def _ready(port: int) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.02)
            continue
        writer.close()
        await writer.wait_closed()
        return
    raise DemoError(f"the shop did not listen on port {port} within {READY_SECONDS:.0f} s")


def _show(console: Console, bought: Bought, ports: Ports, key: str, folder: Path) -> None:
    shop = f"http://127.0.0.1:{ports.shop}"
    console.print(f"\n[bold]Both keys revealed[/], {bought.seconds_to_key:.2f} s after paying:")
    for title, serial in bought.keys:
        console.print(f"  {title}: [bold]{serial.splitlines()[0][:60]}[/]", markup=True)
    console.print(f"\n  shop          {shop}/v1/catalog/products")
    console.print(f"  API           {shop}/docs")
    console.print(f"  mails         {ports.sandbox_url('resend')}/inbox  (to {BUYER})")
    console.print(f"  pay by hand   {ports.sandbox_url('nowpayments')}/_control/payments")
    console.print(f"  supplier      {ports.sandbox_url('kinguin')}/_control/orders")
    console.print(f"  owner         {OWNER}, who signs in by a code in the inbox")
    console.print(f"  owner's key   {key}  (for /v1/admin)")
    console.print(f"  settings      {folder}/bitloot.env")
