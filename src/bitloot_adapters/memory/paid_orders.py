"""A shop behind the till: paid orders on memory adapters, and the jobs that deliver them.

For tests of what follows a payment: a store, a supplier, a vault and a mailbox on one virtual
clock, with a lever for each thing that may go wrong.
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Final

import msgspec

from bitloot.domain.account_links import AccountLinks
from bitloot.domain.address import parse_address
from bitloot.domain.decision import Decision, Event, insert
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.fulfilment_plan import plan
from bitloot.domain.idempotency import Once
from bitloot.domain.limits import Limits
from bitloot.domain.order import Order, OrderFile
from bitloot.domain.own_stock import Batch
from bitloot.domain.reactions import JobKind
from bitloot.ports.intake import Intake
from bitloot.ports.jobs import Done, Lease
from bitloot.ports.supplier import Supplier, SupplierProduct
from bitloot.testing.rows import COST, SUPPLIER, Goods, Rows, stocked
from bitloot.testing.seeded import SeededBytes, SeededIds
from bitloot.testing.virtual_time import VirtualClock
from bitloot.usecases.aftercare import Aftercare
from bitloot.usecases.emails import Emails
from bitloot.usecases.fulfilment import Desk, FulfilmentJob
from bitloot.usecases.housekeeping import Housekeeping
from bitloot.usecases.inventory import Inventory
from bitloot.usecases.reconciliation import Reconciliation
from bitloot.usecases.reveal import Reveal
from bitloot.usecases.supplier_hints import SupplierHints
from bitloot.usecases.webhook_replay import WebhookReplay
from bitloot_adapters.email_templates.render import load_email_templates
from bitloot_adapters.memory.breakers import MemoryBreakers
from bitloot_adapters.memory.jobs import MemoryJobs
from bitloot_adapters.memory.key_vault import MemoryKeyVault
from bitloot_adapters.memory.mailer import MemoryMailer
from bitloot_adapters.memory.rate_limiter import MemoryRateLimiter
from bitloot_adapters.memory.supplier import MemorySupplier
from bitloot_adapters.memory.unit_of_work import MemoryStore, MemoryUnitOfWork
from bitloot_adapters.memory.upkeep import MemoryUpkeep
from bitloot_adapters.memory.views.desk import MemoryDeskViews

SEED: Final = 11
MOST_JOBS: Final = 2000


def _nothing() -> None:
    """What happens at a fail-point where nothing was asked for."""


PUBLIC_URL: Final = "https://shop.example"


class Crash(BaseException):
    """The process dies at a fail-point: nothing after it runs."""


class PaidOrders:
    """`crash_at` names the fail-point that ends the process; `at_failpoint` what else happens."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.limits = Limits()
        self.random = SeededBytes(SEED)
        self.new_id = SeededIds(self.clock.now, seed=SEED)
        self.store = MemoryStore(clock=self.clock.now, new_id=self.new_id, limits=self.limits)
        self.uow = MemoryUnitOfWork(self.store)
        self.jobs = MemoryJobs(self.store.jobs, self.clock.boot)
        self.rows = Rows(clock=self.clock.now, new_id=self.new_id)
        inside = self.uow.in_transaction
        self.supplier = MemorySupplier(
            clock=self.clock.now, random_bytes=self.random, name=SUPPLIER, in_transaction=inside
        )
        self.vault = MemoryKeyVault(random_bytes=self.random, in_transaction=inside)
        self.mailer = MemoryMailer(
            clock=self.clock.now,
            random_bytes=self.random,
            limits=self.limits,
            in_transaction=inside,
        )
        self.breakers = MemoryBreakers(clock=self.clock.now, limits=self.limits)
        self.followers: dict[str, JobKind] = {
            SUPPLIER: "supplier_hint",
            self.mailer.name: "mail_event",
        }
        self.crash_at: str | None = None
        self.at_failpoint: dict[str, Callable[[], None]] = {}
        self._open()

    def _open(self) -> None:
        suppliers: dict[str, Supplier] = {SUPPLIER: self.supplier}
        clock, new_id, limits = self.clock.now, self.new_id, self.limits
        self.fulfil = FulfilmentJob(
            Desk(
                uow=self.uow,
                jobs=self.jobs,
                suppliers=suppliers,
                vault=self.vault,
                breakers=self.breakers,
                clock=clock,
                boot_clock=self.clock.boot,
                new_id=new_id,
                random_bytes=self.random,
                limits=limits,
                failpoint=self.failpoint,
            )
        )
        self.reveal = Reveal(
            uow=self.uow,
            vault=self.vault,
            clock=clock,
            new_id=new_id,
            limits=limits,
            link_secret=self.random(32),
            sign=lambda body: (f"signed-{len(body)}", "test-key"),
        )
        self._open_desk(suppliers)
        self._open_sweeps(suppliers)

    def _open_desk(self, suppliers: Mapping[str, Supplier]) -> None:
        clock, new_id, limits = self.clock.now, self.new_id, self.limits
        self.aftercare = Aftercare(
            uow=self.uow,
            jobs=self.jobs,
            suppliers=suppliers,
            breakers=self.breakers,
            vault=self.vault,
            clock=clock,
            new_id=new_id,
            random_bytes=self.random,
            limits=limits,
        )
        self.inventory = Inventory(
            uow=self.uow, vault=self.vault, clock=clock, new_id=new_id, limits=limits
        )
        intake = Intake(
            uow=self.uow,
            rate_limiter=MemoryRateLimiter(clock=clock),
            limits=limits,
            clock=clock,
            new_id=new_id,
            failpoint=self.failpoint,
        )
        self.replay = WebhookReplay(uow=self.uow, followers=self.followers, clock=clock)
        self.hints = SupplierHints(
            uow=self.uow,
            intake=intake,
            jobs=self.jobs,
            suppliers=suppliers,
            breakers=self.breakers,
            clock=clock,
            new_id=new_id,
            limits=limits,
        )
        self.emails = Emails(
            uow=self.uow,
            intake=intake,
            jobs=self.jobs,
            mailer=self.mailer,
            breakers=self.breakers,
            render=load_email_templates(),
            code_of=lambda challenge: challenge[-6:],
            clock=clock,
            new_id=new_id,
            random_bytes=self.random,
            limits=limits,
            failpoint=self.failpoint,
            public_url=PUBLIC_URL,
            links=AccountLinks(
                deletion_keys=[self.random(32)],
                recovery_keys=[self.random(32)],
                public_url=PUBLIC_URL,
            ),
        )

    def _open_sweeps(self, suppliers: Mapping[str, Supplier]) -> None:
        clock, new_id, limits = self.clock.now, self.new_id, self.limits
        desk, upkeep = MemoryDeskViews(self.store, limits=limits), MemoryUpkeep(self.store)
        self.housekeeping = Housekeeping(
            uow=self.uow,
            desk=desk,
            upkeep=upkeep,
            followers=self.followers,
            clock=clock,
            limits=limits,
        )
        self.reconciliation = Reconciliation(
            uow=self.uow,
            jobs=self.jobs,
            desk=desk,
            upkeep=upkeep,
            suppliers=suppliers,
            vault=self.vault,
            clock=clock,
            boot_clock=self.clock.boot,
            new_id=new_id,
            random_bytes=self.random,
            limits=limits,
        )

    def failpoint(self, name: str) -> None:
        """Do what was asked for here, once; die if that was asked for."""
        self.at_failpoint.pop(name, _nothing)()
        if self.crash_at == name:
            self.crash_at = None
            raise Crash(name)

    # --- what there is to buy ------------------------------------------------------------

    async def goods(self, *, stock: int = 50) -> Goods:
        """A product of the supplier, on sale there."""
        goods = self.rows.goods(stock=stock)
        assert goods.offer is not None
        await self._write(goods)
        self.supplier.stock(
            SupplierProduct(
                supplier_product_id=goods.offer.supplier_product_id,
                title=goods.product.title,
                description="",
                platform=None,
                region=None,
                excluded_countries=(),
                is_preorder=False,
                release_date=None,
                instructions=None,
                cover_url=None,
                offer_id=goods.offer.offer_id,
                price=COST,
                stock=stock,
                wholesale=(),
                updated_at=self.clock.now(),
            )
        )
        return goods

    async def own_goods(self, *serials: str) -> Goods:
        """A product of our own with these keys on the shelf."""
        goods = self.rows.goods(own=True)
        await self._write(goods)
        batch = Batch(product_id=goods.product.id, name="batch-1", cost=Decimal(3))
        await self.inventory.import_keys("\n".join(serials).encode(), batch, actor="admin")
        return goods

    async def _write(self, goods: Goods) -> None:
        async with self.uow.begin() as tx:
            await tx.record(stocked(goods))

    async def paid(
        self, *goods: Goods, quantity: int = 1, email: str = "buyer@shop.example"
    ) -> str:
        """An order of these goods that was just paid; gives its id."""
        purchase = self.rows.purchase(*goods, quantity=quantity, email=email)
        order = msgspec.structs.replace(
            purchase.order,
            status="paid",
            paid_at=self.clock.now(),
            email_key=parse_address(email).key,
        )
        payment = self.rows.payment(order, status="finished", rank=60, call_answered=True)
        file = OrderFile(order=order, items=purchase.items)
        at = self.clock.now()
        planned = plan(file, at=at, new_id=self.new_id, limits=self.limits, wholesale_units={})
        events = [Event(kind="order_paid", at=at, subject=order.id)]
        events += [Event(kind="fulfilment_planned", at=at, subject=f.id) for f in planned]
        rows = (purchase.quote, order, *purchase.items, payment, *planned)
        async with self.uow.begin() as tx:
            await tx.record(
                Decision(
                    save=tuple(insert(row) for row in rows),
                    events=tuple(events),
                    order_id=order.id,
                )
            )
        return order.id

    # --- the workers ---------------------------------------------------------------------

    async def work(self) -> None:
        """Run every job that is due now, as workers would; a crash leaves the job leased."""
        for _ in range(MOST_JOBS):
            due = next((j for j in self.store.jobs.pending() if j.is_due(self.clock.now())), None)
            lease = await self.jobs.lease(due.id) if due is not None else None
            if lease is None:
                return
            try:
                await self.run(lease)
            except Crash:
                continue
        raise RuntimeError("the jobs do not come to rest")

    async def work_for(self, span: timedelta) -> None:
        """Let time pass up to `span`, running every job when it is due."""
        end = self.clock.now() + span
        await self.work()
        for _ in range(MOST_JOBS):
            waiting = [
                max(job.available_at, job.lease_until or job.available_at)
                for job in self.store.jobs.pending()
            ]
            following = min(waiting, default=end)
            if following >= end:
                break
            self.clock.advance(max(following - self.clock.now(), timedelta(microseconds=1)))
            await self.work()
        self.clock.advance(max(end - self.clock.now(), timedelta()))
        await self.work()

    async def run(self, lease: Lease) -> None:
        """One job, by its kind; the kinds of other parts of the shop are done at once."""
        handlers = {
            "fulfil": self.fulfil.run,
            "supplier_hint": self.hints.follow_up,
            "return_keys": self.aftercare.return_keys,
            "delete_object": self.aftercare.delete_object,
            "send_email": self.emails.send,
            "mail_event": self.emails.follow_up,
        }
        sweeps = {
            "redrive": self.housekeeping.redrive,
            "housekeeping": self.housekeeping.keep_house,
            "objects": self.reconciliation.compare_objects,
        }
        handler = handlers.get(lease.kind)
        if lease.kind == "sweep":
            handler = sweeps.get(lease.ref.partition("/")[0], self.reconciliation.compare_orders)
        if handler is None:
            async with self.uow.begin() as tx:
                await tx.record(Decision(), lease=lease, outcome=Done())
            return
        await handler(lease)

    # --- looking -------------------------------------------------------------------------

    def order(self, order_id: str) -> Order:
        """The order's row."""
        return next(o for o in self.store.rows(Order) if o.id == order_id)

    def fulfilments(self, order_id: str) -> list[Fulfilment]:
        """Its fulfilments, by item and part."""
        found = [f for f in self.store.rows(Fulfilment) if f.order_id == order_id]
        return sorted(found, key=lambda f: (f.item_no, f.part))

    def attempts(self, order_id: str) -> list[SupplierAttempt]:
        """Its supplier attempts, as they were made."""
        return [a for a in self.store.rows(SupplierAttempt) if a.order_id == order_id]

    def bought(self, order_id: str) -> list[str]:
        """Every supplier order that was ever placed for it, known to us or not."""
        ids = {a.external_id for a in self.attempts(order_id)}
        return [found for each in sorted(ids) for found in self.supplier.placed(each)]

    async def read_keys(self, order_id: str, item_id: str, key: str = "k" * 16) -> list[str]:
        """Reveal an item and download its file; gives the keys in it."""
        once = Once(route="reveal", caller=order_id, key=key, request_hash=item_id)
        link = await self.reveal.reveal(order_id, item_id, granted_to="order_session", once=once)
        file = await self.reveal.download(link.token, client="client-digest")
        return [entry.key for entry in file.keys]
