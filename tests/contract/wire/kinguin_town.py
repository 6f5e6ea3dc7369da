"""A shop behind the till whose supplier is the Kinguin stand-in, in one process with it."""

import dataclasses
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

import httpx
import msgspec

from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.hold import Hold
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.product import Offer, Product
from bitloot.ports.supplier import Supplier
from bitloot.testing.rows import Goods
from bitloot.usecases.fulfilment import FulfilmentJob
from bitloot_adapters.http import HttpClient
from bitloot_adapters.kinguin.catalogue import KeyType
from bitloot_adapters.kinguin.client import NAME, Kinguin
from bitloot_adapters.memory.paid_orders import PaidOrders
from bitloot_adapters.sandbox.kinguin import KinguinSandboxConfig, build_app

KEY = "kinguin-key-of-the-shop"
SECRET = "kinguin-secret-of-the-shop"
FIRST_PRODUCT = 20_000
SECOND = timedelta(seconds=1)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
PRICE = Decimal("9.00")
# What a unit may cost at most: its price of 12.50 less the gateway's fee.
CEILING = Decimal("12.37")


class _Offer(msgspec.Struct):
    offer_id: str


class Town(PaidOrders):
    """A shop behind the till whose supplier is the stand-in, on one clock with it."""

    def __init__(self, key_type: KeyType, *, preorders: bool) -> None:
        super().__init__()
        start = self.clock.now()
        self._there = start
        config = KinguinSandboxConfig(
            api_keys=(KEY,),
            products=60,
            webhook_url="http://shop.example/v1/webhooks/kinguin",
            webhook_secret=SECRET,
        )
        self._app: Callable[..., Awaitable[None]] = build_app(
            config, clock=lambda: start, deliver=self._take
        )
        self._door = httpx.AsyncClient(transport=self._transport(), base_url="http://kinguin")
        self._sold = FIRST_PRODUCT
        self._http: list[HttpClient] = []
        self._key_type: KeyType = key_type
        self._preorders = preorders
        self.reads_webhooks = False
        self._mail: list[tuple[Mapping[str, str], bytes]] = []
        self.use_key(KEY)

    def _transport(self) -> httpx.AsyncBaseTransport:
        return httpx.ASGITransport(app=self._app)

    def use_key(self, key: str) -> None:
        """Speak to the supplier with this API key from now on."""
        http = HttpClient(
            "http://kinguin/esa/api",
            limits=msgspec.structs.replace(self.limits, http_total=SECOND),
            in_transaction=self.uow.in_transaction,
            headers={"x-api-key": key},
            transport=self._transport,
        )
        self._http.append(http)
        kinguin = Kinguin(
            http,
            webhook_secret=SECRET,
            limits=self.limits,
            key_type=self._key_type,
            preorders=self._preorders,
        )
        suppliers: dict[str, Supplier] = {NAME: kinguin}
        self.fulfil = FulfilmentJob(dataclasses.replace(self.fulfil.desk, suppliers=suppliers))
        self.aftercare = dataclasses.replace(self.aftercare, suppliers=suppliers)
        self.hints = dataclasses.replace(self.hints, suppliers=suppliers)
        self.reconciliation = dataclasses.replace(self.reconciliation, suppliers=suppliers)

    async def close(self) -> None:
        for http in self._http:
            await http.close()
        await self._door.aclose()

    async def _take(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        del url
        self._mail.append(({name.lower(): value for name, value in headers.items()}, body))
        return 204, b""

    # --- the supplier's side ---------------------------------------------------------------

    async def control(self, path: str, **body: object) -> httpx.Response:
        return (await self._door.post(f"/_control/{path}", json=body)).raise_for_status()

    async def end_faults(self) -> None:
        (await self._door.delete("/_control/faults")).raise_for_status()

    async def orders(self) -> Sequence[Mapping[str, object]]:
        """Every order at the stand-in, the oldest first."""
        answer = (await self._door.get("/_control/orders")).raise_for_status()
        return msgspec.convert(answer.json(), type=list[dict[str, object]])

    async def placed(self) -> list[str]:
        """The ids of every order at the stand-in."""
        return [str(order["order_id"]) for order in await self.orders()]

    async def most_for_one_id(self) -> int:
        """How many orders carry the same id of ours, at most."""
        ids = Counter(str(order["external_id"]) for order in await self.orders())
        return max(ids.values(), default=0)

    async def sell(self, *, stock: int = 50, is_preorder: bool = False, offers: int = 1) -> Goods:
        """A product that the stand-in sells at 9.00, on sale in the shop."""
        self._sold += 1
        while len(await self._offers()) < offers:
            self._sold += 1
        path = f"products/{self._sold}"
        await self.control(path, stock=stock, is_preorder=is_preorder, wholesale=[], delivery=None)
        there = (await self.control(path, price=str(PRICE))).json()
        for offer_id in (await self._offers())[1:offers]:
            await self.change(offer_id=offer_id, stock=stock, price=str(PRICE))
        goods = self.rows.goods(stock=stock)
        assert goods.offer is not None
        product: Product = msgspec.structs.replace(
            goods.product, source=NAME, supplier_product_id=there["product_id"]
        )
        offer: Offer = msgspec.structs.replace(
            goods.offer,
            supplier=NAME,
            supplier_product_id=there["product_id"],
            offer_id=there["offers"][0]["offer_id"],
        )
        sold = Goods(
            msgspec.structs.replace(product, is_preorder=is_preorder), offer, goods.listing
        )
        await self._write(sold)
        return sold

    async def _offers(self) -> list[str]:
        """The offers of the product that was put on sale last."""
        there = await self._door.get(f"/_control/products/{self._sold}")
        found = msgspec.convert(there.raise_for_status().json()["offers"], type=list[_Offer])
        return [offer.offer_id for offer in found]

    async def change(self, **what: object) -> None:
        """Change the product that was put on sale last."""
        await self.control(f"products/{self._sold}", **what)

    # --- time -----------------------------------------------------------------------------

    async def work(self) -> None:
        behind = (self.clock.now() - self._there).total_seconds()
        self._there = self.clock.now()
        await self.control("advance", seconds=behind)
        while self.reads_webhooks and self._mail:
            await self.hints.accept(NAME, *self._mail.pop(0))
        await super().work()

    # --- looking --------------------------------------------------------------------------

    def states(self, order_id: str) -> list[str]:
        return [f.state for f in self.fulfilments(order_id)]

    def only(self, order_id: str) -> Fulfilment:
        [found] = self.fulfilments(order_id)
        return found

    def holds(self) -> list[str]:
        return [hold.reason for hold in self.store.rows(Hold) if hold.is_open]

    def balanced(self) -> bool:
        return sum(line.amount for line in self.store.rows(LedgerLine)) == 0

    def spent(self) -> Decimal:
        """What went to the supplier in all, less what came back, EUR."""
        lines = self.store.rows(LedgerLine)
        return -sum((x.amount for x in lines if x.account == "supplier"), Decimal(0))

    async def read(self, order_id: str) -> list[str]:
        return await self.read_keys(order_id, self.fulfilments(order_id)[0].order_item_id)
