"""Everything that a stand-in store remembers, written through to disk when it is asked to."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from bitloot_adapters.sandbox.kinguin.catalogue import Catalogue, Product
from bitloot_adapters.sandbox.kinguin.config import (
    Delivery,
    DuplicatePolicy,
    ErrorVariant,
    KinguinSandboxConfig,
)
from bitloot_adapters.sandbox.kinguin.faults import Fault
from bitloot_adapters.sandbox.kinguin.orders import Order

S = TypeVar("S", bound=msgspec.Struct)
HookMode = Literal["valid", "wrong_secret", "no_secret", "duplicate", "drop", "hold"]
TaskKind = Literal["deliver", "cancel", "refund", "return", "credit"]


class Task(msgspec.Struct, frozen=True):
    """Something that happens to an order (to the keys named, or to all) when `due` comes."""

    number: int
    due: datetime
    kind: TaskKind
    order_id: str
    key_ids: tuple[str, ...] | None = None


class Hook(msgspec.Struct, frozen=True):
    """One webhook and what became of it. `statuses` has the answer to each attempt (0: none)."""

    number: int
    event: str
    url: str
    body: str
    due: datetime
    mode: HookMode = "valid"
    state: Literal["waiting", "held", "delivered", "dropped"] = "waiting"
    statuses: tuple[int, ...] = ()


class HookPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the next `times` webhooks of an event (`None`: of any) are sent."""

    mode: HookMode
    event: str | None = None
    times: int = 1


class Switches(msgspec.Struct, frozen=True, kw_only=True):
    """What the control door and the passage of orders change besides orders and products."""

    balance: Decimal
    delivery: Delivery
    search_lag_seconds: float
    duplicate_external_id: DuplicatePolicy
    error_variant: ErrorVariant
    billing_address: bool
    offers_visible: bool
    text_qty_visible: bool
    payment_price_as_text: bool
    webhook_url: str | None
    webhook_secret: str
    webhooks_disabled: bool = False
    webhook_failures: int = 0
    ahead_seconds: float = 0.0
    counter: int = 0
    next_orders: tuple[Delivery, ...] = ()
    faults: tuple[Fault, ...] = ()
    hook_plans: tuple[HookPlan, ...] = ()


class Store:
    """The stand-in's memory. Changes become durable together when `acting` ends."""

    def __init__(self, config: KinguinSandboxConfig, source: Callable[[], datetime] | None) -> None:
        self.config = config
        self.catalogue = Catalogue(config.seed, config.products)
        self.orders: dict[str, Order] = {}
        self.tasks: dict[int, Task] = {}
        self.hooks: dict[int, Hook] = {}
        self.switches = _initial(config)
        self._source = source or _real_utc
        self._by_external: dict[str, list[str]] = {}
        self._db = None if config.state_dir is None else _open(config.state_dir)
        if self._db is not None:
            self._load()

    def now(self) -> datetime:
        return self._source() + timedelta(seconds=self.switches.ahead_seconds)

    def go_to(self, moment: datetime) -> None:
        """Move virtual time forward to `moment`, never back."""
        step = (moment - self.now()).total_seconds()
        if step > 0:
            self.switch(ahead_seconds=self.switches.ahead_seconds + step)

    @contextmanager
    def acting(self) -> Iterator[None]:
        """Commit on the way out, refused or not: a refusal has changed nothing but counters."""
        try:
            yield
        finally:
            if self._db is not None:
                self._db.commit()

    def count(self) -> int:
        """The next number of the one sequence behind orders, tasks, webhooks and traces."""
        self.switch(counter=self.switches.counter + 1)
        return self.switches.counter

    def switch(self, **changes: object) -> None:
        self.switches = msgspec.structs.replace(self.switches, **changes)
        self._put("switches", "", self.switches)

    def save_order(self, order: Order) -> None:
        if order.order_id not in self.orders and order.external_id is not None:
            self._by_external.setdefault(order.external_id, []).append(order.order_id)
        self.orders[order.order_id] = order
        self._put("order", order.order_id, order)

    def with_external_id(self, external_id: str) -> list[Order]:
        return [self.orders[order_id] for order_id in self._by_external.get(external_id, ())]

    def save_product(self, product: Product) -> None:
        self.catalogue.change(product)
        self._put("product", str(product.kinguin_id), product)

    def save_task(self, task: Task) -> None:
        self.tasks[task.number] = task
        self._put("task", str(task.number), task)

    def drop_task(self, task: Task) -> None:
        self.tasks.pop(task.number, None)
        self._delete("task", str(task.number))

    def save_hook(self, hook: Hook) -> None:
        self.hooks[hook.number] = hook
        self._put("hook", str(hook.number), hook)

    def forget_old_hooks(self, most: int) -> None:
        """Keep the newest `most` webhooks."""
        while len(self.hooks) > most:
            oldest = next(iter(self.hooks))
            self.hooks.pop(oldest)
            self._delete("hook", str(oldest))

    def reset(self) -> None:
        """Start again from the configuration, on disk too, without using an id a second time."""
        self.catalogue.forget_changes()
        self.orders.clear()
        self.tasks.clear()
        self.hooks.clear()
        self._by_external.clear()
        if self._db is not None:
            self._db.execute("DELETE FROM rows")
        used = self.switches.counter
        self.switches = _initial(self.config)
        self.switch(counter=used)

    def close(self) -> None:
        if self._db is not None:
            self._db.commit()
            self._db.close()
            self._db = None

    def _put(self, kind: str, name: str, row: msgspec.Struct) -> None:
        if self._db is not None:
            self._db.execute(
                "INSERT INTO rows (kind, id, body) VALUES (?, ?, ?) "
                "ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
                (kind, name, msgspec.json.encode(row)),
            )

    def _delete(self, kind: str, name: str) -> None:
        if self._db is not None:
            self._db.execute("DELETE FROM rows WHERE kind = ? AND id = ?", (kind, name))

    def _load(self) -> None:
        for product in self._rows("product", Product):
            self.catalogue.change(product)
        for order in self._rows("order", Order):
            self.orders[order.order_id] = order
            if order.external_id is not None:
                self._by_external.setdefault(order.external_id, []).append(order.order_id)
        self.tasks = {task.number: task for task in self._rows("task", Task)}
        self.hooks = {hook.number: hook for hook in self._rows("hook", Hook)}
        for switches in self._rows("switches", Switches):
            self.switches = switches

    def _rows(self, kind: str, row_type: type[S]) -> list[S]:
        if self._db is None:
            return []
        found = self._db.execute("SELECT body FROM rows WHERE kind = ? ORDER BY rowid", (kind,))
        return [msgspec.json.decode(body, type=row_type) for (body,) in found]


def _open(state_dir: str) -> sqlite3.Connection:
    folder = Path(state_dir)
    folder.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(folder / "kinguin.sqlite3", check_same_thread=False)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute(
        "CREATE TABLE IF NOT EXISTS rows (kind TEXT, id TEXT, body BLOB, PRIMARY KEY (kind, id))"
    )
    return db


def _initial(config: KinguinSandboxConfig) -> Switches:
    return Switches(
        balance=config.balance,
        delivery=config.delivery,
        search_lag_seconds=config.search_lag_seconds,
        duplicate_external_id=config.duplicate_external_id,
        error_variant=config.error_variant,
        billing_address=config.billing_address,
        offers_visible=config.offers_visible,
        text_qty_visible=config.text_qty_visible,
        payment_price_as_text=config.payment_price_as_text,
        webhook_url=config.webhook_url,
        webhook_secret=config.webhook_secret,
        faults=config.faults,
    )


def _real_utc() -> datetime:
    return datetime.now(UTC)
