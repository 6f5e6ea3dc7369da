"""The desk's goods on PostgreSQL, over HTTP: what it writes is what it then reads."""

from collections.abc import AsyncIterator
from itertools import count
from pathlib import Path

import httpx
import msgspec
import psycopg
import pytest
from bench.shop_settings import PORTS, shop_variables
from psycopg import sql
from tests import asgi

from bitloot_web.asgi import build_app
from bitloot_web.composition.opening import OpenShop, open_shop
from bitloot_web.devservices import ValkeyStore
from bitloot_web.plugins import configure
from bitloot_web.settings import Environment
from bitloot_web.staffing import owner_key

SERIALS = ["AAAA-1", "BBBB-2", "CCCC-3"]
WHY = {"reason": "a test"}
NUMBERS = count(1)


class Desk:
    """Asks as an owner does, and works off what that brings."""

    def __init__(self, opened: OpenShop, client: httpx.AsyncClient, key: str) -> None:
        self._opened = opened
        self.client = client
        self._headers = {"authorization": f"Bearer {key}"}

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        version: int | None = None,
        status: int = 200,
    ) -> httpx.Response:
        headers = {**self._headers, "idempotency-key": f"a-key-of-the-desk-{next(NUMBERS):06}"}
        if version is not None:
            headers["if-match"] = f'"{version}"'
        if isinstance(body, bytes):
            headers["content-type"] = "text/csv"
            answer = await self.client.request(
                method, f"/v1/admin{path}", content=body, headers=headers
            )
        else:
            answer = await self.client.request(
                method, f"/v1/admin{path}", json=body, headers=headers
            )
        assert answer.status_code == status, answer.text
        return answer

    async def work(self) -> None:
        runner, jobs = self._opened.runner(), self._opened.neighbours.jobs
        for job_id in await jobs.claim_due(100):
            await runner.run(job_id)


@pytest.fixture
async def desk(shop_url: str, valkey_server: ValkeyStore, tmp_path: Path) -> AsyncIterator[Desk]:
    ports = {name: 9000 + place for place, name in enumerate(PORTS)}
    variables = shop_variables(shop_url, valkey_server.url, ports, tmp_path)
    async with open_shop(configure(Environment(variables))) as opened:
        transport = asgi.transport(build_app(opened.shop), client=("203.0.113.7", 4711))
        async with httpx.AsyncClient(transport=transport, base_url="http://shop.test") as client:
            key = await owner_key(opened.shop, "owner@shop.example", "the desk")
            yield Desk(opened, client, key)


async def own_product(desk: Desk) -> tuple[str, str]:
    """A product of our own in a category with three keys: its id and that of the category."""
    shelf = {"slug": "space", "title": "Space", "genres": ["Sci-fi"]}
    category = (await desk.ask("POST", "/catalog/categories", shelf, status=201)).json()
    body = {"slug": "moon-base", "title": "Moon Base", "price": "14.99", "category": "space"}
    made = (await desk.ask("POST", "/catalog/products", body, status=201)).json()["summary"]
    keys = {"keys": SERIALS, "batch": "first", "cost": "7.00"}
    await desk.ask("POST", f"/inventory/{made['id']}/keys", keys, status=201)
    return made["id"], category["id"]


async def test_rules_are_tried_written_applied_and_taken_away(desk: Desk) -> None:
    product_id, category_id = await own_product(desk)
    rule = {"scope": "category", "subject": "space", "kind": "margin", "value": "1"}
    told = (await desk.ask("POST", "/catalog/rules/simulate", {"rule": rule})).text.splitlines()
    effect = msgspec.json.decode(told[0])
    # The price that was set is a rule of the product itself: it is stronger.
    assert (effect["newPrice"], effect["floor"], effect["applied"]) == ("14.99", "7.08", False)
    of_product = {"scope": "product", "subject": product_id, "kind": "override", "value": "5.00"}
    written = (await desk.ask("POST", "/catalog/rules", of_product, status=201)).json()
    path = f"/catalog/rules/{written['id']}"
    await desk.work()
    row = (await desk.ask("GET", f"/catalog/products/{product_id}")).json()["summary"]
    assert (row["price"], row["floor"], row["isAvailable"]) == ("7.08", "7.08", True)
    await desk.ask("PATCH", path, {"lossSigned": True, "priority": 3}, version=1)
    await desk.work()
    row = (await desk.ask("GET", f"/catalog/products/{product_id}")).json()["summary"]
    assert (row["price"], row["isLossSigned"]) == ("5.00", True)
    await desk.ask("DELETE", path, version=1, status=412)
    await desk.ask("DELETE", path, version=2, status=204)
    await desk.work()
    history = await desk.ask("GET", f"/catalog/products/{product_id}/price-history")
    assert [line["price"] for line in history.json()["items"]] == ["14.99", "5.00", "7.08", "14.99"]
    for line in history.json()["items"]:
        record = f"/catalog/products/{product_id}/price-explain?record={line['id']}"
        assert (await desk.ask("GET", record)).json()["agrees"] is True
    await desk.ask("DELETE", f"/catalog/categories/{category_id}", version=1, status=409)


async def test_products_media_and_groups_are_kept_in_order(desk: Desk) -> None:
    product_id, category_id = await own_product(desk)
    path = f"/catalog/products/{product_id}"
    change = {"category": None, "tags": ["moon", "base"], "metacritic": 81, "lowStockAt": 3}
    changed = (await desk.ask("PATCH", path, change, version=1)).json()
    assert (changed["tags"], changed["metacritic"]) == (["moon", "base"], "81")
    assert (await desk.ask("GET", "/catalog/products?title=oon")).json()["items"]
    await desk.ask("DELETE", f"/catalog/categories/{category_id}", version=1, status=204)
    ids: list[str] = []
    for place in (1, 2):
        picture = {"kind": "image", "url": f"https://pictures.example/{place}.png"}
        added = await desk.ask("POST", f"{path}/media", picture, status=201)
        ids.append(added.json()["id"])
    turned = await desk.ask("PUT", f"{path}/media/order", {"ids": ids[::-1]}, version=2)
    assert [each["id"] for each in turned.json()["media"]] == ids[::-1]
    await desk.ask("DELETE", f"{path}/media/{ids[0]}", version=2, status=204)
    group = {"slug": "editions", "title": "Editions"}
    made = (await desk.ask("POST", "/catalog/groups", group, status=201)).json()["summary"]
    inside = f"/catalog/groups/{made['id']}"
    joining = {"productId": product_id}
    await desk.ask("POST", f"{inside}/products", joining, version=1, status=201)
    assert len((await desk.ask("GET", inside)).json()["members"]) == 1
    await desk.ask("DELETE", inside, version=1, status=412)
    await desk.ask("DELETE", inside, version=2, status=204)
    await desk.ask("POST", f"{path}/publish")
    listed = (await desk.ask("GET", "/inventory/low-stock")).json()["items"]
    assert [(line["slug"], line["available"]) for line in listed] == [("moon-base", 3)]
    version = (await desk.ask("GET", path)).json()["summary"]["version"]
    await desk.ask("DELETE", path, version=version, status=204)


async def test_own_stock_is_corrected_counted_exported_and_taken_out(desk: Desk) -> None:
    product_id, _ = await own_product(desk)
    path = f"/inventory/{product_id}/keys"
    first, second, third = (await desk.ask("GET", path)).json()["items"]
    await desk.ask("PATCH", f"{path}/{first['id']}", {"cost": "6.00", **WHY})
    await desk.ask("PATCH", f"{path}/{second['id']}", {"state": "burned", **WHY})
    await desk.ask("DELETE", f"{path}/{third['id']}?reason=mistake", status=204)
    stats = (await desk.ask("GET", f"{path}/stats")).json()
    assert (stats["available"], stats["burned"], stats["value"]) == (1, 1, "6.00")
    exported = await desk.ask("POST", f"{path}/export", WHY)
    (line,) = exported.text.splitlines()[1:]
    assert line.partition(",")[0] in SERIALS
    count_of = (await desk.ask("POST", f"{path}/recount", exported.content)).json()
    assert (count_of["expected"], count_of["missing"], count_of["surplus"]) == (1, [], [])
    instead = {"key": "DDDD-4", **WHY}
    await desk.ask("POST", f"{path}/{first['id']}/replace", instead, status=201)
    again = {"keys": SERIALS, "batch": "again", "cost": "1"}
    back = (await desk.ask("POST", path, again, status=201)).json()
    assert back["imported"] == 1
    await desk.work()
    row = (await desk.ask("GET", f"/catalog/products/{product_id}")).json()["summary"]
    assert (row["isAvailable"], row["floor"]) == (True, "6.07")


async def test_typed_items_are_sealed_listed_counted_and_exported(
    desk: Desk, shop_url: str
) -> None:
    product_id, _ = await own_product(desk)
    path = f"/inventory/{product_id}/keys"
    for kind, table in (
        ("account", b"login,password,cost\nanna@x.example,S3CRET-WORD,1.00\nbert,,\n"),
        ("code-with-pin", b"code,pin\nS3CRET-CODE-0001,S3CRET-PIN\n"),
        ("licence-file", b"name,mediaType,content\na.lic,text/plain,UzNDUkVULUZJTEU=\n"),
    ):
        query = f"kind={kind}&batch=b&cost=2.00"
        told = (await desk.ask("POST", f"{path}/import?{query}", table, status=201)).json()
        assert told["imported"] == 1
    listed = (await desk.ask("GET", path)).json()["items"]
    assert [(item["kind"], item["preview"], item["cost"]) for item in listed[:3]] == [
        ("licence-file", "a.lic", "2.00"),
        ("code-with-pin", "••••0001", "2.00"),
        ("account", "anna@x.••••", "1.00"),
    ]
    one = (await desk.ask("GET", f"{path}/{listed[2]['id']}")).json()
    assert one == listed[2]
    stats = (await desk.ask("GET", f"{path}/stats")).json()
    assert (stats["available"], stats["value"], stats["profit"]) == (6, "26.00", "0.00")
    exported = await desk.ask("POST", f"{path}/export", {"kind": "account", **WHY})
    assert exported.text.splitlines()[1].startswith("anna@x.example,S3CRET-WORD,,b,1.00,")
    count_of = await desk.ask("POST", f"{path}/recount?kind=account", exported.content)
    assert (count_of.json()["expected"], count_of.json()["surplus"]) == (1, [])
    assert (await desk.ask("GET", "/unit-reports")).json()["items"] == []
    async with await psycopg.AsyncConnection.connect(shop_url) as connection:
        for name in ("sealed_keys", "inventory_keys", "audit_logs", "idempotency_keys"):
            asked = sql.SQL("SELECT t::text FROM {} t").format(sql.Identifier(name))
            rows = await (await connection.execute(asked)).fetchall()
            assert rows
            assert not any(word in repr(rows) for word in ("S3CRET", "anna", "UzNDUkVU"))
