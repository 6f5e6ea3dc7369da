"""Three sources of one product, and whatever may happen to them: no unit is bought twice."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import Final, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from bitloot.domain.decision import update
from bitloot.domain.errors import Refused
from bitloot.domain.failpoints import AFTER_INTENT_COMMIT
from bitloot.domain.fulfilment import LIVE_ATTEMPT, Fulfilment, SupplierAttempt
from bitloot.domain.hold import Hold
from bitloot.domain.idempotency import Once
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.limits import Limits
from bitloot.domain.order import Order, OrderItem
from bitloot.domain.own_stock import Batch
from bitloot.domain.product import Product
from bitloot.domain.quote import Wanted
from bitloot.domain.reconciliation import SUPPLIER_SWEEP
from bitloot.domain.supplier_refund import ENDED
from bitloot.domain.supply import LOST_UNIT
from bitloot.ports.errors import Unavailable
from bitloot_adapters.memory.supplier import MemorySupplier, NextOrder
from bitloot_web.composition.memory import GATEWAY, SUPPLIER
from bitloot_web.testing import TestShop, shop

SECOND: Final = "keyhaven"
BOTH: Final = (SUPPLIER, SECOND)
PRICE: Final = Decimal("12.00")
LIMITS: Final = Limits(open_orders_per_address=1000, open_orders_per_ip=1000)

Step: TypeAlias = tuple[object, ...]

_suppliers = st.sampled_from(BOTH)
_MISHAP: Final = st.one_of(
    st.tuples(st.sampled_from(["lose reply", "time out", "down", "up", "cancel"]), _suppliers),
    st.tuples(st.just("cost"), _suppliers, st.integers(1, 15)),
    st.tuples(st.just("stock"), _suppliers, st.integers(0, 4)),
    st.tuples(st.just("refuse"), _suppliers, st.sampled_from(["unavailable", "balance"])),
    st.tuples(st.just("balance"), _suppliers, st.sampled_from([1, 1_000_000])),
    st.tuples(st.just("keys"), st.integers(1, 3), st.integers(1, 15)),
    st.tuples(st.just("keys end")),
)
_WAIT: Final = st.tuples(st.just("wait"), st.sampled_from([1, 6, 40, 300]))
# Things happen before somebody buys, between the money and the purchase, and after it.
_ROUND: Final = st.tuples(
    st.lists(_MISHAP, max_size=3),
    st.tuples(st.just("buy"), st.integers(1, 3)),
    st.lists(_MISHAP, max_size=3),
    _WAIT,
    st.lists(_MISHAP, max_size=2),
    _WAIT,
)
HISTORIES: Final = st.lists(_ROUND, min_size=1, max_size=4)


class World:
    """A shop with one product of its own that two suppliers have too."""

    it: TestShop
    product_id: str
    slug: str

    def __init__(self) -> None:
        self.offers: dict[str, str] = {}
        self.unheard: list[str] = []
        self._numbers = count()

    async def begin(self, it: TestShop) -> None:
        """What there is to buy."""
        self.it = it
        self.slug = await it.stock_own("Office Pro", price=PRICE, keys=2)
        for name in BOTH:
            self.offers[name] = await it.sell_also(
                self.slug, supplier=name, cost=Decimal(5), units=4
            )
        [product] = [row for row in it.around.store.rows(Product) if row.slug == self.slug]
        self.product_id = product.id

    def supplier(self, name: str) -> MemorySupplier:
        return self.it.around.suppliers[name]

    def failpoint(self, name: str) -> None:
        """The next order is sent, and nobody ever hears that it did not arrive."""
        if name == AFTER_INTENT_COMMIT and self.unheard:
            self.supplier(self.unheard.pop()).faults.time_out_next()

    async def do(self, step: Step) -> None:
        """One thing happens: in the shop, or at a supplier."""
        match step:
            case ("buy", int(quantity)):
                await self._buy(quantity)
            case ("keys", int(keys), int(cost)):
                await self._import(keys, Decimal(cost))
            case ("keys end",):
                self._end_keys()
            case ("wait", int(minutes)):
                await self.it.advance(timedelta(minutes=minutes))
            case (str(what), str(name), *more):
                self._happens(self.supplier(name), what, *more)

    def _happens(self, there: MemorySupplier, what: str, more: object = None) -> None:
        match what, more:
            case "cost", int(cost):
                there.change_offer(self.offers[there.name], price=Decimal(cost))
            case "stock", int(units):
                there.change_offer(self.offers[there.name], stock=units)
            case "refuse", str(word):
                there.next_order(NextOrder(refuse=word))
            case "balance", int(left):
                there.set_balance(Decimal(left))
            case "down", _:
                there.faults.go_down()
            case "up", _:
                there.faults.come_back()
            case "lose reply", _:
                there.faults.lose_next_reply()
            case "time out", _:
                self.unheard.append(there.name)
            case _:
                self._cancel(there)

    def _once(self) -> Once:
        key = f"key-{next(self._numbers):020}"
        return Once(route="test", caller="test", key=key, request_hash=key)

    async def _buy(self, quantity: int) -> None:
        it = self.it
        for name in BOTH:
            with suppress(Unavailable):
                await it.catalog.sync(name, told=lambda _: None)
        try:
            wanted = [Wanted(product=self.slug, quantity=quantity)]
            quoted = await it.shop.checkout.quote(wanted, country=None, asset=None)
        except Refused:
            return
        order = await it.shop.checkout.place(
            quoted.quote.id, email="b@example.org", placed_from="203.0.113.7", once=self._once()
        )
        await it.shop.opening.pay(order.order_id, asset="btc", once=self._once())
        payment = it.around.gateway.of_order(order.number)[-1].gateway_payment_id
        it.around.gateway.pay(payment)
        headers, body = it.around.gateway.webhook(payment)
        assert await it.shop.webhook_intake.accept(GATEWAY, headers, body) == "accepted"
        # It is settled; what happens next may happen before anything is bought for it.
        for job in list(it.around.store.jobs.pending()):
            if job.kind == "apply_payment" and job.is_due(it.around.clock.now()):
                await it.runner.run(job.id)

    async def _import(self, keys: int, cost: Decimal) -> None:
        made = "\n".join(self.it.around.random_bytes(8).hex() for _ in range(keys))
        batch = Batch(product_id=self.product_id, name="more", cost=cost)
        await self.it.shop.inventory.import_keys(made.encode(), batch, actor="test")

    def _end_keys(self) -> None:
        over = self.it.around.clock.now() - timedelta(seconds=1)
        store = self.it.around.store
        free = (k for k in store.rows(InventoryKey) if k.state in {"available", "reserved"})
        store.tables.write([update(key, expires_at=over) for key in free])

    def _cancel(self, supplier: MemorySupplier) -> None:
        """The next order there never gets a key, and is taken back after a while."""
        for order_id in supplier.order_ids:
            if all(unit.state == "pending" for unit in supplier.shown(order_id).keys):
                supplier.end(order_id, "canceled")
        supplier.next_order(NextOrder(units=0))

    # --- what must hold ------------------------------------------------------------------------

    async def check(self) -> None:
        store = self.it.around.store
        rows = {row.id: row for row in store.rows(Fulfilment)}
        live = [a for a in store.rows(SupplierAttempt) if a.state in LIVE_ATTEMPT]
        owners = Counter(
            (rows[a.fulfilment_id].order_item_id, slot)
            for a in live
            for slot in rows[a.fulfilment_id].slots
        )
        assert all(owned == 1 for owned in owners.values()), owners
        for attempt in store.rows(SupplierAttempt):
            assert attempt.max_price == rows[attempt.fulfilment_id].max_unit_price
            if attempt.cost is not None:
                assert attempt.cost <= attempt.max_price * attempt.quantity
        items = {item.id: item for item in store.rows(OrderItem)}
        ceilings = {row.order_item_id: row.max_unit_price for row in rows.values()}
        assert all(units <= items[item].quantity for item, units in self.bought().items())
        for key in store.rows(InventoryKey):
            if key.state == "sold" and key.order_item_id is not None:
                assert key.cost <= ceilings[key.order_item_id]
        assert await self.it.shop.views.desk.breaches(limit=10) == ()

    def bought(self) -> Counter[str]:
        """How many units were paid for and not taken back, by order item: at suppliers, whether the
        shop knows of it or not, and from its own keys.
        """
        store = self.it.around.store
        parts = {row.id: row for row in store.rows(Fulfilment)}
        names = {
            (row.supplier, row.external_id): parts[row.fulfilment_id].order_item_id
            for row in store.rows(SupplierAttempt)
        }
        bought: Counter[str] = Counter()
        for (name, external_id), item_id in names.items():
            for order_id in self.supplier(name).placed(external_id):
                order = self.supplier(name).shown(order_id)
                if order.state not in ENDED:
                    bought[item_id] += sum(unit.state not in LOST_UNIT for unit in order.keys)
        for key in store.rows(InventoryKey):
            if key.state == "sold" and key.order_item_id is not None:
                bought[key.order_item_id] += 1
        return bought

    async def settle(self) -> None:
        """The weather clears, and a day and more goes by."""
        self.unheard.clear()
        for name in BOTH:
            there = self.supplier(name)
            there.faults.come_back()
            there.forget_plans()
            there.faults.answer_again()
            there.set_balance(Decimal(1_000_000))
            there.change_offer(self.offers[name], price=Decimal(4), stock=500)
            for order_id in there.order_ids:
                there.deliver(order_id)
        for _ in range(4):
            await self.it.advance(timedelta(hours=9))
            for name in BOTH:
                at = self.it.around.clock.now()
                await self.it.around.near.jobs.tick(
                    name, at, "sweep", f"{SUPPLIER_SWEEP}{name}/{at}"
                )
        await self.it.advance(timedelta(hours=1))

    def check_end(self) -> None:
        """Every unit has one key that was paid for once, or somebody was told."""
        store = self.it.around.store
        held = {hold.subject_id for hold in store.rows(Hold) if hold.is_open}
        items = {item.id: item for item in store.rows(OrderItem)}
        bought = self.bought()
        for item_id, item in items.items():
            live = [
                k for k in store.rows(SealedKey) if k.order_item_id == item_id and k.state == "live"
            ]
            assert len({key.slot for key in live}) == len(live)
            if item_id not in held:
                assert bought[item_id] == len(live) == item.quantity
        # Whatever any supplier ever sold is known, and what nobody needs went back.
        known = {(a.supplier, a.supplier_order_id) for a in store.rows(SupplierAttempt)}
        for name in BOTH:
            assert {(name, each) for each in self.supplier(name).order_ids} <= known
        assert sum(line.amount for line in store.rows(LedgerLine)) == 0
        for order in store.rows(Order):
            mine = {item.id for item in items.values() if item.order_id == order.id}
            assert order.status in {"fulfilled", "created", "waiting", "expired"} or mine & held


async def history(steps: Sequence[Step]) -> None:
    """From the first step to when all is over."""
    world = World()
    async with shop(
        seed=5, limits=LIMITS, further_suppliers=[SECOND], failpoint=world.failpoint
    ) as it:
        await world.begin(it)
        for step in steps:
            await world.do(step)
            await world.check()
        await world.settle()
        await world.check()
        world.check_end()


@settings(max_examples=25)
@given(HISTORIES)
def test_no_history_of_three_sources_buys_a_unit_twice_or_above_its_ceiling(
    rounds: list[tuple[list[Step], Step, list[Step], Step, list[Step], Step]],
) -> None:
    steps = [
        step
        for before, buy, between, wait, after, again in rounds
        for step in (*before, buy, *between, wait, *after, again)
    ]
    asyncio.run(history(steps))
