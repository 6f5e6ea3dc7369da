"""The catalogues of suppliers at the desk over HTTP: runs, searches, single products."""

from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import msgspec
import pytest

from bitloot.domain.catalogue_sync import CatalogueRefusal, CatalogueSync
from bitloot.domain.decision import Decision, insert
from bitloot.domain.product import Product
from bitloot.ports.supplier import SupplierProduct
from bitloot_web.problems import URN

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage

BASE = "/v1/admin/catalog"


def said(answer: httpx.Response) -> tuple[int, str]:
    """The status of a refusal and its code."""
    return answer.status_code, answer.json()["type"].removeprefix(URN)


async def begun(stage: "Stage", body: object, **headers: str) -> httpx.Response:
    given = {**stage.admin, **(headers or stage.once())}
    return await stage.client.post(f"{BASE}/sync", json=body, headers=given)


async def read(stage: "Stage", path: str) -> httpx.Response:
    return await stage.client.get(f"{BASE}{path}", headers=stage.admin)


async def other_product(stage: "Stage") -> SupplierProduct:
    """A product that the supplier has and the shop does not."""
    known = await stage.supplier.product("k-1")
    assert known is not None
    other = msgspec.structs.replace(
        known,
        supplier_product_id="k-2",
        title="Other Game",
        offer_id="o-2",
        updated_at=stage.clock.now(),
    )
    stage.supplier.stock(other)
    return other


async def test_a_run_is_begun_once_worked_off_and_told(stage: "Stage") -> None:
    await other_product(stage)
    headers = stage.once()
    first = await begun(stage, {"supplier": "kinguin", "kind": "full"}, **headers)
    assert first.status_code == 202, first.text
    run = first.json()
    again = await begun(stage, {"supplier": "kinguin", "kind": "full"}, **headers)
    assert again.json() == run
    same = await begun(stage, {"supplier": "kinguin", "kind": "incremental"})
    assert same.json()["id"] == run["id"]
    status = (await read(stage, "/sync/status")).json()
    assert [each["id"] for each in status["running"]] == [run["id"]]
    for _ in range(3):
        await stage.work()
        stage.clock.advance(timedelta(seconds=61))
    assert (await read(stage, "/sync/status")).json() == {"running": []}
    (done,) = (await read(stage, "/sync/history?supplier=kinguin&state=done")).json()["items"]
    assert (done["id"], done["state"], done["productsNew"]) == (run["id"], "done", 1)
    assert {row.slug[:10] for row in stage.store.rows(Product)} >= {"other-game"}


async def test_a_run_through_the_only_supplier_is_begun_without_a_word(stage: "Stage") -> None:
    answer = await stage.client.post(f"{BASE}/sync", headers=stage.admin)
    assert answer.status_code == 202, answer.text
    assert (answer.json()["supplier"], answer.json()["state"]) == ("kinguin", "running")
    bad = await begun(stage, {}, **{"idempotency-key": "short"})
    assert said(bad) == (400, "idempotency-key-malformed")


async def test_who_asks_for_a_run_is_on_record_once(stage: "Stage") -> None:
    run = (await begun(stage, {"supplier": "kinguin", "kind": "full"})).json()
    await begun(stage, {"supplier": "kinguin"})
    entries = [line.entry for line in stage.store.audit.lines if line.entry.subject == run["id"]]
    (entry,) = entries
    assert (entry.actor, entry.action) == (stage.admin_name, "catalogue.sync")
    assert entry.facts == {"supplier": "kinguin", "kind": "full"}


async def test_that_goods_vanished_is_confirmed_by_who_sends_it(stage: "Stage") -> None:
    body = {"supplier": "kinguin", "kind": "incremental", "confirmVanished": True}
    run = (await begun(stage, body)).json()
    assert run["kind"] == "full"
    assert run["confirmedBy"] == stage.admin_name
    assert stage.store.audit.lines[-1].entry.action == "catalogue.vanishing-confirmed"
    unsure = await begun(stage, {**body, "confirmVanished": "yes"})
    assert said(unsure) == (422, "invalid-input")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"supplier": "nobody"}, (404, "not-found")),
        ({"supplier": "custom"}, (404, "not-found")),
        ({"supplier": ""}, (422, "invalid-input")),
        ({"supplier": "kinguin", "kind": "half"}, (422, "invalid-input")),
        ({"supplier": 1}, (422, "invalid-input")),
    ],
)
async def test_a_run_that_makes_no_sense_is_refused(
    stage: "Stage", body: dict[str, object], expected: tuple[int, str]
) -> None:
    assert said(await begun(stage, body)) == expected
    assert stage.store.rows(CatalogueSync) == []


async def test_what_a_run_could_not_read_is_told(stage: "Stage") -> None:
    at = stage.clock.now()
    run = CatalogueSync(
        id=stage.near.new_id(), supplier="kinguin", kind="full", state="failed", started_at=at
    )
    refusal = CatalogueRefusal(
        id=stage.near.new_id(), sync_id=run.id, page=7, reason="price is not an amount", at=at
    )
    async with stage.near.uow.begin() as tx:
        await tx.record(Decision(save=(insert(run), insert(refusal))))
    (line,) = (await read(stage, f"/sync/history/{run.id}/refusals")).json()["items"]
    assert (line["page"], line["reason"]) == (7, "price is not an amount")


async def test_a_supplier_is_searched_by_name(stage: "Stage") -> None:
    await other_product(stage)
    found = await read(stage, "/supplier/search?supplier=kinguin&name=other")
    (product,) = found.json()["products"]
    assert (product["supplierProductId"], product["cost"]) == ("k-2", "8.00")
    assert said(await read(stage, "/supplier/search?supplier=kinguin&name=x")) == (
        422,
        "invalid-input",
    )
    assert said(await read(stage, "/supplier/search?supplier=custom&name=other")) == (
        404,
        "not-found",
    )
    assert said(await read(stage, "/supplier/search")) == (422, "invalid-input")
    assert (await read(stage, "/supplier/search?name=other")).json() == found.json()
    stage.supplier.faults.go_down(retry_after=7.0)
    away = await read(stage, "/supplier/search?supplier=kinguin&name=other")
    assert (*said(away), away.headers["retry-after"]) == (503, "provider-unavailable", "7")


async def test_one_product_of_a_supplier_is_taken_over_as_often_as_asked(stage: "Stage") -> None:
    await other_product(stage)
    path = f"{BASE}/supplier/import/k-2?supplier=kinguin"
    first = await stage.client.post(path, headers=stage.admin)
    assert first.status_code == 201, first.text
    row = first.json()["summary"]
    assert (row["title"], row["source"], row["isAvailable"]) == ("Other Game", "kinguin", True)
    again = await stage.client.post(path, headers=stage.admin)
    assert again.json()["summary"]["id"] == row["id"]
    assert len(stage.store.rows(Product)) == 3
    assert stage.store.audit.lines[-1].entry.action == "product.imported"


@pytest.mark.parametrize("name", ["k-404", "..%2Fesa", "a%20b", "x" * 101, "k-1%3Fpage=2"])
async def test_a_name_that_no_product_of_a_supplier_has_is_not_found(
    stage: "Stage", name: str
) -> None:
    path = f"{BASE}/supplier/import/{name}?supplier=kinguin"
    assert said(await stage.client.post(path, headers=stage.admin)) == (404, "not-found")


async def test_a_product_that_was_taken_over_is_priced_by_the_rules(stage: "Stage") -> None:
    await other_product(stage)
    rule = {"scope": "global", "kind": "fixed", "value": "2.00"}
    await stage.client.post(f"{BASE}/rules", json=rule, headers=stage.admin)
    path = f"{BASE}/supplier/import/k-2?supplier=kinguin"
    made = (await stage.client.post(path, headers=stage.admin)).json()["summary"]
    assert made["price"] == "10.00"
    told = (await read(stage, f"/products/{made['id']}/price-explain")).json()
    assert (told["agrees"], told["decidedBy"], told["record"]["cost"]) == (True, "rule", "8.00")


async def test_a_rule_that_was_written_reaches_the_list(stage: "Stage") -> None:
    rule = {
        "scope": "product",
        "subject": stage.bought_product,
        "kind": "fixed",
        "value": "3.00",
        "rounding": "99",
    }
    await stage.client.post(f"{BASE}/rules", json=rule, headers=stage.admin)
    await stage.work()
    row = (await read(stage, f"/products/{stage.bought_product}")).json()["summary"]
    assert (row["price"], row["floor"]) == ("11.99", "8.09")
    assert (await read(stage, "/reprice/status")).json()["pending"] == 0


@pytest.mark.parametrize(
    "rule",
    [
        {"scope": "global", "kind": "margin", "value": "0.4", "rounding": "95"},
        {"scope": "global", "kind": "margin", "value": "0", "cap": "1.00"},
        {"scope": "global", "kind": "fixed", "value": "1.234", "rounding": "whole"},
        {"scope": "global", "kind": "override", "value": "3.00", "lossSigned": True},
        {"scope": "global", "kind": "override", "value": "3.00"},
        {"scope": "global", "kind": "margin", "value": "2", "isEnabled": False},
    ],
)
async def test_what_a_dry_run_says_is_what_the_rule_then_does(
    stage: "Stage", rule: dict[str, object]
) -> None:
    await other_product(stage)
    await stage.client.post(f"{BASE}/supplier/import/k-2", headers=stage.admin)
    tried = await stage.client.post(
        f"{BASE}/rules/simulate", json={"rule": rule}, headers=stage.admin
    )
    *effects, last = [msgspec.json.decode(line) for line in tried.text.splitlines()]
    assert last["products"] == len(effects) == 3
    await stage.client.post(f"{BASE}/rules", json=rule, headers=stage.admin)
    await stage.work()
    rows = (await read(stage, "/products")).json()["items"]
    now = {row["id"]: (row["price"], row["floor"], row["isLossSigned"]) for row in rows}
    assert now == {
        effect["productId"]: (effect["newPrice"], effect["floor"], effect["isLossSigned"])
        for effect in effects
    }
    for product_id in now:
        history = (await read(stage, f"/products/{product_id}/price-history")).json()["items"]
        for line in history:
            told = await read(stage, f"/products/{product_id}/price-explain?record={line['id']}")
            assert told.json()["agrees"] is True


async def demand_promises_kept(stage: "Stage", product_id: str) -> None:
    """Neither the product nor what was joined to it can be corrected away from the other."""
    (hidden,) = (row for row in stage.store.rows(Product) if row.supplier_product_id == "k-2")
    for each, body, field in (
        (product_id, {"excludedCountries": []}, "excludedCountries"),
        (product_id, {"title": "Harbour!", "region": "Mars"}, "region"),
        (product_id, {"isPreorder": True}, "isPreorder"),
        (hidden.id, {"excludedCountries": ["DE", "AT", "FR", "PL"]}, "excludedCountries"),
        (hidden.id, {"isPreorder": True}, "isPreorder"),
    ):
        version = (await read(stage, f"/products/{each}")).json()["summary"]["version"]
        headers = {**stage.admin, "if-match": f'"{version}"'}
        path = f"{BASE}/products/{each}"
        answer = await stage.client.patch(path, json=body, headers=headers)
        assert said(answer) == (422, "invalid-input"), (body, answer.text)
        assert answer.json()["errors"][0]["field"] == field
        title = await stage.client.patch(path, json={"title": "Still"}, headers=headers)
        assert title.status_code == 200, title.text


async def test_a_product_is_sold_from_a_further_supplier_too_and_no_more(stage: "Stage") -> None:
    await other_product(stage)
    locked = list(stage.supplier.listed("k-2").excluded_countries)
    own = {"slug": "harbour", "title": "Harbour", "price": "14.99", "excludedCountries": locked}
    made = await stage.client.post(f"{BASE}/products", json=own, headers=stage.admin)
    assert made.status_code == 201, made.text
    product_id = made.json()["summary"]["id"]
    path = f"{BASE}/products/{product_id}/offers"
    assert (await read(stage, f"/products/{product_id}/offers")).json()["items"] == []
    for _ in range(2):
        joined = await stage.client.put(f"{path}/kinguin/k-2", headers=stage.admin)
        assert joined.status_code == 200, joined.text
        assert joined.json()["summary"]["isAvailable"]
    (offer,) = (await read(stage, f"/products/{product_id}/offers")).json()["items"]
    assert (offer["supplier"], offer["supplierProductId"]) == ("kinguin", "k-2")
    await demand_promises_kept(stage, product_id)
    for wrong in ("kinguin/k-404", "nobody/k-2", "custom/k-2"):
        assert said(await stage.client.put(f"{path}/{wrong}", headers=stage.admin)) == (
            404,
            "not-found",
        )
    gone = await stage.client.delete(f"{path}/kinguin/k-2", headers=stage.admin)
    assert gone.status_code == 204
    again = await stage.client.delete(f"{path}/kinguin/k-2", headers=stage.admin)
    assert said(again) == (404, "not-found")
    actions = [line.entry.action for line in stage.store.audit.lines]
    assert [each for each in actions if each.startswith("offer.")] == [
        "offer.joined",
        "offer.joined",
        "offer.parted",
    ]


async def test_offers_that_are_sold_elsewhere_or_at_another_time_are_not_joined(
    stage: "Stage",
) -> None:
    await other_product(stage)
    known = stage.supplier.listed("k-2")
    for fields in ({"excluded_countries": ("DE",)}, {"is_preorder": True}):
        stage.supplier.stock(msgspec.structs.replace(known, **fields))
        slug = next(iter(fields)).partition("_")[0]
        own = {"slug": f"harbour-{slug}", "title": "Harbour", "price": "9"}
        made = await stage.client.post(f"{BASE}/products", json=own, headers=stage.admin)
        path = f"{BASE}/products/{made.json()['summary']['id']}/offers/kinguin/k-2"
        answer = await stage.client.put(path, headers=stage.admin)
        assert said(answer) == (422, "invalid-input")
