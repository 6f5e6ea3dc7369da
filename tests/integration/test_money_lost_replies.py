"""A commit whose reply is lost: the server did it, the shop was never told, nothing happens twice.

Between shop and server stands a proxy that reads along. Once the server has answered to a commit,
it ends both connections instead of passing the answer on.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from tests.integration.till import Till, fresh_key, open_till
from tests.promises.proxy import Proxy, open_proxies

from bitloot.domain.errors import Refused
from bitloot.ports.errors import StoreUnavailable

OF_MONEY = re.compile(r"\b(INTO|UPDATE) (orders|payments|webhook_logs)\b")


@dataclass
class LossyTill:
    """A shop behind the proxy."""

    till: Till
    proxy: Proxy

    def arm(self, spared: int) -> None:
        """Lose the answer to the commit after `spared` others, and to that one alone.

        Leases of jobs and running idempotency keys are no commits of money.
        """
        left = spared

        def is_lost(statements: str) -> bool:
            nonlocal left
            if OF_MONEY.search(statements):
                left -= 1
                return left == -1
            return False

        self.proxy.lose_commits(is_lost)

    @property
    def lost(self) -> int:
        return len(self.proxy.lost)


@pytest.fixture
async def lossy(shop_url: str) -> AsyncIterator[LossyTill]:
    server = conninfo_to_dict(shop_url)
    port = int(server.get("port") or 5432)
    host = str(server["host"])
    where = Path(host) / f".s.PGSQL.{port}" if host.startswith("/") else port
    with open_proxies() as proxies:
        proxy = proxies.open(where, reads_commits=True)
        through = psycopg.conninfo.make_conninfo(
            shop_url, host="127.0.0.1", port=proxy.port, sslmode="disable", gssencmode="disable"
        )
        async with open_till(shop_url, through=through) as till:
            yield LossyTill(till, proxy)


@pytest.fixture
def till(lossy: LossyTill) -> Till:
    return lossy.till


async def told_nothing(
    lossy: LossyTill, act: Callable[[], Awaitable[object]], *, spared: int = 0
) -> None:
    """Do it, with the reply to that commit lost: the shop says that it does not know."""
    lossy.arm(spared)
    with pytest.raises(StoreUnavailable):
        await act()
    assert lossy.lost == 1


async def test_an_order_whose_commit_was_not_confirmed_is_placed_once_by_its_key(
    lossy: LossyTill, till: Till
) -> None:
    quote, once = await till.quote(await till.own(3)), fresh_key("orders")
    await told_nothing(lossy, lambda: till.place(quote, once=once))
    first = await till.place(quote, once=once)
    assert await till.place(quote, once=once) == first
    assert await till.count("SELECT count(*) FROM orders") == 1
    assert await till.count("SELECT count(*) FROM inventory_keys WHERE state = 'reserved'") == 1
    await till.assert_in_order(first.order_id)


async def test_a_payment_row_that_was_not_confirmed_leads_to_one_call_and_one_address(
    lossy: LossyTill, till: Till
) -> None:
    placed = await till.place(await till.quote(await till.own(3)))
    once = fresh_key("payments")
    await told_nothing(lossy, lambda: till.pay(placed.order_id, once=once))
    assert till.gateway.opened(placed.number) == 0
    with pytest.raises(Refused, match="idempotency-in-progress"):
        await till.pay(placed.order_id, once=once)
    till.clock.ahead = timedelta(seconds=61)
    await till.pay(placed.order_id, once=once)
    assert till.gateway.opened(placed.number) == 1
    states = await till.sql("SELECT status, call_answered FROM payments ORDER BY id")
    assert states == [("created", False), ("waiting", True)]


async def test_an_address_that_was_not_confirmed_as_stored_is_shown_by_the_same_key(
    lossy: LossyTill, till: Till
) -> None:
    placed = await till.place(await till.quote(await till.own(3)))
    once = fresh_key("payments")
    await told_nothing(lossy, lambda: till.pay(placed.order_id, once=once), spared=1)
    shown = await till.pay(placed.order_id, once=once)
    assert till.gateway.opened(placed.number) == 1
    [payment] = (await till.file(placed.order_id)).payments
    assert (payment.id, payment.pay_address) == (shown.payment_id, shown.pay_address)


async def test_a_callback_that_was_stored_unconfirmed_is_known_when_it_comes_again(
    lossy: LossyTill, till: Till
) -> None:
    placed, there = await till.payable(await till.own(3))
    till.gateway.pay(there)
    await told_nothing(lossy, lambda: till.call_back(there))
    assert await till.call_back(there) == "duplicate"
    assert await till.count("SELECT count(*) FROM webhook_logs") == 1
    await till.run(*await till.callback_jobs(there))
    assert (await till.assert_in_order(placed.order_id)).order.status == "paid"


async def test_a_settlement_that_was_not_confirmed_happened_once(
    lossy: LossyTill, till: Till
) -> None:
    placed, there = await till.payable(await till.own(3))
    till.gateway.pay(there)
    await till.call_back(there)
    jobs = await till.callback_jobs(there)
    lossy.arm(0)
    await till.run(*jobs)
    assert lossy.lost == 1
    file = await till.assert_in_order(placed.order_id)
    assert (file.order.status, len(file.fulfilments)) == ("paid", 1)
    assert await till.callback_jobs(there) == []
    # The poll of the same payment, and the callback once more, find everything done.
    await till.call_back(there)
    await till.run(*await till.jobs("apply_payment"), *await till.callback_jobs(there))
    again = await till.assert_in_order(placed.order_id)
    assert (again.order, len(again.fulfilments)) == (file.order, 1)


async def test_a_cancellation_that_was_not_confirmed_gives_the_goods_back_once(
    lossy: LossyTill, till: Till
) -> None:
    placed = await till.place(await till.quote(await till.own(3)))
    once = fresh_key("cancel")
    await told_nothing(lossy, lambda: till.shop.checkout.cancel(placed.order_id, once=once))
    answer = await till.shop.checkout.cancel(placed.order_id, once=once)
    assert answer.status == "cancelled"
    file = await till.assert_in_order(placed.order_id)
    assert [r.state for r in file.reservations] == ["released"]
    assert await till.count("SELECT count(*) FROM inventory_keys WHERE state = 'available'") == 3


async def test_a_settlement_that_was_ended_before_its_commit_left_nothing_and_is_done_again(
    till: Till,
) -> None:
    placed, there = await till.payable(await till.own(3))
    till.gateway.pay(there)
    await till.call_back(there)
    rest = await till.settling(there)
    async with await psycopg.AsyncConnection.connect(till.url) as holder:
        await holder.execute("SELECT FROM orders WHERE id = %s FOR UPDATE", [placed.order_id])
        settling = asyncio.ensure_future(rest())
        ended = 0
        while not ended:
            ended = await till.count(
                "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
        await settling
        await holder.rollback()
    assert (await till.file(placed.order_id)).order.status == "waiting"
    # The lease of the job ends by itself; here it is ended at once.
    await till.sql("UPDATE jobs SET lease_until = '-infinity' WHERE kind = 'apply_payment'")
    await till.run(*await till.callback_jobs(there))
    assert (await till.assert_in_order(placed.order_id)).order.status == "paid"
