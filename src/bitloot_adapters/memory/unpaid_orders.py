"""A shop in front of the till: baskets, orders and payments on memory adapters.

For tests of what leads to a paid order: a store and a gateway on one virtual clock, with a lever
for each thing that may go wrong. Jobs of deliveries and mails are left to lie.
"""

from collections.abc import Mapping
from datetime import timedelta
from hashlib import sha256
from typing import Final

from bitloot.domain.decision import Decision
from bitloot.domain.hold import Hold
from bitloot.domain.idempotency import Once
from bitloot.domain.limits import Limits
from bitloot.domain.order import Order
from bitloot.domain.payment import Payment
from bitloot.domain.quote import Wanted
from bitloot.domain.webhook import Webhook
from bitloot.ports.intake import Intake, Taken
from bitloot.ports.jobs import Lease
from bitloot.testing.rows import Goods, Rows, inserts
from bitloot.testing.seeded import SeededBytes, SeededIds
from bitloot.testing.virtual_time import VirtualClock
from bitloot.usecases.checkout import Checkout, OrderFacts
from bitloot.usecases.payments.applying import Applying
from bitloot.usecases.payments.desk import MoneyDesk
from bitloot.usecases.payments.facts import PaymentFacts
from bitloot.usecases.payments.intake import WebhookIntake
from bitloot.usecases.payments.opening import Opening
from bitloot.usecases.webhook_replay import WebhookReplay
from bitloot_adapters.memory.breakers import MemoryBreakers
from bitloot_adapters.memory.cache import MemoryCache
from bitloot_adapters.memory.jobs import MemoryJobs
from bitloot_adapters.memory.payment_gateway import MemoryPaymentGateway
from bitloot_adapters.memory.rate_limiter import MemoryRateLimiter
from bitloot_adapters.memory.unit_of_work import MemoryStore, MemoryUnitOfWork

SEED: Final = 7
MOST_JOBS: Final = 500
EMAIL: Final = "buyer@shop.example"
GATEWAY: Final = "memory"


class Crashed(BaseException):
    """The process dies at a fail-point: nothing after it runs."""


class UnpaidOrders:
    """`crash_at` names the fail-point that ends the process, once."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.clock = VirtualClock()
        self.limits = limits or Limits()
        self.random = SeededBytes(SEED)
        self.new_id = SeededIds(self.clock.now, seed=SEED)
        self.store = MemoryStore(clock=self.clock.now, new_id=self.new_id, limits=self.limits)
        self.uow = MemoryUnitOfWork(self.store)
        self.jobs = MemoryJobs(self.store.jobs, self.clock.boot)
        self.rows = Rows(clock=self.clock.now, new_id=self.new_id)
        self.gateway = MemoryPaymentGateway(
            clock=self.clock.now,
            random_bytes=self.random,
            name=GATEWAY,
            in_transaction=self.uow.in_transaction,
        )
        self.breakers = MemoryBreakers(clock=self.clock.now, limits=self.limits)
        self.rate_limiter = MemoryRateLimiter(clock=self.clock.now)
        self.crash_at: str | None = None
        self._keys = 0
        self._open()

    def _open(self) -> None:
        clock, new_id, limits, uow = self.clock.now, self.new_id, self.limits, self.uow
        gateways = {GATEWAY: self.gateway}
        self.checkout = Checkout(
            uow=uow,
            gateways=gateways,
            gateway=GATEWAY,
            limits=limits,
            clock=clock,
            new_id=new_id,
            random_bytes=self.random,
            failpoint=self.failpoint,
        )
        self.opening = Opening(
            uow=uow,
            gateways=gateways,
            gateway=GATEWAY,
            breakers=self.breakers,
            cache=MemoryCache(clock=clock, entries=limits.cache_entries),
            limits=limits,
            clock=clock,
            new_id=new_id,
            failpoint=self.failpoint,
        )
        intake = Intake(
            uow=uow,
            rate_limiter=self.rate_limiter,
            limits=limits,
            clock=clock,
            new_id=new_id,
            failpoint=self.failpoint,
        )
        self.intake = WebhookIntake(intake=intake, gateways=gateways)
        self.replay = WebhookReplay(uow=uow, followers={GATEWAY: "apply_payment"}, clock=clock)
        self.applying = Applying(
            uow=uow,
            jobs=self.jobs,
            gateways=gateways,
            breakers=self.breakers,
            wholesale_limits={},
            limits=limits,
            clock=clock,
            new_id=new_id,
            failpoint=self.failpoint,
        )
        self.desk = MoneyDesk(
            uow=uow,
            gateways=gateways,
            wholesale_limits={},
            limits=limits,
            clock=clock,
            new_id=new_id,
        )

    def failpoint(self, name: str) -> None:
        """Die here, once, if that was asked for."""
        if self.crash_at == name:
            self.crash_at = None
            raise Crashed(name)

    # --- buying ------------------------------------------------------------------------------

    def once(self, route: str, *, key: str | None = None, body: str = "") -> Once:
        """A fresh idempotency key, or this one again."""
        self._keys += 1
        return Once(
            route=route,
            caller="192.0.2.7",
            key=key or f"key-number-{self._keys:06d}",
            request_hash=sha256(body.encode()).hexdigest(),
        )

    async def stock(self, *, units: int = 10, own: bool = False) -> Goods:
        """A product on sale: of the supplier, or of `units` own keys."""
        goods = self.rows.goods(stock=units, own=own)
        keys = [self.rows.stock_key(goods.product) for _ in range(units if own else 0)]
        rows = inserts(
            goods.product, goods.offer, goods.listing, *(row for pair in keys for row in pair)
        )
        async with self.uow.begin() as tx:
            await tx.record(Decision(save=rows))
        return goods

    async def order(self, *goods: Goods, quantity: int = 1, email: str = EMAIL) -> OrderFacts:
        """A quote turned into an order."""
        wanted = [Wanted(product=one.product.slug, quantity=quantity) for one in goods]
        quoted = await self.checkout.quote(wanted, country="DE", asset=None)
        return await self.checkout.place(
            quoted.quote.id, email=email, placed_from="192.0.2.7", once=self.once("orders")
        )

    async def payable(self, *goods: Goods) -> tuple[OrderFacts, PaymentFacts]:
        """An order with an address to pay to."""
        placed = await self.order(*(goods or [await self.stock()]))
        once = self.once("payments")
        return placed, await self.opening.pay(placed.order_id, asset="btc", once=once)

    # --- the gateway calls back --------------------------------------------------------------

    def gateway_id(self, payment_id: str) -> str:
        """The gateway's id of a payment of ours."""
        found = self.store.tables.get(Payment, payment_id)
        assert found is not None
        assert found.gateway_payment_id is not None
        return found.gateway_payment_id

    async def call_back(self, gateway_payment_id: str) -> Taken:
        """The gateway tells how a payment stands."""
        headers, body = self.gateway.webhook(gateway_payment_id)
        return await self.deliver(headers, body)

    async def deliver(self, headers: Mapping[str, str], body: bytes) -> Taken:
        """A callback with these bytes."""
        return await self.intake.accept(GATEWAY, headers, body)

    # --- working -----------------------------------------------------------------------------

    async def work(self) -> None:
        """Run every due payment job until none is left."""
        handlers = {
            "apply_payment": self.applying.apply,
            "adopt_invoice": self.applying.adopt_invoice,
            "expire_order": self.checkout.expire,
        }
        for _ in range(MOST_JOBS):
            due = [
                job.id
                for job in self.store.jobs.pending()
                if job.kind in handlers and job.is_due(self.clock.now())
            ]
            lease: Lease | None = await self.jobs.lease(due[0]) if due else None
            if lease is None:
                return
            await handlers[lease.kind](lease)
        raise AssertionError("the jobs never come to rest")

    async def work_for(self, span: timedelta, *, step: timedelta = timedelta(minutes=1)) -> None:
        """Let time pass in steps, working after each."""
        until = self.clock.now() + span
        while self.clock.now() < until:
            self.clock.advance(min(step, until - self.clock.now()))
            await self.work()

    # --- looking -----------------------------------------------------------------------------

    def order_row(self, order_id: str) -> Order:
        """The order as it is stored."""
        found = self.store.tables.get(Order, order_id)
        assert found is not None
        return found

    def payments(self, order_id: str) -> list[Payment]:
        """The payments of an order."""
        return [row for row in self.store.rows(Payment) if row.order_id == order_id]

    def holds(self, order_id: str) -> list[Hold]:
        """The holds of an order."""
        return [row for row in self.store.rows(Hold) if row.order_id == order_id]

    def webhook_classes(self) -> list[str]:
        """How the stored webhooks were classified, in the order of their coming."""
        return [row.classification for row in self.store.rows(Webhook)]

    def kinds(self, order_id: str) -> list[str]:
        """The kinds of an order's events."""
        return [event.kind for event in self.store.timeline(order_id)]
