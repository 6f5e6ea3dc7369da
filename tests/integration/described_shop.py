"""A shop with one of everything that the description of the API has addresses for."""

import asyncio
import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import httpx
import requests
import schemathesis
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi.adapter import OpenApiResponses
from schemathesis.specs.openapi.adapter.parameters import OpenApiParameter
from schemathesis.specs.openapi.adapter.security import OpenApiSecurityParameters
from schemathesis.specs.openapi.schemas import OpenApiSchema
from tests.described import Json, description
from tests.integration.goods_shop import GATEWAY, SUPPLIER, GoodsShop, open_goods_shop

from bitloot.domain.limits import Limits
from bitloot.domain.session import Client
from bitloot.usecases.people.identity import SignedIn

Operation: TypeAlias = APIOperation[
    OpenApiParameter, OpenApiResponses, OpenApiSecurityParameters, OpenApiSchema
]
Case: TypeAlias = schemathesis.Case[Operation]

MANY = 1_000_000
# Every request is of one client; what is counted has tests of its own.
LIMITS = Limits(
    catalogue_per_minute=MANY,
    quotes_per_minute=MANY,
    orders_per_10_minutes=MANY,
    order_repeats_per_10_minutes=MANY,
    open_orders_per_address=MANY,
    open_orders_per_ip=MANY,
    reveals_per_hour=MANY,
    admin_per_minute=MANY,
    otp_requests_per_15_minutes=MANY,
    otp_verifications_per_ip_per_15_minutes=MANY,
    session_tries_per_15_minutes=MANY,
    sign_ins_per_15_minutes=MANY,
    refreshes_per_minute=MANY,
    otp_codes_per_day=MANY,
)
ORIGIN = "https://shop.example"
DESK = "/v1/admin/"
PLACING = "/v1/orders"
OWN_ACCOUNT = "/v1/me"
SIGNING_IN = "/v1/auth/"
MEMBER = "member@shop.example"
# Whom the desk suspends, deletes and restores.
LOOKED_AFTER = "other@shop.example"
OWN = "lantern-keeper-steam"  # as the examples of the description name a product
BOUGHT = "bought-game"


@dataclass
class DescribedShop:
    """`known` are values by the names of parameters: ids of what is there.

    `token` opens the order that is known, `key` the desk, `user_id` is of somebody who has an
    account. No socket is opened to ask: the application is called.
    """

    shop: GoodsShop
    runner: asyncio.Runner
    token: str = ""
    key: str = ""
    user_id: str = ""
    known: dict[str, str] = field(default_factory=dict)

    def ask(self, case: Case) -> httpx.Response:
        """The answer to a case, for whoever may ask."""
        sent = case.as_transport_kwargs(base_url=ORIGIN)
        request = requests.Request(
            method=sent["method"],
            url=sent["url"],
            headers=sent.get("headers"),
            params=sent.get("params"),
            json=sent.get("json"),
            data=sent.get("data"),
        ).prepare()
        headers = {name.encode(): _octets(text) for name, text in request.headers.items()}
        headers[b"authorization"] = self.right_for(case.path).encode()
        if case.path == PLACING:
            del headers[b"authorization"]  # a guest: no token at all, rather than a wrong one
        body = request.body
        assert body is None or isinstance(body, str | bytes)
        return self.runner.run(
            self.shop.client.request(
                str(request.method), str(request.url), headers=headers, content=body
            )
        )

    def example(self, name: str, kind: str, body: Json) -> httpx.Response:
        """The answer to an example of a body, at the address of what is known."""
        method, path = description().addresses[name]
        headers = {"authorization": self.right_for(path), "content-type": kind}
        headers |= {**self.shop.once(), "if-match": '"1"'}
        if path == PLACING:
            del headers["authorization"]
        params = {"batch": "spring", "cost": "7.00"} if name.startswith("adminImport") else {}
        params |= {"name": "a.lic"} if name == "adminImportFile" else {}
        return self.runner.run(
            self.shop.client.request(
                method,
                path.format_map({**dict.fromkeys(_places(), self.known["order_id"]), **self.known}),
                headers=headers,
                params=params,
                json=None if isinstance(body, str) else body,
                content=body.encode() if isinstance(body, str) else None,
            )
        )

    def right_for(self, path: str) -> str:
        """What opens an address."""
        if path.startswith((OWN_ACCOUNT, SIGNING_IN)):
            # A session for each request: some of them end it.
            identity = self.shop.shop.identity
            who = self.runner.run(identity.sign_in(self.user_id, Client()))
            return f"Bearer {self.shop.shop.tokens.pair(who.session).access}"
        return f"Bearer {self.key}" if path.startswith(DESK) else self.token

    def desk(self, path: str, body: Mapping[str, object] | None = None) -> httpx.Response:
        """Have the desk make something, or tell of it."""
        headers = {"authorization": self.right_for(DESK), **self.shop.once()}
        method = "GET" if body is None else "POST"
        answer = self.runner.run(
            self.shop.client.request(method, f"{DESK}{path}", json=body, headers=headers)
        )
        assert answer.is_success, answer.text
        return answer


@contextlib.contextmanager
def described_shop(url: str, redis_url: str, folder: Path) -> Iterator[DescribedShop]:
    """The shop, filled, with an order that was bought and its keys revealed."""
    with asyncio.Runner() as runner:
        stack = contextlib.AsyncExitStack()
        opening = open_goods_shop(url, redis_url, folder, limits=LIMITS)
        shop = DescribedShop(runner.run(stack.enter_async_context(opening)), runner)
        try:
            _fill(shop)
            yield shop
        finally:
            runner.run(stack.aclose())


def _fill(shop: DescribedShop) -> None:
    goods, run = shop.shop, shop.runner.run
    product_id = run(goods.own_product(OWN, *(b"AAAAA-BBBBB-%05d" % n for n in range(300))))
    run(goods.bought_product(BOUGHT))
    order_id, headers = run(goods.buy(OWN, 1))
    run(goods.buy(BOUGHT, 1))
    shop.token = headers["authorization"]
    shop.key = run(goods.owner_key())
    link = run(goods.reveal(order_id, headers))
    signed_in, other = (run(_signed_in(goods, email)) for email in (MEMBER, LOOKED_AFTER))
    shop.user_id = signed_in.user.id
    order = run(goods.client.get(f"/v1/orders/{order_id}", headers=headers)).json()
    payments = shop.desk(f"orders/{order_id}").json()["payments"]
    media = {"kind": "image", "url": "https://images.example/1.jpg"}
    category = {"slug": "a-category", "title": "A category"}
    group = {"slug": "a-group", "title": "A group"}
    rule = {"scope": "global", "kind": "margin", "value": "0.3"}
    keys = shop.desk(f"inventory/{product_id}/keys").json()["items"]
    shop.known = {
        "order_id": order_id,
        "item_id": order["items"][0]["id"],
        "payment_id": payments[0]["id"],
        "product_id": product_id,
        "key_id": keys[0]["id"],
        "webhook_id": shop.desk("webhooks").json()["items"][0]["id"],
        "reservation_id": shop.desk("reservations").json()["items"][0]["id"],
        "media_id": shop.desk(f"catalog/products/{product_id}/media", media).json()["id"],
        "category_id": shop.desk("catalog/categories", category).json()["id"],
        "group_id": shop.desk("catalog/groups", group).json()["summary"]["id"],
        "rule_id": shop.desk("catalog/rules", rule).json()["id"],
        "sync_id": shop.desk("catalog/sync", {"supplier": SUPPLIER}).json()["id"],
        "user_id": other.user.id,
        "session_id": signed_in.session.id,
        "supplier": SUPPLIER,
        "slug": OWN,
        "token": link.rpartition("/")[2],
        "provider": GATEWAY,
        "external_id": f"sp-{BOUGHT}",
        "unit": "1",
    }
    # Neither a hold nor a difference to a provider is there, nor a recovery.
    assert {*shop.known, "hold_id", "break_id", "recovery_id"} == _places()


async def _signed_in(goods: GoodsShop, email: str) -> SignedIn:
    challenge = (await goods.shop.identity.request(email)).challenge_id
    code = goods.shop.codes.code_of(challenge)
    return await goods.shop.identity.verify(email, challenge, code, Client())


def _places() -> set[str]:
    """The names of all parameters of addresses."""
    every: set[str] = set()
    for operation in description().operations.values():
        parameters = operation.get("parameters")
        for each in parameters if isinstance(parameters, list) else []:
            if isinstance(each, dict) and each["in"] == "path":
                every.add(str(each["name"]))
    return every


def _octets(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")
