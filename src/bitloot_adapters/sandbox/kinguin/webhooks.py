"""Webhooks: `product.update` and `order.status`, with the secret in clear and retries."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta

import httpx
import msgspec

from bitloot_adapters.sandbox.kinguin.catalogue import Product
from bitloot_adapters.sandbox.kinguin.orders import Order
from bitloot_adapters.sandbox.kinguin.product_wire import milliseconds
from bitloot_adapters.sandbox.kinguin.state import Hook, HookMode, Store

Deliver = Callable[[str, Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]
"""Posts a body to a URL with headers; gives the status and the body of the answer."""

MAX_AT_ONCE = 50
MAX_KEPT = 10_000
WRONG_SECRET = "not-the-" + "secret"


class Outbox:
    """Queues webhooks, sends those that are due, and retries what was not well answered."""

    def __init__(self, store: Store, deliver: Deliver | None) -> None:
        self._store = store
        self._deliver = deliver or self._post
        self._client: httpx.AsyncClient | None = None
        self._sending = asyncio.Lock()

    def order_status(self, order: Order) -> None:
        self.queue("order.status", order_payload(order))

    def product_update(self, product: Product) -> None:
        priced = self._store.config.product_webhook_price
        self.queue("product.update", product_payload(product, with_price=priced))

    def queue(self, event: str, payload: Mapping[str, object]) -> None:
        """Queue an event in the way that the next webhook plan says."""
        url = self._store.switches.webhook_url
        if url is None or self._store.switches.webhooks_disabled:
            return
        self.add(event, url, msgspec.json.encode(payload).decode(), self._next_mode(event))

    def add(self, event: str, url: str, body: str, mode: HookMode) -> list[Hook]:
        """Queue one webhook (two when it is to be doubled), whatever the plans say."""
        if mode == "drop":
            return []
        added = []
        for _ in range(2 if mode == "duplicate" else 1):
            hook = Hook(
                number=self._store.count(),
                event=event,
                url=url,
                body=body,
                due=self._store.now(),
                mode=mode,
                state="held" if mode == "hold" else "waiting",
            )
            self._store.save_hook(hook)
            added.append(hook)
        self._store.forget_old_hooks(MAX_KEPT)
        return added

    def release(self, *, backwards: bool) -> list[Hook]:
        """Let the held webhooks go, in their order or backwards."""
        held = [hook for hook in self._store.hooks.values() if hook.state == "held"]
        held.sort(key=lambda hook: hook.number, reverse=backwards)
        now = self._store.now()
        released = []
        for position, hook in enumerate(held):
            due = now + timedelta(microseconds=position)
            free = msgspec.structs.replace(hook, state="waiting", mode="valid", due=due)
            self._store.save_hook(free)
            released.append(free)
        return released

    def next_due(self) -> Hook | None:
        waiting = (hook for hook in self._store.hooks.values() if hook.state == "waiting")
        return min(waiting, key=lambda hook: (hook.due, hook.number), default=None)

    async def send_due(self) -> None:
        """Send what is due, in the order of the due times; one round at a time."""
        async with self._sending:
            now = self._store.now()
            due = [h for h in self._store.hooks.values() if h.state == "waiting" and h.due <= now]
            due.sort(key=lambda hook: (hook.due, hook.number))
            for hook in due[:MAX_AT_ONCE]:
                await self._attempt(hook)

    async def send(self, hooks: list[Hook]) -> list[Hook]:
        """Attempt these webhooks now, in this order, and give them as they are afterwards."""
        async with self._sending:
            for hook in hooks:
                await self._attempt(hook)
        return [self._store.hooks[hook.number] for hook in hooks]

    async def _attempt(self, hook: Hook) -> None:
        headers = {
            "Content-Type": self._store.config.webhook_content_type,
            "X-Event-Name": hook.event,
        }
        if hook.mode == "wrong_secret":
            headers["X-Event-Secret"] = WRONG_SECRET
        elif hook.mode != "no_secret":
            headers["X-Event-Secret"] = self._store.switches.webhook_secret
        try:
            status, answer = await self._deliver(hook.url, headers, hook.body.encode())
        except (httpx.HTTPError, OSError, TimeoutError):
            status, answer = 0, b""
        with self._store.acting():
            self._note(hook, status, well=200 <= status < 300 and not answer)

    def _note(self, hook: Hook, status: int, *, well: bool) -> None:
        if hook.number not in self._store.hooks:
            return
        statuses = (*hook.statuses, status)
        pauses = self._store.config.webhook_retry_seconds
        noted = msgspec.structs.replace(hook, statuses=statuses)
        if well:
            self._store.save_hook(msgspec.structs.replace(noted, state="delivered"))
            self._store.switch(webhook_failures=0)
            return
        if len(statuses) <= len(pauses):
            due = self._store.now() + timedelta(seconds=pauses[len(statuses) - 1])
            self._store.save_hook(msgspec.structs.replace(noted, due=due))
            return
        self._store.save_hook(msgspec.structs.replace(noted, state="dropped"))
        failures = self._store.switches.webhook_failures + 1
        most = self._store.config.webhook_disable_after
        self._store.switch(
            webhook_failures=failures, webhooks_disabled=most is not None and failures >= most
        )

    def _next_mode(self, event: str) -> HookMode:
        plans = self._store.switches.hook_plans
        for position, plan in enumerate(plans):
            if plan.event in {None, event}:
                left = (
                    ()
                    if plan.times <= 1
                    else (msgspec.structs.replace(plan, times=plan.times - 1),)
                )
                self._store.switch(hook_plans=(*plans[:position], *left, *plans[position + 1 :]))
                return plan.mode
        return "valid"

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        if self._client is None:
            self._client = httpx.AsyncClient(
                trust_env=False,
                follow_redirects=False,
                timeout=self._store.config.webhook_timeout_seconds,
            )
        answer = await self._client.post(url, headers=dict(headers), content=body)
        return answer.status_code, answer.content

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None


def order_payload(order: Order) -> dict[str, object]:
    """The body of `order.status`."""
    payload: dict[str, object] = {"orderId": order.order_id}
    if order.external_id is not None:
        payload["orderExternalId"] = order.external_id
    payload["status"] = order.status
    payload["updatedAt"] = milliseconds(order.updated_at)
    return payload


def product_payload(product: Product, *, with_price: bool) -> dict[str, object]:
    """The body of `product.update`; older ones had the price too."""
    payload: dict[str, object] = {
        "kinguinId": product.kinguin_id,
        "productId": product.product_id,
        "qty": product.qty,
        "textQty": product.text_qty,
        "cheapestOfferId": [offer.offer_id for offer in product.cheapest],
        "updatedAt": milliseconds(product.updated_at),
    }
    if with_price:
        payload["price"] = float(product.price)
    return payload
