"""The database works prices out as the domain does, and refuses one below its floor."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from bitloot.domain.limits import Limits
from bitloot.domain.money import BadMoney
from bitloot.domain.price_derivation import derive
from bitloot.domain.pricing_rules import AppliedRule, Rounding, RuleKind
from bitloot.testing.rows import Rows, stocked
from bitloot_adapters.clock import new_id
from bitloot_adapters.postgres.pool import open_database
from bitloot_adapters.postgres.price_statements import STEPS
from bitloot_adapters.postgres.statements import DIALECT
from bitloot_adapters.postgres.unit_of_work import PostgresUnitOfWork
from bitloot_web.devservices import Databases

CASES = 60
ASKED = f"""
    WITH facts AS (
        SELECT * FROM json_to_recordset(CAST(:facts AS json)) AS f(place integer, cost numeric,
            previous numeric, kind text, value numeric, cap numeric, rounding text,
            is_signed boolean)
    ), {STEPS}
    SELECT place, price, cost_floor, is_loss_signed FROM priced ORDER BY place
"""


class Case(msgspec.Struct, frozen=True):
    """What a price is made from."""

    cost: Decimal | None
    previous: Decimal | None
    rule: AppliedRule | None


def eur(largest: int = 100_000) -> st.SearchStrategy[Decimal]:
    cents = st.integers(0, largest * 100).map(lambda each: Decimal(each) / 100)
    fine = st.integers(0, largest * 10**8).map(lambda each: Decimal(each).scaleb(-8))
    edges = st.sampled_from([Decimal("0.98"), Decimal("0.99"), Decimal(1), Decimal("9.95")])
    return st.one_of(cents, fine, edges)


@st.composite
def rules(draw: st.DrawFn) -> AppliedRule:
    kind: RuleKind = draw(st.sampled_from(["margin", "fixed", "override"]))
    rounding: Rounding = draw(st.sampled_from(["cent", "99", "95", "whole"]))
    return AppliedRule(
        id="r",
        version=1,
        scope="global",
        kind=kind,
        value=draw(eur(10) if kind == "margin" else eur()),
        cap=draw(st.none() | eur().filter(lambda each: each >= Decimal("0.01"))),
        rounding=rounding,
        loss_signed_by=draw(st.none() | st.just("admin")) if kind == "override" else None,
    )


CASE = st.builds(Case, st.none() | eur(), st.none() | eur(), st.none() | rules())
FEES = st.one_of(
    st.sampled_from([Decimal(0), Decimal("0.01"), Decimal("0.005"), Decimal("0.99999999")]),
    st.integers(0, 10**8 - 1).map(lambda each: Decimal(each).scaleb(-8)),
)


@pytest.fixture(scope="module")
def connection(
    postgres_server: Databases, shop_template: str
) -> Iterator[psycopg.Connection[psycopg.rows.TupleRow]]:
    url = postgres_server.create_database("prices_in_sql", shop_template)
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        yield connection
    postgres_server.drop_database("prices_in_sql")


def asked(
    connection: psycopg.Connection[psycopg.rows.TupleRow], cases: list[Case], fee: Decimal
) -> list[tuple[object, ...]]:
    rows = [
        {
            "place": place,
            "cost": case.cost,
            "previous": case.previous,
            "is_signed": case.rule is not None and case.rule.is_loss_signed,
            **({} if case.rule is None else msgspec.structs.asdict(case.rule)),
        }
        for place, case in enumerate(cases)
    ]
    written = text(ASKED).compile(dialect=DIALECT)
    given_values = {"facts": msgspec.json.encode(rows).decode(), "fee": fee}
    names = getattr(written, "positiontup", None) or []
    cursor = connection.execute(str(written).encode(), [given_values[name] for name in names])
    return [row[1:] for row in cursor.fetchall()]


@settings(max_examples=200)
@given(cases=st.lists(CASE, min_size=1, max_size=CASES), fee=FEES)
def test_the_price_of_the_database_is_that_of_the_domain(
    connection: psycopg.Connection[psycopg.rows.TupleRow], cases: list[Case], fee: Decimal
) -> None:
    for case, found in zip(cases, asked(connection, cases, fee), strict=True):
        try:
            said = derive(case.cost, fee, case.rule, case.previous)
        except BadMoney:
            continue
        assert found == (said.price, said.floor, said.is_loss_signed), case


async def test_the_database_refuses_a_price_below_its_floor(shop_url: str) -> None:
    async with await psycopg.AsyncConnection.connect(shop_url) as connection:
        await connection.execute("""
            INSERT INTO products (id, version, slug, title, source, description, genres, tags,
                languages, developers, publishers, system_requirements, excluded_countries, pinned,
                is_preorder, hides_when_sold_out, is_published, created_at, updated_at)
            VALUES (gen_random_uuid(), 1, 'game', 'Game', 'supplier', '', '{}', '{}', '{}', '{}',
                '{}', '[]', '{}', '{}', false, false, true, now(), now())
        """)
        await connection.commit()
        listing = """
            INSERT INTO listings (id, version, is_listed, is_available, price, floor,
                is_loss_signed, rank, source, updated_at)
            SELECT id, 1, true, true, 9.09, 9.10, false, 0, source, now() FROM products
        """
        with pytest.raises(psycopg.errors.CheckViolation) as refused:
            await connection.execute(listing)
        assert refused.value.diag.constraint_name == "listings_not_below_floor"
        await connection.rollback()
        await connection.execute(listing.replace("9.09", "9.10"))
        with pytest.raises(psycopg.errors.CheckViolation):
            await connection.execute("UPDATE listings SET price = 9.09")
    await asyncio.sleep(0)


async def test_the_database_refuses_an_order_below_its_floor(shop_url: str) -> None:
    rows = Rows(clock=lambda: datetime.now(UTC), new_id=new_id)
    goods = rows.goods()
    purchase = rows.purchase(goods)
    limits = Limits()
    async with open_database(shop_url, limits) as database:
        uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=limits.job_attempts)
        async with uow.begin() as tx:
            await tx.record(stocked(goods))
        async with uow.begin() as tx:
            await tx.record(purchase.placing())
    line = b"""
        INSERT INTO order_items SELECT (jsonb_populate_record(i, jsonb_build_object('id',
            gen_random_uuid(), 'item_no', 2, 'unit_price', i.unit_floor - 0.01))).*
        FROM order_items i
    """
    async with await psycopg.AsyncConnection.connect(shop_url) as connection:
        for below in (line, b"UPDATE order_items SET unit_price = unit_floor - 0.01"):
            with pytest.raises(psycopg.errors.CheckViolation) as refused:
                await connection.execute(below)
            assert refused.value.diag.constraint_name == "order_items_not_below_floor"
            await connection.rollback()
        await connection.execute(line.replace(b" - 0.01", b""))
