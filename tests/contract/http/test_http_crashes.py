"""A process dies while the desk acts: the same request, sent again, has the effect of one."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

import httpx
import pytest
from tests import asgi

from bitloot.domain.decision import Decision
from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.key_inventory import SealedKey
from bitloot.ports.jobs import Lease, Outcome
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot_adapters.memory.supplier import NextOrder
from bitloot_web.asgi import build_app
from bitloot_web.composition.counting import CountedTransaction
from bitloot_web.problems import URN

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage

# What a keyed act of the desk commits: first that it runs, then that it was done.
RUNNING, ACTING = 1, 2
Side = Literal["before", "after"]


class Died(BaseException):
    """The process is gone."""


class DyingTransaction(CountedTransaction):
    """Dies before or after one of its commits."""

    def __init__(self, transaction: Transaction, deaths: "DyingUnitOfWork") -> None:
        super().__init__(transaction, lambda _: None)
        self._deaths = deaths

    async def record(
        self, decision: Decision, *, lease: Lease | None = None, outcome: Outcome | None = None
    ) -> None:
        self._deaths.commits += 1
        is_last = self._deaths.commits == self._deaths.dies_at
        if is_last and self._deaths.side == "before":
            raise Died
        await super().record(decision, lease=lease, outcome=outcome)
        if is_last:
            raise Died


class DyingUnitOfWork:
    """The store behind, for a process that dies at that commit."""

    def __init__(self, uow: UnitOfWork, *, dies_at: int, side: Side) -> None:
        self._uow = uow
        self.commits = 0
        self.dies_at = dies_at
        self.side = side

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        return self._begin()

    @asynccontextmanager
    async def _begin(self) -> AsyncIterator[Transaction]:
        async with self._uow.begin() as transaction:
            yield DyingTransaction(transaction, self)


async def ask_and_die(
    stage: "Stage", path: str, body: dict[str, object], headers: dict[str, str], side: Side
) -> None:
    """Send the request to a process that dies at its act."""
    repeats = stage.shop.repeats
    dying = DyingUnitOfWork(repeats.uow, dies_at=ACTING, side=side)
    app = build_app(replace(stage.shop, repeats=replace(repeats, uow=dying)))
    transport = asgi.transport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as client:
        with pytest.raises(Died):
            await client.post(path, json=body, headers=headers)


async def bought(stage: "Stage") -> tuple[str, str]:
    """An order whose key was revealed, and the path of its one item at the desk."""
    order_id, token = await stage.bought()
    items = await stage.client.get(f"/v1/orders/{order_id}/deliveries", headers=token)
    (line,) = items.json()["items"]
    reveal = f"/v1/orders/{order_id}/items/{line['itemId']}/reveal"
    await stage.client.post(reveal, headers={**token, **stage.once()})
    return order_id, f"/v1/admin/orders/{order_id}/items/{line['itemId']}"


def states(stage: "Stage") -> list[str]:
    return sorted(key.state for key in stage.store.rows(SealedKey) if key.slot is not None)


async def test_a_key_is_replaced_once_though_the_answer_was_lost_with_its_process(
    stage: "Stage",
) -> None:
    _, item = await bought(stage)
    body: dict[str, object] = {"slot": 1, "reason": "does not work"}
    headers = {**stage.admin, **stage.once()}
    await ask_and_die(stage, f"{item}/replace-key", body, headers, "after")
    await stage.work()
    stage.clock.advance(timedelta(hours=2))
    assert states(stage) == ["live", "replaced"]
    again = await stage.client.post(f"{item}/replace-key", json=body, headers=headers)
    assert again.status_code == 202, again.text
    assert "key_replaced" in again.json()["events"]
    await stage.work()
    assert states(stage) == ["live", "replaced"]


async def test_an_act_that_was_not_done_is_waited_for_and_then_done_once(stage: "Stage") -> None:
    _, item = await bought(stage)
    body: dict[str, object] = {"slot": 1, "reason": "does not work"}
    headers = {**stage.admin, **stage.once()}
    await ask_and_die(stage, f"{item}/replace-key", body, headers, "before")
    early = await stage.client.post(f"{item}/replace-key", json=body, headers=headers)
    assert (early.status_code, early.json()["type"]) == (409, f"{URN}idempotency-in-progress")
    stage.clock.advance(timedelta(seconds=int(early.headers["retry-after"])))
    done = await stage.client.post(f"{item}/replace-key", json=body, headers=headers)
    assert done.status_code == 202, done.text
    await stage.work()
    assert states(stage) == ["live", "replaced"]
    assert len(stage.store.rows(Fulfilment)) == 2


@pytest.mark.parametrize("act", ["revoke", "retry-fulfillment", "refunds"])
async def test_every_act_of_the_desk_is_answered_after_the_death_of_its_process(
    stage: "Stage", act: str
) -> None:
    order_id, item = await bought(stage)
    body: dict[str, object] = {"reason": "asked for"}
    path = f"{item}/revoke" if act == "revoke" else f"/v1/admin/orders/{order_id}/{act}"
    if act == "refunds":
        body |= {
            "amount": "0.0002", "asset": "btc", "address": "bc1q", "txId": "tx-1",
            "basis": "then", "eur": "12.50", "confirmed": True,
        }  # fmt: skip
    if act == "retry-fulfillment":
        order_id, token = await stage.order(("bought-game", 1))
        stage.supplier.next_order(NextOrder(refuse="invalid"))
        await stage.pay(order_id, token)
        await stage.work()
        path = f"/v1/admin/orders/{order_id}/{act}"
    headers = {**stage.admin, **stage.once()}
    before = len(stage.store.timeline(order_id))
    await ask_and_die(stage, path, body, headers, "after")
    after = len(stage.store.timeline(order_id))
    stage.clock.advance(timedelta(seconds=61))
    again = await stage.client.post(path, json=body, headers=headers)
    assert again.status_code < 300, again.text
    third = await stage.client.post(path, json=body, headers=headers)
    assert third.text == again.text
    assert len(stage.store.timeline(order_id)) == after > before
