"""Own stock at the desk over HTTP: listed, corrected, replaced, counted again, exported."""

import csv
import io
from typing import TYPE_CHECKING

import httpx
import pytest

from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot_web.problems import URN

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage

SERIALS = ("AAAAA-BBBBB-CCCCC", "DDDDD-EEEEE-FFFFF", "GGGGG-HHHHH-IIIII")
WHY = {"reason": "a wrong batch"}


def path_of(stage: "Stage", rest: str = "") -> str:
    return f"/v1/admin/inventory/{stage.own_product}/keys{rest}"


def said(answer: httpx.Response) -> tuple[int, str]:
    """The status of a refusal and its code."""
    return answer.status_code, answer.json()["type"].removeprefix(URN)


async def keys(stage: "Stage", state: str = "available") -> list[dict[str, str]]:
    answer = await stage.client.get(path_of(stage, f"?state={state}"), headers=stage.admin)
    assert answer.status_code == 200, answer.text
    assert not any(serial in answer.text for serial in SERIALS)
    found: list[dict[str, str]] = answer.json()["items"]
    return found


async def counted(stage: "Stage", raw: bytes, kind: str = "text/plain") -> httpx.Response:
    headers = {**stage.admin, "content-type": kind}
    return await stage.client.post(path_of(stage, "/recount"), content=raw, headers=headers)


async def test_keys_are_listed_without_their_serials(stage: "Stage") -> None:
    listed = await keys(stage)
    assert [(key["batch"], key["cost"], key["state"]) for key in listed] == [
        ("first", "7.00", "available")
    ] * 3
    assert await keys(stage, "sold") == []


async def test_a_key_on_the_shelf_is_corrected_or_burned(stage: "Stage") -> None:
    key, other, _ = await keys(stage)
    change = {"cost": "6.50", "expiresAt": "2040-01-31T12:00:00Z", **WHY}
    path = path_of(stage, f"/{key['id']}")
    changed = await stage.client.patch(path, json=change, headers=stage.admin)
    assert (changed.json()["cost"], changed.json()["expiresAt"][:10]) == ("6.50", "2040-01-31")
    endless = await stage.client.patch(path, json={"expiresAt": None, **WHY}, headers=stage.admin)
    assert endless.json()["expiresAt"] is None
    burn = {"state": "burned", **WHY}
    path = path_of(stage, f"/{other['id']}")
    burned = await stage.client.patch(path, json=burn, headers=stage.admin)
    assert burned.json()["state"] == "burned"
    again = await stage.client.patch(path, json=burn, headers=stage.admin)
    assert said(again) == (409, "in-use")
    stats = (await stage.client.get(path_of(stage, "/stats"), headers=stage.admin)).json()
    assert (stats["available"], stats["burned"], stats["value"]) == (2, 1, "13.50")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"cost": "1.00", "state": "burned"},
        {"cost": "-1"},
        {"cost": "1e2"},
        {"cost": 1},
        {"state": "available"},
        {"state": "sold"},
        {"expiresAt": "2040-01-31T12:00:00"},
        {"expiresAt": "soon"},
        {"expiresAt": "9999-12-31T23:59:59-14:00"},
        {"expiresAt": "0001-01-01T00:00:00+14:00"},
        {"serial": "X"},
    ],
)
async def test_a_change_of_a_key_that_makes_no_sense_is_refused(
    stage: "Stage", wrong: dict[str, object]
) -> None:
    key = (await keys(stage))[0]
    answer = await stage.client.patch(
        path_of(stage, f"/{key['id']}"), json={**wrong, **WHY}, headers=stage.admin
    )
    assert said(answer) == (422, "invalid-input")
    assert await keys(stage, "burned") == []


@pytest.mark.parametrize("end", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
async def test_a_batch_that_ends_beyond_all_dates_is_refused(stage: "Stage", end: str) -> None:
    body = {"keys": ["NEW-1"], "batch": "b", "cost": "1", "expiresAt": end}
    added = await stage.client.post(path_of(stage), json=body, headers=stage.admin)
    query = {"batch": "b", "cost": "1", "expiresAt": end}
    path, headers = path_of(stage, "/import"), {**stage.admin, "content-type": "text/plain"}
    imported = await stage.client.post(
        path, params=query, content=b"NEW-2", headers=stage.once(**headers)
    )
    for answer in (added, imported):
        assert said(answer) == (422, "invalid-input")
        assert answer.json()["errors"][0]["field"] == "expiresAt"
    assert len(await keys(stage)) == 3


async def test_a_key_that_was_never_sold_is_taken_out_and_may_come_in_again(
    stage: "Stage",
) -> None:
    key = (await keys(stage))[0]
    path = path_of(stage, f"/{key['id']}")
    assert (await stage.client.delete(path, headers=stage.admin)).status_code == 400
    gone = await stage.client.delete(f"{path}?reason=mistake", headers=stage.admin)
    assert gone.status_code == 204, gone.text
    assert len(stage.store.rows(InventoryKey)) == len(stage.store.rows(SealedKey)) == 2
    body = {"keys": list(SERIALS), "batch": "again", "cost": "5.00"}
    back = await stage.client.post(path_of(stage), json=body, headers=stage.admin)
    assert back.status_code == 201, back.text
    assert back.json()["imported"] == 1
    assert {line["outcome"] for line in back.json()["refused"]} == {"known_already"}


async def test_a_key_that_was_sold_or_is_kept_is_never_taken_out(stage: "Stage") -> None:
    await stage.bought(("own-game", 1))
    (sold,) = await keys(stage, "sold")
    await stage.order(("own-game", 1))
    (kept,) = await keys(stage, "reserved")
    for key in (sold, kept):
        path = path_of(stage, f"/{key['id']}")
        answer = await stage.client.delete(f"{path}?reason=mistake", headers=stage.admin)
        assert said(answer) == (409, "in-use")
    assert len(stage.store.rows(SealedKey)) == 3


async def test_a_key_of_another_product_is_not_found(stage: "Stage") -> None:
    key = (await keys(stage))[0]
    path = f"/v1/admin/inventory/{stage.bought_product}/keys/{key['id']}"
    answer = await stage.client.delete(f"{path}?reason=mistake", headers=stage.admin)
    assert said(answer) == (404, "not-found")


async def test_a_key_is_replaced_by_another_of_its_batch_once(stage: "Stage") -> None:
    key = (await keys(stage))[0]
    path, headers = path_of(stage, f"/{key['id']}/replace"), {**stage.admin, **stage.once()}
    body = {"key": "NEWER-NEWER-NEWER", **WHY}
    first = await stage.client.post(path, json=body, headers=headers)
    assert (first.status_code, first.json()["imported"]) == (201, 1)
    assert (await stage.client.post(path, json=body, headers=headers)).json() == first.json()
    assert [each["id"] for each in await keys(stage, "burned")] == [key["id"]]
    listed = await keys(stage)
    assert [each["batch"] for each in listed] == ["first"] * 3
    known = {"key": SERIALS[0], **WHY}
    again = await stage.client.post(
        path_of(stage, f"/{listed[0]['id']}/replace"),
        json=known,
        headers={**stage.admin, **stage.once()},
    )
    assert said(again) == (409, "duplicate-keys")
    assert len(await keys(stage)) == 3


async def test_a_recount_tells_the_difference_and_changes_nothing(stage: "Stage") -> None:
    before = await keys(stage)
    raw = f"{SERIALS[0]}\n{SERIALS[0]}\n{SERIALS[1]}\nUNKNOWN-KEY\n".encode()
    answer = await counted(stage, raw)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["expected"], told["found"], len(told["missing"])) == (3, 2, 1)
    assert [(line["line"], line["outcome"]) for line in told["surplus"]] == [
        (2, "repeated_in_file"),
        (4, "not_in_stock"),
    ]
    assert await keys(stage) == before
    same = await counted(stage, b"\xef\xbb\xbfkey\r\n" + "\r\n".join(SERIALS).encode(), "text/csv")
    assert (same.json()["missing"], same.json()["surplus"]) == ([], [])
    assert [line.entry.action for line in stage.store.audit.lines][-2:] == ["keys.recount"] * 2
    assert said(await counted(stage, b"")) == (422, "invalid-input")
    assert said(await counted(stage, b"x", "application/json")) == (415, "unsupported-media-type")


async def test_an_export_is_on_record_and_can_be_imported(stage: "Stage") -> None:
    path = path_of(stage, "/export")
    answer = await stage.client.post(path, json={"reason": "moving"}, headers=stage.admin)
    assert answer.status_code == 200, answer.text
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert {row["key"] for row in rows} == set(SERIALS)
    assert {(row["batch"], row["cost"]) for row in rows} == {("first", "7.00")}
    last = stage.store.audit.lines[-1].entry
    assert (last.action, last.reason, last.facts["keys"]) == ("keys.export", "moving", 3)
    assert not any(serial in repr(stage.store.audit.lines) for serial in SERIALS)
    assert (await counted(stage, answer.content, "text/csv")).json()["missing"] == []
    without = await stage.client.post(path, json={}, headers=stage.admin)
    assert said(without) == (422, "invalid-input")


async def test_nothing_leaves_when_the_export_cannot_be_noted(stage: "Stage") -> None:
    stage.store.is_down = True
    answer = await stage.client.post(
        path_of(stage, "/export"), json={"reason": "moving"}, headers=stage.admin
    )
    assert said(answer) == (503, "store-unavailable")
    stage.store.is_down = False
    unknown = f"/v1/admin/inventory/{stage.bought_product}/keys/export"
    other = await stage.client.post(unknown, json={"reason": "moving"}, headers=stage.admin)
    assert said(other) == (404, "not-found")


async def test_products_of_which_few_are_left_are_told(stage: "Stage") -> None:
    path = f"/v1/admin/catalog/products/{stage.own_product}"
    headers = {**stage.admin, "if-match": '"1"'}
    await stage.client.patch(path, json={"lowStockAt": 3}, headers=headers)
    told = (await stage.client.get("/v1/admin/inventory/low-stock", headers=stage.admin)).json()
    assert [(line["slug"], line["available"]) for line in told["items"]] == [("own-game", 3)]


async def test_a_file_with_a_bom_quotes_and_repeats_is_taken_in_line_by_line(
    stage: "Stage",
) -> None:
    raw = (
        b'\xef\xbb\xbfid,key\r\n1,"QUOTED, ""KEY"""\r\n2,PLAIN-KEY\r\n3,PLAIN-KEY\r\n'
        b"4,AAAAA-BBBBB-CCCCC\r\n5,\r\n"
    )
    answer = await stage.client.post(
        path_of(stage, "/import?batch=second&cost=2.00"),
        content=raw,
        headers={**stage.admin, **stage.once(), "content-type": "text/csv"},
    )
    assert (answer.status_code, answer.json()["imported"]) == (201, 2)
    assert [(line["line"], line["outcome"]) for line in answer.json()["refused"]] == [
        (4, "repeated_in_file"),
        (5, "known_already"),
    ]


async def test_a_file_of_100_000_lines_is_taken_in_or_counted_and_one_more_is_refused(
    stage: "Stage",
) -> None:
    lines = [f'"LONG-{number % 3}"' for number in range(100_000)]
    raw = b"\xef\xbb\xbfkey\r\n" + "\r\n".join(lines).encode()
    headers = {**stage.admin, **stage.once(), "content-type": "text/csv"}
    path = path_of(stage, "/import?batch=long&cost=1.00")
    answer = await stage.client.post(path, content=raw, headers=headers)
    assert (answer.status_code, answer.json()["imported"]) == (201, 3)
    assert len(answer.json()["refused"]) == 99_997
    told = (await counted(stage, raw, "text/csv")).json()
    assert (told["expected"], told["found"], len(told["surplus"])) == (6, 3, 99_997)
    longer = raw + b"\r\nLONG-3"
    assert said(await counted(stage, longer, "text/csv")) == (422, "invalid-input")
    again = await stage.client.post(path, content=longer, headers={**headers, **stage.once()})
    assert said(again) == (422, "invalid-input")
    assert len(await keys(stage)) == 6
