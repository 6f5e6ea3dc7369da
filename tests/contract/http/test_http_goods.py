"""The goods at the desk over HTTP: rules and dry runs, products, prices."""

from datetime import timedelta
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.contract.http.goods_desk import BASE, asked, said, shelved

from bitloot.domain.decision import Decision, update
from bitloot.domain.pricing_rules import PricingRule
from bitloot.domain.product import FACTS, Product
from bitloot.domain.product_change import MEDIA, PINNABLE

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage

MARGIN = {"scope": "global", "kind": "margin", "value": "0.25", "rounding": "99"}
OWN = {"slug": "moon-base", "title": "Moon Base", "price": "14.99"}
BAD_AMOUNTS = ["-1", "+1", "NaN", "Infinity", "1e3", "1,5", "", " 1", "1.123456789", "9" * 13]


def audited(stage: "Stage") -> list[str]:
    """What was done so far, as the audit log has it."""
    return [line.entry.action for line in stage.store.audit.lines]


def waiting(stage: "Stage") -> set[str]:
    """Whose prices wait to be made anew."""
    return {
        job.ref for job in stage.store.jobs.all() if (job.kind, job.state) == ("reprice", "pending")
    }


# --- rules -----------------------------------------------------------------------------------


async def test_a_rule_is_written_changed_and_taken_away(stage: "Stage") -> None:
    made = await asked(stage, "POST", "/rules", MARGIN)
    assert made.status_code == 201, made.text
    rule = made.json()
    assert (rule["value"], rule["version"], made.headers["etag"]) == ("0.25", 1, '"1"')
    path = f"/rules/{rule['id']}"
    changed = await asked(stage, "PATCH", path, {"value": "0.3", "cap": "59.99"}, version=1)
    assert changed.status_code == 200, changed.text
    assert (changed.json()["value"], changed.json()["cap"]) == ("0.3", "59.99")
    cleared = await asked(stage, "PATCH", path, {"cap": None, "isEnabled": False}, version=2)
    assert (cleared.json()["cap"], cleared.json()["isEnabled"]) == (None, False)
    listed = (await asked(stage, "GET", "/rules?scope=global")).json()["items"]
    assert [each["id"] for each in listed] == [rule["id"]]
    assert (await asked(stage, "DELETE", path, version=3)).status_code == 204
    assert said(await asked(stage, "GET", path)) == (404, "not-found")
    assert audited(stage)[-4:] == ["rule.created", "rule.changed", "rule.changed", "rule.removed"]


async def test_a_rule_is_only_changed_by_who_saw_it_as_it_is(stage: "Stage") -> None:
    rule = (await asked(stage, "POST", "/rules", MARGIN)).json()
    path = f"/rules/{rule['id']}"
    for method, body in (("PATCH", {"priority": 1}), ("DELETE", None)):
        assert said(await asked(stage, method, path, body)) == (428, "precondition-required")
        stale = await asked(stage, method, path, body, version=7)
        assert said(stale) == (412, "version-conflict")
    assert (await asked(stage, "GET", path)).json()["version"] == 1


async def test_a_change_of_a_rule_has_the_prices_that_it_touches_made_anew(stage: "Stage") -> None:
    of_one = {"scope": "product", "subject": stage.own_product, "kind": "override", "value": "9.00"}
    await asked(stage, "POST", "/rules", of_one)
    assert waiting(stage) == {stage.own_product}
    await asked(stage, "POST", "/rules", MARGIN)
    assert waiting(stage) == {stage.own_product, "all"}


async def test_a_loss_is_signed_by_who_sends_it(stage: "Stage") -> None:
    body = {"scope": "product", "subject": stage.own_product, "kind": "override", "value": "1.00"}
    made = await asked(stage, "POST", "/rules", {**body, "lossSigned": True})
    assert made.json()["lossSignedBy"] == stage.admin_name
    back = await asked(
        stage, "PATCH", f"/rules/{made.json()['id']}", {"lossSigned": False}, version=1
    )
    assert back.json()["lossSignedBy"] is None
    assert said(await asked(stage, "POST", "/rules", {**MARGIN, "lossSigned": True})) == (
        422,
        "invalid-input",
    )


@pytest.mark.parametrize("value", BAD_AMOUNTS)
async def test_a_value_that_is_no_plain_amount_is_refused(stage: "Stage", value: str) -> None:
    for body in ({**MARGIN, "value": value}, {**MARGIN, "cap": value}):
        assert said(await asked(stage, "POST", "/rules", body)) == (422, "invalid-input")
    price = await asked(stage, "POST", "/products", {**OWN, "price": value})
    assert said(price) == (422, "invalid-input")
    draft = await asked(stage, "POST", "/rules/simulate", {"rule": {**MARGIN, "value": value}})
    assert said(draft) == (422, "invalid-input")
    assert stage.store.rows(PricingRule) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"value": 0.25},
        {"value": None},
        {"scope": "planet"},
        {"kind": "gift"},
        {"rounding": "up"},
        {"priority": 10**9},
        {"priority": "1"},
        {"subject": "rpg"},
        {"scope": "category"},
        {"scope": "category", "subject": "no-such-shelf"},
        {"scope": "product", "subject": "not an id"},
        {"scope": "product", "subject": "01c2ae78-4200-7eee-b48f-c209128b2f33"},
        {"value": "11"},
        {"kind": "override", "value": "0"},
        {"lossSignedBy": "me"},
    ],
)
async def test_a_rule_that_makes_no_sense_is_refused(
    stage: "Stage", wrong: dict[str, object]
) -> None:
    answer = await asked(stage, "POST", "/rules", {**MARGIN, **wrong})
    assert said(answer) == (422, "invalid-input")
    assert answer.json()["errors"][0]["field"]
    assert stage.store.rows(PricingRule) == []


async def test_a_dry_run_tells_the_effect_on_each_product_and_writes_nothing(
    stage: "Stage",
) -> None:
    before = (len(stage.store.audit.lines), waiting(stage))
    answer = await asked(stage, "POST", "/rules/simulate", {"rule": MARGIN})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    *lines, last = [msgspec.json.decode(line) for line in answer.text.splitlines()]
    told = {line["slug"]: line for line in lines}
    assert (told["bought-game"]["oldPrice"], told["bought-game"]["newPrice"]) == ("10.00", "10.99")
    assert told["bought-game"]["floor"] == "8.09"
    assert (told["bought-game"]["decidedBy"], told["bought-game"]["applied"]) == ("rule", True)
    assert last == {"done": True, "products": 2, "changes": 2}
    assert (len(stage.store.audit.lines), waiting(stage)) == before
    assert stage.store.rows(PricingRule) == []


async def test_a_dry_run_tells_where_a_stronger_rule_or_the_floor_speaks(stage: "Stage") -> None:
    strong = {"scope": "product", "subject": stage.bought_product, "kind": "fixed", "value": "3.00"}
    rule = (await asked(stage, "POST", "/rules", strong)).json()
    draft: dict[str, object] = {"rule": {**MARGIN, "value": "0"}, "onlyChanges": True}
    lines = (await asked(stage, "POST", "/rules/simulate", draft)).text.splitlines()
    told = {each["slug"]: each for each in map(msgspec.json.decode, lines[:-1])}
    assert (told["bought-game"]["newPrice"], told["bought-game"]["applied"]) == ("11.00", False)
    instead = {"rule": {**strong, "value": "0", "cap": "8.00"}, "replaces": rule["id"]}
    (line, _) = (await asked(stage, "POST", "/rules/simulate", instead)).text.splitlines()
    effect = msgspec.json.decode(line)
    assert (effect["newPrice"], effect["decidedBy"]) == ("8.09", "floor")


async def test_a_dry_run_comes_to_what_the_change_then_does(stage: "Stage") -> None:
    older = (await asked(stage, "POST", "/rules", MARGIN)).json()
    stage.clock.advance(timedelta(seconds=1))
    await asked(stage, "POST", "/rules", {**MARGIN, "value": "1"})
    changed = {**MARGIN, "value": "2"}
    draft = {"rule": changed, "replaces": older["id"]}
    lines = (await asked(stage, "POST", "/rules/simulate", draft)).text.splitlines()
    told = {each["slug"]: each for each in map(msgspec.json.decode, lines[:-1])}
    # Of equal rules the newer one counts, and a rule that is changed is as old as before.
    assert (told["bought-game"]["newPrice"], told["bought-game"]["applied"]) == ("16.99", False)
    await asked(stage, "PATCH", f"/rules/{older['id']}", {"value": "2"}, version=1)
    await stage.work()
    now = await asked(stage, "GET", f"/products/{stage.bought_product}")
    assert now.json()["summary"]["price"] == "16.99"


@pytest.mark.parametrize(
    "draft",
    [
        {"rule": MARGIN, "replaces": "01c2ae78-4200-7eee-b48f-c209128b2f33"},
        {"rule": {**MARGIN, "scope": "category", "subject": "no-such-shelf"}},
    ],
)
async def test_a_draft_that_could_not_be_written_is_refused_before_the_first_line(
    stage: "Stage", draft: dict[str, object]
) -> None:
    answer = await asked(stage, "POST", "/rules/simulate", draft)
    assert said(answer) == (422, "invalid-input")


# --- products --------------------------------------------------------------------------------


async def test_a_product_of_our_own_is_put_on_the_shelf_shown_and_retired(stage: "Stage") -> None:
    await shelved(stage, "space")
    body = {**OWN, "category": "space", "lowStockAt": 3, "description": "Far\naway"}
    made = await asked(stage, "POST", "/products", body)
    assert made.status_code == 201, made.text
    detail = made.json()
    row = detail["summary"]
    assert (row["price"], row["category"], row["isPublished"]) == ("14.99", "space", False)
    assert (detail["lowStockAt"], row["pinned"], made.headers["etag"]) == (3, [], '"1"')
    path = f"/products/{row['id']}"
    shown = await asked(stage, "POST", f"{path}/publish")
    assert shown.json()["summary"]["isPublished"] is True
    assert (await asked(stage, "POST", f"{path}/publish")).json() == shown.json()
    hidden = await asked(stage, "POST", f"{path}/unpublish")
    assert hidden.json()["summary"]["isListed"] is False
    assert (await asked(stage, "DELETE", path, version=3)).status_code == 204
    assert audited(stage)[-4:] == [
        "product.created",
        "product.published",
        "product.unpublished",
        "product.retired",
    ]
    kept = (await asked(stage, "GET", f"{path}/price-history")).json()["items"]
    assert [each["price"] for each in kept] == ["14.99"]


async def test_a_slug_is_given_once(stage: "Stage") -> None:
    answer = await asked(stage, "POST", "/products", {**OWN, "slug": "own-game"})
    assert said(answer) == (422, "invalid-input")
    assert answer.json()["errors"][0]["field"] == "slug"


async def test_what_a_person_says_of_a_suppliers_product_is_pinned_until_given_back(
    stage: "Stage",
) -> None:
    path = f"/products/{stage.bought_product}"
    change = {"title": "Better Title", "ageRating": None, "hidesWhenSoldOut": True}
    answer = await asked(stage, "PATCH", path, change, version=1)
    assert answer.status_code == 200, answer.text
    row = answer.json()["summary"]
    assert (row["title"], row["pinned"]) == ("Better Title", ["age_rating", "title"])
    (stored,) = [each for each in stage.store.rows(Product) if each.id == stage.bought_product]
    assert stored.hides_when_sold_out
    back = await asked(stage, "PATCH", path, {"unpin": ["title"]}, version=2)
    assert back.json()["summary"]["pinned"] == ["age_rating"]
    for wrong in ({"unpin": ["slug"]}, {"unpin": ["title"], "title": "Both"}):
        assert said(await asked(stage, "PATCH", path, wrong, version=3)) == (422, "invalid-input")


async def test_a_field_that_is_given_back_is_news_to_the_next_synchronisation(
    stage: "Stage",
) -> None:
    (row,) = [each for each in stage.store.rows(Product) if each.id == stage.bought_product]
    async with stage.near.uow.begin() as tx:
        known = update(row, facts_digest="as the supplier said", pinned=("title",))
        await tx.record(Decision(save=(known,)))
    path = f"/products/{stage.bought_product}"
    await asked(stage, "PATCH", path, {"unpin": ["title"]}, version=2)
    (now,) = [each for each in stage.store.rows(Product) if each.id == stage.bought_product]
    assert now.facts_digest is None


def test_what_can_be_pinned_is_what_a_supplier_says() -> None:
    assert set(FACTS) >= PINNABLE
    assert MEDIA not in PINNABLE


async def test_a_product_is_only_changed_by_who_saw_it_as_it_is(stage: "Stage") -> None:
    path = f"/products/{stage.own_product}"
    for method, body in (("PATCH", {"title": "Late"}), ("DELETE", None)):
        assert said(await asked(stage, method, path, body)) == (428, "precondition-required")
        stale = await asked(stage, method, path, body, version=9)
        assert said(stale) == (412, "version-conflict")


async def test_a_product_that_is_kept_for_an_order_is_not_retired(stage: "Stage") -> None:
    await stage.order(("own-game", 1))
    answer = await asked(stage, "DELETE", f"/products/{stage.own_product}", version=1)
    assert said(answer) == (409, "in-use")


@pytest.mark.parametrize(
    "wrong",
    [
        {"slug": "Moon Base"},
        {"slug": "moon--base"},
        {"slug": "../moon"},
        {"slug": "m" * 81},
        {"slug": "moon\n"},
        {"title": ""},
        {"title": " \u200b"},
        {"title": "m" * 201},
        {"title": "Moon\x00"},
        {"price": 14.99},
        {"price": "14.999"},
        {"price": "0"},
        {"category": "no-such-shelf"},
        {"excludedCountries": ["Germany"]},
        {"genres": ["x" * 65]},
        {"tags": ["x"] * 101},
        {"lowStockAt": -1},
        {"metacritic": 101},
        {"coverUrl": "javascript:alert(1)"},
        {"pinned": ["title"]},
        {"source": "kinguin"},
    ],
)
async def test_a_product_that_makes_no_sense_is_refused(
    stage: "Stage", wrong: dict[str, object]
) -> None:
    answer = await asked(stage, "POST", "/products", {**OWN, **wrong})
    assert said(answer) == (422, "invalid-input")
    assert len(stage.store.rows(Product)) == 2


async def test_products_are_found_by_each_filter(stage: "Stage") -> None:
    async def slugs(query: str) -> list[str]:
        answer = await asked(stage, "GET", f"/products?{query}")
        assert answer.status_code == 200, answer.text
        return [row["slug"] for row in answer.json()["items"]]

    assert await slugs("") == ["bought-game", "own-game"]
    assert await slugs("source=custom&available=true&published=true") == ["own-game"]
    assert await slugs("title=BOUGHT") == ["bought-game"]
    assert await slugs("title=%25%25") == []
    assert await slugs("supplierProductId=k-1") == ["bought-game"]
    first = (await asked(stage, "GET", "/products?limit=1")).json()
    other = await asked(stage, "GET", f"/products?limit=1&source=custom&cursor={first['next']}")
    assert said(other) == (400, "invalid-request")
    assert await slugs(f"limit=1&cursor={first['next']}") == ["own-game"]


@pytest.mark.parametrize(("path", "name"), [("/products", "title"), ("/supplier/search", "name")])
async def test_a_text_that_the_desk_searches_for_is_bounded_and_means_itself(
    stage: "Stage", path: str, name: str
) -> None:
    for text in ("x" * 10_000, "x" * 101, "a\0b"):
        answer = await stage.client.get(f"{BASE}{path}", params={name: text}, headers=stage.admin)
        assert said(answer) == (400, "invalid-request")
        assert answer.json()["errors"][0]["field"] == name
    for text in ("%_%", "\\\\\\", "&|!():*", "'; DROP TABLE products; --", "\U0001f47e" * 3):
        answer = await stage.client.get(f"{BASE}{path}", params={name: text}, headers=stage.admin)
        assert answer.status_code == 200, answer.text
        assert not next(iter(answer.json().values()))


async def test_many_products_are_acted_on_each_for_itself(stage: "Stage") -> None:
    await shelved(stage, "space")
    await stage.order(("own-game", 1))
    unknown = stage.near.new_id()
    ids = [stage.own_product, unknown, stage.bought_product]
    done = await asked(stage, "POST", "/products/bulk", {"action": "unpublish", "ids": ids})
    assert [each["outcome"] for each in done.json()["items"]] == ["done", "not-found", "done"]
    filed = {"action": "category", "ids": ids[:1], "category": "space"}
    await asked(stage, "POST", "/products/bulk", filed)
    retired = await asked(stage, "POST", "/products/bulk", {"action": "retire", "ids": ids})
    assert [each["outcome"] for each in retired.json()["items"]] == ["in-use", "not-found", "done"]
    row = (await asked(stage, "GET", f"/products/{stage.own_product}")).json()["summary"]
    assert (row["isPublished"], row["category"]) == (False, "space")
    for wrong in ([], [unknown] * 101, ["own-game"]):
        body = {"action": "publish", "ids": wrong}
        assert said(await asked(stage, "POST", "/products/bulk", body)) == (422, "invalid-input")


# --- prices ----------------------------------------------------------------------------------


async def test_a_price_is_explained_from_what_is_on_record(stage: "Stage") -> None:
    made = (await asked(stage, "POST", "/products", OWN)).json()["summary"]
    path = f"/products/{made['id']}"
    told = (await asked(stage, "GET", f"{path}/price-explain")).json()
    assert (told["agrees"], told["price"], told["decidedBy"]) == (True, "14.99", "rule")
    assert (told["rule"]["kind"], told["rule"]["value"]) == ("override", "14.99")
    assert told["tried"] == [{"ruleId": told["rule"]["id"], "outcome": "applied"}]
    (line,) = (await asked(stage, "GET", f"{path}/price-history")).json()["items"]
    again = await asked(stage, "GET", f"{path}/price-explain?record={line['id']}")
    assert again.json() == told
    foreign = f"/products/{stage.own_product}/price-explain?record={line['id']}"
    assert said(await asked(stage, "GET", foreign)) == (404, "not-found")


async def test_offers_of_a_product_are_told(stage: "Stage") -> None:
    found = (await asked(stage, "GET", f"/products/{stage.bought_product}/offers")).json()
    (offer,) = found["items"]
    assert (offer["supplier"], offer["cost"], offer["stock"]) == ("kinguin", "8.00", 50)


async def test_prices_are_made_anew_when_asked(stage: "Stage") -> None:
    one = await asked(stage, "POST", f"/products/{stage.own_product}/reprice")
    assert (one.status_code, one.json()["pending"]) == (202, 1)
    every = await asked(stage, "POST", "/reprice")
    assert every.json()["pending"] == 2
    assert waiting(stage) == {stage.own_product, "all"}
    status = (await asked(stage, "GET", "/reprice/status")).json()
    assert (status["pending"], status["failed"]) == (2, 0)
    unknown = await asked(stage, "POST", "/reprice", {"productId": stage.near.new_id()})
    assert said(unknown) == (404, "not-found")
