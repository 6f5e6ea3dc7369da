"""Looking at an order: it never moves it, and never shows a status that is over."""

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from bitloot.domain.order import Order
from bitloot.ports.errors import Unavailable
from bitloot_web.composition.assembly import job_handlers
from bitloot_web.job_runner import JobRunner

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage

READS = ("", "/payments/current", "/deliveries", "/receipt", "/timeline", "/events")


async def opened(stage: "Stage") -> tuple[str, dict[str, str], str]:
    """An order with an open payment, and the gateway's id of that."""
    order_id, token = await stage.order()
    answer = await stage.client.post(
        f"/v1/orders/{order_id}/payments", json={"asset": "btc"}, headers={**token, **stage.once()}
    )
    assert answer.status_code == 201, answer.text
    (order,) = stage.store.rows(Order)
    (report,) = stage.gateway.of_order(order.number)
    return order_id, token, report.gateway_payment_id


async def test_no_page_of_an_order_pays_it_moves_it_or_asks_the_gateway(stage: "Stage") -> None:
    order_id, token, payment = await opened(stage)
    stage.gateway.pay(payment)
    # The money is there and nobody was told: whoever looks for it here would find it.
    stage.gateway.faults.limit_next()
    before = stage.store.tables.writes, [repr(job) for job in stage.store.jobs.all()]
    for path in READS * 2:
        answer = await stage.client.get(f"/v1/orders/{order_id}{path}", headers=token)
        assert answer.status_code == (404 if path == "/receipt" else 200), (path, answer.text)
    after = stage.store.tables.writes, [repr(job) for job in stage.store.jobs.all()]
    assert after == before
    with pytest.raises(Unavailable, match="rate_limited"):
        await stage.gateway.payment(payment)
    assert [order.status for order in stage.store.rows(Order)] == ["waiting"]


async def test_no_status_that_is_over_is_shown_again(stage: "Stage") -> None:
    order_id, token = await stage.order()
    path = f"/v1/orders/{order_id}"
    seen: dict[str, str] = {}

    async def look() -> None:
        (order,) = stage.store.rows(Order)
        for known in ("", *seen):
            headers = {**token, "if-none-match": known} if known else token
            answer = await stage.client.get(path, headers=headers)
            assert answer.headers["cache-control"] == "no-store"
            shown = seen[known] if answer.status_code == 304 else answer.json()["status"]
            assert shown == order.status
        seen[answer.headers["etag"]] = order.status

    await look()
    await stage.client.post(
        f"{path}/payments", json={"asset": "btc"}, headers={**token, **stage.once()}
    )
    await look()
    (report,) = stage.gateway.of_order(stage.store.rows(Order)[0].number)
    payment = report.gateway_payment_id
    moves: list[Callable[[], object]] = [
        lambda: stage.gateway.move(payment, "confirming"),
        lambda: stage.gateway.pay(payment),
    ]
    runner = JobRunner(
        stage.jobs,
        job_handlers(stage.near, stage.shop),
        limits=stage.shop.limits,
        jitter=lambda: 0.5,
        observe=stage.shop.metrics.job_ended,
    )
    for move in moves:
        move()
        headers, body = stage.gateway.webhook(payment)
        await stage.client.post("/v1/webhooks/nowpayments", content=body, headers=headers)
        for _ in range(5):
            for job_id in await stage.jobs.claim_due(100):
                await runner.run(job_id)
                await look()
            stage.clock.advance(timedelta(seconds=10))
    assert {*seen.values()} == {"created", "waiting", "confirming", "paid", "fulfilled"}
