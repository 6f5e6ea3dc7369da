"""The control door's calls about orders.

* `POST /_control/next-order` `{"delivery": "delayed", "seconds": 5, "first": 1, "rest": true,
  "key_media": "image/png", "serial_style": "licence", "duplicate_serial": false,
  "wrong_product": false, "times": 1}`: what becomes of the next orders, one plan each; see
  `config.Delivery`. `DELETE` forgets the plans that wait.
* `GET /_control/orders?external_id=...`: `[{"order_id", "external_id", "status", "paid",
  "requested", "lines": [{"kinguin_id", "product_id", "offer_id", "qty", "price",
  "request_price"}], "keys": [{"id", "status", "type", "claimed"}], "created_at"}]`, the oldest
  first, without any search lag.
* `POST /_control/orders/{orderId}/status` `{"status": "canceled"}`: `canceled` credits the open
  keys, `refunded` all keys; `completed` delivers what is open; `processing` only says so.
* `POST /_control/orders/{orderId}/keys` `{"status": "RETURNED", "ids": [...], "claimed": true}`:
  change keys (all without `ids`); `REFUNDED` and `CANCELED` credit them.
* `POST /_control/orders/{orderId}/deliver` `{"count": 1}`: deliver open keys now (all without
  `count`), also of pre-orders and stuck orders.
"""

import msgspec
from litestar import Response, delete, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from bitloot_adapters.sandbox.kinguin import queries
from bitloot_adapters.sandbox.kinguin.answers import Call
from bitloot_adapters.sandbox.kinguin.config import Delivery
from bitloot_adapters.sandbox.kinguin.control_call import ControlError, done, read
from bitloot_adapters.sandbox.kinguin.delivery import DeliveryEngine
from bitloot_adapters.sandbox.kinguin.orders import KeyStatus, Order, OrderStatus
from bitloot_adapters.sandbox.kinguin.state import Store

MAX_PLANS = 1000


class _NextOrder(Delivery, frozen=True, forbid_unknown_fields=True):
    times: int = 1


class _Status(msgspec.Struct, forbid_unknown_fields=True):
    status: OrderStatus


class _Keys(msgspec.Struct, forbid_unknown_fields=True):
    status: KeyStatus | None = None
    ids: tuple[str, ...] | None = None
    claimed: bool | None = None


class _Count(msgspec.Struct, forbid_unknown_fields=True):
    count: int | None = None


def order_control_routes(store: Store, engine: DeliveryEngine) -> list[HTTPRouteHandler]:
    return [*_plan_routes(store), *_order_routes(store, engine)]


def _plan_routes(store: Store) -> list[HTTPRouteHandler]:
    @post("/_control/next-order")
    async def next_order(request: Call) -> Response[bytes]:
        asked = read(await request.body(), _NextOrder)
        if not 1 <= asked.times <= MAX_PLANS:
            raise ControlError(400, f"times must be 1 to {MAX_PLANS}")
        given = msgspec.structs.asdict(asked)
        given.pop("times")
        plans = store.switches.next_orders + (Delivery(**given),) * asked.times
        if len(plans) > MAX_PLANS:
            raise ControlError(400, f"at most {MAX_PLANS} plans can wait")
        with store.acting():
            store.switch(next_orders=plans)
        return done(plans)

    @delete("/_control/next-order", status_code=200)
    async def forget_plans() -> Response[bytes]:
        with store.acting():
            store.switch(next_orders=())
        return done(())

    return [next_order, forget_plans]


def _order_routes(store: Store, engine: DeliveryEngine) -> list[HTTPRouteHandler]:
    def known(order_id: str) -> Order:
        engine.run_due()
        order = store.orders.get(order_id)
        if order is None:
            raise ControlError(404, f"no order {order_id}")
        return order

    @get("/_control/orders")
    async def orders(request: Call) -> Response[bytes]:
        with store.acting():
            engine.run_due()
        wanted = queries.parse(request.scope["query_string"]).get("external_id")
        among = store.orders.values() if wanted is None else store.with_external_id(wanted)
        return done([_shown(order) for order in among])

    @post("/_control/orders/{order_id:str}/status")
    async def set_status(request: Call, order_id: FromPath[str]) -> Response[bytes]:
        asked = read(await request.body(), _Status)
        with store.acting():
            order = known(order_id)
            if asked.status == "completed" and order.status == "processing":
                engine.deliver_more(order, None)
            else:
                engine.end(order, asked.status, store.now())
        return done(_shown(known(order_id)))

    @post("/_control/orders/{order_id:str}/keys")
    async def set_keys(request: Call, order_id: FromPath[str]) -> Response[bytes]:
        asked = read(await request.body(), _Keys)
        with store.acting():
            order = known(order_id)
            units = [u for u in order.units if asked.ids is None or u.key_id in asked.ids]
            if asked.claimed is not None:
                units = [msgspec.structs.replace(u, claimed=asked.claimed) for u in units]
                order = order.with_units(units)
                store.save_order(order)
            if asked.status is not None:
                engine.mark(order, units, asked.status, store.now())
        return done(_shown(known(order_id)))

    @post("/_control/orders/{order_id:str}/deliver")
    async def deliver(request: Call, order_id: FromPath[str]) -> Response[bytes]:
        asked = read(await request.body(), _Count)
        with store.acting():
            engine.deliver_more(known(order_id), asked.count)
        return done(_shown(known(order_id)))

    return [orders, set_status, set_keys, deliver]


def _shown(order: Order) -> dict[str, object]:
    return {
        "order_id": order.order_id,
        "external_id": order.external_id,
        "status": order.status,
        "paid": order.total_price,
        "requested": order.request_total_price,
        "lines": [
            {
                "kinguin_id": line.kinguin_id,
                "product_id": line.product_id,
                "offer_id": line.offer_id,
                "qty": line.qty,
                "price": line.price,
                "request_price": line.request_price,
            }
            for line in order.lines
        ],
        "keys": [
            {"id": u.key_id, "status": u.status, "type": u.media, "claimed": u.claimed}
            for u in order.units
        ],
        "created_at": order.created_at,
    }
