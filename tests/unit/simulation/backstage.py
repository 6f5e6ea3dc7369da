"""What goes on behind the counter: workers and callbacks, people at the desk, and the weather."""

from collections.abc import Callable, Coroutine
from datetime import timedelta
from decimal import Decimal
from typing import Final, get_args

import msgspec
from tests.unit.simulation.processes import ConnectionLost
from tests.unit.simulation.weather import STORE
from tests.unit.simulation.world import (
    LIMITS,
    PLAIN,
    PREORDER,
    PROCESSES,
    START_STOCK,
    WHOLESALE,
    WORKERS,
    World,
)

from bitloot.domain.errors import Refused
from bitloot.domain.failpoints import AFTER_MARK_BEFORE_XADD
from bitloot.domain.hold import Hold
from bitloot.domain.idempotency import Once
from bitloot.domain.order import Order, OrderItem, OrderStatus
from bitloot.domain.refund import RefundRecord
from bitloot.domain.webhook import Webhook
from bitloot.ports.errors import Conflict, StoreUnavailable, Unavailable
from bitloot.usecases.payments.desk import Ruling
from bitloot_adapters.memory.supplier import NextOrder
from bitloot_web.composition.memory import GATEWAY, SUPPLIER

OUTAGES: Final = (STORE, "redis", "gateway", "supplier", "vault", "mailer")
JUMPS: Final = (0.05, 1.0, 5.0, 31.0, 61.0, 300.0, 1000.0, 3700.0)
START_BALANCE: Final = Decimal(1_000_000)
# A sender gives up after so many answers that were none.
DELIVERIES: Final = 8
# Answers to a retry after which the gateway is asked whether the money came.
ASK_GATEWAY: Final = frozenset({"payment-not-settled", "underpaid-non-refundable"})
PASSING: Final = (StoreUnavailable, Unavailable, Conflict, ConnectionLost, Refused)


class Backstage:
    """Each method is one move; it gives what happened in a few words, or "" for nothing."""

    def __init__(self, world: World) -> None:
        self.world: Final = world
        self._asked = 0

    # --- workers -------------------------------------------------------------------------

    def claim(self) -> str:
        """A relay marks what is due and rings for it."""
        worker = self.world.chance.choice(WORKERS)
        self.world.processes.start("relay", worker, self._relay(), self._passing)
        return f"{worker} looks for jobs"

    async def _relay(self) -> None:
        world = self.world
        claimed = await world.around.near.jobs.claim_due(LIMITS.relay_batch)
        world.weather.failpoint(AFTER_MARK_BEFORE_XADD)
        if world.is_redis_down:
            await world.around.near.jobs.take_back(claimed)
            for job_id in claimed:
                await world.runner.run(job_id)
            return
        for job_id in claimed:
            # 15 of 100 messages come twice.
            copies = 2 if world.weather.is_storm and world.chance.random() < 0.15 else 1
            world.bell.extend([job_id] * copies)

    def work(self) -> str:
        """A worker takes a message, not always the oldest."""
        world = self.world
        bell = world.bell
        job_id = bell.pop(world.chance.randrange(len(bell)))
        worker = world.chance.choice(WORKERS)
        job = world.store.jobs.get(job_id)
        name = f"{job.kind} {job.ref[-14:]}" if job else job_id
        world.processes.start(name, worker, world.runner.run(job_id))
        return f"{worker} takes {name}"

    def tick(self) -> str:
        """A scheduler that was just started looks what is due."""

        async def step() -> None:
            await self.world.scheduler().step()

        self.world.processes.start(
            "scheduler", self.world.chance.choice(WORKERS), step(), self._passing
        )
        return "the scheduler ticks"

    def crash(self) -> str:
        """A process dies where it stands."""
        process = self.world.chance.choice(PROCESSES)
        return f"{process} dies with {self.world.processes.kill(process)} tasks"

    # --- callbacks -----------------------------------------------------------------------

    def deliver(self) -> str:
        """Any letter that is due, in any order."""
        world = self.world
        due = [n for n, letter in enumerate(world.letters) if letter.due <= world.now()]
        if not due:
            return ""
        letter = world.letters.pop(world.chance.choice(due))

        async def take_in() -> None:
            if letter.sender == "gateway":
                await world.shop.webhook_intake.accept(GATEWAY, letter.headers, letter.body)
            elif letter.sender == "supplier":
                await world.shop.supplier_hints.accept(SUPPLIER, letter.headers, letter.body)
            else:
                await world.shop.emails.accept(letter.headers, letter.body)

        def ended(error: Exception | None) -> None:
            self._passing(error)
            if error is not None and letter.tries < DELIVERIES:
                again = world.now() + timedelta(minutes=1)
                world.letters.append(
                    msgspec.structs.replace(letter, due=again, tries=letter.tries + 1)
                )

        world.processes.start(f"callback of {letter.sender}", "web", take_in(), ended)
        return f"a callback of the {letter.sender} arrives"

    def _passing(self, error: Exception | None) -> None:
        """Bad news that a caller has to live with; anything else is a bug and fails the run."""
        if error is not None and not isinstance(error, PASSING):
            raise error

    # --- time and weather ----------------------------------------------------------------

    def jump(self) -> str:
        """Time passes, mostly a little; while nobody works, tasks stand frozen."""
        seconds = self.world.chance.choices(JUMPS, (30, 20, 12, 8, 8, 4, 3, 1))[0]
        self.world.pass_time(timedelta(seconds=seconds))
        return f"{seconds} s pass"

    def change_weather(self) -> str:
        """An outage begins or ends."""
        world = self.world
        what = world.chance.choice(OUTAGES)
        if what == "redis":
            world.is_redis_down = not world.is_redis_down
            world.bell.clear()
            around = world.around
            around.rate_limiter.is_down = around.otp.is_down = world.is_redis_down
            (around.realtime.lose if world.is_redis_down else around.realtime.come_back)()
            return f"redis is {'down' if world.is_redis_down else 'back, empty'}"
        down = world.weather.down
        if what in down:
            down.discard(what)
            return f"{what} is back"
        down.add(what)
        return f"{what} is down"

    def change_market(self) -> str:
        """Prices move, stock runs out, the next order goes in its own way."""
        world, chance = self.world, self.world.chance
        offer = f"offer-{chance.randrange(2)}"
        kind = chance.choice(("price", "stock", "partial", "slow", "twice", "refuse", "balance"))
        supplier = world.supplier
        if kind == "price":
            price = Decimal(chance.choice(("7.00", "8.00", "8.40", "9.50", "20.00")))
            supplier.change_offer(offer, price=price)
        elif kind == "stock":
            supplier.change_offer(offer, stock=chance.randint(0, START_STOCK))
        elif kind == "partial":
            supplier.next_order(NextOrder(units=chance.randint(0, 1)))
        elif kind == "slow":
            supplier.next_order(NextOrder(after=timedelta(minutes=chance.choice((1, 50)))))
        elif kind == "twice":
            supplier.next_order(NextOrder(serials=(b"AAAAA-BBBBB-CCCCC-DDDDD",)))
        elif kind == "refuse":
            word = chance.choice(("unavailable", "balance", "credentials", "invalid"))
            supplier.next_order(NextOrder(refuse=word))
        else:
            supplier.set_balance(Decimal(0))
        return f"the supplier's market: {kind}"

    def hint(self) -> str:
        """The supplier calls back about one of its orders, which may have moved on."""
        world = self.world
        orders = world.supplier.order_ids
        if not orders:
            return ""
        order_id = world.chance.choice(orders)
        word = world.chance.random()
        if word < 0.5:
            world.supplier.deliver(order_id, world.chance.choice((1, None)))
        elif word < 0.57:
            world.supplier.end(order_id, world.chance.choice(("canceled", "refunded")))
        world.post("supplier", world.supplier.webhook(order_id))
        return "the supplier calls back"

    def mail_event(self) -> str:
        """The mail provider tells what became of a mail."""
        world = self.world
        mails = world.around.mailer.mailbox
        if not mails:
            return ""
        word = world.chance.choice(("delivered", "delayed", "bounced", "complained", "failed"))
        told = world.around.mailer.webhook(
            world.chance.choice(mails).provider_id, word, permanent=world.chance.random() < 0.5
        )
        world.post("mailer", told)
        return f"a mail is {word}"

    def clear_up(self) -> None:
        """All faults end: everything is there, in stock, and answers."""
        world = self.world
        world.weather.clear()
        world.is_redis_down = False
        world.around.rate_limiter.is_down = world.around.otp.is_down = False
        world.around.realtime.come_back()
        supplier = world.supplier
        supplier.set_balance(START_BALANCE)
        supplier.forget_plans()
        for number in (*PLAIN, PREORDER, WHOLESALE):
            supplier.change_offer(f"offer-{number}", price=Decimal("8.00"), stock=50)
        for order_id in supplier.order_ids:
            supplier.deliver(order_id)

    # --- the desk ------------------------------------------------------------------------

    def decide(self) -> str:
        """Somebody at the desk does something, sensible or not."""
        chance = self.world.chance
        moves: tuple[Callable[[], tuple[str, Coroutine[str, None, None]] | None], ...] = (
            self._rule_hold,
            self._rule_hold,
            self._retry,
            self._give_up,
            self._refund,
            self._replace,
            self._replay_webhook,
            self._replay_job,
        )
        chosen = chance.choice(moves)()
        if chosen is None:
            return ""
        name, work = chosen
        self.world.processes.start(f"desk: {name}", "web", work, self._passing)
        return f"the desk: {name}"

    def _rule_hold(self) -> tuple[str, Coroutine[str, None, None]] | None:
        world = self.world
        holds = [hold for hold in world.store.rows(Hold) if hold.is_open]
        if not holds:
            return None
        hold, accept = world.chance.choice(holds), world.chance.random() < 0.6
        order = world.store.tables.get(Order, hold.order_id)
        assert order is not None
        self._asked += 1
        once = Once(route="hold", caller="desk", key=f"hold-{self._asked}", request_hash="0" * 64)
        ruling = Ruling(by="desk", reason="seen", expected_version=order.version)

        async def work() -> None:
            await world.shop.money_desk.decide_hold(
                hold.id, ruling, accept=accept, signed_loss=True, once=once
            )

        return f"{'accepts' if accept else 'rejects'} hold {hold.reason}", work()

    def _some_order(self, *statuses: str) -> Order | None:
        orders = [o for o in self.world.store.rows(Order) if o.status in statuses]
        return self.world.chance.choice(orders) if orders else None

    def _retry(self) -> tuple[str, Coroutine[str, None, None]] | None:
        order = self._some_order(*get_args(OrderStatus))
        if order is None:
            return None
        shop = self.world.shop

        async def work() -> None:
            try:
                await shop.aftercare.retry(order.id, actor="desk", reason="again")
            except Refused as no:
                if no.code not in ASK_GATEWAY:
                    raise
                paid = await shop.applying.settle_order(order.id, actor="desk", reason="again")
                await shop.aftercare.retry(order.id, actor="desk", reason="again", just_paid=paid)

        return f"retries {order.number}", work()

    def _give_up(self) -> tuple[str, Coroutine[str, None, None]] | None:
        order = self._some_order("paid", "partially_fulfilled")
        if order is None or self.world.chance.random() < 0.6:
            return None

        async def work() -> None:
            await self.world.shop.aftercare.give_up(order.id, actor="desk", reason="no goods")

        return f"gives up {order.number}", work()

    def _refund(self) -> tuple[str, Coroutine[str, None, None]] | None:
        order = self._some_order("paid", "partially_fulfilled", "fulfilled", "failed")
        if order is None or self.world.chance.random() < 0.6:
            return None
        record = RefundRecord(
            amount="0.001",
            asset="btc",
            address="back",
            tx_id=f"tx-{order.number}",
            basis="fiat",
            eur=order.total,
            reason="asked",
        )

        async def work() -> None:
            await self.world.shop.aftercare.refund(order.id, record, actor="desk", confirmed=True)

        return f"refunds {order.number}", work()

    def _replace(self) -> tuple[str, Coroutine[str, None, None]] | None:
        order = self._some_order("fulfilled", "partially_fulfilled")
        if order is None:
            return None
        items = list(self.world.store.tables.of_order(OrderItem, order.id))
        item = self.world.chance.choice(items)

        async def work() -> None:
            await self.world.shop.aftercare.replace_key(
                order.id, item.id, 1, actor="desk", reason="does not work"
            )

        return f"replaces a key of {order.number}", work()

    def _replay_webhook(self) -> tuple[str, Coroutine[str, None, None]] | None:
        webhooks = [w for w in self.world.store.rows(Webhook) if w.provider == GATEWAY]
        if not webhooks:
            return None
        webhook = self.world.chance.choice(webhooks)

        async def work() -> None:
            await self.world.shop.webhook_replay.replay(webhook.id, by="desk", reason="again")

        return "replays a callback", work()

    def _replay_job(self) -> tuple[str, Coroutine[str, None, None]] | None:
        dead = [job.id for job in self.world.store.jobs.all() if job.state == "dead"]
        if not dead:
            return None
        job_id = self.world.chance.choice(dead)

        async def work() -> None:
            await self.world.around.near.jobs.replay(job_id)

        return "replays a dead job", work()
