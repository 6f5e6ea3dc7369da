"""No list is longer than a page, and no page longer than a hundred rows, on any route."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.contract.http.conftest import Operation, Stage, Sweep

# The lines of one order, and what there is of one account: no more than so many.
OF_A_BASKET = {
    "listDeliveries": "basket_lines",
    "getOrder": "basket_lines",
    "getMyOrder": "basket_lines",
    "listMySessions": "sessions_per_user",
    "adminListRecoveries": "page_max",
}


async def lists(sweep: "Sweep") -> list[tuple[str, "Operation"]]:
    """Every GET that answers a document with `items`, as the description tells it."""
    document = (await sweep.stage.client.get("/openapi.json")).json()
    schemas = document["components"]["schemas"]

    def has_items(operation: "Operation") -> bool:
        media = operation["responses"]["200"].get("content", {}).get("application/json")
        schema = media.get("schema", {}) if media else {}
        while "$ref" in schema:
            schema = schemas[schema["$ref"].rpartition("/")[2]]
        return schema.get("type") == "array" or "items" in schema.get("properties", {})

    return [
        (path, operation)
        for method, path, operation in sweep.operations
        if method == "GET" and "200" in operation["responses"] and has_items(operation)
    ]


async def test_every_list_of_the_description_pages_with_at_most_a_hundred(sweep: "Sweep") -> None:
    found = await lists(sweep)
    assert len(found) >= 10
    for path, operation in found:
        limit = OF_A_BASKET.get(operation["operationId"])
        if limit is not None:
            assert getattr(sweep.stage.shop.limits, limit) <= 100
            continue
        taken = {each["name"]: each for each in operation.get("parameters", ())}
        schema = taken["limit"]["schema"]
        assert (schema["minimum"], schema["maximum"]) == (1, 100), path
        assert taken.keys() & {"cursor", "after"}, path


async def test_a_list_walked_one_row_a_page_gives_every_row_once(stage: "Stage") -> None:
    order_id, _ = await stage.bought(("own-game", 1), ("bought-game", 1))
    for path, headers in (
        ("/v1/payments/currencies", {}),
        (f"/v1/admin/orders/{order_id}/ledger", stage.admin),
        (f"/v1/admin/orders/{order_id}/webhooks", stage.admin),
        ("/v1/admin/webhooks", stage.admin),
        ("/v1/catalog/products", {}),
    ):
        whole = (await stage.client.get(path, params={"limit": 100}, headers=headers)).json()
        assert whole["items"], path
        assert whole["next"] is None, path
        walked: list[object] = []
        cursor: dict[str, str | int] = {}
        for _ in range(100):
            params: dict[str, str | int] = {"limit": 1, **cursor}
            page = (await stage.client.get(path, params=params, headers=headers)).json()
            assert len(page["items"]) == 1, path
            walked += page["items"]
            if page["next"] is None:
                break
            cursor = {"cursor": page["next"]}
        assert walked == whole["items"], path
