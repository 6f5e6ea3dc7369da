"""A shop with a captcha: who proves nothing gets no order and no code, whatever the reason."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

import httpx
import pytest
from structlog.testing import capture_logs
from tests import asgi

from bitloot.domain.limits import Limits
from bitloot.domain.order import Order
from bitloot.ports.captcha import Captcha
from bitloot.testing.seeded import SeededIds
from bitloot_adapters.http import HttpClient
from bitloot_adapters.sandbox.turnstile.bench import Bench, bench
from bitloot_adapters.sandbox.turnstile.config import Site, TurnstileSandboxConfig
from bitloot_adapters.turnstile.client import Turnstile
from bitloot_web.application import Application
from bitloot_web.problems import URN
from bitloot_web.testing import TestShop, shop

SITE = Site(site_key="0xsite", secrets=("0xsecret",), hostnames=("shop.example",))
START = datetime(2026, 1, 15, 8, 30, tzinfo=UTC)


@contextlib.asynccontextmanager
async def turnstile(app: Callable[..., Awaitable[None]], secret: str) -> AsyncIterator[Captcha]:
    http = HttpClient(
        "http://turnstile",
        limits=Limits(),
        in_transaction=lambda: False,
        headers={},
        transport=lambda: httpx.ASGITransport(app),
    )
    try:
        yield Turnstile(
            http,
            secret=secret,
            site_key=SITE.site_key,
            hostnames=frozenset(SITE.hostnames),
            limits=Limits(),
            new_id=SeededIds(lambda: START, 5),
        )
    finally:
        await http.close()


@dataclass(kw_only=True)
class Guarded:
    """The shop, its client, and the widget's provider."""

    it: TestShop
    client: httpx.AsyncClient
    provider: Bench
    slug: str
    keys: "count[int]" = field(default_factory=lambda: count(1))

    async def quote(self) -> str:
        wanted = {"lines": [{"product": self.slug, "quantity": 1}]}
        return str((await self.client.post("/v1/quotes", json=wanted)).json()["id"])

    async def order(
        self, captcha: str | None, *, quote: str | None = None, key: str | None = None
    ) -> httpx.Response:
        body = {"quoteId": quote or await self.quote(), "email": "buyer@mail.example"}
        if captcha is not None:
            body["captcha"] = captcha
        headers = {"idempotency-key": key or f"idempotency-key-{next(self.keys):08d}"}
        return await self.client.post("/v1/orders", json=body, headers=headers)

    def orders(self) -> int:
        return len(self.it.around.store.rows(Order))

    def counted(self, ending: str) -> bool:
        line = f'bitloot_captcha_total{{ending="{ending}"}}'
        return line in self.it.shop.metrics.page().decode()


@contextlib.asynccontextmanager
async def opened(secret: str) -> AsyncIterator[Guarded]:
    async with (
        bench(TurnstileSandboxConfig(sites=(SITE,))) as provider,
        turnstile(provider.app, secret) as captcha,
        shop(seed=11, captcha=captcha) as it,
    ):
        slug = await it.stock_own("Own Game", price=Decimal("12.50"), keys=20)
        app: Application = it.app
        transport = asgi.transport(app, client=("203.0.113.7", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as web:
            yield Guarded(it=it, client=web, provider=provider, slug=slug)


@pytest.fixture
async def guarded() -> AsyncIterator[Guarded]:
    async with opened(SITE.secrets[0]) as it:
        yield it


def problem(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["type"].removeprefix(URN)


async def test_an_order_without_a_token_is_refused_and_with_a_good_one_placed(
    guarded: Guarded,
) -> None:
    assert problem(await guarded.order(None)) == (400, "captcha-missing")
    # What a form sends whose widget was not solved.
    assert problem(await guarded.order("")) == (400, "captcha-missing")
    assert problem(await guarded.order("0.invented")) == (403, "captcha-failed")
    assert problem(await guarded.order("0" * 2049)) == (403, "captcha-failed")
    assert guarded.orders() == 0
    placed = await guarded.order(await guarded.provider.token(action="order"))
    assert placed.status_code == 201, placed.text
    assert guarded.orders() == 1
    assert guarded.counted("passed")
    assert guarded.counted("refused")
    (call, *_) = (await guarded.provider.client.get("/_control/calls")).json()["calls"][::-1]
    assert call["remoteip"] == "203.0.113.7"


async def test_a_token_buys_one_order_and_only_where_it_was_made_for(guarded: Guarded) -> None:
    token = await guarded.provider.token(action="order")
    assert (await guarded.order(token)).status_code == 201
    assert problem(await guarded.order(token)) == (403, "captcha-failed")
    other = await guarded.provider.token(action="code")
    assert problem(await guarded.order(other)) == (403, "captcha-failed")
    old = await guarded.provider.token(action="order")
    await guarded.provider.control("advance", seconds=301)
    assert problem(await guarded.order(old)) == (403, "captcha-failed")
    assert guarded.orders() == 1


@pytest.mark.parametrize("later", [timedelta(0), timedelta(minutes=20)])
async def test_a_repeated_request_gets_its_answer_although_its_token_is_spent(
    guarded: Guarded, later: timedelta
) -> None:
    quote, key = await guarded.quote(), "idempotency-key-of-this-order"
    token = await guarded.provider.token(action="order")
    first = await guarded.order(token, quote=quote, key=key)
    assert first.status_code == 201, first.text
    await guarded.provider.control("advance", seconds=later.total_seconds())
    if later:
        # The provider remembers nothing of it any more.
        await guarded.provider.control("reset")
    again = await guarded.order(token, quote=quote, key=key)
    assert (again.status_code, again.json()["id"]) == (201, first.json()["id"])
    assert guarded.orders() == 1
    # Another request under the key is none that was answered.
    changed = await guarded.order("0.invented", quote=quote, key=key)
    assert problem(changed) == (422, "idempotency-key-reused")


@pytest.mark.parametrize("fault", ["503", "refused", "drop_before", "internal-error", "garbage"])
async def test_no_answer_of_the_provider_means_no_and_says_when_to_come_back(
    guarded: Guarded, fault: str
) -> None:
    token = await guarded.provider.token(action="order")
    await guarded.provider.control("faults", fault=fault, times=2)
    answer = await guarded.order(token)
    assert problem(answer) == (503, "provider-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    assert guarded.orders() == 0
    assert guarded.counted("unavailable")
    assert (await guarded.order(token)).status_code == 201


async def test_a_secret_that_the_provider_does_not_know_is_told_as_an_error() -> None:
    async with opened("0xanother") as guarded:
        token = await guarded.provider.token(action="order")
        with capture_logs() as logs:
            answer = await guarded.order(token)
        assert problem(answer) == (503, "provider-unavailable")
        assert guarded.orders() == 0
        assert guarded.counted("misconfigured")
        (told,) = [line for line in logs if line["event"] == "captcha_misconfigured"]
        assert (told["log_level"], told["reason"]) == ("error", "credentials")
        assert token not in str(logs)
        assert "0xanother" not in str(logs)


async def test_a_code_is_mailed_to_people_only(guarded: Guarded) -> None:
    placed = (await guarded.order(await guarded.provider.token(action="order"))).json()
    path = f"/v1/orders/{placed['id']}/session/code"
    assert problem(await guarded.client.post(path)) == (400, "captcha-missing")
    wrong = {"captcha": await guarded.provider.token(action="order")}
    assert problem(await guarded.client.post(path, json=wrong)) == (403, "captcha-failed")
    right = {"captcha": await guarded.provider.token(action="code")}
    assert (await guarded.client.post(path, json=right)).status_code == 202
