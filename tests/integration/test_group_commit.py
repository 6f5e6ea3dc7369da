"""Deliveries that come at once are written together, and each is told how it went with its own."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from tests.promises.proxy import open_proxies

from bitloot.domain.decision import AuditEntry, Decision, JobRequest, insert, update
from bitloot.domain.limits import Limits
from bitloot.domain.webhook import Webhook
from bitloot.ports.errors import Duplicate, StoreUnavailable
from bitloot.testing.rows import Rows
from bitloot_adapters.clock import new_id, utc_now
from bitloot_adapters.postgres.faults import StoreFault
from bitloot_adapters.postgres.group_commit import MAX_TOGETHER, MAX_WAITING, delivery
from bitloot_adapters.postgres.pool import Database, open_database
from bitloot_adapters.postgres.unit_of_work import PostgresUnitOfWork

ROWS = Rows(clock=utc_now, new_id=new_id)
STORED = "SELECT w.id::text FROM webhook_logs w JOIN jobs j ON j.ref = w.id::text ORDER BY w.id"


@pytest.fixture
async def database(shop_url: str) -> AsyncIterator[Database]:
    async with open_database(shop_url, Limits()) as database:
        yield database


@pytest.fixture
def uow(database: Database) -> PostgresUnitOfWork:
    return PostgresUnitOfWork(database, new_id=new_id, max_attempts=12)


def taking_in(webhook: Webhook) -> Decision:
    return Decision(
        save=(insert(webhook),), jobs=(JobRequest(kind="apply_payment", ref=webhook.id),)
    )


async def store(uow: PostgresUnitOfWork, webhook: Webhook) -> None:
    async with uow.begin() as tx:
        await tx.record(taking_in(webhook))


async def store_all(
    uow: PostgresUnitOfWork, webhooks: Sequence[Webhook]
) -> list[BaseException | None]:
    return await asyncio.gather(*(store(uow, each) for each in webhooks), return_exceptions=True)


def deliveries(count: int) -> list[Webhook]:
    return [ROWS.webhook() for _ in range(count)]


def ids(webhooks: Sequence[Webhook]) -> list[str]:
    return sorted(each.id for each in webhooks)


def stored(url: str) -> list[str]:
    """Those that are there with their job."""
    with psycopg.connect(url) as connection:
        return [str(found) for (found,) in connection.execute(STORED)]


async def test_deliveries_that_come_at_once_are_one_statement(
    database: Database, uow: PostgresUnitOfWork, shop_url: str
) -> None:
    came = deliveries(MAX_TOGETHER)
    assert await store_all(uow, came) == [None] * len(came)
    assert database.round_trips == 1
    assert stored(shop_url) == ids(came)


async def test_more_than_a_statement_bears_are_several(
    database: Database, uow: PostgresUnitOfWork, shop_url: str
) -> None:
    came = deliveries(2 * MAX_TOGETHER + 1)
    assert await store_all(uow, came) == [None] * len(came)
    assert database.round_trips == 3
    assert stored(shop_url) == ids(came)


async def test_one_after_another_each_is_written_at_once(
    database: Database, uow: PostgresUnitOfWork, shop_url: str
) -> None:
    came = deliveries(3)
    for number, each in enumerate(came, start=1):
        await store(uow, each)
        assert database.round_trips == number
    assert stored(shop_url) == ids(came)


async def test_of_several_only_the_one_that_is_known_already_is_told_so(
    database: Database, uow: PostgresUnitOfWork, shop_url: str
) -> None:
    known, *others = deliveries(5)
    await store(uow, known)
    before = database.round_trips
    again = ROWS.webhook(dedupe_key=known.dedupe_key)
    ends = await store_all(uow, [*others[:2], again, *others[2:]])
    assert [type(each) for each in ends] == [type(None), type(None), Duplicate, *[type(None)] * 2]
    assert database.round_trips == before + 1
    assert stored(shop_url) == ids([known, *others])


async def test_of_the_same_body_twice_at_once_one_is_stored(
    uow: PostgresUnitOfWork, shop_url: str
) -> None:
    first = ROWS.webhook()
    ends = await store_all(uow, [first, ROWS.webhook(dedupe_key=first.dedupe_key)])
    assert [type(each) for each in ends] == [type(None), Duplicate]
    assert stored(shop_url) == [first.id]


async def test_what_is_known_gets_no_second_job(uow: PostgresUnitOfWork, shop_url: str) -> None:
    known = ROWS.webhook()
    await store(uow, known)
    await store_all(uow, [ROWS.webhook(dedupe_key=known.dedupe_key) for _ in range(3)])
    with psycopg.connect(shop_url) as connection:
        assert connection.execute("SELECT ref FROM jobs").fetchall() == [(known.id,)]


async def test_forged_ones_never_count_as_known(uow: PostgresUnitOfWork) -> None:
    good = ROWS.webhook()
    forged = [ROWS.webhook(dedupe_key=good.dedupe_key, signature_ok=False) for _ in range(2)]
    assert await store_all(uow, [forged[0], good, forged[1]]) == [None] * 3


async def test_what_the_database_refuses_is_told_to_whom_it_belongs(
    uow: PostgresUnitOfWork, shop_url: str
) -> None:
    good = deliveries(3)
    ends = await store_all(uow, [good[0], ROWS.webhook(subject="a\x00b"), *good[1:]])
    assert [type(each) for each in ends] == [type(None), StoreFault, type(None), type(None)]
    assert stored(shop_url) == ids(good)


async def test_who_gave_up_before_it_was_sent_is_not_written(
    uow: PostgresUnitOfWork, shop_url: str
) -> None:
    gone, stays = deliveries(2)
    tasks = [asyncio.create_task(store(uow, each)) for each in (gone, stays)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.wait(tasks)
    assert (tasks[0].cancelled(), tasks[1].exception()) == (True, None)
    assert stored(shop_url) == [stays.id]


async def test_where_too_many_wait_the_next_are_told_to_come_again(
    uow: PostgresUnitOfWork, shop_url: str
) -> None:
    came = deliveries(MAX_WAITING + 3)
    ends = await store_all(uow, came)
    assert [type(each) for each in ends[MAX_WAITING:]] == [StoreUnavailable] * 3
    assert stored(shop_url) == ids(came[:MAX_WAITING])
    assert await store_all(uow, came[MAX_WAITING:]) == [None] * 3


async def test_while_the_database_is_away_all_are_told_so_and_later_ones_are_written(
    shop_url: str,
) -> None:
    server = conninfo_to_dict(shop_url)
    port, host = int(server.get("port") or 5432), str(server["host"])
    with open_proxies() as proxies:
        proxy = proxies.open(Path(host) / f".s.PGSQL.{port}" if host.startswith("/") else port)
        through = psycopg.conninfo.make_conninfo(
            shop_url, host="127.0.0.1", port=proxy.port, sslmode="disable", gssencmode="disable"
        )
        async with open_database(through, Limits()) as database:
            uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=12)
            first, *lost = deliveries(4)
            await store(uow, first)
            proxy.turn("cut")
            ends = await store_all(uow, lost)
            assert [type(each) for each in ends] == [StoreUnavailable] * 3
            proxy.turn("pass")
            assert await store_all(uow, lost) == [None] * 3
    assert stored(shop_url) == ids([first, *lost])


def test_only_new_deliveries_and_their_jobs_stand_alone() -> None:
    webhook = ROWS.webhook()
    alone = taking_in(webhook)
    line = AuditEntry(at=utc_now(), actor="a", action="b", subject="c")
    found = delivery(alone)
    assert found is not None
    assert found.webhook == insert(webhook).after
    for other in (
        Decision(),
        Decision(jobs=alone.jobs),
        Decision(save=alone.save, jobs=(JobRequest(kind="apply_payment", ref="another"),)),
        Decision(save=(update(insert(webhook).after, classification="applied"),)),
        Decision(save=(*alone.save, insert(ROWS.email()))),
        Decision(save=alone.save, audit=(line,)),
        Decision(save=alone.save, remove=(insert(webhook).after,)),
    ):
        assert delivery(other) is None
