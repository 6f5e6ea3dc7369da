"""A purchase over HTTP, from the shelf to the key, and back to it by mail."""

import base64
import hashlib
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bitloot_web.problems import URN

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage


async def test_a_guest_buys_from_both_sources_and_reveals_both_keys(stage: "Stage") -> None:
    order_id, token = await stage.bought(("own-game", 1), ("bought-game", 2))
    order = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()
    assert order["status"] == "fulfilled", order
    found = await stage.client.get(f"/v1/orders/{order_id}/deliveries", headers=token)
    lines = found.json()["items"]
    assert [line["delivered"] for line in lines] == [1, 2]
    for line in lines:
        link = await stage.client.post(
            f"/v1/orders/{order_id}/items/{line['itemId']}/reveal",
            headers={**token, **stage.once()},
        )
        assert link.status_code == 201, link.text
        file = await stage.client.get(link.json()["url"])
        assert file.status_code == 200, file.text
        assert file.headers["cache-control"] == "no-store"
        assert "attachment" in file.headers["content-disposition"]
        assert len(file.json()["keys"]) == line["quantity"]


async def test_every_key_of_a_file_carries_a_receipt_that_can_be_checked_offline(
    stage: "Stage",
) -> None:
    order_id, token = await stage.bought()
    (line,) = (await stage.client.get(f"/v1/orders/{order_id}/deliveries", headers=token)).json()[
        "items"
    ]
    link = await stage.client.post(
        f"/v1/orders/{order_id}/items/{line['itemId']}/reveal", headers={**token, **stage.once()}
    )
    (key,) = (await stage.client.get(link.json()["url"])).json()["keys"]
    assert key["key"] == "AAAAA-BBBBB-CCCCC"
    proof = key["proof"]
    public = Ed25519PublicKey.from_public_bytes(stage.shop.edge.receipt_public_key)
    public.verify(base64.b64decode(proof["signature"]), proof["signedText"].encode())
    assert proof["receipt"]["keySha256"] == hashlib.sha256(key["key"].encode()).hexdigest()


async def test_the_same_reveal_gives_the_same_link_and_a_link_ends(stage: "Stage") -> None:
    order_id, token = await stage.bought()
    (line,) = (await stage.client.get(f"/v1/orders/{order_id}/deliveries", headers=token)).json()[
        "items"
    ]
    path = f"/v1/orders/{order_id}/items/{line['itemId']}/reveal"
    headers = {**token, **stage.once()}
    first = await stage.client.post(path, headers=headers)
    again = await stage.client.post(path, headers=headers)
    assert first.json() == again.json()
    url = first.json()["url"]
    for _ in range(5):
        assert (await stage.client.get(url)).status_code == 200
    assert (await stage.client.get(url)).json()["type"].endswith("link-used-up")
    stage.clock.advance(timedelta(minutes=16))
    assert (await stage.client.get(url)).json()["type"].endswith("link-expired")


async def test_a_revoked_link_opens_nothing(stage: "Stage") -> None:
    order_id, token = await stage.bought()
    (line,) = (await stage.client.get(f"/v1/orders/{order_id}/deliveries", headers=token)).json()[
        "items"
    ]
    item = f"/orders/{order_id}/items/{line['itemId']}"
    link = await stage.client.post(f"/v1{item}/reveal", headers={**token, **stage.once()})
    ended = await stage.client.post(
        f"/v1/admin{item}/revoke", json={"reason": "test"}, headers={**stage.admin, **stage.once()}
    )
    assert ended.json() == {"revoked": 1}
    gone = await stage.client.get(link.json()["url"])
    assert (gone.status_code, gone.json()["type"]) == (410, "urn:bitloot:problem:link-revoked")


async def test_one_idempotency_key_places_one_order_and_repeats_its_answer(stage: "Stage") -> None:
    body = {"quoteId": await stage.quote(), "email": "buyer@shop.example"}
    headers = stage.once()
    first = await stage.client.post("/v1/orders", json=body, headers=headers)
    again = await stage.client.post("/v1/orders", json=body, headers=headers)
    assert (first.status_code, first.json()) == (201, again.json())
    other = await stage.client.post(
        "/v1/orders", json={**body, "email": "other@shop.example"}, headers=headers
    )
    assert other.json()["type"] == "urn:bitloot:problem:idempotency-key-reused"
    used = await stage.client.post("/v1/orders", json=body, headers=stage.once())
    assert used.json()["type"] == "urn:bitloot:problem:quote-used"


async def test_an_order_is_cancelled_while_nothing_was_received(stage: "Stage") -> None:
    order_id, token = await stage.order()
    ended = await stage.client.post(
        f"/v1/orders/{order_id}/cancel", headers={**token, **stage.once()}
    )
    assert ended.json()["status"] == "cancelled"
    late = await stage.client.post(
        f"/v1/orders/{order_id}/payments",
        json={"asset": "btc"},
        headers={**token, **stage.once()},
    )
    assert late.json()["type"] == "urn:bitloot:problem:order-not-payable"


async def test_a_hosted_page_and_the_present_payment_are_told(stage: "Stage") -> None:
    order_id, token = await stage.order()
    path = f"/v1/orders/{order_id}/payments"
    assert (await stage.client.get(f"{path}/current", headers=token)).status_code == 404
    page = await stage.client.post(path, json={"kind": "hosted"}, headers={**token, **stage.once()})
    assert page.status_code == 201, page.text
    assert page.json()["url"]
    current = await stage.client.get(f"{path}/current", headers=token)
    assert current.json()["url"] == page.json()["url"]


async def test_amounts_are_decimal_strings_and_an_estimate_names_the_minimum(
    stage: "Stage",
) -> None:
    found = await stage.client.get("/v1/payments/estimate?amount=12.50&asset=btc")
    assert found.json()["price"] == "12.50"
    assert found.json()["isEnough"] is True
    shelf = (await stage.client.get("/v1/catalog/products")).json()
    assert [product["slug"] for product in shelf["items"]] == ["bought-game", "own-game"]
    assert all(isinstance(product["price"], str) for product in shelf["items"])
    assert (await stage.client.get("/v1/payments/currencies")).json()["items"]


async def test_an_estimate_is_rounded_up_at_the_precision_of_its_asset(stage: "Stage") -> None:
    stage.gateway.set_rate("eth", Decimal(7))
    asked = await stage.client.get("/v1/payments/estimate?amount=10&asset=eth")
    assert asked.json()["amount"] == "1.428571428571428572"
    basket = {"lines": [{"product": stage.own_product}], "asset": "ETH"}
    quote = (await stage.client.post("/v1/quotes", json=basket)).json()
    estimate = Decimal(quote["estimate"]["amount"])
    assert 0 < estimate * 7 - Decimal(quote["total"]) < Decimal("1e-17")


async def test_an_order_is_read_once_until_it_changes(stage: "Stage") -> None:
    order_id, token = await stage.order()
    path = f"/v1/orders/{order_id}"
    first = await stage.client.get(path, headers=token)
    tag = first.headers["etag"]
    # A proxy that compresses makes a tag a weak one (RFC 9110, 13.1.2).
    for known in (tag, f"W/{tag}", f'"other", W/{tag}', "*"):
        same = await stage.client.get(path, headers={**token, "if-none-match": known})
        assert (same.status_code, same.content) == (304, b""), known
    for other in ('"other"', tag.strip('"'), ""):
        again = await stage.client.get(path, headers={**token, "if-none-match": other})
        assert again.status_code == 200, other


async def test_a_receipt_and_a_timeline_come_with_a_paid_order(stage: "Stage") -> None:
    order_id, token = await stage.order()
    path = f"/v1/orders/{order_id}"
    assert (await stage.client.get(f"{path}/receipt", headers=token)).status_code == 404
    await stage.pay(order_id, token)
    assert (await stage.client.get(f"{path}/receipt", headers=token)).json()["total"]
    first = (await stage.client.get(f"{path}/timeline?limit=1", headers=token)).json()
    rest = (await stage.client.get(f"{path}/timeline?after={first['next']}", headers=token)).json()
    kinds = [event["kind"] for event in first["items"] + rest["items"]]
    assert kinds[0] == "order_placed"
    assert "order_paid" in kinds


async def test_a_receipt_can_be_read_as_a_plain_page(stage: "Stage") -> None:
    order_id, token = await stage.bought(("own-game", 2))
    path = f"/v1/orders/{order_id}/receipt"
    told = (await stage.client.get(path, headers=token)).json()
    page = await stage.client.get(path, headers={**token, "accept": "text/html"})
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.headers["content-security-policy"].startswith("default-src 'none'")
    line = told["lines"][0]
    for text in (
        told["number"],
        f"{told['total']} EUR",
        line["title"],
        told["payCurrency"].upper(),
    ):
        assert text in page.text, text
    assert line["total"] == "25.00"
    other = await stage.client.get(path, headers={**token, "accept": "application/pdf"})
    assert (other.status_code, other.json()["type"]) == (406, f"{URN}not-acceptable")


async def test_an_unfinished_checkout_is_gone_on_with(stage: "Stage") -> None:
    order_id, token = await stage.order()
    opened = await stage.client.post(
        f"/v1/orders/{order_id}/payments",
        json={"asset": "btc"},
        headers={**token, **stage.once()},
    )
    stage.clock.advance(timedelta(minutes=3))
    order = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()
    current = await stage.client.get(f"/v1/orders/{order_id}/payments/current", headers=token)
    for found in (current.json(), order["payment"]):
        assert found["id"] == opened.json()["id"]
        assert found["payAddress"] == opened.json()["payAddress"]
        scanned = f"bitcoin:{found['payAddress']}?amount={found['payAmount']}"
        assert found["qrText"] == scanned
        assert found["usualMinutes"] == 20
        assert found["validUntil"]
    assert order["windowEndsAt"] > stage.clock.now().isoformat()[:19]


@pytest.mark.parametrize("body", [None, {}], ids=["no body", "an empty one"])
async def test_a_guest_comes_back_by_a_mailed_code(
    stage: "Stage", body: dict[str, str] | None
) -> None:
    order_id, _ = await stage.order()
    asked = await stage.client.post(f"/v1/orders/{order_id}/session/code", json=body)
    assert asked.status_code == 202, asked.text
    await stage.work()
    challenge = asked.json()["challengeId"]
    code = stage.shop.emails.code_of(challenge)
    assert any(code in sent.message.text for sent in stage.mailer.mailbox)
    wrong = await stage.client.post(
        f"/v1/orders/{order_id}/session",
        json={"challengeId": challenge, "code": "000000" if code != "000000" else "111111"},
    )
    assert (wrong.status_code, wrong.json()["type"]) == (401, "urn:bitloot:problem:code-wrong")
    right = await stage.client.post(
        f"/v1/orders/{order_id}/session", json={"challengeId": challenge, "code": code}
    )
    token = {"authorization": f"Bearer {right.json()['orderSessionToken']}"}
    assert (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).status_code == 200
    again = await stage.client.post(
        f"/v1/orders/{order_id}/session", json={"challengeId": challenge, "code": code}
    )
    assert again.status_code == 401


async def test_asking_for_a_code_tells_nobody_whether_an_order_exists(stage: "Stage") -> None:
    order_id, _ = await stage.order()
    known = await stage.client.post(f"/v1/orders/{order_id}/session/code", json={})
    unknown = await stage.client.post(f"/v1/orders/{stage.near.new_id()}/session/code", json={})
    assert known.status_code == unknown.status_code == 202
    assert set(known.json()) == set(unknown.json())
    assert {*known.headers} == {*unknown.headers}


async def test_without_the_store_of_codes_nobody_comes_back_but_orders_go_on(
    stage: "Stage",
) -> None:
    order_id, token = await stage.order()
    stage.otp.is_down = stage.rate_limiter.is_down = True
    asked = await stage.client.post(f"/v1/orders/{order_id}/session/code", json={})
    assert (asked.status_code, asked.json()["type"]) == (
        503,
        "urn:bitloot:problem:store-unavailable",
    )
    assert asked.headers["retry-after"]
    other_id, _ = await stage.order(email="second@shop.example")
    assert other_id != order_id
    assert (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).status_code == 200
