"""Buyers and their gateway, step by step through the use cases, in a process that may die.

A buyer places an order, asks for an address and pays there; the gateway's callbacks are handed in
one by one, some twice, some never. Whoever died is followed by somebody who goes on from what was
told last.
"""

from dataclasses import dataclass, field
from typing import cast

import httpx
from tests.crash.children import Inside, Job, Line
from tests.crash.town import door
from tests.e2e.town import Town

from bitloot.domain.errors import Refused
from bitloot.domain.idempotency import Once
from bitloot.domain.quote import Wanted
from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.views.catalog import ShelfQuery
from bitloot_web.composition.opening import open_shop
from bitloot_web.plugins import Configuration
from bitloot_web.shop import Shop

ASSET = "ltc"
GATEWAY = "nowpayments"
SIGNATURE = "x-nowpayments-sig"
# Each is a callback and a job.
STEPS = ("confirming", "finished")
OWN_STOCK_SHARE = 0.2
TWO_UNITS_SHARE = 0.25
TWICE = 0.15
LOST = 0.1
SHUFFLED = 0.2
TRIES = 12


@dataclass
class Purchase:
    """What is known of one purchase from outside."""

    number: int
    quote_id: str | None = None
    order_id: str | None = None
    order_number: str | None = None
    gateway_payment: str | None = None
    is_paid: bool = False
    given: set[int] = field(default_factory=set)
    is_over: bool = False
    tries: int = 0
    not_before: float = 0.0

    @property
    def email(self) -> str:
        return f"buyer{self.number}@reader.example"

    def once(self, what: str) -> Once:
        """The same key at every try: a buyer who repeats a request that got no answer."""
        key = f"crash-{what}-{self.number:012d}"
        return Once(route=what, caller=f"buyer/{self.number}", key=key, request_hash="0" * 64)

    def learn(self, line: Line) -> None:
        """Take in what a child told of this purchase."""
        for name in ("quote_id", "order_id", "order_number", "gateway_payment"):
            if name in line:
                setattr(self, name, str(line[name]))
        self.is_paid = self.is_paid or line.get("is_paid") is True
        self.is_over = self.is_over or line.get("is_over") is True
        if "given" in line:
            self.given.add(cast("int", line["given"]))


@dataclass
class Buyer:
    """One child's hands."""

    inside: Inside
    shop: Shop
    gateway: httpx.AsyncClient
    shelf: list[str]
    own: list[str]

    async def go(self, purchase: Purchase) -> None:
        """As far as it goes: placed, addressed, paid, told."""
        self.inside.subject = purchase.order_id
        if purchase.order_id is None:
            await self._place(purchase)
        if purchase.gateway_payment is None:
            await self._ask(purchase)
        if not purchase.is_paid:
            path = f"/_control/payments/{purchase.gateway_payment}/pay"
            (await self.gateway.post(path, json={"steps": list(STEPS)})).raise_for_status()
            self._tell(purchase, is_paid=True)
        await self._call_back(purchase)
        self._tell(purchase, is_over=True)

    async def _place(self, purchase: Purchase) -> None:
        chance = self.inside.chance
        if purchase.quote_id is None:
            shelf = self.own if chance.random() < OWN_STOCK_SHARE else self.shelf
            units = 2 if chance.random() < TWO_UNITS_SHARE else 1
            wanted = [Wanted(product=chance.choice(shelf), quantity=units)]
            quoted = await self.shop.checkout.quote(wanted, country=None, asset=None)
            self._tell(purchase, quote_id=quoted.quote.id)
        assert purchase.quote_id is not None
        facts = await self.shop.checkout.place(
            purchase.quote_id,
            email=purchase.email,
            placed_from=f"198.51.{purchase.number // 250 % 250}.{purchase.number % 250}",
            once=purchase.once("place"),
        )
        self._tell(purchase, order_id=facts.order_id, order_number=facts.number)
        self.inside.subject = facts.order_id

    async def _ask(self, purchase: Purchase) -> None:
        assert purchase.order_id is not None
        facts = await self.shop.opening.pay(
            purchase.order_id, asset=ASSET, once=purchase.once("pay")
        )
        query = {"order_id": str(purchase.order_number)}
        made = (await self.gateway.get("/_control/payments", params=query)).raise_for_status()
        mine = [p for p in made.json()["payments"] if p["pay_address"] == facts.pay_address]
        self._tell(purchase, gateway_payment=str(mine[0]["payment_id"]))

    async def _call_back(self, purchase: Purchase) -> None:
        chance = self.inside.chance
        query = {"payment_id": str(purchase.gateway_payment)}
        sent = (await self.gateway.get("/_control/ipns", params=query)).raise_for_status()
        calls = [one for one in sent.json()["ipns"] if one["id"] not in purchase.given]
        if chance.random() < SHUFFLED:
            chance.shuffle(calls)
        for call in calls:
            # Given up before the last try: what the shop never answered is not sent again.
            is_lost = chance.random() < LOST
            for _ in range(0 if is_lost else 2 if chance.random() < TWICE else 1):
                await self.shop.webhook_intake.accept(
                    GATEWAY,
                    {SIGNATURE: call["signature"], "content-type": "application/json"},
                    call["body"].encode("utf-8", "surrogatepass"),
                )
            self._tell(purchase, given=call["id"])

    def _tell(self, purchase: Purchase, **facts: object) -> None:
        line = {"purchase": purchase.number, **facts}
        purchase.learn(line)
        self.inside.tell(line)


def buying(configuration: Configuration, town: Town, purchases: list[Purchase]) -> Job:
    """A child that goes on with these purchases, one after the other, unless it dies before."""

    async def buy(inside: Inside) -> None:
        async with (
            open_shop(configuration, failpoint=inside.failpoint) as opened,
            door(town, GATEWAY) as gateway,
        ):
            views = opened.shop.views.catalog
            shelves = [
                [
                    product.slug
                    for product in (
                        await views.products(
                            ShelfQuery(source=source, in_stock=True), limit=50, after=None
                        )
                    ).page.items
                    if not product.is_preorder
                ]
                for source in ("kinguin", "custom")
            ]
            buyer = Buyer(inside, opened.shop, gateway, *shelves)
            for purchase in purchases:
                try:
                    await buyer.go(purchase)
                except (Refused, StoreUnavailable) as error:
                    word = error.code if isinstance(error, Refused) else type(error).__name__
                    inside.tell({"purchase": purchase.number, "refused": word})

    return buy
