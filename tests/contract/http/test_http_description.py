"""The description of the API, and what the edge says of itself in answers and in the log."""

import dataclasses
import io
import re
from base64 import b64encode
from hashlib import sha256
from typing import TYPE_CHECKING

import httpx
from tests import asgi
from tests.described import at, description, example_faults

from bitloot.domain.fulfilment import FULFILMENT
from bitloot.domain.order import ORDER
from bitloot.domain.payment import PAYMENT
from bitloot_web.api.examples import EXAMPLES
from bitloot_web.asgi import build_app
from bitloot_web.logs import configure_logs
from bitloot_web.operation_groups import ELSEWHERE
from bitloot_web.problems import PROBLEMS, URN

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage, Sweep

MONEY = re.compile(r"(price|cost|total|floor|refunded|paidOver)$", re.IGNORECASE)
# Nobody meets it at an address that the description names: a method that it does not name.
NOT_OF_AN_OPERATION = {"method-not-allowed"}  # fmt: skip


async def test_the_description_declares_the_problem_of_every_operation(sweep: "Sweep") -> None:
    answer = await sweep.stage.client.get("/openapi.json")
    document = answer.json()
    assert document["openapi"].startswith("3.1")
    assert {"orderSession", "userToken", "apiKey"} <= set(document["components"]["securitySchemes"])
    names = [operation["operationId"] for _, _, operation in sweep.operations]
    assert len(names) == len(set(names)) > 90
    for _, path, operation in sweep.operations:
        assert "default" not in operation["responses"], "an answer that is not named is a fault"
        for status in operation["responses"]:
            if status >= "400":
                told = description().answer(operation["operationId"], int(status))
                media = at(told, "content", "application/problem+json")
                assert at(media, "schema")["allOf"] == [{"$ref": "#/components/schemas/Problem"}]
                codes = list(at(media, "examples"))
                types = at(media, "schema", "properties", "type")["enum"]
                assert types == [URN + code for code in codes]
                assert {int(PROBLEMS[code].status) for code in codes} == {int(status)}
        if path.startswith("/v1/admin"):
            assert {"apiKey": []} in operation["security"]
            assert {"userToken": []} in operation["security"]


def test_money_is_answered_with_its_currency() -> None:
    # Lines of what has it itself.
    lines = {"Item", "PricedLine", "ReceiptLine", "Sibling"}
    schemas = at(description().document, "components", "schemas")
    found = {
        name
        for name, schema in schemas.items()
        if at({name: schema}, name).get("additionalProperties") is not False
        and any(MONEY.search(field) for field in at(schema, "properties"))
    }
    assert len(found) > 15
    assert {each for each in found if "currency" not in at(schemas, each, "properties")} == lines


async def test_the_description_is_a_page_for_people_too(sweep: "Sweep") -> None:
    answer = await sweep.stage.client.get("/docs")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/html")
    for method, path, operation in sweep.operations:
        assert f'<section id="{operation["operationId"]}">' in answer.text
        assert f"{method.upper()}</span> <code>{path}</code></h3>" in answer.text
    assert "<dt><b>409</b> <code>idempotency-in-progress</code>" in answer.text
    assert "<pre>" in answer.text


def test_every_operation_carries_the_tag_of_a_group_that_the_document_lists() -> None:
    described = description()
    listed = described.document["tags"]
    assert isinstance(listed, list)
    names = [at(tag)["name"] for tag in listed]
    used = [operation["tags"] for operation in described.operations.values()]
    assert all(isinstance(tags, list) and len(tags) == 1 for tags in used)
    assert sorted(map(str, names)) == sorted(
        {str(tags[0]) for tags in used if isinstance(tags, list)}
    )
    assert ELSEWHERE not in names


async def test_the_page_for_people_names_the_group_of_every_operation(sweep: "Sweep") -> None:
    page = (await sweep.stage.client.get("/docs")).text
    listed = re.findall(r'<li><a href="#(group-[a-z-]+)">[^<]+</a> <span[^>]*>(\d+)</span>', page)
    assert sum(int(size) for _, size in listed) == len(sweep.operations)
    assert all(f'<h2 id="{anchor}">' in page for anchor, _ in listed)
    assert ELSEWHERE not in page


async def test_the_page_for_people_may_use_its_one_style_sheet_and_nothing_else(
    stage: "Stage",
) -> None:
    answer = await stage.client.get("/docs")
    (style,) = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert answer.headers["content-security-policy"] == (
        f"default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'"
    )
    assert not re.search(r"<(script|link|img|iframe)|style=|url\(|@import", answer.text)


async def test_the_page_for_people_says_where_nothing_need_be_shown(sweep: "Sweep") -> None:
    page = (await sweep.stage.client.get("/docs")).text
    _, _, told = page.partition('<section id="createOrder">')
    assert "Asks for: nothing, or <a" in told.partition("</section>")[0]


def test_every_problem_is_one_that_some_operation_answers() -> None:
    described = description()
    answers = at(described.document, "components", "responses")
    examples = [
        at(answers, name, "content", "application/problem+json", "examples") for name in answers
    ]
    told = {code for each in examples for code in each}
    assert set(PROBLEMS) - told <= NOT_OF_AN_OPERATION


def test_every_body_has_an_example_that_is_of_its_shape() -> None:
    described = description()
    faults: list[str] = []
    bodies = 0
    for name, operation in described.operations.items():
        answers = at(operation, "responses")
        asked = at(operation, "requestBody", "content")
        told = [at(answers, each, "content") for each in answers if each < "300"]
        for content in (asked, *told):
            # The stream of an order and the page of a receipt tell what their JSON tells.
            for kind in content.keys() - {"text/event-stream", "text/html"}:
                bodies += 1
                found = example_faults(at(content, kind), described)
                faults += [f"{name} {kind}: {fault}" for fault in found]
    assert not faults
    assert bodies > 120


def test_no_example_is_of_an_operation_that_there_is_not() -> None:
    assert set(EXAMPLES) <= set(description().operations)


def test_every_example_of_a_problem_is_one() -> None:
    described = description()
    examples = at(described.document, "components", "examples")
    assert set(examples) == set(PROBLEMS)
    for code in examples:
        value = at(examples, code, "value")
        assert described.faults({"$ref": "#/components/schemas/Problem"}, value) == []
        assert value["type"] == URN + code


# Asked for where a repetition costs money or keys; elsewhere whoever wants sends one.
AT_WILL = {
    "adminStartSync",
    "adminCreateRule",
    "adminCreateProduct",
    "adminCreateCategory",
    "adminCreateGroup",
    "adminAddMedia",
}


async def test_every_idempotency_key_of_the_description_is_asked_for(sweep: "Sweep") -> None:
    keyed = sweep.with_parameter("Idempotency-Key")
    assert len(keyed) >= 10
    for method, path, operation in keyed:
        (header,) = [p for p in operation["parameters"] if p["name"] == "Idempotency-Key"]
        assert header["required"] is (operation["operationId"] not in AT_WILL)
        answer = await sweep.call(method, sweep.filled(path), headers={"idempotency-key": "short"})
        assert answer.status_code in {400, 415, 422}, (path, answer.text)


async def test_a_shop_in_production_asks_for_transport_security(stage: "Stage") -> None:
    edge = dataclasses.replace(stage.shop.edge, is_production=True)
    app = build_app(dataclasses.replace(stage.shop, edge=edge))
    async with httpx.AsyncClient(
        transport=asgi.transport(app), base_url="https://shop.example"
    ) as client:
        answer = await client.get("/healthz")
    assert "max-age=" in answer.headers["strict-transport-security"]


async def test_the_log_holds_a_line_a_request_and_no_token_query_or_key(stage: "Stage") -> None:
    lines = io.StringIO()
    configure_logs(level="info", stream=lines)
    order_id, token = await stage.bought()
    items = await stage.client.get(f"/v1/orders/{order_id}/deliveries", headers=token)
    (line,) = items.json()["items"]
    link = await stage.client.post(
        f"/v1/orders/{order_id}/items/{line['itemId']}/reveal", headers={**token, **stage.once()}
    )
    file = await stage.client.get(link.json()["url"])
    await stage.client.get("/v1/payments/estimate?amount=77.31&asset=btc")
    text = lines.getvalue()
    (key,) = file.json()["keys"]
    secrets = (
        token["authorization"][7:],
        link.json()["url"].rpartition("/")[2],
        key["key"],
        "77.31",
        stage.admin["authorization"][7:],
        "buyer@shop.example",
    )
    assert '"route":"/v1/downloads/' in text
    assert file.headers["x-request-id"] in text
    for secret in secrets:
        assert secret not in text


async def test_no_name_of_a_shape_tells_in_which_module_it_is_written(sweep: "Sweep") -> None:
    answer = await sweep.stage.client.get("/openapi.json")
    schemas = answer.json()["components"]["schemas"]
    assert {name for name in schemas if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name)} == set()
    assert {"ProductPage", "OrderRowPage", "WebhookShownPage", "HoldShownPage"} <= set(schemas)
    referred = set(re.findall(r'"#/components/schemas/([^"]*)"', answer.text))
    assert referred <= set(schemas)
    assert {schema.get("title", name) for name, schema in schemas.items()} == set(schemas)
    assert "bitloot_web." not in answer.text


async def test_the_description_tells_the_states_of_the_tables_and_what_follows_each(
    stage: "Stage",
) -> None:
    schemas = (await stage.client.get("/openapi.json")).json()["components"]["schemas"]
    for shape, field, machine in (
        ("Order", "status", ORDER),
        ("OrderDetail", "status", ORDER),
        ("PaymentDetails", "status", PAYMENT),
        ("FulfilmentRow", "state", FULFILMENT),
    ):
        told = schemas[shape]["properties"][field]["description"]
        listed = told.removeprefix("One of: ").partition(".")[0].split("; ")
        states = [re.findall(r"`(\w+)`", entry) for entry in listed]
        assert {state: frozenset(following) for state, *following in states} == {
            state: frozenset(row.values()) for state, row in machine.moves.items()
        }
