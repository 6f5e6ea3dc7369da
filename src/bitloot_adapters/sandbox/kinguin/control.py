"""The control door: how tests and demos direct the stand-in.

All calls take and give JSON, need no key, and answer 200, or 400/404 with `{"error": text}`.
Fields that are absent stay as they are. Prices and balances are numbers or decimal strings.

Time and faults

* `GET /_control/health`: `{"status": "ok", "now": ISO}`.
* `POST /_control/reset` `{}`: forget orders, changes, faults, webhooks; start from the
  configuration, but never use an order or key id again.
* `GET /_control/state`: `{"now", "balance", "orders", "tasks", "webhooks", "switches"}`.
* `POST /_control/advance` `{"seconds": 30}`: move virtual time, doing what falls due on the way
  (deliveries, refunds, webhooks and their retries) in the order of the times. 0 does what is due.
* `POST /_control/faults` `{"op": "order.create", "fault": "drop_after", "times": 1,
  "seconds": 2.5, "status": 503}`; `op` may be `*`. `op` and `fault`: see `faults.py`.
  `GET` lists the faults that wait, `DELETE` clears them.
* `POST /_control/settings` `{"delivery": {...}, "search_lag_seconds": 3,
  "duplicate_external_id": "refuse" | "accept", "error_variant": "type" | "title" | "alternate",
  "billing_address": true, "offers_visible": true, "text_qty_visible": true,
  "payment_price_as_text": false, "webhook_url": "http://...", "webhook_secret": "...",
  "webhooks_disabled": false}`.
* `POST /_control/balance` `{"balance": "100.00"}`.
* `POST /_control/search-lag` `{"seconds": 3}`.

Products

* `GET /_control/products/{kinguinId}`: the product with its offers, sold out or not.
* `POST /_control/products/{kinguinId}` `{"price": 4.99, "stock": 5, "text_stock": 5,
  "available": 5, "offer_id": "...", "wholesale": [4.9, 4.8, 4.5, 4.2], "is_preorder": true,
  "release_date": "2031-01-01", "delivery": {...} | null}`. Without `offer_id`, `price` goes to
  the cheapest offers and lifts dearer ones to it, `stock` goes to the first offer and empties
  the others. `text_stock` and `available` default to `stock`. `delivery` is the mode of this
  product's orders; `null` removes it.

Orders and webhooks: see `control_orders.py` and `control_webhooks.py`.
"""

from datetime import date, timedelta
from decimal import Decimal

import msgspec
from litestar import Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from bitloot_adapters.sandbox.kinguin.answers import Call
from bitloot_adapters.sandbox.kinguin.catalogue import Offer, Product
from bitloot_adapters.sandbox.kinguin.config import Delivery, DuplicatePolicy, ErrorVariant
from bitloot_adapters.sandbox.kinguin.control_call import ControlError, done, read
from bitloot_adapters.sandbox.kinguin.control_orders import order_control_routes
from bitloot_adapters.sandbox.kinguin.control_webhooks import webhook_control_routes
from bitloot_adapters.sandbox.kinguin.delivery import DeliveryEngine
from bitloot_adapters.sandbox.kinguin.faults import Fault
from bitloot_adapters.sandbox.kinguin.state import Store
from bitloot_adapters.sandbox.kinguin.webhooks import Outbox

PREFIX = "/_control"


class _Advance(msgspec.Struct, forbid_unknown_fields=True):
    seconds: float = 0.0


class _Balance(msgspec.Struct, forbid_unknown_fields=True):
    balance: Decimal


class _Settings(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    delivery: Delivery | msgspec.UnsetType = msgspec.UNSET
    search_lag_seconds: float | msgspec.UnsetType = msgspec.UNSET
    duplicate_external_id: DuplicatePolicy | msgspec.UnsetType = msgspec.UNSET
    error_variant: ErrorVariant | msgspec.UnsetType = msgspec.UNSET
    billing_address: bool | msgspec.UnsetType = msgspec.UNSET
    offers_visible: bool | msgspec.UnsetType = msgspec.UNSET
    text_qty_visible: bool | msgspec.UnsetType = msgspec.UNSET
    payment_price_as_text: bool | msgspec.UnsetType = msgspec.UNSET
    webhook_url: str | msgspec.UnsetType | None = msgspec.UNSET
    webhook_secret: str | msgspec.UnsetType = msgspec.UNSET
    webhooks_disabled: bool | msgspec.UnsetType = msgspec.UNSET


class _ProductChange(msgspec.Struct, forbid_unknown_fields=True):
    price: Decimal | None = None
    stock: int | None = None
    text_stock: int | None = None
    available: int | None = None
    offer_id: str | None = None
    wholesale: tuple[Decimal, ...] | None = None
    is_preorder: bool | None = None
    release_date: date | None = None
    delivery: Delivery | msgspec.UnsetType | None = msgspec.UNSET


def control_routes(store: Store, engine: DeliveryEngine, outbox: Outbox) -> list[HTTPRouteHandler]:
    return [
        *_time_routes(store, engine, outbox),
        *_fault_routes(store),
        *_setting_routes(store),
        *_product_routes(store, engine),
        *order_control_routes(store, engine),
        *webhook_control_routes(store, outbox),
    ]


def _time_routes(store: Store, engine: DeliveryEngine, outbox: Outbox) -> list[HTTPRouteHandler]:
    @get(f"{PREFIX}/health")
    async def health() -> Response[bytes]:
        return done({"status": "ok", "now": store.now()})

    @post(f"{PREFIX}/reset")
    async def reset() -> Response[bytes]:
        with store.acting():
            store.reset()
        return done({"reset": True})

    @get(f"{PREFIX}/state")
    async def state() -> Response[bytes]:
        with store.acting():
            engine.run_due()
        return done(
            {
                "now": store.now(),
                "balance": store.switches.balance,
                "orders": len(store.orders),
                "tasks": list(store.tasks.values()),
                "webhooks": len(store.hooks),
                "switches": store.switches,
            }
        )

    @post(f"{PREFIX}/advance")
    async def advance(request: Call) -> Response[bytes]:
        asked = read(await request.body(), _Advance)
        if asked.seconds < 0:
            raise ControlError(400, "time moves forward only")
        until = store.now() + timedelta(seconds=asked.seconds)
        for _ in range(MAX_STEPS):
            task, hook = engine.next_task(), outbox.next_due()
            dues = [each.due for each in (task, hook) if each is not None and each.due <= until]
            if not dues:
                break
            with store.acting():
                store.go_to(min(dues))
                engine.run_due()
            await outbox.send_due()
        with store.acting():
            store.go_to(until)
        return done({"now": store.now()})

    return [health, reset, state, advance]


def _fault_routes(store: Store) -> list[HTTPRouteHandler]:
    @post(f"{PREFIX}/faults")
    async def inject(request: Call) -> Response[bytes]:
        fault = read(await request.body(), Fault)
        with store.acting():
            store.switch(faults=(*store.switches.faults, fault))
        return done(store.switches.faults)

    @get(f"{PREFIX}/faults")
    async def waiting() -> Response[bytes]:
        return done(store.switches.faults)

    @delete(f"{PREFIX}/faults", status_code=200)
    async def clear() -> Response[bytes]:
        with store.acting():
            store.switch(faults=())
        return done(())

    return [inject, waiting, clear]


def _setting_routes(store: Store) -> list[HTTPRouteHandler]:
    @post(f"{PREFIX}/settings")
    async def settings(request: Call) -> Response[bytes]:
        asked = read(await request.body(), _Settings)
        given = {
            name: value
            for name, value in msgspec.structs.asdict(asked).items()
            if value is not msgspec.UNSET
        }
        if given.get("webhooks_disabled") is False:
            given["webhook_failures"] = 0
        with store.acting():
            store.switch(**given)
        return done(store.switches)

    @post(f"{PREFIX}/balance")
    async def balance(request: Call) -> Response[bytes]:
        asked = read(await request.body(), _Balance)
        with store.acting():
            store.switch(balance=asked.balance)
        return done({"balance": store.switches.balance})

    @post(f"{PREFIX}/search-lag")
    async def search_lag(request: Call) -> Response[bytes]:
        asked = read(await request.body(), _Advance)
        with store.acting():
            store.switch(search_lag_seconds=asked.seconds)
        return done({"search_lag_seconds": asked.seconds})

    return [settings, balance, search_lag]


def _product_routes(store: Store, engine: DeliveryEngine) -> list[HTTPRouteHandler]:
    def known(kinguin_id: int) -> Product:
        product = store.catalogue.get(kinguin_id)
        if product is None:
            raise ControlError(404, f"no product {kinguin_id}")
        return product

    @get(f"{PREFIX}/products/{{kinguin_id:int}}")
    async def product(kinguin_id: FromPath[int]) -> Response[bytes]:
        return done(known(kinguin_id))

    @post(f"{PREFIX}/products/{{kinguin_id:int}}")
    async def change(request: Call, kinguin_id: FromPath[int]) -> Response[bytes]:
        asked = read(await request.body(), _ProductChange)
        with store.acting():
            engine.change_product(_changed(known(kinguin_id), asked))
        return done(known(kinguin_id))

    return [product, change]


def _changed(product: Product, asked: _ProductChange) -> Product:
    offers = product.offers
    if asked.offer_id is not None and all(o.offer_id != asked.offer_id for o in offers):
        raise ControlError(404, f"product {product.kinguin_id} has no offer {asked.offer_id}")
    if asked.price is not None:
        offers = tuple(_priced(product, offer, asked) for offer in offers)
    if asked.stock is not None or asked.text_stock is not None or asked.available is not None:
        offers = tuple(_stocked(offer, asked, n == 0) for n, offer in enumerate(offers))
    if asked.wholesale is not None:
        target = asked.offer_id or offers[0].offer_id
        offers = tuple(
            msgspec.structs.replace(offer, tiers=asked.wholesale)
            if offer.offer_id == target
            else offer
            for offer in offers
        )
    return msgspec.structs.replace(
        product,
        offers=offers,
        is_preorder=product.is_preorder if asked.is_preorder is None else asked.is_preorder,
        release_date=asked.release_date or product.release_date,
        delivery=product.delivery if asked.delivery is msgspec.UNSET else asked.delivery,
    )


def _priced(product: Product, offer: Offer, asked: _ProductChange) -> Offer:
    price = asked.price
    if price is None:
        return offer
    if asked.offer_id is None:
        cheapest = offer in product.cheapest
        price = price if cheapest else max(price, offer.price)
    elif offer.offer_id != asked.offer_id:
        price = offer.price
    return msgspec.structs.replace(offer, price=price)


def _stocked(offer: Offer, asked: _ProductChange, first: bool) -> Offer:
    if asked.offer_id is None and not first:
        if asked.stock is None:
            return offer
        return msgspec.structs.replace(
            offer, qty=0, text_qty=0, available_qty=0, available_text_qty=0
        )
    if asked.offer_id not in {None, offer.offer_id}:
        return offer
    qty = offer.qty if asked.stock is None else asked.stock
    text = min(qty, qty if asked.text_stock is None else asked.text_stock)
    available = min(qty, qty if asked.available is None else asked.available)
    return msgspec.structs.replace(
        offer,
        qty=qty,
        text_qty=text,
        available_qty=available,
        available_text_qty=min(text, available),
    )


MAX_STEPS = 100_000
"""The most things that one `advance` does on its way."""
