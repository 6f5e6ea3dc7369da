"""Bad input of any kind, on every route: a problem document that says what to mend, never a 500."""

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from bitloot.domain.errors import REFUSALS
from bitloot_web.problems import EDGE_DETAILS, PROBLEMS, URN

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage, Sweep


def test_the_table_of_problems_holds_every_refusal_and_every_no_of_the_edge() -> None:
    assert set(PROBLEMS) == set(REFUSALS) | set(EDGE_DETAILS)
    assert not set(REFUSALS) & set(EDGE_DETAILS)


BAD_BODIES = {
    "nothing": b"",
    "half": b'{"a": ',
    "no json": b"\xff\xfe\x00",
    "a list": b"[]",
    "a text": b'"text"',
    "a number": b"1",
    "null": b"null",
    "not a number": b'{"quantity": NaN, "eur": NaN, "amount": NaN}',
    "an unknown field": b'{"surprise": 1}',
    "wrong types": (
        b'{"lines": 1, "quoteId": 2, "email": [], "kind": 3, "asset": {}, "reason": 4, "ids": "x",'
        b' "to": 1, "accept": "yes", "code": 7, "challengeId": 1, "captcha": 2, "slot": "1"}'
    ),
    "a lone surrogate": b'{"reason": "\\ud800", "email": "\\ud800", "captcha": "\\ud800"}',
    "a deep nest": b'{"lines": ' + b"[" * 5000 + b"]" * 5000 + b"}",
}


@pytest.mark.parametrize("body", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_no_route_takes_a_body_that_cannot_be_used(sweep: "Sweep", body: bytes) -> None:
    assert len(sweep.writes()) > 10
    for method, path, operation in sweep.writes():
        if not body and not operation["requestBody"].get("required", False):
            continue
        answer = await sweep.call(method, sweep.filled(path), content=body)
        document = sweep.problem(answer, 400, 422)
        assert document.get("errors") or "body" in document["detail"]


async def test_no_route_takes_a_body_of_another_type(sweep: "Sweep") -> None:
    for method, path, _ in sweep.writes():
        for kind in ("text/html", "application/x-www-form-urlencoded", "nonsense"):
            answer = await sweep.call(
                method, sweep.filled(path), content=b"{}", headers={"content-type": kind}
            )
            sweep.problem(answer, 415)


async def test_no_route_takes_a_body_above_its_limit_told_or_not(sweep: "Sweep") -> None:
    async def untold() -> AsyncIterator[bytes]:
        for _ in range(20):
            yield b" " * 8192

    for method, path, _ in sweep.writes():
        huge = b'{"a": "' + b"x" * 70_000 + b'"}'
        sweep.problem(await sweep.call(method, sweep.filled(path), content=huge), 413)
        sweep.problem(await sweep.call(method, sweep.filled(path), content=untold()), 413)


async def test_an_unknown_parameter_is_refused_by_name_everywhere(sweep: "Sweep") -> None:
    for method, path, _ in sweep.operations:
        answer = await sweep.call(method, sweep.filled(path) + "?surprise=1&other=2")
        document = sweep.problem(answer, 400)
        assert [error["field"] for error in document["errors"]] == ["other", "surprise"]


async def test_a_parameter_is_given_once(sweep: "Sweep") -> None:
    answer = await sweep.call("GET", "/v1/catalog/products?limit=1&limit=2")
    assert sweep.problem(answer, 400)["errors"][0]["field"] == "limit"


async def test_the_word_null_is_no_value_of_a_parameter_but_a_text(sweep: "Sweep") -> None:
    called = 0
    for method, path, operation in sweep.operations:
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "query" and parameter["schema"].get("type") != "string":
                called += 1
                query = f"?{parameter['name']}=null"
                answer = await sweep.call(method, sweep.filled(path) + query)
                fields = [each["field"] for each in sweep.problem(answer, 400)["errors"]]
                assert fields == [parameter["name"]], (path, parameter)
    assert called > 30
    searched = await sweep.call("GET", "/v1/catalog/products?q=null")
    assert searched.status_code == 200


async def test_a_method_that_is_not_served_is_refused_everywhere(sweep: "Sweep") -> None:
    served = {(method, path) for method, path, _ in sweep.operations}
    for _, path, _ in sweep.operations:
        for method in ("PUT", "TRACE"):
            if (method, path) in served:
                continue
            answer = await sweep.call(method, sweep.filled(path))
            sweep.problem(answer, 405)
            assert answer.headers["allow"]


@pytest.mark.parametrize("value", ["0", "101", "-1", "ten", "1.5", "", "1e3", "NaN", "9" * 30])
async def test_a_page_has_between_one_and_a_hundred_rows(sweep: "Sweep", value: str) -> None:
    assert len(sweep.with_parameter("limit")) > 5
    for method, path, _ in sweep.with_parameter("limit"):
        answer = await sweep.call(method, sweep.filled(path), params={"limit": value})
        assert sweep.problem(answer, 400)["errors"][0]["field"] == "limit"


@pytest.mark.parametrize(
    "value", ["x", "", "AAAA", "....", "é", "\x00", "A" * 600, "b3duLWdhbWU", "=" * 16]
)
@pytest.mark.parametrize("name", ["cursor", "after"])
async def test_a_cursor_that_was_made_up_is_refused(sweep: "Sweep", name: str, value: str) -> None:
    assert sweep.with_parameter(name)
    for method, path, _ in sweep.with_parameter(name):
        answer = await sweep.call(method, sweep.filled(path), params={name: value})
        assert sweep.problem(answer, 400)["errors"][0]["field"] == name


async def test_a_cursor_of_another_list_is_refused_and_its_own_goes_on(sweep: "Sweep") -> None:
    first = (await sweep.call("GET", "/v1/catalog/products?limit=1")).json()
    rest = await sweep.call("GET", f"/v1/catalog/products?limit=1&cursor={first['next']}")
    assert [product["slug"] for product in rest.json()["items"]] == ["own-game"]
    assert rest.json()["next"] is None
    params = {"cursor": first["next"]}
    sweep.problem(await sweep.call("GET", "/v1/admin/webhooks", params=params), 400)


@pytest.mark.parametrize("bad", ["x", "0", "0" * 32 + "g", "%00", "%FF", "é", "%2e%2e", "' or 1"])
async def test_an_id_that_is_none_is_not_found_everywhere(sweep: "Sweep", bad: str) -> None:
    with_ids = [case for case in sweep.operations if "_id}" in case[1]]
    assert len(with_ids) > 20
    for method, path, _ in with_ids:
        sweep.problem(await sweep.call(method, sweep.filled(path, ids=bad)), 404, 405)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/catalog/products/%00"),
        ("GET", "/v1/catalog/products/" + "x" * 5000),
        ("GET", "/v1/catalog/products/no-such-thing"),
        ("GET", "/v1/downloads/%00"),
        ("GET", "/v1/downloads/" + "x" * 5000),
        ("GET", "/v1/downloads/é"),
        ("POST", "/v1/webhooks/nobody"),
        ("GET", "/nowhere"),
        ("GET", "/v1"),
        ("GET", "/schema"),
    ],
)
async def test_a_place_where_nothing_is_is_not_found(
    sweep: "Sweep", method: str, path: str
) -> None:
    sweep.problem(await sweep.call(method, path), 404)


@pytest.mark.parametrize(
    "amount", ["NaN", "-1", "Infinity", "1e5", "0x10", "1,5", " 1", "1" * 40, "0." + "1" * 9, ""]
)
async def test_money_that_is_none_is_refused(sweep: "Sweep", amount: str) -> None:
    params = {"amount": amount, "asset": "btc"}
    answer = await sweep.call("GET", "/v1/payments/estimate", params=params)
    assert sweep.problem(answer, 400, 422)["errors"][0]["field"] == "amount"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"lines": []}, "lines"),
        ({"lines": [{"product": "own-game", "quantity": 0}]}, "lines[0].quantity"),
        ({"lines": [{"product": "own-game", "quantity": 91}]}, "lines[0].quantity"),
        ({"lines": [{"product": "own-game", "quantity": 1.5}]}, "lines[0].quantity"),
        ({"lines": [{"product": "own-game", "quantity": "1"}]}, "lines[0].quantity"),
        ({"lines": [{"product": "own-game", "price": "1"}]}, "lines[0].price"),
        ({"lines": [{"product": "own\u0000game"}]}, "lines[0].product"),
        ({"lines": [{"product": "nothing"}]}, "lines"),
        ({"country": "Germany"}, "country"),
        ({"asset": "doge"}, "asset"),
        ({"total": "0.01"}, "total"),
    ],
)
async def test_a_basket_is_refused_with_the_field_to_mend(
    sweep: "Sweep", change: dict[str, object], field: str
) -> None:
    body = {"lines": [{"product": "own-game", "quantity": 1}], **change}
    document = sweep.problem(await sweep.call("POST", "/v1/quotes", json=body))
    assert document["errors"][0]["field"].replace("[...]", "[0]").startswith(field), document


@pytest.mark.parametrize("email", ["x", "a@b", "a b@c.de", "a@b..c", "", "a@b.c\n", "@c.de", "ä@ö"])
async def test_an_address_that_is_none_is_refused(sweep: "Sweep", email: str) -> None:
    body = {"quoteId": await sweep.stage.quote(), "email": email}
    document = sweep.problem(await sweep.call("POST", "/v1/orders", json=body), 422)
    assert document["errors"][0]["field"] == "email"


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "idempotency-key-missing"),
        ("short", "idempotency-key-malformed"),
        ("x" * 129, "idempotency-key-malformed"),
        ("x" * 16 + "\t" + "y", "idempotency-key-malformed"),
    ],
)
async def test_an_order_needs_a_fitting_idempotency_key(
    stage: "Stage", key: str | None, code: str
) -> None:
    body = {"quoteId": await stage.quote(), "email": "a@shop.example"}
    headers = {} if key is None else {"idempotency-key": key}
    answer = await stage.client.post("/v1/orders", json=body, headers=headers)
    assert (answer.status_code, answer.json()["type"]) == (400, URN + code)


async def test_an_outage_of_the_database_is_told_as_such(stage: "Stage") -> None:
    stage.store.is_down = True
    answer = await stage.client.get("/v1/catalog/products")
    assert (answer.status_code, answer.json()["type"]) == (503, f"{URN}store-unavailable")
    assert int(answer.headers["retry-after"]) > 0
    ready = await stage.client.get("/readyz")
    assert (ready.status_code, ready.json()["facts"]) == (503, {"database": "away"})
    assert (await stage.client.get("/healthz")).json() == {"status": "ok"}
    stage.store.is_down = False
    assert (await stage.client.get("/readyz")).json()["status"] == "ready"
