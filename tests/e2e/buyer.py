"""A guest who walks through the public API, with the doors that tests turn things at."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import httpx
from tests.e2e.programs import until
from tests.e2e.town import Town

Seen: TypeAlias = dict[str, Any]

_numbers = itertools.count(1)


class RefusalError(AssertionError):
    """The shop or a control door said no where it should not."""


def good(answer: httpx.Response) -> Seen:
    """The document of a 2xx answer."""
    if not answer.is_success:
        asked = f"{answer.request.method} {answer.request.url.path}"
        raise RefusalError(f"{asked} answered {answer.status_code}: {answer.text[:2000]}")
    found: Seen = answer.json()
    return found


def listed(answer: httpx.Response, name: str) -> list[Seen]:
    """One list of a 2xx answer's document."""
    found: list[Seen] = good(answer)[name]
    return found


def once(**more: str) -> dict[str, str]:
    """Headers with an Idempotency-Key of their own."""
    return {"idempotency-key": f"e2e-idempotency-key-{next(_numbers):06d}", **more}


@dataclass(frozen=True, kw_only=True)
class Order:
    """An order as its buyer knows it."""

    id: str
    number: str
    email: str
    token: Mapping[str, str]

    @property
    def path(self) -> str:
        return f"/v1/orders/{self.id}"


@dataclass
class Buyer:
    """Holds one client for the shop and one for each stand-in's control door."""

    town: Town
    shop: httpx.AsyncClient
    gateway: httpx.AsyncClient
    supplier: httpx.AsyncClient
    mail: httpx.AsyncClient
    shelves: dict[str, list[str]] = field(default_factory=dict)

    @property
    def admin(self) -> dict[str, str]:
        """What opens the desk."""
        return {"authorization": f"Bearer {self.town.key}"}

    # --- buying ---

    async def pick(self, source: str) -> str:
        """The slug of something that can be had, each time the next one."""
        if not self.shelves.get(source):
            query = {"source": source, "inStock": "true", "limit": "100"}
            items = good(await self.shop.get("/v1/catalog/products", params=query))["items"]
            slugs = [
                item["slug"] for item in items if not item["isPreorder"] and item["available"] >= 5
            ]
            turn = next(_numbers) % len(slugs)
            self.shelves[source] = slugs[turn:] + slugs[:turn]
        return self.shelves[source].pop(0)

    async def order(self, *lines: str | tuple[str, int], email: str | None = None) -> Order:
        """Place an order of `kinguin` or `custom` goods."""
        wanted = []
        for line in lines:
            source, quantity = (line, 1) if isinstance(line, str) else line
            wanted.append({"product": await self.pick(source), "quantity": quantity})
        body = {"lines": wanted, "asset": "ltc"}
        quote = good(await self.shop.post("/v1/quotes", json=body))
        email = email or f"buyer{next(_numbers)}@reader.example"
        placed = good(
            await self.shop.post(
                "/v1/orders", json={"quoteId": quote["id"], "email": email}, headers=once()
            )
        )
        token = {"authorization": f"Bearer {placed['orderSessionToken']}"}
        return Order(id=placed["id"], number=placed["number"], email=email, token=token)

    async def ask_to_pay(self, order: Order) -> str:
        """Open a payment; gives the gateway's id of it."""
        path = f"{order.path}/payments"
        headers = once(**order.token)
        good(await self.shop.post(path, json={"asset": "ltc"}, headers=headers))
        found = await self.gateway.get("/_control/payments", params={"order_id": order.number})
        return str(good(found)["payments"][-1]["payment_id"])

    async def pay(self, payment: str, **how: object) -> None:
        """Send money to a payment's address."""
        good(await self.gateway.post(f"/_control/payments/{payment}/pay", json=how))

    async def paid(self, *lines: str | tuple[str, int]) -> Order:
        """An order for which the full amount was sent."""
        order = await self.order(*lines)
        await self.pay(await self.ask_to_pay(order))
        return order

    # --- looking ---

    async def see(self, order: Order) -> Seen:
        return good(await self.shop.get(order.path, headers=order.token))

    async def until_status(self, order: Order, *statuses: str) -> Seen:
        last: object = None

        async def look() -> Seen | None:
            nonlocal last
            try:
                last = seen = await self.see(order)
            except (httpx.TransportError, RefusalError) as error:
                last = error
                return None
            return seen if seen["status"] in statuses else None

        try:
            return await until(f"{order.number} to be {' or '.join(statuses)}", look)
        except AssertionError as error:
            raise AssertionError(f"{error}; last: {last!r}") from None

    async def reveal(self, order: Order, item_id: str) -> str:
        """A link to the keys of a line."""
        path = f"{order.path}/items/{item_id}/reveal"
        link = good(await self.shop.post(path, headers=once(**order.token)))
        return str(link["url"])

    async def keys(self, order: Order) -> list[str]:
        """Every key of the order, line by line, each through a link of its own."""
        found = []
        for item in (await self.see(order))["items"]:
            file = good(await self.shop.get(await self.reveal(order, item["id"])))
            found += [key["key"] for key in file["keys"]]
        return found

    async def desk(self, order: Order) -> Seen:
        """The order as the desk sees it."""
        return good(await self.shop.get(f"/v1/admin/orders/{order.id}", headers=self.admin))

    async def bought(self, order: Order) -> list[Seen]:
        """What the supplier sold for this order: every attempt, found by its external id."""
        detail = await self.desk(order)
        # Attempts of one round share their id, so that the supplier refuses a repeat.
        ids = {one for each in detail["fulfilments"] for one in each["attempts"]}
        found: list[Seen] = []
        for external_id in sorted(ids):
            query = {"external_id": external_id}
            answer = await self.supplier.get("/_control/orders", params=query)
            found += answer.raise_for_status().json()
        return found

    async def webhooks(self, order: Order) -> list[Seen]:
        """What providers said of the order, as stored."""
        path = f"/v1/admin/orders/{order.id}/webhooks"
        return listed(
            await self.shop.get(path, params={"limit": "100"}, headers=self.admin), "items"
        )

    async def mails(self, email: str) -> list[Seen]:
        return listed(await self.mail.get("/_control/mailbox", params={"to": email}), "mails")
