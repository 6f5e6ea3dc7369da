"""The control door's calls about webhooks.

* `GET /_control/webhooks`: `[{"number", "event", "url", "body", "due", "mode", "state",
  "statuses"}]`; `state` is `waiting`, `held`, `delivered` or `dropped`; `statuses` has the answer
  to each attempt, 0 for none.
* `POST /_control/webhooks/plan` `{"mode": "duplicate", "event": "order.status", "times": 2}`:
  how the next webhooks are sent. Modes: `valid`, `wrong_secret`, `no_secret`, `duplicate`,
  `drop` (never sent), `hold` (kept until released). `DELETE` forgets the plans.
* `POST /_control/webhooks/release` `{"backwards": true}`: send what is held, reordered or not.
* `POST /_control/webhooks/send` `{"order_id": "...", "kinguin_id": 20000, "event":
  "order.status", "status": "completed", "updated_at": "...", "mode": "valid", "payload": {...},
  "url": "..."}`: send one webhook now and give it with the answers. Either `order_id` (its real
  payload, or with another `status` or `updated_at`), or `kinguin_id` (`product.update`), or any
  `payload`. Webhooks sent so are retried like the others.
* `POST /_control/webhooks/test` `{}`: the dashboard's test button; its event is `test`.
"""

import msgspec
from litestar import Response, delete, get, post
from litestar.handlers import HTTPRouteHandler

from bitloot_adapters.sandbox.kinguin.answers import Call
from bitloot_adapters.sandbox.kinguin.control_call import ControlError, done, read
from bitloot_adapters.sandbox.kinguin.state import HookMode, HookPlan, Store
from bitloot_adapters.sandbox.kinguin.webhooks import Outbox, order_payload, product_payload


class _Release(msgspec.Struct, forbid_unknown_fields=True):
    backwards: bool = False


class _Send(msgspec.Struct, forbid_unknown_fields=True):
    order_id: str | None = None
    kinguin_id: int | None = None
    event: str | None = None
    status: str | None = None
    updated_at: str | None = None
    mode: HookMode = "valid"
    payload: dict[str, object] | None = None
    url: str | None = None


def webhook_control_routes(store: Store, outbox: Outbox) -> list[HTTPRouteHandler]:
    return [*_plan_routes(store, outbox), *_send_routes(store, outbox)]


def _plan_routes(store: Store, outbox: Outbox) -> list[HTTPRouteHandler]:
    @get("/_control/webhooks")
    async def listed() -> Response[bytes]:
        return done(list(store.hooks.values()))

    @post("/_control/webhooks/plan")
    async def plan(request: Call) -> Response[bytes]:
        asked = read(await request.body(), HookPlan)
        with store.acting():
            store.switch(hook_plans=(*store.switches.hook_plans, asked))
        return done(store.switches.hook_plans)

    @delete("/_control/webhooks/plan", status_code=200)
    async def forget() -> Response[bytes]:
        with store.acting():
            store.switch(hook_plans=())
        return done(())

    @post("/_control/webhooks/release")
    async def release(request: Call) -> Response[bytes]:
        asked = read(await request.body(), _Release)
        with store.acting():
            held = outbox.release(backwards=asked.backwards)
        return done(await outbox.send(held))

    return [listed, plan, forget, release]


def _send_routes(store: Store, outbox: Outbox) -> list[HTTPRouteHandler]:
    @post("/_control/webhooks/send")
    async def send(request: Call) -> Response[bytes]:
        asked = read(await request.body(), _Send)
        url = asked.url or store.switches.webhook_url
        if url is None:
            raise ControlError(400, "no webhook_url is set")
        event, payload = _contents(store, asked)
        with store.acting():
            body = msgspec.json.encode(payload).decode()
            hooks = outbox.add(event, url, body, asked.mode)
        return done(await outbox.send([hook for hook in hooks if hook.state == "waiting"]))

    @post("/_control/webhooks/test")
    async def test_button() -> Response[bytes]:
        url = store.switches.webhook_url
        if url is None:
            raise ControlError(400, "no webhook_url is set")
        with store.acting():
            hooks = outbox.add("test", url, '{"test":true}', "valid")
        return done(await outbox.send(hooks))

    return [send, test_button]


def _contents(store: Store, asked: _Send) -> tuple[str, dict[str, object]]:
    if asked.payload is not None:
        return asked.event or "order.status", asked.payload
    if asked.order_id is not None:
        order = store.orders.get(asked.order_id)
        if order is None:
            raise ControlError(404, f"no order {asked.order_id}")
        payload = order_payload(order)
        if asked.status is not None:
            payload["status"] = asked.status
        if asked.updated_at is not None:
            payload["updatedAt"] = asked.updated_at
        return asked.event or "order.status", payload
    product = None if asked.kinguin_id is None else store.catalogue.get(asked.kinguin_id)
    if product is None:
        raise ControlError(400, "order_id, kinguin_id or payload is needed")
    shown = product_payload(product, with_price=store.config.product_webhook_price)
    return asked.event or "product.update", shown
