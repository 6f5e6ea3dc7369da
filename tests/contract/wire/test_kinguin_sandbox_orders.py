"""The Kinguin stand-in: placing orders (lines 5, 6, 7 and 10) and the rules of a request."""

import random
from decimal import Decimal

import httpx
import pytest

from bitloot_adapters.sandbox.kinguin.bench import Bench, JsonObject, bench
from bitloot_adapters.sandbox.kinguin.config import KinguinSandboxConfig

GAME = 20000


def refused(answer: httpx.Response, status: int, kind: str) -> bool:
    body = answer.json()
    assert body["status"] == answer.status_code, body
    return (answer.status_code, body["kind"]) == (status, kind)


def line(kinguin_id: int = GAME, **changes: object) -> JsonObject:
    return {"kinguinId": kinguin_id, "qty": 1, "price": 99.99, **changes}


async def balance(opened: Bench) -> float:
    answer = await opened.get("/v1/balance")
    amount: float = answer.json()["balance"]
    return amount


@pytest.mark.emulator("kinguin", 5)
async def test_a_price_raised_after_the_read_makes_the_product_unavailable() -> None:
    """Line 5: raised between read and order -> `ProductUnavailable`."""
    async with bench() as opened:
        await opened.control(f"products/{GAME}", price="17.50", stock=5)
        read = (await opened.get(f"/v1/products/{GAME}")).json()["price"]
        await opened.control(f"products/{GAME}", price="17.51")
        assert refused(await opened.order(line(price=read)), 422, "ProductUnavailable")
        assert await balance(opened) == 10000.0


@pytest.mark.emulator("kinguin", 5)
async def test_a_price_lowered_after_the_read_is_paid_lower() -> None:
    """Line 5: lowered -> `price < requestPrice` and smaller `paymentPrice`."""
    async with bench() as opened:
        await opened.control(f"products/{GAME}", price="17.50", stock=5)
        await opened.control(f"products/{GAME}", price="16.25")
        answer = await opened.order(line(price=17.5, qty=2))
        order = answer.json()
        assert answer.status_code == 201
        assert (order["paymentPrice"], order["totalPrice"]) == (32.5, 32.5)
        assert order["requestTotalPrice"] == 35.0
        item = order["products"][0]
        assert (item["price"], item["requestPrice"], item["totalPrice"]) == (16.25, 17.5, 32.5)
        assert await balance(opened) == 9967.5
        assert '"paymentPrice":32.5' in answer.text
        await opened.control("settings", payment_price_as_text=True)
        again = await opened.get(f"/v1/order/{order['orderId']}")
        assert again.json()["paymentPrice"] == "32.50"


@pytest.mark.emulator("kinguin", 5)
async def test_a_dearer_offer_within_the_ceiling_serves_when_the_cheap_one_is_gone() -> None:
    """Line 5: `price` is a ceiling; without an offer below it the product is unavailable."""
    async with bench() as opened:
        listed = (await opened.get("/v1/products", limit=100, withText="yes")).json()["results"]
        number, offers = next(
            (product["kinguinId"], product["offers"])
            for product in listed
            if len({offer["price"] for offer in product.get("offers", ())}) > 1
        )
        cheap, dear = sorted(offers, key=lambda offer: float(offer["price"]))[:2]
        await opened.control(f"products/{number}", offer_id=cheap["offerId"], stock=0)
        low = await opened.order(line(number, price=cheap["price"]))
        assert refused(low, 422, "ProductUnavailable")
        high = await opened.order(line(number, price=dear["price"]))
        assert high.json()["products"][0]["offerId"] == dear["offerId"]


@pytest.mark.emulator("kinguin", 6)
async def test_the_balance_is_debited_refused_and_credited_on_refund() -> None:
    """Line 6: debit, `InsufficientBalance`, credit on refund."""
    async with bench() as opened:
        await opened.control("balance", balance="30.00")
        await opened.control(f"products/{GAME}", price="10.10", stock=9)
        bought = (await opened.order(line(qty=2, price=10.1))).json()
        assert await balance(opened) == 9.8
        assert refused(await opened.order(line(price=10.1)), 400, "InsufficientBalance")
        assert await balance(opened) == 9.8
        await opened.control(f"orders/{bought['orderId']}/status", status="refunded")
        assert await balance(opened) == 30.0
        await opened.control(f"orders/{bought['orderId']}/status", status="refunded")
        assert await balance(opened) == 30.0, "a refund is credited once"
        read = (await opened.get(f"/v1/order/{bought['orderId']}")).json()
        assert read["status"] == "refunded"
        assert {key["status"] for key in read["products"][0]["keys"]} == {"REFUNDED"}


@pytest.mark.emulator("kinguin", 7)
async def test_a_used_external_id_is_refused_by_default() -> None:
    """Line 7: duplicate `orderExternalId` -> refuse."""
    async with bench() as opened:
        first = await opened.order(line(), orderExternalId="shop-1")
        second = await opened.order(line(), orderExternalId="shop-1")
        assert first.json()["orderExternalId"] == "shop-1"
        assert refused(second, 400, "ConstraintViolation")
        body = second.json()
        assert (body["propertyPath"], body["invalidValue"]) == ("orderExternalId", "shop-1")
        listed = (await opened.client.get("/_control/orders?external_id=shop-1")).json()
        assert len(listed) == 1


@pytest.mark.emulator("kinguin", 7)
async def test_a_used_external_id_can_buy_a_second_time_when_so_configured() -> None:
    """Line 7: configurable, since the documentation says only "should"."""
    async with bench(KinguinSandboxConfig(duplicate_external_id="accept")) as opened:
        orders = [(await opened.order(line(), orderExternalId="shop-1")).json() for _ in range(2)]
        assert orders[0]["orderId"] != orders[1]["orderId"]
        found = (await opened.get("/v1/order", orderExternalId="shop-1")).json()
        assert found["item_count"] == 2
        listed = (await opened.client.get("/_control/orders?external_id=shop-1")).json()
        price = f"{orders[0]['paymentPrice']:.2f}"
        assert [each["paid"] for each in listed] == [price, price]


@pytest.mark.emulator("kinguin", 10)
async def test_an_order_whose_201_was_lost_is_found_by_its_external_id() -> None:
    """Line 10: the order exists, the caller got no answer; the search index lags."""
    async with bench() as opened:
        await opened.control("faults", op="order.create", fault="drop_after")
        await opened.control("search-lag", seconds=3)
        with pytest.raises(httpx.ReadError):
            await opened.order(line(), orderExternalId="lost-1")
        assert await balance(opened) < 10000.0
        early = (await opened.get("/v1/order", orderExternalId="lost-1")).json()
        assert early == {"results": [], "item_count": 0}
        await opened.advance(3)
        late = (await opened.get("/v1/order", orderExternalId="lost-1")).json()
        assert late["item_count"] == 1
        assert late["results"][0]["status"] == "completed"
        assert (await opened.get("/v1/order", orderExternalId="lost-2")).json()["item_count"] == 0


@pytest.mark.emulator("kinguin", 10)
@pytest.mark.parametrize(
    ("fault", "status", "orders"),
    [
        ("500_before", 500, 0),
        ("500_after", 500, 1),
        ("503_before", 503, 0),
        ("503_after", 503, 1),
        ("OrderFailed", 422, 0),
        ("OrderFailed_after", 422, 1),
        ("HttpClient", 503, 0),
        ("Error_after", 500, 1),
        ("ResourceLock", 409, 0),
        ("429", 429, 0),
        ("garbage", 200, 1),
        ("slow", 201, 1),
        ("slow_after", 201, 1),
    ],
)
async def test_a_fault_on_create_leaves_an_order_behind_or_does_not(
    fault: str, status: int, orders: int
) -> None:
    """Line 10: whether the work was done cannot be told from the answer."""
    async with bench() as opened:
        await opened.control("faults", op="order.create", fault=fault, seconds=0.01)
        answer = await opened.order(line(), orderExternalId="shop-1")
        assert answer.status_code == status
        found = (await opened.get("/v1/order", orderExternalId="shop-1")).json()
        assert found["item_count"] == orders
        assert (await opened.order(line())).status_code == 201, "the fault is used up"


async def test_a_connection_dropped_before_the_work_leaves_nothing_behind() -> None:
    async with bench() as opened:
        await opened.control("faults", op="*", fault="drop_before", times=2)
        for _ in range(2):
            with pytest.raises(httpx.ReadError):
                await opened.order(line(), orderExternalId="shop-1")
        assert (await opened.client.get("/_control/orders")).json() == []


@pytest.mark.parametrize(
    ("products", "path"),
    [
        ([], "products"),
        ([line()] * 11, "products"),
        ([line(qty=0)], "products[0].qty"),
        ([line(qty=10)], "products[0].qty"),
        ([line(qty="1")], "products[0].qty"),
        ([line(qty=True)], "products[0].qty"),
        ([line(price=0)], "products[0].price"),
        ([line(price="5")], "products[0].price"),
        ([line(price=10**30)], "products[0].price"),
        ([line(), line(kinguinId="20000")], "products[1].kinguinId"),
        ([line(keyType="image")], "products[0].keyType"),
        ([line(offerId=5)], "products[0].offerId"),
        ([line(offerId="a"), line(offerId="a")], "products"),
        ([line(qty=1001, offerId="a")], "products[0].qty"),
        ([line(qty=10**30)], "products[0].qty"),
        ([line(qty=1.5)], "products[0].qty"),
        (["x"], "products[0]"),
    ],
)
async def test_a_payload_that_breaks_a_rule_names_the_property(
    products: list[JsonObject], path: str
) -> None:
    async with bench() as opened:
        answer = await opened.order(*products)
        assert refused(answer, 400, "ConstraintViolation")
        assert answer.json()["propertyPath"] == path


async def test_a_body_that_is_no_json_is_an_http_error() -> None:
    async with bench() as opened:
        answer = await opened.client.post("/esa/api/v1/order", content=b"{")
        assert refused(answer, 400, "Http")
        large = await opened.client.post("/esa/api/v1/order", content=b" " * 300_000)
        assert refused(large, 413, "Http")


async def test_a_body_nested_too_deep_is_an_http_error_and_not_a_fault() -> None:
    """Reference 6: kind `Http`, a bad form of the request."""
    async with bench() as opened:
        deep = await opened.client.post("/esa/api/v1/order", content=b"[" * 100_000)
        assert refused(deep, 400, "Http")


async def test_v2_orders_by_product_id_and_the_201_has_no_keys() -> None:
    async with bench() as opened:
        product_id = (await opened.get(f"/v1/products/{GAME}")).json()["productId"]
        body = {"products": [{"productId": product_id, "qty": 1, "price": 99.5}]}
        answer = await opened.client.post("/esa/api/v2/order", json=body)
        order = answer.json()
        assert (answer.status_code, order["status"]) == (201, "processing")
        assert "keys" not in order["products"][0]
        assert "orderExternalId" not in order
        assert order["createdAt"] == "2026-03-02T10:00:00+00:00"
        assert order["products"][0]["kinguinId"] == GAME
        read = (await opened.get(f"/v1/order/{order['orderId']}")).json()
        assert [key["status"] for key in read["products"][0]["keys"]] == ["DELIVERED"]


async def test_an_order_and_its_keys_have_exactly_the_documented_fields() -> None:
    async with bench() as opened:
        await opened.control(f"products/{GAME}", stock=5, release_date="2024-05-06")
        order_id = (await opened.order(line(keyType="text"), orderExternalId="a")).json()["orderId"]
        order = (await opened.get(f"/v1/order/{order_id}")).json()
        always = {"orderId", "kinguinOrderId", "status", "totalPrice", "requestTotalPrice"}
        always |= {"paymentPrice", "userEmail", "storeId", "createdAt", "totalQty", "isPreorder"}
        assert set(order) == always | {"products", "orderExternalId"}
        item = {"kinguinId", "productId", "offerId", "qty", "name", "price", "totalPrice"}
        item |= {"requestPrice", "isPreorder", "releaseDate", "keyType", "keys"}
        assert set(order["products"][0]) == item
        (key,) = (await opened.get(f"/v2/order/{order_id}/keys")).json()
        assert set(key) == {"id", "serial", "type", "name", "kinguinId", "offerId", "productId"}
        assert [key["id"]] == [each["id"] for each in order["products"][0]["keys"]]


async def test_orders_are_searched_by_every_documented_filter() -> None:
    async with bench() as opened:
        first = (await opened.order(line(), orderExternalId="a")).json()
        await opened.advance(3600)
        await opened.control("next-order", delivery="stuck")
        second = (await opened.order(line(20001), orderExternalId="b")).json()
        product_id = second["products"][0]["productId"]
        queries: list[tuple[dict[str, str | int], list[str]]] = [
            ({}, [second["orderId"], first["orderId"]]),
            ({"limit": 1, "page": 2}, [first["orderId"]]),
            ({"status": "processing"}, [second["orderId"]]),
            ({"status": "completed"}, [first["orderId"]]),
            ({"kinguinId": 20001}, [second["orderId"]]),
            ({"productId": product_id}, [second["orderId"]]),
            ({"orderId": first["orderId"]}, [first["orderId"]]),
            ({"createdAtFrom": "2026-03-02 10:30:00"}, [second["orderId"]]),
            ({"createdAtTo": "2026-03-02T10:30:00+00:00"}, [first["orderId"]]),
            ({"isPreorder": "yes"}, []),
            ({"isPreorder": "no", "orderExternalId": "a"}, [first["orderId"]]),
        ]
        for query, expected in queries:
            found = (await opened.get("/v1/order", **query)).json()
            assert [order["orderId"] for order in found["results"]] == expected, query
        assert refused(await opened.get("/v1/order", status="done"), 400, "ConstraintViolation")
        assert refused(await opened.get("/v1/order", limit=101), 400, "ConstraintViolation")


async def test_ordering_fails_without_a_billing_address() -> None:
    async with bench(KinguinSandboxConfig(billing_address=False)) as opened:
        assert refused(await opened.order(line()), 422, "OrderFailed")


async def test_wholesale_takes_the_tier_price_of_its_offer_and_many_pages_of_keys() -> None:
    async with bench() as opened:
        listed = (await opened.get("/v1/products", limit=100)).json()["results"]
        offer, kinguin_id = next(
            (offer, product["kinguinId"])
            for product in listed
            for offer in product.get("offers", ())
            if offer["wholesale"]["enabled"] and offer["textQty"] > 200
        )
        tier = offer["wholesale"]["tiers"][2]["price"]
        wanted = line(kinguin_id, qty=120, price=tier, offerId=offer["offerId"])
        below = await opened.order({**wanted, "price": round(tier - 0.01, 2)})
        assert refused(below, 422, "ProductUnavailable")
        order = (await opened.order(wanted)).json()
        assert order["products"][0]["price"] == tier
        path = f"/v2/order/{order['orderId']}/keys"
        sizes = [len((await opened.get(path, page=n, limit=50)).json()) for n in (1, 2, 3, 4)]
        assert sizes == [50, 50, 20, 0]
        returned = await opened.client.post(f"/esa/api{path}/return")
        assert refused(returned, 400, "NoKeysToReturn")
        plain = (await opened.get("/v1/products/20001")).json()["offers"][0]["offerId"]
        many = await opened.order(line(20001, qty=10, offerId=plain))
        assert refused(many, 400, "ConstraintViolation")


async def test_limits_of_the_gateway_answer_429_when_set() -> None:
    config = KinguinSandboxConfig(reads_per_minute=2, writes_per_minute=1)
    async with bench(config) as opened:
        reads = [(await opened.get("/v1/balance")).status_code for _ in range(3)]
        assert reads == [200, 200, 429]
        writes = [(await opened.order(line())).status_code for _ in range(2)]
        assert writes == [201, 429]
        await opened.advance(60)
        assert (await opened.get("/v1/balance")).status_code == 200


@pytest.mark.emulator("kinguin", 5)
async def test_nothing_is_ever_sold_above_the_ceiling_sent() -> None:
    """Line 5: whatever the price became since it was read, with one unit or a wholesale tier."""
    chance = random.Random(5)
    sold = 0
    async with bench() as opened:
        await opened.control("balance", balance="1000000.00")
        for _ in range(150):
            asked = Decimal(chance.randint(1, 3000)) / 100
            ceiling = max(Decimal("0.01"), asked + Decimal(chance.randint(-40, 40)) / 100)
            quantity = chance.choice([1, 2, 9])
            await opened.control(f"products/{GAME}", price=str(asked), stock=50)
            before = Decimal(str(await balance(opened)))
            answer = await opened.order(line(qty=quantity, price=float(ceiling)))
            spent = before - Decimal(str(await balance(opened)))
            if answer.status_code == 201:
                sold += 1
                assert spent == asked * quantity <= ceiling * quantity
                assert Decimal(str(answer.json()["products"][0]["price"])) <= ceiling
            else:
                assert refused(answer, 422, "ProductUnavailable")
                assert asked > ceiling
                assert spent == 0
    assert 30 < sold < 120
