"""The public catalogue over HTTP: lists, search, one product, groups, what is kept, bad input."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, TypedDict, Unpack

import httpx
import pytest
from tests import asgi

from bitloot.domain.category import Category
from bitloot.domain.decision import Decision, Row, insert, update
from bitloot.domain.money import ZERO
from bitloot.domain.product import Offer, Product, new_listing
from bitloot.domain.product_group import GroupMember, ProductGroup
from bitloot.domain.product_media import ProductMedia
from bitloot.ports.views.catalog import Shelf, ShelfQuery
from bitloot_adapters.memory.views.catalog import MemoryCatalogViews
from bitloot_web.asgi import build_app

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage

LIST = "/v1/catalog/products"


class Told(TypedDict, total=False):
    category: str
    platform: str
    region: str


async def save(stage: "Stage", *rows: Row) -> None:
    async with stage.near.uow.begin() as tx:
        await tx.record(Decision(save=tuple(insert(row) for row in rows)))


async def on_sale(
    stage: "Stage", slug: str, title: str, price: str = "10.00", **told: Unpack[Told]
) -> Product:
    at = stage.clock.now()
    product = Product(
        id=stage.near.new_id(), slug=slug, title=title, source="kinguin",
        supplier_product_id=slug, created_at=at, updated_at=at, **told,
    )  # fmt: skip
    offer = Offer(
        id=stage.near.new_id(), product_id=product.id, supplier="kinguin",
        supplier_product_id=slug, offer_id=f"o-{slug}", cost=Decimal(1), stock=5, updated_at=at,
    )  # fmt: skip
    listing = new_listing(product, price=Decimal(price), floor=ZERO, is_available=True, at=at)
    await save(stage, product, listing, offer)
    return product


async def slugs(stage: "Stage", **params: str) -> list[str]:
    answer = await stage.client.get(LIST, params=params)
    assert answer.status_code == 200, answer.text
    return [item["slug"] for item in answer.json()["items"]]


async def test_a_list_is_narrowed_searched_and_sorted(stage: "Stage") -> None:
    await on_sale(stage, "lantern", "Lantern Keeper", "9.00", category="action", platform="Steam")
    await on_sale(stage, "harbour", "Harbour Keeper", "19.00", category="action", platform="GOG")
    await on_sale(stage, "puzzle", "Puzzle", "5.00", category="puzzle", region="Europe")
    assert await slugs(stage, q="keeper", sort="price") == ["lantern", "harbour"]
    assert await slugs(stage, q="keeper", sort="-price") == ["harbour", "lantern"]
    assert await slugs(stage, category="action", platform="GOG") == ["harbour"]
    assert await slugs(stage, region="Europe") == ["puzzle"]
    assert await slugs(stage, priceFrom="5.00", priceTo="9", sort="title") == ["lantern", "puzzle"]
    assert await slugs(stage, source="custom", inStock="true") == ["own-game"]
    assert (await slugs(stage, sort="newest"))[0] == "puzzle"
    assert await slugs(stage, q="   ") != []


async def test_a_slip_is_mended_and_told(stage: "Stage") -> None:
    await on_sale(stage, "lantern", "Lantern Keeper")
    answer = (await stage.client.get(LIST, params={"q": "latnern"})).json()
    assert [item["slug"] for item in answer["items"]] == ["lantern"]
    assert answer["readings"] == [{"word": "latnern", "readAs": ["lantern"]}]


async def test_a_cursor_goes_on_in_its_own_list_alone(stage: "Stage") -> None:
    for number in range(4):
        await on_sale(stage, f"game-{number}", f"Game {number}", category="action")
    first = (await stage.client.get(LIST, params={"limit": 3, "category": "action"})).json()
    cursor = first["next"]
    rest = {"limit": "3", "category": "action", "cursor": cursor}
    assert len(await slugs(stage, **rest)) == 1
    changed = cursor[:-2] + ("AA" if cursor[-2:] != "AA" else "BB")
    for other in (
        {**rest, "category": "puzzle"}, {**rest, "sort": "price"}, {**rest, "q": "game"},
        {**rest, "cursor": changed}, {**rest, "cursor": cursor[4:]}, {"cursor": cursor},
    ):  # fmt: skip
        answer = await stage.client.get(LIST, params=other)
        assert (answer.status_code, other) == (400, other)
        assert answer.json()["errors"][0]["field"] == "cursor"


BAD: dict[str, tuple[Mapping[str, str], int, str]] = {
    "a negative price": ({"priceFrom": "-1"}, 422, "priceFrom"),
    "a price that is not a number": ({"priceTo": "NaN"}, 422, "priceTo"),
    "an endless price": ({"priceTo": "Infinity"}, 422, "priceTo"),
    "a price with an exponent": ({"priceFrom": "1e3"}, 422, "priceFrom"),
    "an over-precise price": ({"priceFrom": "1.123456789"}, 422, "priceFrom"),
    "a price of too many digits": ({"priceFrom": "9" * 13}, 422, "priceFrom"),
    "a price with a sign": ({"priceFrom": "+1"}, 422, "priceFrom"),
    "a price with a comma": ({"priceFrom": "1,50"}, 422, "priceFrom"),
    "prices the wrong way round": ({"priceFrom": "2", "priceTo": "1"}, 400, "priceTo"),
    "a limit of 0": ({"limit": "0"}, 400, "limit"),
    "a limit of 101": ({"limit": "101"}, 400, "limit"),
    "a limit in words": ({"limit": "ten"}, 400, "limit"),
    "an unknown order": ({"sort": "rating"}, 400, "sort"),
    "stock in words": ({"inStock": "perhaps"}, 400, "inStock"),
    "a filter without a value": ({"category": ""}, 400, "category"),
    "a filter that is too long": ({"platform": "x" * 101}, 400, "platform"),
    "a filter that is unknown": ({"colour": "red"}, 400, "colour"),
    "a search of 10,000 characters": ({"q": "x" * 10_000}, 400, "q"),
    "a search of 201 characters": ({"q": "x" * 201}, 400, "q"),
    "a search with NUL": ({"q": "a\x00b"}, 400, "q"),
    "a cursor that nobody gave out": ({"cursor": "AAAA"}, 400, "cursor"),
    "a cursor of other signs": ({"cursor": "\u20ac"}, 400, "cursor"),
}


@pytest.mark.parametrize("name", BAD)
async def test_bad_input_is_answered_with_what_to_mend(stage: "Stage", name: str) -> None:
    params, status, field = BAD[name]
    answer = await stage.client.get(LIST, params=dict(params))
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize(
    "q",
    ["&|!():*<->", "a & b | !c", "'; DROP TABLE products; --", "\U0001f47e\U0001f3ae", "\\", "%"],
)
async def test_a_search_of_operators_or_emoji_is_answered(stage: "Stage", q: str) -> None:
    answer = await stage.client.get(LIST, params={"q": q})
    assert answer.status_code == 200, answer.text
    assert answer.json()["items"] == []


async def test_slugs_that_were_tampered_with_are_not_there(stage: "Stage") -> None:
    for slug in (
        "own-game'",
        "OWN-GAME",
        "own-game%00",
        "..%2Fown-game",
        "x" * 5000,
        "%F0%9F%91%BE",
    ):
        for path in (LIST, "/v1/catalog/groups"):
            answer = await stage.client.get(f"{path}/{slug}")
            assert (answer.status_code, slug) == (404, slug)


async def test_a_product_is_shown_with_media_offers_and_group(stage: "Stage") -> None:
    product = await on_sale(stage, "lantern", "Lantern Keeper", "9.00", category="action")
    at, group_id = stage.clock.now(), stage.near.new_id()
    await save(
        stage,
        ProductMedia(
            id=stage.near.new_id(), product_id=product.id, kind="image",
            url="https://pictures.example/1.jpg", source="custom",
        ),
        ProductGroup(
            id=group_id, slug="lanterns", title="Lanterns", created_at=at, updated_at=at
        ),
        GroupMember(
            id=stage.near.new_id(), group_id=group_id, product_id=product.id, label="Standard"
        ),
        Category(
            id=stage.near.new_id(), slug="action", title="Action", created_at=at, updated_at=at
        ),
    )  # fmt: skip
    shown = (await stage.client.get(f"{LIST}/lantern")).json()
    assert (shown["price"], shown["currency"], shown["available"]) == ("9.00", "EUR", 5)
    assert [each["url"] for each in shown["media"]] == ["https://pictures.example/1.jpg"]
    assert shown["offers"] == [{"source": "kinguin", "available": 5}]
    (group,) = shown["groups"]
    assert (group["slug"], group["products"][0]["label"]) == ("lanterns", "Standard")
    assert "cost" not in str(shown)
    listed = (await stage.client.get("/v1/catalog/groups")).json()
    assert [(each["slug"], each["products"]) for each in listed["items"]] == [("lanterns", 1)]
    whole = (await stage.client.get("/v1/catalog/groups/lanterns")).json()
    assert whole["members"][0]["product"]["slug"] == "lantern"
    categories = (await stage.client.get("/v1/catalog/categories")).json()
    assert categories["items"] == [
        {"slug": "action", "title": "Action", "homePosition": None, "count": 1, "isMore": False}
    ]
    filters = (await stage.client.get("/v1/catalog/filters")).json()
    assert filters["categories"] == [{"value": "action", "count": 1, "isMore": False}]
    assert (filters["priceFrom"], filters["priceTo"]) == ("9.00", "12.50")


# --- what is kept ---------------------------------------------------------------------------------


class CountedViews(MemoryCatalogViews):
    """Counts what is asked, and lets it wait."""

    asked = 0

    async def products(self, query: ShelfQuery, *, limit: int, after: str | None) -> Shelf:
        self.asked += 1
        await asyncio.sleep(0)
        return await super().products(query, limit=limit, after=after)


async def counted(stage: "Stage") -> tuple[CountedViews, httpx.AsyncClient]:
    views = CountedViews(stage.store, gateway_fee=stage.shop.limits.gateway_fee)
    shop = replace(stage.shop, views=replace(stage.shop.views, catalog=views))
    app = build_app(shop)
    return views, httpx.AsyncClient(
        transport=asgi.transport(app, client=("203.0.113.9", 1)), base_url="https://shop.example"
    )


async def test_200_who_ask_for_one_page_at_once_cost_one_question(stage: "Stage") -> None:
    views, client = await counted(stage)
    async with client:
        answers = await asyncio.gather(*(client.get(LIST) for _ in range(200)))
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.content for answer in answers}) == 1
        assert views.asked == 1


async def test_a_page_that_is_at_hand_is_neither_asked_for_nor_sent_again(stage: "Stage") -> None:
    views, client = await counted(stage)
    async with client:
        first = await client.get(LIST)
        etag = first.headers["etag"]
        assert first.headers["cache-control"] == "no-cache"
        again = await client.get(LIST, headers={"if-none-match": f'"other", {etag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
        other = await client.get(LIST, headers={"if-none-match": '"other"'})
        assert (other.status_code, other.content) == (200, first.content)
        assert views.asked == 1


async def test_a_change_is_seen_at_once(stage: "Stage") -> None:
    views, client = await counted(stage)
    async with client:
        first = await client.get(LIST)
        product = await on_sale(stage, "fresh", "Fresh")
        second = await client.get(LIST)
        assert first.headers["etag"] != second.headers["etag"]
        assert "fresh" in second.text
        stored = replace_version(stage, product)
        async with stage.near.uow.begin() as tx:
            await tx.record(Decision(save=(update(stored, is_published=False),)))
        assert "fresh" not in (await client.get(LIST)).text
        views.changed()
        asked = views.asked
        await client.get(LIST)
        assert views.asked == asked + 1


def replace_version(stage: "Stage", product: Product) -> Product:
    stored = stage.store.tables.get(Product, product.id)
    assert stored is not None
    return stored


async def test_what_is_not_there_is_asked_for_again(stage: "Stage") -> None:
    assert (await stage.client.get(f"{LIST}/fresh")).status_code == 404
    await on_sale(stage, "fresh", "Fresh")
    assert (await stage.client.get(f"{LIST}/fresh")).status_code == 200


# --- the short way to what is at hand -------------------------------------------------------------

OF_THE_REQUEST = {"x-request-id", "date", "ratelimit"}


def shown_headers(answer: httpx.Response) -> dict[str, str]:
    return {name: told for name, told in answer.headers.items() if name not in OF_THE_REQUEST}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", [LIST, f"{LIST}?limit=1&sort=price", f"{LIST}/own-game"])
async def test_the_short_way_answers_to_the_letter_like_the_long_one(
    stage: "Stage", method: str, path: str
) -> None:
    client = stage.client
    long, short = [await client.request(method, path) for _ in range(2)]
    assert (short.status_code, short.content) == (200, long.content)
    assert shown_headers(short) == shown_headers(long)
    assert short.headers["ratelimit"] != long.headers["ratelimit"]
    stage.shop.views.catalog.changed()
    has_it = {"if-none-match": long.headers["etag"]}
    unchanged, again = [await client.request(method, path, headers=has_it) for _ in range(2)]
    assert (unchanged.status_code, again.status_code, again.content) == (304, 304, b"")
    assert shown_headers(again) == shown_headers(unchanged)


async def test_the_short_way_is_counted_and_refused_like_the_long_one(stage: "Stage") -> None:
    most = stage.shop.limits.catalogue_per_minute
    told = [await stage.client.get(LIST) for _ in range(most + 1)]
    assert {answer.status_code for answer in told[:-1]} == {200}
    assert told[most - 1].headers["ratelimit"] == '"catalogue";r=0'
    assert told[-1].status_code == 429
    assert told[-1].headers["content-type"] == "application/problem+json"
    assert "retry-after" in told[-1].headers


async def test_the_short_way_is_measured_under_the_same_route(stage: "Stage") -> None:
    for _ in range(3):
        await stage.client.get(f"{LIST}/own-game")
    route = 'route="/v1/catalog/products/{slug}"'
    counts = [line for line in page(stage).splitlines() if "request_seconds_count{" in line]
    assert [line.rpartition(" ")[2] for line in counts if route in line] == ["3.0"], counts


def page(stage: "Stage") -> str:
    return stage.shop.metrics.page().decode()


async def test_pages_of_other_origins_are_told_whether_they_may_read(stage: "Stage") -> None:
    origin = "https://front.example"
    shop = replace(stage.shop, edge=replace(stage.shop.edge, cors_origins=(origin,)))
    transport = asgi.transport(build_app(shop), client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as client:
        for _ in range(2):
            answer = await client.get(LIST, headers={"origin": origin})
            assert answer.headers["access-control-allow-origin"] == origin
            assert "access-control-allow-origin" not in (await client.get(LIST)).headers
