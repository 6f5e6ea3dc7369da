"""The desk over HTTP: retries, holds, refunds, replaced keys, replays, statuses, own keys."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bitloot.domain.hold import Hold
from bitloot.domain.order import ORDER
from bitloot.domain.webhook import Webhook
from bitloot_adapters.memory.mailer import Sent
from bitloot_adapters.memory.supplier import NextOrder
from bitloot_web.problems import URN

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage

REFUND = {
    "amount": "0.0002",
    "asset": "BTC",
    "address": "bc1q-somewhere",
    "txId": "f00d",
    "basis": "then",
    "eur": "12.50",
    "reason": "the buyer asked",
}


async def test_everything_about_an_order_is_there_for_the_desk(stage: "Stage") -> None:
    order_id, _ = await stage.bought(("own-game", 1), ("bought-game", 1))
    base = f"/v1/admin/orders/{order_id}"
    order = (await stage.client.get(base, headers=stage.admin)).json()
    assert order["status"] == "fulfilled"
    assert {f["state"] for f in order["fulfilments"]} == {"delivered"}
    assert [p["status"] for p in order["payments"]] == ["finished"]
    kinds = [
        event["kind"]
        for event in (
            await stage.client.get(f"{base}/timeline?limit=100", headers=stage.admin)
        ).json()["items"]
    ]
    assert "fulfilment_moved" in kinds
    lines = (await stage.client.get(f"{base}/ledger", headers=stage.admin)).json()["items"]
    assert {line["account"] for line in lines} >= {"sale", "gateway"}
    webhooks = (await stage.client.get(f"{base}/webhooks", headers=stage.admin)).json()["items"]
    assert [webhook["classification"] for webhook in webhooks] == ["applied"]
    found = await stage.client.get(
        "/v1/admin/orders?status=fulfilled&email=BUYER@shop.example", headers=stage.admin
    )
    assert [row["id"] for row in found.json()["items"]] == [order_id]


async def test_a_retry_never_fulfils_an_unpaid_order(stage: "Stage") -> None:
    order_id, token = await stage.order()
    await stage.client.post(
        f"/v1/orders/{order_id}/payments", json={"asset": "btc"}, headers={**token, **stage.once()}
    )
    answer = await stage.client.post(
        f"/v1/admin/orders/{order_id}/retry-fulfillment",
        json={"reason": "he asked"},
        headers={**stage.admin, **stage.once()},
    )
    assert (answer.status_code, answer.json()["type"]) == (409, f"{URN}payment-not-settled")


async def test_a_retry_asks_the_gateway_whether_the_money_came(stage: "Stage") -> None:
    order_id, token = await stage.order()
    await stage.client.post(
        f"/v1/orders/{order_id}/payments", json={"asset": "btc"}, headers={**token, **stage.once()}
    )
    number = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()["number"]
    (report,) = stage.gateway.of_order(number)
    stage.gateway.pay(report.gateway_payment_id)
    headers = {**stage.admin, **stage.once()}
    path = f"/v1/admin/orders/{order_id}/retry-fulfillment"
    await stage.client.post(path, json={"reason": "lost callback"}, headers=headers)
    order = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()
    assert order["status"] == "paid"


async def test_a_retry_pays_a_rejected_late_order_whose_stored_payment_is_finished(
    stage: "Stage",
) -> None:
    order_id, token = await stage.order()
    await stage.client.post(
        f"/v1/orders/{order_id}/payments", json={"asset": "btc"}, headers={**token, **stage.once()}
    )
    await stage.client.post(f"/v1/orders/{order_id}/cancel", headers={**token, **stage.once()})
    number = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()["number"]
    (report,) = stage.gateway.of_order(number)
    stage.gateway.pay(report.gateway_payment_id)
    headers, body = stage.gateway.webhook(report.gateway_payment_id)
    await stage.client.post("/v1/webhooks/nowpayments", content=body, headers=headers)
    await stage.work()
    base = f"/v1/admin/orders/{order_id}"
    row = (await stage.client.get(base, headers=stage.admin)).json()
    assert [p["status"] for p in row["payments"]] == ["finished"]
    (hold,) = stage.store.rows(Hold)
    rejected = await stage.client.post(
        f"/v1/admin/holds/{hold.id}/decision",
        json={"accept": False, "reason": "too late", "orderVersion": row["version"]},
        headers={**stage.admin, **stage.once()},
    )
    assert rejected.json()["status"] == "failed", rejected.text
    path, asked = f"{base}/retry-fulfillment", {"reason": "goodwill"}
    stage.gateway.move(report.gateway_payment_id, "sending")
    lagging = await stage.client.post(path, json=asked, headers={**stage.admin, **stage.once()})
    assert (lagging.status_code, lagging.json()["type"]) == (409, f"{URN}payment-not-settled")
    stage.gateway.move(report.gateway_payment_id, "finished")
    headers = {**stage.admin, **stage.once()}
    first = await stage.client.post(path, json=asked, headers=headers)
    assert first.status_code == 202, first.text
    again = await stage.client.post(path, json=asked, headers=headers)
    assert again.json() == first.json()
    second = await stage.client.post(path, json=asked, headers={**stage.admin, **stage.once()})
    assert second.json()["type"] == f"{URN}retry-in-progress"
    row = (await stage.client.get(base, headers=stage.admin)).json()
    assert (row["status"], row["remarks"]) == ("paid", ["paid_late"])
    audit = (await stage.client.get(f"{base}/audit", headers=stage.admin)).json()["items"]
    actions = [line["action"] for line in audit]
    assert (actions.count("order.settle"), actions.count("order.retry_fulfilment")) == (1, 1)
    lines = (await stage.client.get(f"{base}/ledger", headers=stage.admin)).json()["items"]
    assert [line["entry"] for line in lines if line["account"] == "sale"] == [f"sale/{order_id}"]


async def test_the_completion_mail_is_sent_once_more_for_each_asking(stage: "Stage") -> None:
    order_id, _ = await stage.bought()
    path, asked = f"/v1/admin/orders/{order_id}/resend-keys", {"reason": "lost in the spam"}

    def ready() -> list[Sent]:
        return [sent for sent in stage.mailer.mailbox if sent.message.kind == "order-ready"]

    assert len(ready()) == 1
    headers = {**stage.admin, **stage.once()}
    for _ in range(2):
        answer = await stage.client.post(path, json=asked, headers=headers)
        assert (answer.status_code, answer.json()["events"]) == (202, ["keys_resent"]), answer.text
        await stage.work()
    assert len(ready()) == 2
    await stage.client.post(path, headers={**stage.admin, **stage.once()})
    await stage.work()
    first, *others = ready()
    assert len({sent.provider_id for sent in (first, *others)}) == 3
    assert {(sent.message.to, sent.message.text) for sent in others} == {
        (first.message.to, first.message.text)
    }
    audit = (
        await stage.client.get(f"/v1/admin/orders/{order_id}/audit", headers=stage.admin)
    ).json()["items"]
    assert [line["action"] for line in audit] == ["order.resend_keys"] * 2
    assert await stage.shop.views.desk.breaches(limit=9) == ()


async def test_only_a_fulfilled_order_is_told_of_again(stage: "Stage") -> None:
    order_id, _ = await stage.order()
    answer = await stage.client.post(
        f"/v1/admin/orders/{order_id}/resend-keys",
        json={"reason": "he asked"},
        headers={**stage.admin, **stage.once()},
    )
    assert (answer.status_code, answer.json()["type"]) == (409, f"{URN}resend-not-allowed")


async def test_a_refund_is_recorded_once_and_ends_the_links(stage: "Stage") -> None:
    order_id, token = await stage.bought()
    path = f"/v1/admin/orders/{order_id}/refunds"
    headers = {**stage.admin, **stage.once()}
    first = await stage.client.post(path, json=REFUND, headers=headers)
    assert first.status_code == 201, first.text
    again = await stage.client.post(path, json=REFUND, headers=headers)
    assert again.json() == first.json()
    other = await stage.client.post(path, json=REFUND, headers={**stage.admin, **stage.once()})
    assert other.json()["type"] == f"{URN}refund-not-allowed"
    order = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()
    assert order["status"] == "refunded"
    audit = await stage.client.get(f"/v1/admin/orders/{order_id}/audit", headers=stage.admin)
    assert "order.refund" in [line["action"] for line in audit.json()["items"]]


@pytest.mark.parametrize(
    ("field", "value"),
    [("amount", "NaN"), ("amount", "-1"), ("amount", "0"), ("eur", "1e3"), ("basis", "gift")],
)
async def test_a_refund_of_nonsense_is_refused(stage: "Stage", field: str, value: str) -> None:
    order_id, _ = await stage.order()
    answer = await stage.client.post(
        f"/v1/admin/orders/{order_id}/refunds",
        json={**REFUND, field: value},
        headers={**stage.admin, **stage.once()},
    )
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)


async def test_a_hold_is_decided_with_the_version_that_was_seen(stage: "Stage") -> None:
    order_id, token = await stage.order()
    await stage.client.post(f"/v1/orders/{order_id}/cancel", headers={**token, **stage.once()})
    second_id, second = await stage.order(email="late@shop.example")
    await stage.client.post(
        f"/v1/orders/{second_id}/payments",
        json={"asset": "btc"},
        headers={**second, **stage.once()},
    )
    number = (await stage.client.get(f"/v1/orders/{second_id}", headers=second)).json()["number"]
    await stage.client.post(f"/v1/orders/{second_id}/cancel", headers={**second, **stage.once()})
    (report,) = stage.gateway.of_order(number)
    stage.gateway.pay(report.gateway_payment_id)
    headers, body = stage.gateway.webhook(report.gateway_payment_id)
    await stage.client.post("/v1/webhooks/nowpayments", content=body, headers=headers)
    await stage.work()
    (hold,) = stage.store.rows(Hold)
    found = (await stage.client.get("/v1/admin/holds?state=open", headers=stage.admin)).json()
    assert [(row["id"], row["reason"]) for row in found["items"]] == [(hold.id, "paid_after_end")]
    version = (await stage.client.get(f"/v1/admin/orders/{second_id}", headers=stage.admin)).json()[
        "version"
    ]
    path = f"/v1/admin/holds/{hold.id}/decision"
    decision = {"accept": True, "reason": "the money is here", "orderVersion": version - 1}
    stale = await stage.client.post(path, json=decision, headers={**stage.admin, **stage.once()})
    assert (stale.status_code, stale.json()["type"]) == (412, f"{URN}version-conflict")
    key = {**stage.admin, **stage.once()}
    accepted = {**decision, "orderVersion": version}
    done = await stage.client.post(path, json=accepted, headers=key)
    assert (done.status_code, done.json()["status"]) == (200, "paid"), done.text
    again = await stage.client.post(path, json=accepted, headers=key)
    assert again.json() == done.json()


async def test_a_status_is_set_by_hand_with_version_reason_and_confirmation(
    stage: "Stage",
) -> None:
    order_id, _ = await stage.order()
    path = f"/v1/admin/orders/{order_id}/status"
    body = {"to": "cancelled", "reason": "test", "confirmed": True}
    bare = await stage.client.patch(path, json=body, headers=stage.admin)
    assert (bare.status_code, bare.json()["type"]) == (428, f"{URN}precondition-required")
    for tag, status in (
        ("x", 400), ("7", 400), ('"1', 400), ("*", 400), ('"1", "2"', 400),
        ('"x"', 412), ('""', 412), ('"99999999999"', 412), ('"01935f"', 412), ('W/"77"', 412),
    ):  # fmt: skip
        bad = await stage.client.patch(path, json=body, headers={**stage.admin, "if-match": tag})
        assert bad.status_code == status, (tag, bad.text)
    order = await stage.client.get(f"/v1/admin/orders/{order_id}", headers=stage.admin)
    headers = {**stage.admin, "if-match": order.headers["etag"]}
    unsure = await stage.client.patch(path, json={**body, "confirmed": False}, headers=headers)
    assert unsure.json()["errors"][0]["field"] == "confirmed"
    never = await stage.client.patch(path, json={**body, "to": "fulfilled"}, headers=headers)
    assert never.json()["errors"][0]["field"] == "to"
    done = await stage.client.patch(path, json=body, headers=headers)
    assert done.json()["status"] == "cancelled"


async def test_the_desk_is_told_which_statuses_it_may_set_and_only_those_are_taken(
    stage: "Stage",
) -> None:
    order_id, _ = await stage.order()
    base = f"/v1/admin/orders/{order_id}"
    row = (await stage.client.get(base, headers=stage.admin)).json()
    assert row["allowedNext"] == ["cancelled", "expired", "waiting"]
    for to in ORDER.moves:
        found = await stage.client.get(base, headers=stage.admin)
        if to in found.json()["allowedNext"]:
            continue
        refused = await stage.client.patch(
            f"{base}/status",
            json={"to": to, "reason": "a try", "confirmed": True},
            headers={**stage.admin, "if-match": found.headers["etag"]},
        )
        assert refused.status_code in {409, 422}, (to, refused.text)
    done, _ = await stage.bought()
    row = (await stage.client.get(f"/v1/admin/orders/{done}", headers=stage.admin)).json()
    assert row["allowedNext"] == []


async def test_what_is_kept_for_orders_is_told_apart_from_the_orders_at_the_supplier(
    stage: "Stage",
) -> None:
    waiting, _ = await stage.order(("own-game", 2))
    done, _ = await stage.bought(("bought-game", 1))
    path = "/v1/admin/reservations"
    found = (await stage.client.get(path, headers=stage.admin)).json()["items"]
    assert [(row["orderId"], row["state"], row["ownKeys"]) for row in found] == [
        (done, "consumed", 0),
        (waiting, "held", 2),
    ]
    for only, kept in (
        ({"state": "held"}, [waiting]),
        ({"order": done}, [done]),
        ({"product": stage.bought_product}, [done]),
        ({"supplier": "kinguin", "state": "held"}, []),
    ):
        page = await stage.client.get(path, params=only, headers=stage.admin)
        assert [row["orderId"] for row in page.json()["items"]] == kept, only
    one = await stage.client.get(f"{path}/{found[0]['id']}", headers=stage.admin)
    (bought,) = one.json()["supplierOrders"]
    assert bought["externalId"].startswith(one.json()["orderNumber"])
    assert bought["supplierOrderId"] in stage.supplier.order_ids
    assert bought["supplierOrderId"] not in {done, found[0]["id"], bought["externalId"]}
    assert (await stage.client.get(f"{path}/{done}", headers=stage.admin)).status_code == 404


async def test_the_audit_log_is_told_and_checked(stage: "Stage") -> None:
    await stage.bought()
    path = "/v1/admin/audit-logs"
    lines = (await stage.client.get(path, headers=stage.admin)).json()["items"]
    told = [line["action"] for line in lines]
    assert told == ["keys.import", "api_key.created", "user.roles"]
    assert [line["actor"] for line in lines] == [stage.admin_name, "cli", "cli"]
    found = (await stage.client.get(f"{path}/verify", headers=stage.admin)).json()
    assert found == {"checked": 3, "last": 3, "brokenAt": None, "next": None}
    beyond = await stage.client.get(f"{path}/verify?after=7", headers=stage.admin)
    assert beyond.json()["brokenAt"] == 7


async def test_a_failed_item_is_taken_up_again_and_delivered(stage: "Stage") -> None:
    stage.supplier.next_order(NextOrder(refuse="invalid"))
    order_id, token = await stage.order(("bought-game", 1))
    await stage.pay(order_id, token)
    detail = (await stage.client.get(f"/v1/admin/orders/{order_id}", headers=stage.admin)).json()
    assert detail["fulfilments"][0]["state"] == "failed_terminal", detail
    retry = await stage.client.post(
        f"/v1/admin/orders/{order_id}/retry-fulfillment",
        json={"reason": "once more"},
        headers={**stage.admin, **stage.once()},
    )
    assert retry.status_code == 202, retry.text
    for _ in range(5):
        stage.clock.advance(timedelta(seconds=10))
        await stage.work()
    order = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()
    assert order["status"] == "fulfilled"


async def test_webhooks_are_listed_looked_into_and_replayed_in_bulk(stage: "Stage") -> None:
    order_id, token = await stage.order()
    await stage.pay(order_id, token)
    (row,) = stage.store.rows(Webhook)
    page = await stage.client.get("/v1/admin/webhooks?provider=nowpayments", headers=stage.admin)
    (listed,) = page.json()["items"]
    assert (listed["id"], listed["body"]) == (row.id, None)
    single = await stage.client.get(f"/v1/admin/webhooks/{row.id}", headers=stage.admin)
    assert single.json()["body"]
    unknown = stage.near.new_id()
    bulk = await stage.client.post(
        "/v1/admin/webhooks/bulk-replay",
        json={"ids": [row.id, unknown], "reason": "test"},
        headers={**stage.admin, **stage.once()},
    )
    assert [one["outcome"] for one in bulk.json()["items"]] == ["queued", "not-found"]
    wrong = await stage.client.get("/v1/admin/webhooks?classification=nice", headers=stage.admin)
    assert wrong.json()["errors"][0]["field"] == "classification"


async def test_keys_are_counted_in_from_text_and_csv_and_never_twice(stage: "Stage") -> None:
    base = f"/v1/admin/inventory/{stage.own_product}/keys"
    text = {**stage.admin, "content-type": "text/plain"}
    before = (await stage.client.get(f"{base}/stats", headers=stage.admin)).json()["available"]
    mixed = await stage.client.post(
        f"{base}/import?batch=b2&cost=7.10",
        content=b"AAAAA-BBBBB-CCCCC\nNEW-KEY-1\nNEW-KEY-1\n",
        headers={**text, **stage.once()},
    )
    assert mixed.json() == {
        "imported": 1,
        "refused": [
            {"line": 1, "outcome": "known_already"},
            {"line": 3, "outcome": "repeated_in_file"},
        ],
    }
    known = await stage.client.post(
        f"{base}/import?batch=b3&cost=7.10",
        content=b"NEW-KEY-1\n",
        headers={**text, **stage.once()},
    )
    assert known.json()["type"] == f"{URN}duplicate-keys"
    table = await stage.client.post(
        f"{base}/import?batch=b4&cost=7.10&expiresAt=2040-01-01T00:00:00Z",
        content=b'note,key\nx,CSV-KEY-1\ny,"CSV-KEY-2"\n',
        headers={**stage.admin, **stage.once(), "content-type": "text/csv"},
    )
    assert table.json() == {"imported": 2, "refused": []}
    after = (await stage.client.get(f"{base}/stats", headers=stage.admin)).json()["available"]
    assert after == before + 3


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("cost=7", "batch"),
        ("batch=b", "cost"),
        ("batch=b&cost=-7", "cost"),
        ("batch=b&cost=NaN", "cost"),
        ("batch=&cost=7", "batch"),
        ("batch=b%0A&cost=7", "batch"),
        ("batch=b&cost=7&expiresAt=soon", "expiresAt"),
        ("batch=b&cost=7&expiresAt=2040-01-01T00:00:00", "expiresAt"),
    ],
)
async def test_an_import_with_bad_terms_names_the_parameter(
    stage: "Stage", query: str, field: str
) -> None:
    answer = await stage.client.post(
        f"/v1/admin/inventory/{stage.own_product}/keys/import?{query}",
        content=b"KEY\n",
        headers={**stage.admin, **stage.once(), "content-type": "text/plain"},
    )
    assert answer.status_code in {400, 422}, answer.text
    assert answer.json()["errors"][0]["field"] == field


async def test_an_import_above_its_size_is_refused(stage: "Stage") -> None:
    answer = await stage.client.post(
        f"/v1/admin/inventory/{stage.own_product}/keys/import?batch=b&cost=7",
        content=b"K" * (10 * 1024 * 1024 + 1),
        headers={**stage.admin, **stage.once(), "content-type": "text/plain"},
    )
    assert (answer.status_code, answer.json()["type"]) == (413, f"{URN}body-too-large")
