"""Buyers: each wants something, pays in a way of their own, and looks at what they got."""

from collections.abc import Callable, Coroutine, Iterator, Sequence
from decimal import Decimal
from typing import Final

from tests.unit.simulation.processes import ConnectionLost, pause
from tests.unit.simulation.world import DOZEN, WHOLESALE, World

from bitloot.domain.errors import Refused
from bitloot.domain.idempotency import Once
from bitloot.domain.order import Order, OrderItem
from bitloot.domain.quote import Wanted
from bitloot.ports.errors import Conflict, StoreUnavailable, Unavailable

ASSETS: Final = ("btc", "ltc", "xrp")
PLANS: Final = {
    "exact": 10,
    "over": 1,
    "under": 1,
    "topped up": 2,
    "late": 2,
    "twice": 1,
    "never": 1,
    "failed": 1,
    "sent back": 1,
    "deposits again": 1,
    "cancels": 1,
    "hosted": 2,
}
ON_THE_WAY: Final = ("confirming", "confirmed", "sending")
MOST_TRIES: Final = 6
# Answers after which the same request may be sent again.
FOR_NOW: Final = frozenset({"provider-unavailable", "idempotency-in-progress"})
PASSING: Final = (StoreUnavailable, Unavailable, Conflict, ConnectionLost)


class Shown:
    """Which unit each serial was shown for: no serial belongs to two."""

    def __init__(self) -> None:
        self.units: Final[dict[str, set[tuple[str, str, int]]]] = {}

    def twice(self) -> list[str]:
        """Serials that were shown for more than one unit."""
        return [serial for serial, units in self.units.items() if len(units) > 1]


class Buyer:
    """One purchase. `act` takes the next step, whichever comes next for this buyer."""

    def __init__(self, world: World, name: str, shown: Shown) -> None:
        chance = world.chance
        self.world: Final = world
        self.name: Final = name
        self.plan: Final = chance.choices(tuple(PLANS), tuple(PLANS.values()))[0]
        self.asset: Final = chance.choice(ASSETS)
        self.wanted: Final = self._basket()
        self.stage = "quote"
        self.order_id = ""
        self.number = ""
        self.payments: Final[list[str]] = []
        self._shown = shown
        self._quote_id = ""
        self._busy = 0
        self._tries = 0
        self._reveals = 0
        self._paying: Iterator[None] | None = None

    def _basket(self) -> list[Wanted]:
        """One or two things; what is to come, and what is cheaper by the dozen, by itself."""
        chance, products = self.world.chance, self.world.products
        dozen = next(p for p in products if str(p.supplier_product_id).endswith(str(WHOLESALE)))
        coming = next(p for p in products if p.is_preorder)
        draw = chance.random()
        if draw < 0.06:
            return [Wanted(product=coming.id, quantity=chance.choice((1, 2)))]
        if draw < 0.1:
            return [Wanted(product=dozen.id, quantity=DOZEN)]
        usual = [product for product in products if product is not coming]
        lines = chance.sample(usual, chance.choice((1, 1, 2)))
        return [Wanted(product=p.id, quantity=chance.choice((1, 1, 2))) for p in lines]

    @property
    def wants_to_act(self) -> bool:
        """There is a next step."""
        return self.stage != "gone" and (self._busy == 0 or self.world.chance.random() < 0.05)

    def act(self) -> str:
        """Take the next step; gives what it was."""
        if self.stage == "pay":
            return self._pay()
        step: dict[str, Callable[[], Coroutine[str, None, None]]] = {
            "quote": self._quote,
            "place": self._place,
            "open": self._open,
            "reveal": self._reveal,
        }
        self._busy += 1
        name = f"{self.name} {self.stage}"
        self.world.processes.start(name, "web", step[self.stage](), self._ended)
        return f"{name}s ({self.plan})"

    def reveal_now(self) -> None:
        """At the end of the run: look at the keys whatever came before."""
        if self.order_id:
            self._reveals += 1
            self.world.processes.start(f"{self.name} reveal", "web", self._reveal(), self._ended)

    def come_back(self, buyers: "Sequence[Buyer]") -> str:
        """By a mailed code, which opens this order, once, and no other."""
        if not self.order_id:
            return ""
        others = [other.order_id for other in buyers if other is not self and other.order_id]
        self._busy += 1
        work = self._come_back(others)
        self.world.processes.start(f"{self.name} comes back", "web", work, self._came_back)
        return f"{self.name} comes back by a code"

    def _came_back(self, error: Exception | None) -> None:
        self._busy -= 1
        if error is not None and not isinstance(error, (*PASSING, Refused)):
            raise error

    async def _come_back(self, others: Sequence[str]) -> None:
        shop = self.world.shop
        challenge = (await shop.reentry.request(self.order_id)).challenge_id
        await pause("reads the mail")
        code = shop.emails.code_of(challenge)
        opened = [await self._opens(order_id, challenge, code) for order_id in others]
        if any(opened):
            self.world.bugs.append("a code opened the order of somebody else")
        if sum([await self._opens(self.order_id, challenge, code) for _ in range(3)]) > 1:
            self.world.bugs.append("a code opened its order twice")

    async def _opens(self, order_id: str, challenge: str, code: str) -> bool:
        try:
            await self.world.shop.reentry.verify(order_id, challenge, code)
        except Refused:
            return False
        return True

    # --- requests ------------------------------------------------------------------------

    def _ended(self, error: Exception | None) -> None:
        self._busy -= 1
        if error is None:
            self._tries = 0
            return
        self._tries += 1
        word = error.code if isinstance(error, Refused) else type(error).__name__
        self.world.tell(f"  {self.name} at {self.stage}: {word}")
        if isinstance(error, PASSING) or (isinstance(error, Refused) and error.code in FOR_NOW):
            if self._tries >= MOST_TRIES and self.stage != "reveal":
                self.stage = "gone"
        elif not isinstance(error, Refused):
            raise error
        elif self.stage != "reveal" and not (self.stage == "open" and self.payments):
            self.stage = "gone"

    def _once(self, route: str, part: str = "") -> Once:
        return Once(
            route=route, caller=self.name, key=f"{self.name}-{route}-{part}", request_hash="0" * 64
        )

    async def _quote(self) -> None:
        quoted = await self.world.shop.checkout.quote(self.wanted, country=None, asset=self.asset)
        if self.stage == "quote":
            self._quote_id = quoted.quote.id
            self.stage = "place"

    async def _place(self) -> None:
        facts = await self.world.shop.checkout.place(
            self._quote_id,
            email=f"{self.name}@shop.example",
            placed_from=self.name,
            once=self._once("place"),
        )
        self.order_id, self.number = facts.order_id, facts.number
        if self.stage == "place":
            self.stage = "open"

    async def _open(self) -> None:
        opening, part = self.world.shop.opening, str(len(self.payments))
        if self.plan == "hosted":
            page = await opening.pay_hosted(
                self.order_id, asset=None, return_url=None, once=self._once("hosted", part)
            )
            assert page.url is not None
            known = page.url.rpartition("/")[2]
        else:
            facts = await opening.pay(self.order_id, asset=self.asset, once=self._once("pay", part))
            reports = self.world.gateway.of_order(self.number)
            known = next(
                r.gateway_payment_id for r in reports if r.pay_address == facts.pay_address
            )
        if known not in self.payments:
            self.payments.append(known)
        if self.stage == "open":
            self.stage = "pay"

    async def _reveal(self) -> None:
        world = self.world
        for item in list(world.store.tables.of_order(OrderItem, self.order_id)):
            once = self._once(f"reveal-{item.item_no}", str(self._reveals))
            try:
                link = await world.shop.reveal.reveal(
                    self.order_id, item.id, granted_to=self.name, once=once
                )
                file = await world.shop.reveal.download(link.token, client=self.name)
            except Refused:
                continue
            for key in file.keys:
                unit = (self.order_id, item.id, key.unit)
                self._shown.units.setdefault(key.key, set()).add(unit)
        self._reveals += 1
        if self._reveals > 2:
            self.stage = "gone"

    # --- paying --------------------------------------------------------------------------

    def _pay(self) -> str:
        if self._paying is None:
            self._paying = getattr(self, f"_pay_{self.plan.replace(' ', '_')}", self._pay_exact)()
        assert self._paying is not None
        try:
            next(self._paying)
        except StopIteration:
            self.stage = "reveal"
            return f"{self.name} waits for the keys"
        return f"{self.name} pays ({self.plan})"

    def _call_back(self, payment_id: str) -> None:
        self.world.post("gateway", self.world.gateway.webhook(payment_id))

    def _send(self, payment_id: str, fraction: Decimal, ending: str | None) -> Iterator[None]:
        """The money is seen, confirmed, and at last in hand; each word calls back."""
        gateway, chance = self.world.gateway, self.world.chance
        stops = [word for word in ON_THE_WAY if chance.random() < 0.5]
        first = True
        for word in stops:
            if first:
                gateway.pay(payment_id, fraction, status=word)
            else:
                gateway.move(payment_id, word)
            first = False
            self._call_back(payment_id)
            yield
        if first:
            gateway.pay(payment_id, fraction, status=ending)
        else:
            gateway.move(payment_id, ending or "finished")
        self._call_back(payment_id)
        yield

    def _pay_exact(self) -> Iterator[None]:
        yield from self._send(self.payments[0], Decimal(1), "finished")

    def _pay_over(self) -> Iterator[None]:
        yield from self._send(self.payments[0], Decimal("1.5"), "finished")

    def _pay_under(self) -> Iterator[None]:
        yield from self._send(self.payments[0], Decimal("0.6"), "partially_paid")

    def _pay_topped_up(self) -> Iterator[None]:
        yield from self._send(self.payments[0], Decimal("0.6"), "partially_paid")
        yield
        self.world.gateway.pay(self.payments[0], Decimal("0.4"), status="finished")
        self._call_back(self.payments[0])
        yield

    def _pay_late(self) -> Iterator[None]:
        while (order := self._order()) is not None and order.status in {"created", "waiting"}:
            yield
        yield from self._send(self.payments[0], Decimal(1), "finished")

    def _pay_twice(self) -> Iterator[None]:
        if len(self.payments) == 1:
            self.stage = "open"
            yield
        for payment_id in list(self.payments):
            yield from self._send(payment_id, Decimal(1), "finished")

    def _pay_never(self) -> Iterator[None]:
        yield

    def _pay_failed(self) -> Iterator[None]:
        word = self.world.chance.choice(("failed", "expired"))
        yield from self._send(self.payments[0], Decimal(0), word)

    def _pay_sent_back(self) -> Iterator[None]:
        yield from self._send(self.payments[0], Decimal(1), "finished")
        self.world.gateway.move(self.payments[0], "refunded")
        self._call_back(self.payments[0])
        yield

    def _pay_deposits_again(self) -> Iterator[None]:
        yield from self._send(self.payments[0], Decimal(1), "finished")
        asset = self.world.chance.choice((None, "eth"))
        child = self.world.gateway.redeposit(self.payments[0], Decimal("0.001"), asset=asset)
        self._call_back(child.gateway_payment_id)
        yield

    def _pay_cancels(self) -> Iterator[None]:
        self._busy += 1

        async def run() -> None:
            await self.world.shop.checkout.cancel(self.order_id, once=self._once("cancel"))

        self.world.processes.start(f"{self.name} cancel", "web", run(), self._ended)
        yield
        if self.world.chance.random() < 0.5:
            yield from self._send(self.payments[0], Decimal(1), "finished")

    def _pay_hosted(self) -> Iterator[None]:
        report = self.world.gateway.pay_invoice(self.payments[0], self.asset)
        self._call_back(report.gateway_payment_id)
        yield

    def _order(self) -> Order | None:
        return self.world.store.tables.get(Order, self.order_id)
