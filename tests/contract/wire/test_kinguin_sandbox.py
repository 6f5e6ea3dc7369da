"""The Kinguin stand-in: keys, catalogue and error objects (lines 1 to 4 and 12)."""

import re
from pathlib import Path

import httpx
import pytest

from bitloot_adapters.sandbox.kinguin.bench import Bench, bench
from bitloot_adapters.sandbox.kinguin.config import KinguinSandboxConfig

EVERY_LINE = range(1, 15)
Offer = dict[str, dict[str, list[dict[str, object]]]]


def refused(answer: httpx.Response, status: int, kind: str) -> bool:
    body = answer.json()
    assert body["status"] == answer.status_code, body
    return (answer.status_code, body["kind"]) == (status, kind)


async def search(opened: Bench, **query: str | int) -> list[dict[str, object]]:
    answer = await opened.get("/v1/products", **query)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"results", "item_count"}
    results: list[dict[str, object]] = body["results"]
    return results


async def whole_catalogue(opened: Bench) -> list[dict[str, object]]:
    pages = [await search(opened, limit=100, page=page) for page in range(1, 7)]
    return [product for page in pages for product in page]


def test_every_numbered_line_has_a_test_that_names_it() -> None:
    named: set[int] = set()
    for path in Path(__file__).parent.glob("test_kinguin_sandbox*.py"):
        found = re.findall(
            r'^@pytest\.mark\.emulator\("kinguin", (\d+)\)', path.read_text(), re.MULTILINE
        )
        named.update(map(int, found))
    assert named == set(EVERY_LINE)


@pytest.mark.emulator("kinguin", 1)
async def test_a_wrong_or_missing_key_meets_the_short_401() -> None:
    """Line 1: the 401 body has kind, status, detail and type only."""
    short = {
        "kind": "Authorization",
        "status": 401,
        "detail": "Invalid authentication data.",
        "type": "Unauthorized",
    }
    async with bench(KinguinSandboxConfig(error_variant="title")) as opened:
        for path in ("/v1/products", "/v1/balance", "/v1/order", "/v2/order/ABC/keys"):
            wrong = await opened.client.get(f"/esa/api{path}", headers={"X-Api-Key": "wrong"})
            assert (wrong.status_code, wrong.json()) == (401, short)
        good = opened.client.headers.pop("X-Api-Key")
        assert (await opened.get("/v1/balance")).json() == short
        assert (await opened.order()).json() == short
        alias = {"Api-Ecommerce-Auth": good}
        answer = await opened.client.get("/esa/api/v1/balance", headers=alias)
        assert answer.json() == {"balance": 10000.0}


async def test_the_ip_allow_list_guards_orders_and_keys_only() -> None:
    async with bench(KinguinSandboxConfig(allowed_addresses=("203.0.113.7",))) as opened:
        assert (await opened.get("/v1/products")).status_code == 200
        assert refused(await opened.order(), 401, "Authorization")
        assert refused(await opened.get("/v2/order/ABC/keys"), 401, "Authorization")


@pytest.mark.emulator("kinguin", 2)
async def test_pages_count_from_one_and_item_count_is_the_total() -> None:
    """Line 2: 1-based paging, `item_count`, limits of `limit`."""
    async with bench() as opened:
        first = (await opened.get("/v1/products")).json()
        assert (len(first["results"]), first["item_count"]) == (25, 600)
        assert await search(opened, page=1) == first["results"]
        second = await search(opened, page=2, limit=10)
        assert [p["kinguinId"] for p in second] == list(range(20010, 20020))
        assert await search(opened, page=7, limit=100) == []
        everything = await whole_catalogue(opened)
        assert len({str(p["productId"]) for p in everything}) == 600
        for query in ({"limit": 101}, {"limit": 0}, {"page": 0}, {"limit": "ten"}):
            assert refused(await opened.get("/v1/products", **query), 400, "ConstraintViolation")
        body = (await opened.get("/v1/products", limit=101)).json()
        assert (body["propertyPath"], body["invalidValue"]) == ("limit", 101)


@pytest.mark.emulator("kinguin", 2)
async def test_a_name_of_two_letters_violates_a_constraint() -> None:
    """Line 2: `name` of 2 characters -> 400 `ConstraintViolation` with `propertyPath`."""
    async with bench() as opened:
        answer = await opened.get("/v1/products", name="ab")
        assert refused(answer, 400, "ConstraintViolation")
        assert answer.json()["propertyPath"] == "name"
        found = await search(opened, name="hARBour", limit=100)
        assert found
        assert all("harbour" in str(p["name"]).lower() for p in found)


@pytest.mark.emulator("kinguin", 2)
async def test_sorting_takes_the_misspelt_name_and_not_the_right_one() -> None:
    """Line 2: the documented `sortBy` value is `kingiunId`."""
    async with bench() as opened:
        down = await search(opened, sortBy="kingiunId", sortType="desc", limit=3)
        assert [p["kinguinId"] for p in down] == [20599, 20598, 20597]
        wrong = await opened.get("/v1/products", sortBy="kinguinId")
        assert refused(wrong, 400, "ConstraintViolation")
        await opened.control("products/20007", price="3.33", stock=4)
        newest = await search(opened, sortBy="updatedAt", sortType="desc", limit=1)
        assert [p["kinguinId"] for p in newest] == [20007]
        assert refused(await opened.get("/v1/products", sortType="up"), 400, "ConstraintViolation")


@pytest.mark.emulator("kinguin", 2)
@pytest.mark.parametrize(
    ("query", "field"),
    [
        ({"platform": "Steam,GOG COM"}, "platform"),
        ({"genre": "RPG,Racing"}, "genres"),
        ({"tags": "dlc,indie valley"}, "tags"),
        ({"languages": "Čeština"}, "languages"),
        ({"regionId": 3}, "regionId"),
        ({"kinguinId": "20003,20004,1"}, "kinguinId"),
        ({"isPreorder": "yes"}, "isPreorder"),
        ({"isPreorder": "no"}, "isPreorder"),
        ({"activePreorder": "yes"}, "activePreorder"),
        ({"withText": "yes"}, "textQty"),
        ({"priceFrom": "10.5", "priceTo": "12"}, "price"),
    ],
)
async def test_a_filter_gives_those_and_only_those_that_match(
    query: dict[str, str | int], field: str
) -> None:
    """Line 2: every filter."""
    wanted = {str(part) for value in query.values() for part in str(value).split(",")}

    def matches(product: dict[str, object]) -> bool:
        value = product.get(field)
        match field:
            case "isPreorder":
                return value is (query.get("isPreorder") != "no")
            case "activePreorder":
                qty = product["qty"]
                return product["isPreorder"] is True and isinstance(qty, int) and qty > 0
            case "textQty":
                return isinstance(value, int) and value > 0
            case "price":
                return isinstance(value, float) and 10.5 <= value <= 12
            case _ if isinstance(value, list):
                return not wanted.isdisjoint(value)
            case _:
                return str(value) in wanted

    async with bench() as opened:
        everything = await whole_catalogue(opened)
        expected = {str(p["productId"]) for p in everything if matches(p)}
        pages = [await search(opened, limit=100, page=n, **query) for n in range(1, 7)]
        found = {str(p["productId"]) for page in pages for p in page}
        assert 0 < len(expected) < 600
        assert found == expected
        total = (await opened.get("/v1/products", **query)).json()["item_count"]
        assert total == len(expected)


async def test_a_merchant_is_found_by_offers_that_the_account_may_not_see() -> None:
    async with bench() as opened:
        found = await search(opened, merchantName="księgarnia kluczy", limit=100)
        seen = [[str(o["merchantName"]) for o in _listed(p.get("offers"))] for p in found]
        assert all("Księgarnia Kluczy" in names for names in seen if names)
        assert any(seen)
        await opened.control("settings", offers_visible=False, text_qty_visible=False)
        again = await search(opened, merchantName="Księgarnia Kluczy", limit=100)
        assert len(again) == len(found)
        assert not any({"offers", "textQty"} & set(product) for product in again)


@pytest.mark.emulator("kinguin", 2)
@pytest.mark.parametrize(
    "moment",
    [
        "2026-03-02",
        "2026-03-02 09:59:59",
        "2026-03-02T09:59:59",
        "2026-03-02T09:59:59.125Z",
        "2026-03-02T10:59:59+01:00",
    ],
)
async def test_updated_since_reads_the_five_documented_formats(moment: str) -> None:
    """Line 2: the filters `updatedSince` and `updatedTo`."""
    async with bench() as opened:
        await opened.control("products/20100", price=7.5)
        since = (await opened.get("/v1/products", updatedSince=moment)).json()
        assert [p["kinguinId"] for p in since["results"]] == [20100]
        before = (await opened.get("/v1/products", updatedTo=moment)).json()
        assert before["item_count"] == 599
        assert refused(
            await opened.client.get("/esa/api/v1/products?updatedSince=2026-03-02T10:59:59+01:00"),
            400,
            "ConstraintViolation",
        ), "an unencoded plus sign is a blank"


@pytest.mark.emulator("kinguin", 2)
async def test_product_ids_find_products_in_search_and_in_v2() -> None:
    """Line 2: the filter `productId`."""
    async with bench() as opened:
        some = await search(opened, limit=3)
        ids = [str(p["productId"]) for p in some]
        assert await search(opened, productId=",".join(ids)) == some
        assert (await opened.get(f"/v2/products/{ids[1]}")).json() == some[1]
        assert all(re.fullmatch("[0-9a-f]{24}", each) for each in ids)
        for unknown in ("f" * 24, "short", "Z" * 24):
            assert refused(await opened.get(f"/v2/products/{unknown}"), 404, "HttpClient")


@pytest.mark.emulator("kinguin", 3)
async def test_a_product_out_of_stock_is_a_404_until_restocked() -> None:
    """Line 3: the `HttpClient` form has no `detail`."""
    async with bench() as opened:
        before = await opened.get("/v1/products/20000")
        product_id = before.json()["productId"]
        await opened.control("products/20000", stock=0)
        for path in ("/v1/products/20000", f"/v2/products/{product_id}", "/v1/products/999"):
            gone = await opened.get(path)
            assert refused(gone, 404, "HttpClient")
            assert "detail" not in gone.json()
        await opened.control("products/20000", stock=2)
        again = await opened.get("/v1/products/20000")
        assert (again.status_code, again.json()["qty"]) == (200, 2)
        bought = await opened.order({"kinguinId": 20000, "qty": 2, "price": 999})
        assert bought.status_code == 201
        assert refused(await opened.get("/v1/products/20000"), 404, "HttpClient")


async def test_search_lists_what_is_sold_out_unless_told_not_to() -> None:
    async with bench() as opened:
        await opened.control("products/20000", stock=0)
        (gone,) = await search(opened, kinguinId="20000")
        assert (gone["qty"], gone["totalQty"]) == (0, 0)
    async with bench(KinguinSandboxConfig(search_lists_out_of_stock=False)) as opened:
        await opened.control("products/20000", stock=0)
        assert await search(opened, kinguinId="20000") == []


@pytest.mark.emulator("kinguin", 4)
async def test_optional_fields_are_missing_on_some_products_only() -> None:
    """Line 4: omitted fields, HTML entities, CR LF, non-ASCII text."""
    always = {"kinguinId", "productId", "name", "qty", "price", "isPreorder", "updatedAt"}
    optional = [
        "images",
        "offers",
        "metacriticScore",
        "ageRating",
        "steam",
        "description",
        "originalName",
        "releaseDate",
        "languages",
        "tags",
        "developers",
        "countryLimitation",
        "videos",
        "systemRequirements",
        "activationDetails",
    ]
    async with bench() as opened:
        everything = await whole_catalogue(opened)
        assert all(always <= set(product) for product in everything)
        for name in optional:
            having = sum(name in product for product in everything)
            assert 0 < having < 600, name
        texts = "".join(f"{p['name']}{p.get('description')}" for p in everything)
        assert "&#39;" in texts
        assert "™" in texts
        assert "Świt" in texts
        assert any("\r\n" in str(p.get("activationDetails")) for p in everything)


@pytest.mark.emulator("kinguin", 4)
async def test_the_dictionaries_are_as_untidy_as_the_vendors() -> None:
    """Line 4: leading blanks in region names; duplicates among platforms."""
    async with bench() as opened:
        regions = (await opened.get("/v1/regions")).json()
        names = [region["name"] for region in regions]
        assert any(name.startswith(" ") for name in names)
        assert {"id": 3, "name": "Region free"} in regions
        platforms = (await opened.get("/v1/platforms")).json()
        assert len(platforms) > len(set(platforms))
        assert "RPG" in (await opened.get("/v1/genres")).json()


async def test_the_catalogue_holds_every_kind_of_product_and_is_the_same_each_time() -> None:
    async with bench() as opened:
        everything = await whole_catalogue(opened)
    async with bench() as again:
        assert await whole_catalogue(again) == everything
    async with bench(KinguinSandboxConfig(seed=8)) as other:
        assert await whole_catalogue(other) != everything
    offers = [o for p in everything for o in _listed(p.get("offers"))]
    assert any(p["textQty"] == 0 and p["qty"] for p in everything), "image keys only"
    assert any(p["qty"] == 0 for p in everything), "sold out"
    assert any(p["isPreorder"] for p in everything)
    assert any(o["qty"] != o["availableQty"] for o in offers)
    tiers = [o["wholesale"]["tiers"] for o in offers if o["wholesale"]["enabled"]]
    assert tiers
    assert all([t["level"] for t in each] == [1, 2, 3, 4] for each in tiers)
    assert all(isinstance(p["merchantName"], list) for p in everything)
    assert all(isinstance(o["merchantName"], str) for o in offers)


def _listed(value: object) -> list[Offer]:
    return value if isinstance(value, list) else []


async def test_a_hundred_thousand_products_are_paged_without_being_made() -> None:
    async with bench(KinguinSandboxConfig(products=100_000)) as opened:
        last = (await opened.get("/v1/products", page=1000, limit=100)).json()
        assert (len(last["results"]), last["item_count"]) == (100, 100_000)
        await opened.control("products/119999", stock=1)
        changed = (await opened.get("/v1/products", updatedSince="2026-03-02")).json()
        assert [p["kinguinId"] for p in changed["results"]] == [119_999]


@pytest.mark.emulator("kinguin", 12)
@pytest.mark.parametrize("variant", ["type", "title"])
async def test_errors_come_in_the_title_and_in_the_type_spelling(variant: str) -> None:
    """Line 12: errors in both variants."""
    other = {"type": "title", "title": "type"}[variant]
    async with bench() as opened:
        await opened.control("settings", error_variant=variant)
        missing = (await opened.get("/v1/order/NOSUCHORDER")).json()
        assert (missing["kind"], missing[variant]) == ("OrderNotFound", "Not Found")
        assert other not in missing
        assert {"detail", "path", "method", "trace", "timestamp"} <= set(missing)
        assert (missing["path"], missing["method"]) == ("/api/v1/order/NOSUCHORDER", "GET")
        unknown = await opened.get("/v1/nothing")
        assert refused(unknown, 404, "Http")
        assert unknown.json()[variant] == "Not Found"
        wrong_method = await opened.client.put("/esa/api/v1/order")
        assert refused(wrong_method, 405, "Http")
        assert refused(await opened.get("/v1/order/12345"), 400, "OrderNotSupported")


@pytest.mark.emulator("kinguin", 12)
async def test_error_variants_can_alternate_and_statuses_be_chosen() -> None:
    """Line 12: a client must read either spelling, and no status but the kind."""
    config = KinguinSandboxConfig(
        error_variant="alternate", error_statuses={"ProductUnavailable": 410}
    )
    async with bench(config) as opened:
        answers = [await opened.order({"kinguinId": 1, "qty": 1, "price": 1}) for _ in range(2)]
        assert all(refused(answer, 410, "ProductUnavailable") for answer in answers)
        assert {"title", "type"} & set(answers[0].json()) != {"title", "type"} & set(
            answers[1].json()
        )


@pytest.mark.parametrize(
    ("status", "detail"), [(404, False), (500, True), (503, True), (499, True), (599, True)]
)
async def test_an_internal_call_that_failed_has_a_detail_unless_it_means_sold_out(
    status: int, detail: bool
) -> None:
    async with bench() as opened:
        await opened.control("faults", op="product.get", fault="HttpClient", status=status)
        answer = await opened.get("/v1/products/20000")
        assert refused(answer, status, "HttpClient")
        assert ("detail" in answer.json()) is detail
        assert answer.json()["type"]
