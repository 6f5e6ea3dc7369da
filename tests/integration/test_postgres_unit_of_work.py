"""How the store speaks to PostgreSQL: few round trips, no lost connection, no leaked value."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TextIO

import msgspec
import psycopg
import pytest

from bitloot.domain.decision import (
    AuditEntry,
    Decision,
    Event,
    JobRequest,
    as_folded,
    fold,
    insert,
    row_name,
    update,
)
from bitloot.domain.idempotency import Once
from bitloot.domain.limits import Limits
from bitloot.domain.order import Order
from bitloot.ports.errors import Conflict, Duplicate, NoStockLeft, StoreUnavailable
from bitloot.ports.jobs import Done
from bitloot.testing.rows import Goods, Purchase, Rows, stocked
from bitloot_adapters.clock import boot_seconds, new_id, utc_now
from bitloot_adapters.postgres.faults import StoreFault
from bitloot_adapters.postgres.jobs import PostgresJobs
from bitloot_adapters.postgres.pool import Database, open_database
from bitloot_adapters.postgres.record import statement_of
from bitloot_adapters.postgres.session import in_transaction
from bitloot_adapters.postgres.unit_of_work import PostgresUnitOfWork

ONE_CONNECTION = Limits(database_pool=1)
ROWS = Rows(clock=utc_now, new_id=new_id)


@pytest.fixture
async def database(shop_url: str) -> AsyncIterator[Database]:
    async with open_database(shop_url, ONE_CONNECTION) as database:
        yield database


@pytest.fixture
def uow(database: Database) -> PostgresUnitOfWork:
    return PostgresUnitOfWork(database, new_id=new_id, max_attempts=12)


@pytest.fixture
def jobs(database: Database) -> PostgresJobs:
    return PostgresJobs(database, limits=ONE_CONNECTION, new_id=new_id, boot_clock=boot_seconds)


async def record(uow: PostgresUnitOfWork, decision: Decision) -> None:
    async with uow.begin() as tx:
        await tx.record(decision)


async def on_sale(uow: PostgresUnitOfWork, stock: int = 10) -> Goods:
    goods = ROWS.goods(stock=stock)
    await record(uow, stocked(goods))
    return goods


async def placed(uow: PostgresUnitOfWork) -> Purchase:
    purchase = ROWS.purchase(await on_sale(uow))
    await record(uow, purchase.placing())
    return purchase


def remarked(order: Order) -> Decision:
    return Decision(
        save=(update(order, remarks=("manual",)),),
        events=(Event(kind="remark_added", at=utc_now(), subject=order.id),),
        audit=(AuditEntry(at=utc_now(), actor="admin", action="remark", subject=order.id),),
        order_id=order.id,
    )


def end_every_connection(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


# --- round trips -----------------------------------------------------------------------------


async def test_a_decision_alone_is_one_round_trip(
    database: Database, uow: PostgresUnitOfWork
) -> None:
    purchase = ROWS.purchase(await on_sale(uow))
    before = database.round_trips
    await record(uow, purchase.placing())
    assert database.round_trips - before == 1


async def test_a_whole_order_read_and_changed_is_two_round_trips(
    database: Database, uow: PostgresUnitOfWork
) -> None:
    purchase = await placed(uow)
    before = database.round_trips
    async with uow.begin() as tx:
        file = await tx.orders.file(purchase.order.id)
        assert file is not None
        await tx.record(remarked(file.order))
    assert database.round_trips - before == 2


async def test_placing_an_order_is_three_round_trips_with_its_idempotency_key(
    database: Database, uow: PostgresUnitOfWork
) -> None:
    goods = await on_sale(uow)
    purchase = ROWS.purchase(goods)
    quote = msgspec.structs.replace(purchase.quote, used_by=None)
    await record(uow, Decision(save=(insert(quote),)))
    before = database.round_trips
    async with uow.begin() as tx:
        once = Once(route="r", caller="c", key="k", request_hash="h")
        assert await tx.checkout.once(once) is None
        placing = await tx.checkout.placing(
            quote.id, email_person="buyer@shop.example", placed_from="192.0.2.7"
        )
        assert placing is not None
        assert placing.quote.id == quote.id
        assert [s.product.id for s in placing.sellables] == [goods.product.id]
        assert placing.sellables[0].offer is not None
        assert placing.backlog_seconds == 0
        order = purchase.placing()
        saved = tuple(c for c in order.save if type(c.after) is not type(quote))
        await tx.record(
            Decision(
                save=(update(placing.quote, used_by=purchase.order.id), *saved),
                events=order.events,
                order_id=order.order_id,
            )
        )
    assert database.round_trips - before == 3


async def test_a_job_is_leased_and_ended_in_one_round_trip_each(
    database: Database, uow: PostgresUnitOfWork, jobs: PostgresJobs
) -> None:
    await record(uow, Decision(jobs=(JobRequest(kind="sweep", ref="one"),)))
    before = database.round_trips
    (job_id,) = await jobs.claim_due(10)
    lease = await jobs.lease(job_id)
    assert lease is not None
    async with uow.begin() as tx:
        await tx.record(Decision(save=(insert(ROWS.email()),)), lease=lease, outcome=Done())
    assert database.round_trips - before == 3


async def test_a_transaction_that_asks_nothing_sends_nothing(
    database: Database, uow: PostgresUnitOfWork
) -> None:
    before = database.round_trips
    async with uow.begin():
        pass
    await record(uow, Decision())
    assert database.round_trips == before


@pytest.fixture
def trace(tmp_path: Path) -> Iterator[TextIO]:
    with (tmp_path / "trace").open("w+") as file:
        yield file


async def test_the_count_of_round_trips_is_what_the_wire_shows(
    database: Database, uow: PostgresUnitOfWork, trace: TextIO
) -> None:
    purchase = await placed(uow)
    async with database.lent() as connection:
        connection.pgconn.trace(trace.fileno())
    before = database.round_trips
    async with uow.begin() as tx:
        found = await tx.orders.file(purchase.order.id)
        assert found is not None
        await tx.record(remarked(found.order))
    counted = database.round_trips - before
    async with database.lent() as connection:
        connection.pgconn.untrace()
    trace.seek(0)
    # libpq sends one Sync (or one simple Query) for each answer that it then waits for.
    sent = [line.split("\t") for line in trace.read().splitlines()]
    asked = [parts for parts in sent if "F" in parts and {"Sync", "Query"} & set(parts)]
    assert len(asked) == counted == 2


async def test_decisions_of_one_shape_are_one_statement(uow: PostgresUnitOfWork) -> None:
    await placed(uow)
    before = statement_of.cache_info()
    await placed(uow)
    after = statement_of.cache_info()
    assert after.misses == before.misses
    assert after.hits > before.hits


async def test_the_rows_of_an_order_read_exactly_as_its_events_tell_them(
    database: Database, uow: PostgresUnitOfWork
) -> None:
    purchase = await placed(uow)
    order = purchase.order
    payment = ROWS.payment(order, actually_paid=Decimal("0.00020833"), valid_until=utc_now())
    fulfilment = ROWS.fulfilment(purchase.item, tried_offers=("o1", "o2"))
    attempt = ROWS.attempt(fulfilment, cost=Decimal("1E+1"))
    await record(
        uow,
        Decision(
            save=(
                *map(insert, (payment, fulfilment, attempt, ROWS.hold(order))),
                update(await order_of(uow, order.id), paid_over=Decimal("0.5000")),
            ),
            events=(Event(kind="order_paid", at=utc_now(), subject=order.id),),
            order_id=order.id,
        ),
    )
    await record(uow, remarked(await order_of(uow, order.id)))
    async with uow.begin() as tx:
        file = await tx.orders.file(order.id)
    assert file is not None
    rows = (
        file.order,
        *file.items,
        *file.payments,
        *file.reservations,
        *file.fulfilments,
        *file.attempts,
        *file.holds,
    )
    told = fold(await events_of(database, order.id))
    assert told == {row_name(row): as_folded(row) for row in rows}


async def order_of(uow: PostgresUnitOfWork, order_id: str) -> Order:
    async with uow.begin() as tx:
        file = await tx.orders.file(order_id)
    assert file is not None
    return file.order


async def events_of(database: Database, order_id: str) -> list[Event]:
    async with database.lent() as connection:
        cursor = await connection.execute(
            "SELECT kind, at, subject, seq, changes FROM events WHERE order_id = $1", [order_id]
        )
        rows = await cursor.fetchall()
    return [
        Event(kind=kind, at=at, subject=subject, seq=seq, changes=msgspec.json.decode(changes))
        for kind, at, subject, seq, changes in rows
    ]


# --- what is open ----------------------------------------------------------------------------


async def test_a_task_knows_whether_its_transaction_is_open(uow: PostgresUnitOfWork) -> None:
    assert not in_transaction()
    async with uow.begin() as tx:
        assert in_transaction()
        assert await asyncio.create_task(_told())
        await tx.record(Decision(save=(insert(ROWS.email()),)))
        assert not in_transaction()
    async with uow.begin():
        assert in_transaction()
    assert not in_transaction()


async def _told() -> bool:
    return in_transaction()


async def test_a_cancelled_transaction_gives_its_connection_back(
    database: Database, uow: PostgresUnitOfWork
) -> None:
    purchase = await placed(uow)
    reading = asyncio.Event()

    async def stuck() -> None:
        async with uow.begin() as tx:
            await tx.orders.file(purchase.order.id)
            reading.set()
            await asyncio.sleep(60)

    task = asyncio.create_task(stuck())
    await reading.wait()
    task.cancel()
    await asyncio.wait([task])
    async with uow.begin() as tx:
        assert await tx.orders.file(purchase.order.id) is not None


async def test_waiting_for_a_lock_can_be_cancelled_and_leaves_the_connection_whole(
    shop_url: str,
) -> None:
    async with open_database(shop_url, Limits(database_pool=2)) as database:
        uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=12)
        order_id = (await placed(uow)).order.id
        async with uow.begin() as tx:
            await tx.orders.file(order_id)
            waiting = asyncio.create_task(order_of(uow, order_id))
            await asyncio.sleep(0.1)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert waiting.cancelled()
            await record(uow, Decision(save=(insert(ROWS.email()),)))
        assert (await order_of(uow, order_id)).id == order_id


# --- what goes wrong -------------------------------------------------------------------------


async def test_a_connection_that_the_server_closed_is_replaced_before_it_is_used(
    shop_url: str, database: Database, uow: PostgresUnitOfWork
) -> None:
    purchase = await placed(uow)
    end_every_connection(shop_url)
    await record(uow, Decision(save=(insert(ROWS.email()),)))
    end_every_connection(shop_url)
    async with uow.begin() as tx:
        assert await tx.orders.file(purchase.order.id) is not None


async def test_a_connection_that_breaks_inside_a_transaction_is_told(
    shop_url: str, uow: PostgresUnitOfWork
) -> None:
    purchase = await placed(uow)
    async with uow.begin() as tx:
        file = await tx.orders.file(purchase.order.id)
        assert file is not None
        end_every_connection(shop_url)
        with pytest.raises(StoreUnavailable):
            await tx.record(remarked(file.order))
    async with uow.begin() as tx:
        file = await tx.orders.file(purchase.order.id)
    assert file is not None
    assert file.order.remarks == ()


async def test_an_exhausted_pool_is_told_and_not_waited_for(shop_url: str) -> None:
    limits = msgspec.structs.replace(
        ONE_CONNECTION, database_wait=ONE_CONNECTION.database_wait / 10
    )
    async with open_database(shop_url, limits) as database, database.lent():
        uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=12)
        with pytest.raises(StoreUnavailable):
            await record(uow, Decision(save=(insert(ROWS.email()),)))


async def test_a_lock_that_is_not_given_is_told_and_not_waited_for(shop_url: str) -> None:
    limits = Limits(database_pool=2, database_lock=timedelta(milliseconds=100))
    async with open_database(shop_url, limits) as database:
        uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=12)
        order_id = (await placed(uow)).order.id
        async with uow.begin() as tx:
            await tx.orders.file(order_id)
            with pytest.raises(StoreUnavailable):
                await asyncio.create_task(order_of(uow, order_id))
        assert (await order_of(uow, order_id)).id == order_id


async def test_a_server_that_is_away_is_told_and_found_again(postgres_server: object) -> None:
    limits = msgspec.structs.replace(
        ONE_CONNECTION, database_wait=ONE_CONNECTION.database_wait / 10
    )
    async with open_database("postgresql:///x?host=/nowhere/at/all", limits) as database:
        uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=12)
        with pytest.raises(StoreUnavailable):
            await record(uow, Decision(save=(insert(ROWS.email()),)))


async def test_no_error_of_the_store_carries_what_was_written(uow: PostgresUnitOfWork) -> None:
    secret = "hunter2-serial"
    first = ROWS.sealed_key(fingerprint=secret)
    await record(uow, Decision(save=(insert(first),)))
    with pytest.raises(Duplicate) as refused:
        await record(uow, Decision(save=(insert(ROWS.sealed_key(fingerprint=secret)),)))
    wrong = msgspec.structs.replace(ROWS.sealed_key(), supplier=secret, size=-1)
    with pytest.raises(StoreFault) as bug:
        await record(uow, Decision(save=(insert(wrong),)))
    for error in (refused.value, bug.value):
        assert secret not in repr(error)
        assert error.__cause__ is None
        assert error.__suppress_context__
    assert "sealed_keys_size" in repr(bug.value)


async def test_a_row_written_twice_by_one_decision_is_a_bug(uow: PostgresUnitOfWork) -> None:
    email = ROWS.email()
    with pytest.raises(ValueError, match="twice"):
        await record(uow, Decision(save=(insert(email), insert(email))))


async def test_an_id_that_is_none_names_nothing(uow: PostgresUnitOfWork) -> None:
    async with uow.begin() as tx:
        assert await tx.orders.file("1 OR 1=1") is None
        assert await tx.orders.order_of("payment", "nonsense") is None
        assert await tx.grants.get("nonsense") is None
        assert await tx.inbox.webhook("nonsense") is None
        assert await tx.checkout.sellables(["nonsense"]) == ()
        assert (await tx.checkout.placing("nonsense", email_person="a", placed_from="b")) is None


async def test_prepared_statements_can_be_switched_off(shop_url: str) -> None:
    async with open_database(shop_url, ONE_CONNECTION, prepared_statements=False) as database:
        uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=12)
        for _ in range(8):
            await record(uow, Decision(save=(insert(ROWS.email()),)))
        (rows,) = [await _prepared(database)]
        assert rows == 0


async def test_statements_are_prepared_by_the_server_after_some_uses(database: Database) -> None:
    uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=12)
    for _ in range(8):
        await record(uow, Decision(save=(insert(ROWS.email()),)))
    assert await _prepared(database) > 0


async def _prepared(database: Database) -> int:
    async with database.lent() as connection:
        cursor = await connection.execute("SELECT count(*) FROM pg_prepared_statements")
        row = await cursor.fetchone()
    assert row is not None
    return int(row[0])


# --- counters under load ---------------------------------------------------------------------


async def test_counters_of_offers_stay_exact_when_many_buy_several_products_at_once(
    shop_url: str,
) -> None:
    async with open_database(shop_url, Limits()) as database:
        uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=12)
        goods = [await on_sale(uow, stock=8) for _ in range(3)]

        async def buy(turn: int) -> bool:
            chosen = goods[turn % 3 :] + goods[: turn % 3]
            while True:
                try:
                    await record(uow, ROWS.purchase(*chosen).placing())
                except NoStockLeft:
                    return False
                except Conflict:
                    continue
                return True

        got = await asyncio.gather(*(buy(turn) for turn in range(24)))
        assert sum(got) == 8
        (rows,) = [await _counters(database)]
        assert rows == [(8, 8)] * 3


async def _counters(database: Database) -> list[tuple[object, ...]]:
    async with database.lent() as connection:
        cursor = await connection.execute("SELECT stock, held FROM product_offers")
        return list(await cursor.fetchall())
