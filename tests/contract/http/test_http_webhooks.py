"""What providers call back with: answered by its signature and form, stored before anything."""

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from bitloot.domain.email import Suppression
from bitloot.domain.fulfilment import SupplierAttempt
from bitloot.domain.webhook import Webhook
from bitloot_web.problems import URN

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage


async def opened(stage: "Stage") -> str:
    """A payment that waits for its money; the gateway's id of it."""
    order_id, token = await stage.order()
    await stage.client.post(
        f"/v1/orders/{order_id}/payments", json={"asset": "btc"}, headers={**token, **stage.once()}
    )
    number = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()["number"]
    (report,) = stage.gateway.of_order(number)
    return str(report.gateway_payment_id)


async def test_the_same_callback_fifty_times_is_one_row_and_fifty_good_answers(
    stage: "Stage",
) -> None:
    headers, body = stage.gateway.webhook(await opened(stage))
    calls = [
        stage.client.post("/v1/webhooks/nowpayments", content=body, headers=headers)
        for _ in range(50)
    ]
    answers = await asyncio.gather(*calls)
    assert {answer.status_code for answer in answers} == {200}
    assert all(answer.content == b"" for answer in answers)
    (row,) = stage.store.rows(Webhook)
    assert (row.signature_ok, row.attempts) == (True, 50)
    assert b'bitloot_duplicate_webhook_total{provider="nowpayments"} 49.0' in (
        stage.shop.metrics.page()
    )


@pytest.mark.parametrize("sent", [{}, {"x-memory-sig": ""}, {"x-memory-sig": "0" * 128}])
async def test_a_forged_callback_is_refused_stored_as_such_and_never_replayed(
    stage: "Stage", sent: dict[str, str]
) -> None:
    _, body = stage.gateway.webhook(await opened(stage))
    answer = await stage.client.post("/v1/webhooks/nowpayments", content=body, headers=sent)
    assert (answer.status_code, answer.json()["type"]) == (401, f"{URN}invalid-signature")
    (row,) = stage.store.rows(Webhook)
    assert (row.signature_ok, row.classification) == (False, "invalid_signature")
    again = await stage.client.post(
        f"/v1/admin/webhooks/{row.id}/replay", json={"reason": "test"}, headers=stage.admin
    )
    assert (again.status_code, again.json()["type"]) == (409, f"{URN}webhook-not-replayable")


async def test_a_signed_callback_that_cannot_be_read_is_refused(stage: "Stage") -> None:
    for body in (b"[]", b"{", b'{"a": 1, "a": 2}'):
        answer = await stage.client.post(
            "/v1/webhooks/nowpayments", content=body, headers=stage.gateway.sign(body)
        )
        assert (answer.status_code, answer.json()["type"]) == (400, f"{URN}invalid-webhook")


async def test_a_malformed_callback_is_stored_as_such_and_never_processed_or_replayed(
    stage: "Stage",
) -> None:
    body = b'{"payment_id": '
    headers = stage.gateway.sign(body)
    await stage.client.post("/v1/webhooks/nowpayments", content=body, headers=headers)
    (row,) = stage.store.rows(Webhook)
    assert row.classification == "malformed"
    await stage.work()
    assert list(stage.store.rows(Webhook)) == [row]
    alone = await stage.client.post(
        f"/v1/admin/webhooks/{row.id}/replay", json={"reason": "test"}, headers=stage.admin
    )
    assert (alone.status_code, alone.json()["type"]) == (409, f"{URN}webhook-not-replayable")
    bulk = await stage.client.post(
        "/v1/admin/webhooks/bulk-replay",
        json={"ids": [row.id], "reason": "test"},
        headers={**stage.admin, **stage.once()},
    )
    assert [one["outcome"] for one in bulk.json()["items"]] != ["queued"], bulk.text


async def test_a_callback_that_is_too_large_leaves_its_head(stage: "Stage") -> None:
    body = b'{"a": "' + b"x" * 300_000 + b'"}'
    answer = await stage.client.post(
        "/v1/webhooks/nowpayments", content=body, headers=stage.gateway.sign(body)
    )
    assert (answer.status_code, answer.json()["type"]) == (413, f"{URN}body-too-large")
    (row,) = stage.store.rows(Webhook)
    assert row.classification == "malformed"
    assert 0 < len(row.body) <= 1024


async def test_a_callback_is_not_acknowledged_when_it_cannot_be_stored(stage: "Stage") -> None:
    headers, body = stage.gateway.webhook(await opened(stage))
    stage.store.is_down = True
    answer = await stage.client.post("/v1/webhooks/nowpayments", content=body, headers=headers)
    assert answer.status_code == 503
    stage.store.is_down = False
    answer = await stage.client.post("/v1/webhooks/nowpayments", content=body, headers=headers)
    assert answer.status_code == 200


async def test_callbacks_are_taken_while_the_store_of_limits_is_lost(stage: "Stage") -> None:
    headers, body = stage.gateway.webhook(await opened(stage))
    stage.rate_limiter.is_down = True
    answer = await stage.client.post("/v1/webhooks/nowpayments", content=body, headers=headers)
    assert answer.status_code == 200
    forged = await stage.client.post("/v1/webhooks/nowpayments", content=body, headers={})
    assert forged.status_code == 401


async def test_a_supplier_is_answered_without_a_body(stage: "Stage") -> None:
    body = b'{"order_id": "x"}'
    good = await stage.client.post(
        "/v1/webhooks/kinguin", content=body, headers=dict(stage.supplier.secret_headers())
    )
    assert (good.status_code, good.content) == (204, b"")
    bad = await stage.client.post("/v1/webhooks/kinguin", content=body)
    assert bad.status_code == 401


async def test_the_mail_provider_is_heard_by_its_signature(stage: "Stage") -> None:
    order_id, _ = await stage.order()
    await stage.client.post(f"/v1/orders/{order_id}/session/code", json={})
    await stage.work()
    (sent,) = stage.mailer.mailbox
    headers, body = stage.mailer.webhook(sent.provider_id, "bounced", permanent=True)
    good = await stage.client.post("/v1/webhooks/resend", content=body, headers=headers)
    assert good.status_code == 200, good.text
    await stage.work()
    assert [row.reason for row in stage.store.rows(Suppression)] == ["bounce"]
    assert (await stage.client.post("/v1/webhooks/resend", content=body)).status_code == 401


async def test_the_desk_replays_the_webhooks_of_all_providers_alone_and_in_bulk(
    stage: "Stage",
) -> None:
    order_id, token = await stage.order(("bought-game", 1))
    await stage.pay(order_id, token)
    await stage.work()
    number = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()["number"]
    (attempt,) = stage.store.rows(SupplierAttempt)
    headers, body = stage.supplier.webhook(attempt.supplier_order_id or "")
    await stage.client.post("/v1/webhooks/kinguin", content=body, headers=dict(headers))
    sent = stage.mailer.mailbox[-1]
    headers, body = stage.mailer.webhook(sent.provider_id, "bounced", permanent=True)
    await stage.client.post("/v1/webhooks/resend", content=body, headers=headers)
    await stage.client.post("/v1/webhooks/resend", content=body)
    await stage.work()
    (forged,) = (row.id for row in stage.store.rows(Webhook) if not row.signature_ok)
    good = [row.id for row in stage.store.rows(Webhook) if row.signature_ok]
    providers = {row.provider for row in stage.store.rows(Webhook) if row.signature_ok}
    assert providers == {"nowpayments", "kinguin", "resend"}
    bought, mails = len(stage.supplier.placed(attempt.external_id)), len(stage.mailer.mailbox)
    for one in good:
        alone = await stage.client.post(
            f"/v1/admin/webhooks/{one}/replay", json={"reason": "test"}, headers=stage.admin
        )
        assert (alone.status_code, alone.json()["outcome"]) == (202, "queued"), alone.text
    await stage.work()
    bulk = await stage.client.post(
        "/v1/admin/webhooks/bulk-replay",
        json={"ids": [*good, forged], "reason": "test"},
        headers={**stage.admin, **stage.once()},
    )
    outcomes = [one["outcome"] for one in bulk.json()["items"]]
    assert outcomes == [*["queued"] * len(good), "webhook-not-replayable"]
    await stage.work()
    assert all(row.handled_at for row in stage.store.rows(Webhook))
    order = (await stage.client.get(f"/v1/orders/{order_id}", headers=token)).json()
    assert (order["number"], order["status"]) == (number, "fulfilled")
    assert len(stage.supplier.placed(attempt.external_id)) == bought == 1
    assert len(stage.mailer.mailbox) == mails
    assert [row.reason for row in stage.store.rows(Suppression)] == ["bounce"]


async def test_the_desk_sees_how_webhooks_fare_and_what_stands_beside_each(stage: "Stage") -> None:
    async def read(path: str) -> httpx.Response:
        return await stage.client.get(f"/v1/admin/webhooks{path}", headers=stage.admin)

    none = (await read("/stats")).json()
    assert (none["count"], none["successRate"], none["providers"]) == (0, None, [])
    _, body = stage.gateway.webhook(await opened(stage))
    forged = {"x-memory-sig": "0" * 128}
    for sent in ({}, {}, forged):
        stage.clock.advance(timedelta(minutes=40))
        await stage.client.post("/v1/webhooks/nowpayments", content=body, headers=sent)
    headers, body = stage.gateway.webhook(await opened(stage))
    await stage.client.post("/v1/webhooks/nowpayments", content=body, headers=headers)
    told = (await read("/stats?hours=2")).json()
    assert (told["count"], told["failed"], told["waiting"]) == (4, 3, 1)
    assert told["successRate"] == "0.0000"
    await stage.work()
    told = (await read("/stats")).json()
    assert (told["succeeded"], told["failed"], told["successRate"]) == (1, 3, "0.2500")
    assert [(each["provider"], each["count"]) for each in told["providers"]] == [("nowpayments", 4)]
    assert (await read("/stats?hours=1")).json()["count"] == 3
    hours = (await read("/timeline?hours=2")).json()["hours"]
    assert [(each["count"], each["failed"]) for each in hours] == [(1, 1), (1, 1), (2, 1)]
    newest, *_, oldest = (await read("")).json()["items"]
    assert (await read(f"/{newest['id']}/adjacent")).json()["previous"] is None
    assert (await read(f"/{oldest['id']}/adjacent")).json()["next"] is None
    alike = f"?classification={newest['classification']}"
    beside = (await read(f"/{oldest['id']}/adjacent{alike}")).json()
    assert beside == {"previous": newest["id"], "next": None}
    assert (await read(f"/{stage.own_product}/adjacent")).status_code == 404
    for bad in ("/stats?hours=0", "/stats?hours=721", "/timeline?hours=73", "/stats?hours=x"):
        assert (await read(bad)).status_code == 400
