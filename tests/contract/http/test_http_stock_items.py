"""Typed items of own stock over HTTP: imported, seen in part at the desk, sold, handed over."""

import base64
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import httpx
import pytest

from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.limits import Limits
from bitloot.domain.stock_item import KINDS
from bitloot_web.api.downloads import attachment
from bitloot_web.problems import URN

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage

ACCOUNT = {"login": "anna@games.example", "note": "first owner", "password": 'p"w, 1'}
ACCOUNTS = 'login,password,note,cost\nanna@games.example,"p""w, 1",first owner,1.50\n'
CODES = "code\tpin\nGIFT-1234-5678\t4711\n"
FILE = bytes(range(256))


async def imported(stage: "Stage", raw: str | bytes, query: str, kind: str) -> httpx.Response:
    headers = {**stage.admin, **stage.once(), "content-type": kind}
    path = f"/v1/admin/inventory/{stage.own_product}/keys/{query}"
    return await stage.client.post(path, content=raw, headers=headers)


async def taken_in(stage: "Stage") -> None:
    """An account, a code and a file, cheaper than the keys of the shelf: they are sold first."""
    for raw, query, kind in (
        (ACCOUNTS, "import?kind=account&batch=a&cost=2.00", "text/csv"),
        (CODES, "import?kind=code-with-pin&batch=c&cost=2.00", "text/plain"),
        (FILE, "file?name=to%20%C3%A4nna%22.lic&batch=f&cost=3.00", "application/x-licence"),
    ):
        answer = await imported(stage, raw, query, kind)
        assert (answer.status_code, answer.json()["imported"]) == (201, 1), answer.text


async def listed(stage: "Stage", query: str = "") -> list[dict[str, str]]:
    path = f"/v1/admin/inventory/{stage.own_product}/keys{query}"
    answer = await stage.client.get(path, headers=stage.admin)
    assert answer.status_code == 200, answer.text
    for secret in ('p"w', "p\\u0022w", "4711", "GIFT-1234", "first owner", "anna@games.example"):
        assert secret not in answer.text
    found: list[dict[str, str]] = answer.json()["items"]
    return found


async def revealed(stage: "Stage", order_id: str, token: dict[str, str]) -> str:
    order = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()
    path = f"/v1/orders/{order_id}/items/{order['items'][0]['id']}/reveal"
    answer = await stage.client.post(path, headers={**token, **stage.once()})
    assert answer.status_code == 201, answer.text
    url: str = answer.json()["url"]
    return url.removeprefix("https://shop.example")


async def test_items_are_seen_in_part_at_the_desk(stage: "Stage") -> None:
    await taken_in(stage)
    items = await listed(stage)
    assert [(item["kind"], item["preview"]) for item in items[:3]] == [
        ("licence-file", 'to änna".lic'),
        ("code-with-pin", "••••678"),
        ("account", "anna@game••••"),
    ]
    assert [item["kind"] for item in items[3:]] == ["key"] * 3
    assert {item["preview"] for item in items[3:]} == {"••••CCCC", "••••FFFF", "••••IIII"}
    assert [item["cost"] for item in await listed(stage, "?kind=account")] == ["1.50"]
    wrong = await stage.client.get(
        f"/v1/admin/inventory/{stage.own_product}/keys?kind=car", headers=stage.admin
    )
    assert wrong.status_code == 400


async def test_a_list_opens_no_large_file_and_one_of_them_is_seen_alone(stage: "Stage") -> None:
    for size in (100, 64 * 1024):
        answer = await imported(
            stage, b"x" * size, f"file?name={size}.lic&batch=f&cost=1.00", "application/x-licence"
        )
        assert answer.status_code == 201, answer.text
    large, small = (await listed(stage))[:2]
    assert small["preview"] == "100.lic"
    assert not large["preview"]
    path = f"/v1/admin/inventory/{stage.own_product}/keys/{large['id']}"
    alone = await stage.client.get(path, headers=stage.admin)
    assert alone.json()["preview"] == "65536.lic"


async def test_what_was_bought_is_handed_over_by_its_kind(stage: "Stage") -> None:
    await taken_in(stage)
    order_id, token = await stage.bought(("own-game", 4))
    answer = await stage.client.get(await revealed(stage, order_id, token))
    assert answer.status_code == 200, answer.text
    found = {entry.get("kind", "key"): entry for entry in answer.json()["keys"]}
    account, code, file, key = (found[kind] for kind in KINDS[1:] + KINDS[:1])
    assert (account["contentType"], account["encoding"]) == ("application/json", "utf-8")
    assert json.loads(account["key"]) == ACCOUNT
    assert json.loads(code["key"]) == {"code": "GIFT-1234-5678", "pin": "4711"}
    assert (file["name"], file["encoding"]) == ('to änna".lic', "base64")
    assert file["contentType"] == "application/x-licence"
    assert base64.b64decode(file["key"]) == FILE
    assert list(key) == ["unit", "contentType", "encoding", "key", "proof"]


async def test_one_unit_is_handed_over_as_it_is(stage: "Stage") -> None:
    await taken_in(stage)
    order_id, token = await stage.bought(("own-game", 4))
    link = await revealed(stage, order_id, token)
    units = {
        entry.get("kind", "key"): entry for entry in (await stage.client.get(link)).json()["keys"]
    }
    got = {
        kind: await stage.client.get(f"{link}/units/{entry['unit']}")
        for kind, entry in units.items()
    }
    assert got["licence-file"].content == FILE
    assert got["licence-file"].headers["content-type"] == "application/x-licence"
    assert got["licence-file"].headers["content-disposition"] == (
        "attachment; filename=\"to__nna_.lic\"; filename*=UTF-8''to%20%C3%A4nna%22.lic"
    )
    assert got["licence-file"].headers["x-content-type-options"] == "nosniff"
    assert got["account"].json() == ACCOUNT
    assert got["code-with-pin"].json() == {"code": "GIFT-1234-5678", "pin": "4711"}
    assert got["key"].text == units["key"]["key"]
    assert got["key"].headers["content-type"].startswith("text/plain")
    for answer in got.values():
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-disposition"].startswith("attachment; filename=")
    # Each of them counts as one download of the link.
    again = await stage.client.get(link)
    assert (again.status_code, again.json()["type"]) == (410, f"{URN}link-used-up")
    other = await revealed(stage, order_id, token)
    for unit in (0, 5, 10**20):
        none = await stage.client.get(f"{other}/units/{unit}")
        assert (none.status_code, none.json()["type"]) == (404, f"{URN}not-found")
    wrong = await stage.client.get(f"{other}x/units/1")
    assert wrong.status_code == 404


@pytest.mark.parametrize(
    ("name", "header"),
    [
        ("a.lic", 'attachment; filename="a.lic"'),
        ('a"; x="b', "attachment; filename=\"a___x__b\"; filename*=UTF-8''a%22%3B%20x%3D%22b"),
        ("a\r\nSet-Cookie: x", None),
        ("\N{PILE OF POO}'.lic", None),
    ],
)
def test_no_name_of_a_file_ends_the_header_that_names_it(name: str, header: str | None) -> None:
    told = attachment(name)
    assert header in {None, told}
    assert re.fullmatch(
        r"attachment; filename=\"[\w.-]*\"(; filename\*=UTF-8''[\w.%~-]+)?", told, re.ASCII
    )


async def complain(
    stage: "Stage", path: str, token: dict[str, str], body: object, **more: str
) -> httpx.Response:
    headers = {**token, **stage.once(), **more}
    return await stage.client.post(path, json=body, headers=headers)


async def test_a_buyer_reports_a_unit_once_and_the_desk_sees_it(stage: "Stage") -> None:
    order_id, token = await stage.bought(("own-game", 2))
    item = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()["items"][0]
    path = f"/v1/orders/{order_id}/items/{item['id']}/units/2/report"
    body = {"reason": "already-used", "note": "redeemed in March"}
    same = stage.once()
    first = await complain(stage, path, token, body, **same)
    assert first.status_code == 201, first.text
    assert (await complain(stage, path, token, body, **same)).json() == first.json()
    again = await complain(stage, path, token, {"reason": "other"})
    assert (again.status_code, again.json()["type"]) == (409, f"{URN}already-reported")
    desk = "/v1/admin/unit-reports"
    (told,) = (await stage.client.get(desk, headers=stage.admin)).json()["items"]
    assert (told["unit"], told["reason"], told["note"]) == (2, *body.values())
    assert (told["orderId"], told["keyState"], told["kind"]) == (order_id, "live", "key")
    for query, found in (
        ("?reason=already-used", 1),
        ("?reason=invalid", 0),
        (f"?productId={stage.own_product}", 1),
        (f"?productId={stage.bought_product}", 0),
        (f"?orderId={order_id}&keyState=live", 1),
        ("?keyState=replaced", 0),
    ):
        answer = await stage.client.get(f"{desk}{query}", headers=stage.admin)
        assert len(answer.json()["items"]) == found, query
    reported = await listed(stage, "?reported=true")
    assert [item["id"] for item in reported] == [told["keyId"]]
    assert reported[0]["reportedAt"] == first.json()["reportedAt"]
    assert len(await listed(stage, "?reported=false")) == 2
    timeline = await stage.client.get(f"/v1/orders/{order_id}/timeline", headers=token)
    event = next(e for e in timeline.json()["items"] if e["kind"] == "unit_reported")
    assert event["facts"] == {"item": 1, "unit": 2, "reason": "already-used"}
    last = stage.store.audit.lines[-1].entry
    assert (last.action, last.subject) == ("unit.report", told["keyId"])
    # What the buyer wrote is for the desk alone, and the order stays as it is.
    stored = await stage.shop.views.desk.events(order_id)
    assert "March" not in repr(stage.store.audit.lines) + repr(stored)
    order = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()
    assert order["status"] == "fulfilled"


async def test_a_note_that_holds_a_key_of_the_order_is_refused_and_not_kept(
    stage: "Stage",
) -> None:
    order_id, token = await stage.bought(("own-game", 2))
    link = await revealed(stage, order_id, token)
    serials = [entry["key"] for entry in (await stage.client.get(link)).json()["keys"]]
    item = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()["items"][0]
    path = f"/v1/orders/{order_id}/items/{item['id']}/units/2/report"
    for serial in serials:
        for note in (serial, f"it says {serial} is used", f'"{serial}".', f"key:{serial},why?"):
            answer = await complain(stage, path, token, {"reason": "invalid", "note": note})
            assert (answer.status_code, answer.json()["type"]) == (422, f"{URN}invalid-input")
            assert answer.json()["errors"][0]["field"] == "note"
            assert serial not in answer.text
    assert not any(serial in repr(stage.store.rows(SealedKey)) for serial in serials)
    clean = {"reason": "invalid", "note": f"ends in {serials[1][-4:]}"}
    assert (await complain(stage, path, token, clean)).status_code == 201


async def test_only_units_of_the_buyer_that_were_handed_over_are_reported(stage: "Stage") -> None:
    order_id, token = await stage.bought(("own-game", 1))
    waiting, its_token = await stage.order(("own-game", 1))
    item, other = [
        (await stage.client.get(f"/v1/orders/{each}", headers=key)).json()["items"][0]["id"]
        for each, key in ((order_id, token), (waiting, its_token))
    ]
    body = {"reason": "invalid"}
    for path, key in (
        (f"/v1/orders/{order_id}/items/{item}/units/2/report", token),
        (f"/v1/orders/{order_id}/items/{item}/units/0/report", token),
        (f"/v1/orders/{order_id}/items/{other}/units/1/report", token),
        (f"/v1/orders/{waiting}/items/{other}/units/1/report", its_token),
        (f"/v1/orders/{order_id}/items/{item}/units/1/report", its_token),
    ):
        answer = await complain(stage, path, key, body)
        assert answer.status_code in {401, 404}, (path, answer.text)
    assert (await stage.client.get("/v1/admin/unit-reports", headers=stage.admin)).json() == {
        "items": [],
        "next": None,
    }


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"reason": "because"},
        {"reason": "other", "note": "x" * 501},
        {"reason": "other", "note": "a\0b"},
        {"reason": "other", "note": 1},
        {"reason": "other", "unit": 1},
    ],
)
async def test_a_report_that_makes_no_sense_is_refused(
    stage: "Stage", body: dict[str, object]
) -> None:
    order_id, token = await stage.bought(("own-game", 1))
    item = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()["items"][0]
    path = f"/v1/orders/{order_id}/items/{item['id']}/units/1/report"
    answer = await complain(stage, path, token, body)
    assert (answer.status_code, answer.json()["type"]) == (422, f"{URN}invalid-input")


async def test_instructions_come_with_the_link(stage: "Stage") -> None:
    path = f"/v1/admin/catalog/products/{stage.own_product}"
    told = {"instructions": "Redeem it in the launcher."}
    changed = await stage.client.patch(path, json=told, headers={**stage.admin, "if-match": '"1"'})
    assert changed.status_code == 200, changed.text
    order_id, token = await stage.bought(("own-game", 1))
    item = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()["items"][0]
    reveal = f"/v1/orders/{order_id}/items/{item['id']}/reveal"
    same = {**token, **stage.once()}
    for _ in range(2):
        link = (await stage.client.post(reveal, headers=same)).json()
        assert link["instructions"] == told["instructions"]
    file = await stage.client.get(link["url"].removeprefix("https://shop.example"))
    assert file.json()["instructions"] == told["instructions"]


async def test_the_desk_is_told_what_own_stock_earned(stage: "Stage") -> None:
    await taken_in(stage)
    order_id, token = await stage.bought(("own-game", 2))
    order = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()
    price = order["items"][0]["unitPrice"]
    sold = await listed(stage, "?state=sold")
    assert [(item["soldFor"], item["cost"]) for item in sold] == [(price, "2.00"), (price, "1.50")]
    path = f"/v1/admin/inventory/{stage.own_product}/keys"
    stats = (await stage.client.get(f"{path}/stats", headers=stage.admin)).json()
    assert (stats["sold"], stats["soldCost"]) == (2, "3.50")
    total = sum(float(item["profit"]) for item in sold)
    assert float(stats["profit"]) == pytest.approx(total)
    assert float(stats["soldFor"]) == pytest.approx(2 * float(price))
    # Its bytes are in the vault alone by now.
    assert {item["preview"] for item in sold} == {None}
    one = (await stage.client.get(f"{path}/{sold[1]['id']}", headers=stage.admin)).json()
    assert (one["kind"], one["preview"]) == ("account", "anna@game••••")
    none = await stage.client.get(f"{path}/{order_id}", headers=stage.admin)
    assert (none.status_code, none.json()["type"]) == (404, f"{URN}not-found")


async def test_a_recount_compares_items_of_one_kind(stage: "Stage") -> None:
    await taken_in(stage)
    headers = {**stage.admin, "content-type": "text/csv"}
    path = f"/v1/admin/inventory/{stage.own_product}/keys/recount?kind=account"
    raw = ACCOUNTS + "bert,pw,,\n"
    told = (await stage.client.post(path, content=raw, headers=headers)).json()
    assert (told["expected"], told["found"], told["missing"]) == (1, 1, [])
    assert told["surplus"] == [{"line": 3, "outcome": "not_in_stock"}]


@pytest.mark.parametrize("kind", KINDS[1:])
async def test_an_export_can_be_imported_again(stage: "Stage", kind: str) -> None:
    await taken_in(stage)
    path = f"/v1/admin/inventory/{stage.own_product}/keys"
    body = {"reason": "moving", "kind": kind}
    told = await stage.client.post(f"{path}/export", json=body, headers=stage.admin)
    assert told.status_code == 200, told.text
    facts = stage.store.audit.lines[-1].entry.facts
    assert (facts["kind"], facts["keys"]) == (kind, 1)
    (item,) = await listed(stage, f"?kind={kind}")
    gone = f"{path}/{item['id']}?reason=moving"
    assert (await stage.client.delete(gone, headers=stage.admin)).status_code == 204
    back = await imported(stage, told.text, f"import?kind={kind}&batch=b&cost=9", "text/csv")
    assert back.json() == {"imported": 1, "refused": []}
    (again,) = await listed(stage, f"?kind={kind}")
    assert (again["preview"], again["cost"]) == (item["preview"], item["cost"])


JSON_ITEMS: dict[str, tuple[str, dict[str, str], str, str]] = {
    "account": (
        "accounts", {"login": "anna@games.example", "password": "w,1"}, "account", "anna@game••••"
    ),
    "code-with-pin": (
        "codesWithPin", {"code": "GIFT-1234-5678", "pin": "4711"}, "codeWithPin", "••••678"
    ),
    "licence-file": (
        "licenceFiles",
        {"name": "a.lic", "mediaType": "text/plain", "content": "QUJD"},
        "licenceFile",
        "a.lic",
    ),
}  # fmt: skip


async def sent(stage: "Stage", body: Mapping[str, object], rest: str = "") -> httpx.Response:
    path = f"/v1/admin/inventory/{stage.own_product}/keys{rest}"
    return await stage.client.post(path, json=body, headers={**stage.admin, **stage.once()})


@pytest.mark.parametrize("kind", KINDS[1:])
async def test_typed_items_come_in_as_json_too(stage: "Stage", kind: str) -> None:
    field, item, one, preview = JSON_ITEMS[kind]
    terms: dict[str, object] = {"batch": "j", "cost": "1.00"}
    first = await sent(stage, {field: [item], **terms})
    assert (first.status_code, first.json()) == (201, {"imported": 1, "refused": []})
    (row,) = await listed(stage, f"?kind={kind}")
    assert (row["preview"], row["batch"], row["cost"]) == (preview, "j", "1.00")
    again = await sent(stage, {field: [item, item], **terms})
    assert (again.status_code, again.json()["type"]) == (409, f"{URN}duplicate-keys")
    # One of a key's place is taken by it, and it leaves by its kind.
    other = {**item, next(iter(set(item) & {"login", "code", "content"})): "QUJE"}
    instead = {one: other, "reason": "mistyped"}
    put = await sent(stage, instead, f"/{row['id']}/replace")
    assert (put.status_code, put.json()["imported"]) == (201, 1)
    states = {each["state"] for each in await listed(stage, f"?kind={kind}")}
    assert states == {"available", "burned"}


@pytest.mark.parametrize("fields", [(), ("keys", "accounts"), ("codesWithPin", "licenceFiles")])
async def test_a_body_has_items_of_one_kind(stage: "Stage", fields: tuple[str, ...]) -> None:
    items: dict[str, object] = {field: [item] for field, item, *_ in JSON_ITEMS.values()}
    items["keys"] = ["AAAA"]
    body = {"batch": "j", "cost": "1.00", **{name: items[name] for name in fields}}
    answer = await sent(stage, body)
    assert (answer.status_code, answer.json()["type"]) == (422, f"{URN}invalid-input")
    assert answer.json()["errors"][0]["field"] == (fields[1] if fields else "keys")


async def test_items_of_a_body_that_cannot_be_kept_are_told_and_nothing_is_put_in_their_place(
    stage: "Stage",
) -> None:
    rows = [{"login": "anna", "password": "a"}, {"login": "b\x07", "password": "b"}]
    answer = await sent(stage, {"accounts": rows, "batch": "j", "cost": "1.00"})
    refused = [{"line": 2, "outcome": "not_text", "column": "login"}]
    assert answer.json() == {"imported": 1, "refused": refused}
    key = (await listed(stage, "?kind=key"))[0]
    for wrong, field in (
        ({"key": "a\x07b"}, "key"),
        ({"account": rows[1]}, "account.login"),
        ({"licenceFile": {"name": "a", "mediaType": "a/b", "content": "!"}}, "licenceFile.content"),
    ):
        bad = await sent(stage, {**wrong, "reason": "r"}, f"/{key['id']}/replace")
        assert (bad.status_code, bad.json()["type"]) == (422, f"{URN}invalid-input")
        assert bad.json()["errors"][0]["field"] == field
    assert await listed(stage, "?state=burned") == []


async def test_bad_rows_are_told_by_line_and_column(stage: "Stage") -> None:
    answer = await imported(
        stage,
        "login,password,cost\nanna,,\nbert,pw,free\ncora,pw,\n",
        "import?kind=account&batch=a&cost=2.00",
        "text/csv",
    )
    assert answer.json() == {
        "imported": 1,
        "refused": [
            {"line": 2, "outcome": "missing", "column": "password"},
            {"line": 3, "outcome": "bad_cost", "column": "cost"},
        ],
    }


@pytest.mark.parametrize(
    ("query", "kind", "size", "field"),
    [
        ("file?name=a/b&batch=f&cost=1", "a/b", 1, "name"),
        ("file?name=..&batch=f&cost=1", "a/b", 1, "name"),
        ("file?name=a&batch=f&cost=1", "text", 1, "mediaType"),
        ("file?name=a&batch=f&cost=1", "a/b", 0, "content"),
        ("file?name=a&batch=f&cost=-1", "a/b", 1, "cost"),
        ("file?name=a&batch=f&cost=1&expiresAt=2040-01-31T12:00:00", "a/b", 1, "expiresAt"),
    ],
)
async def test_a_file_with_a_bad_field_is_refused(
    stage: "Stage", query: str, kind: str, size: int, field: str
) -> None:
    answer = await imported(stage, b"x" * size, query, kind)
    assert answer.json()["errors"][0]["field"] == field
    assert answer.status_code in {400, 422}, answer.text


async def test_a_file_that_is_too_large_or_known_is_refused(stage: "Stage") -> None:
    query, most = "file?name=a&batch=f&cost=1", Limits().licence_file_bytes
    large = await imported(stage, b"x" * (most + 1), query, "a/b")
    assert (large.status_code, large.json()["type"]) == (413, f"{URN}body-too-large")
    assert (await imported(stage, b"x" * most, query, "a/b")).status_code == 201
    again = await imported(stage, b"x" * most, query.replace("name=a", "name=b"), "a/b")
    assert (again.status_code, again.json()["type"]) == (409, f"{URN}duplicate-keys")
