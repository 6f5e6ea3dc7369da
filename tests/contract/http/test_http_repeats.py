"""What is sent again under its Idempotency-Key: answered again, and no further order to count."""

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bitloot.domain.category import Category
from bitloot.domain.decision import Row
from bitloot.domain.order import Order
from bitloot.domain.pricing_rules import PricingRule
from bitloot.domain.product import Product
from bitloot.domain.product_group import ProductGroup
from bitloot.domain.product_media import ProductMedia
from bitloot_web.problems import URN

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage


async def placing(stage: "Stage", n: int = 0) -> tuple[dict[str, object], dict[str, str]]:
    """Body and headers of a request for an order, each of another person."""
    quote_id = await stage.quote()
    return {"quoteId": quote_id, "email": f"buyer{n}@shop.example"}, stage.once()


async def test_fifty_repetitions_of_an_order_are_one_order_and_one_hit(stage: "Stage") -> None:
    body, headers = await placing(stage)
    calls = (stage.client.post("/v1/orders", json=body, headers=headers) for _ in range(50))
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.text for answer in answers}) == 1
    assert len(stage.store.rows(Order)) == 1
    another = await stage.client.post(
        "/v1/orders", json={**body, "quoteId": await stage.quote()}, headers=stage.once()
    )
    assert another.headers["ratelimit"] == '"orders-by-address";r=8'


async def test_a_lost_answer_is_given_again_when_the_allowance_is_used_up(stage: "Stage") -> None:
    body, headers = await placing(stage)
    first = await stage.client.post("/v1/orders", json=body, headers=headers)
    nothing = {"quoteId": stage.near.new_id(), "email": "x@shop.example"}
    for _ in range(9):
        await stage.client.post("/v1/orders", json=nothing, headers=stage.once())
    over = await stage.client.post("/v1/orders", json=nothing, headers=stage.once())
    assert (over.status_code, over.json()["type"]) == (429, f"{URN}rate-limited")
    again = await stage.client.post("/v1/orders", json=body, headers=headers)
    assert (again.status_code, again.text) == (201, first.text)


async def test_repetitions_are_bounded_too(stage: "Stage") -> None:
    body, headers = await placing(stage)
    most = stage.shop.limits.order_repeats_per_10_minutes
    told = [
        await stage.client.post("/v1/orders", json=body, headers=headers) for _ in range(most + 2)
    ]
    assert {answer.status_code for answer in told[:-1]} == {201}
    assert told[-1].status_code == 429
    stage.clock.advance(timedelta(minutes=10))
    assert (await stage.client.post("/v1/orders", json=body, headers=headers)).status_code == 201


async def test_a_key_with_another_order_is_refused_and_brings_no_further_order(
    stage: "Stage",
) -> None:
    body, headers = await placing(stage)
    await stage.client.post("/v1/orders", json=body, headers=headers)
    for n in range(12):
        other = {"quoteId": await stage.quote(), "email": f"other{n}@shop.example"}
        answer = await stage.client.post("/v1/orders", json=other, headers=headers)
        assert answer.json()["type"] == f"{URN}idempotency-key-reused"
    assert len(stage.store.rows(Order)) == 1


async def test_two_keys_are_none(stage: "Stage") -> None:
    order_id, token = await stage.order()
    headers = [*token.items(), ("idempotency-key", "a" * 20), ("idempotency-key", "b" * 20)]
    answer = await stage.client.post(f"/v1/orders/{order_id}/cancel", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["type"] == f"{URN}idempotency-key-malformed"
    order = await stage.client.get(f"/v1/orders/{order_id}", headers=token)
    assert order.json()["status"] == "created"


@pytest.mark.parametrize(
    ("place", "kind", "body", "other"),
    [
        ("/rules", PricingRule, {"scope": "global", "kind": "margin", "value": "0.25"}, "value"),
        ("/products", Product, {"slug": "moon", "title": "9", "price": "9.99"}, "title"),
        ("/categories", Category, {"slug": "moon", "title": "Moon"}, "title"),
        ("/groups", ProductGroup, {"slug": "moon", "title": "Moon"}, "title"),
        ("/products/{own}/media", ProductMedia, {"kind": "image", "url": "https://m.ex/1"}, "alt"),
    ],
)
async def test_what_the_desk_makes_is_made_once_under_a_key_that_may_be_sent(
    stage: "Stage", place: str, kind: type[Row], body: dict[str, str], other: str
) -> None:
    path = f"/v1/admin/catalog{place.format(own=stage.own_product)}"
    headers, before = {**stage.admin, **stage.once()}, len(stage.store.rows(kind))
    first = await stage.client.post(path, json=body, headers=headers)
    assert first.status_code == 201, first.text
    again = await stage.client.post(path, json=body, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["etag"] == first.headers["etag"]
    reused = await stage.client.post(path, json={**body, other: "0.5"}, headers=headers)
    assert reused.status_code == 422
    assert reused.json()["type"] == f"{URN}idempotency-key-reused"
    assert len(stage.store.rows(kind)) == before + 1
