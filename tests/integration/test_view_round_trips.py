"""What a view costs: one statement each, and an index for whatever is asked often."""

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import psycopg
import pytest
from psycopg import sql

from bitloot.domain.limits import Limits
from bitloot.ports.views.catalog import CatalogViews, ShelfQuery
from bitloot.ports.views.desk import DeskViews
from bitloot.ports.views.orders import OrderViews
from bitloot.ports.views.people import PeopleViews, UserFilter
from bitloot_adapters.postgres.lending import Connection
from bitloot_adapters.postgres.pool import Database, open_database
from bitloot_adapters.postgres.statements import Question, Rows
from bitloot_adapters.postgres.views.catalog import PostgresCatalogViews
from bitloot_adapters.postgres.views.desk import PostgresDeskViews
from bitloot_adapters.postgres.views.orders import PostgresOrderViews
from bitloot_adapters.postgres.views.people import PostgresPeopleViews

ROWS = 20_000
FEWER = 5_000
# One of everything that hangs on an order; what a foreign key names need not be there.
FILLED = (
    """
    INSERT INTO products (id, version, slug, title, source, description, excluded_countries,
        genres, tags, languages, developers, publishers, system_requirements, pinned,
        is_preorder, hides_when_sold_out, is_published, created_at, updated_at)
    SELECT md5('product' || n)::uuid, 1, 'product-' || lpad(n::text, 6, '0'), 'A game', 'supplier',
        '', '{}', '{}', '{}', '{}', '{}', '{}', '[]', '{}', false, false, true, now(), now()
    FROM generate_series(1, %(fewer)s) n
    """,
    """
    INSERT INTO listings (id, version, is_listed, is_available, price, floor, is_loss_signed, rank,
        source, updated_at)
    SELECT md5('product' || n)::uuid, 1, true, true, 12.5, 9.1, false, 0, 'supplier', now()
    FROM generate_series(1, %(fewer)s) n
    """,
    """
    INSERT INTO product_offers (id, version, product_id, supplier, supplier_product_id, offer_id,
        cost, stock, held, wholesale, updated_at)
    SELECT md5('offer' || n)::uuid, 1, md5('product' || n)::uuid, 'supplier', 'sp' || n, 'o' || n,
        9, 5, 0, '[]', now() FROM generate_series(1, %(fewer)s) n
    """,
    """
    INSERT INTO orders (id, version, number, quote_id, email, email_key, email_person,
        placed_from, source, status, remarks, total, gateway_fee, created_at, window_ends_at,
        paid_at, settled_by, completion_mailed, event_seq)
    SELECT md5('order' || n)::uuid, 1, 'BL' || n, md5('quote' || n)::uuid, 'a@b.example',
        'a' || n, 'a' || n, '192.0.2.1', 'supplier', 'paid', '{}', 12.5, 0.01, now(), now(), now(),
        md5('payment' || n)::uuid, false, 2 FROM generate_series(1, %(rows)s) n
    """,
    """
    INSERT INTO order_items (id, version, order_id, item_no, product_id, title, source, supplier,
        quantity, unit_price, unit_cost, unit_floor, is_preorder, is_wholesale)
    SELECT md5('item' || n)::uuid, 1, md5('order' || n)::uuid, 1, md5('product' || n)::uuid,
        'A game', 'supplier', 'supplier', 1, 12.5, 9, 9.1, false, false
    FROM generate_series(1, %(rows)s) n
    """,
    """
    INSERT INTO payments (id, version, order_id, gateway, gateway_payment_id, status, rank,
        price_amount, price_currency, pay_currency, is_fixed_rate, is_linked, call_answered,
        created_at, updated_at)
    SELECT md5('payment' || n)::uuid, 1, md5('order' || n)::uuid, 'gateway', 'gp' || n, 'finished',
        60, 12.5, 'eur', 'btc', false, false, true, now(), now()
    FROM generate_series(1, %(rows)s) n
    """,
    """
    INSERT INTO fulfilments (id, version, order_id, order_item_id, item_no, part, slots, supplier,
        own_stock, max_unit_price, state, round, gen, rebuys, tried_offers, created_at, updated_at)
    SELECT md5('part' || n)::uuid, 1, md5('order' || n)::uuid, md5('item' || n)::uuid, 1, 1, '{1}',
        'supplier', false, 12, 'delivered', 1, 1, 0, '{}', now(), now()
    FROM generate_series(1, %(fewer)s) n
    """,
    """
    INSERT INTO sealed_keys (id, version, order_id, order_item_id, slot, fulfilment_id, supplier,
        content_type, fingerprint, wrapped_dek, kek_id, nonce, sha256, size, object_name, state,
        downloads, created_at)
    SELECT md5('key' || n)::uuid, 1, md5('order' || n)::uuid, md5('item' || n)::uuid, 1,
        md5('part' || n)::uuid, 'supplier', 'text/plain', 'f' || n, '', 'kek', '', '', 1, 'k' || n,
        'live', 0, now() FROM generate_series(1, %(fewer)s) n
    """,
    """
    INSERT INTO holds (id, version, order_id, subject, subject_id, reason, state, opened_at)
    SELECT md5('hold' || n)::uuid, 1, md5('order' || n)::uuid, 'order', md5('order' || n)::uuid,
        'paid_late', 'accepted', now() FROM generate_series(1, %(fewer)s) n
    """,
    """
    INSERT INTO ledger_lines (id, version, order_id, entry, account, amount, at)
    SELECT md5('line' || n)::uuid, 1, md5('order' || n)::uuid, 'sale/' || md5('order' || n)::uuid,
        'sale', 1, now() FROM generate_series(1, %(fewer)s) n
    """,
    """
    INSERT INTO events (order_id, seq, kind, at, subject, facts, changes)
    SELECT md5('order' || n)::uuid, 1, 'order_paid', now(), 'x', '{}', '{}'
    FROM generate_series(1, %(rows)s) n
    """,
    """
    INSERT INTO users (id, version, email, email_key, roles, state, created_at)
    SELECT md5('user' || n)::uuid, 1, 'a' || n, 'a' || n,
        CASE n WHEN 777 THEN '{support}'::text[] ELSE '{}' END, 'active', now()
    FROM generate_series(1, %(fewer)s) n
    """,
    """
    INSERT INTO sessions (id, version, user_id, created_at, generation, rotated_at, expires_at,
        user_agent, address)
    SELECT md5('session' || n)::uuid, 1, md5('user' || n)::uuid, now(), 1, now(),
        now() + interval '7 days', '', '' FROM generate_series(1, %(fewer)s) n
    """,
    """
    INSERT INTO api_keys (id, version, name, prefix, digest, scopes, created_by, created_at)
    SELECT md5('machine' || n)::uuid, 1, 'A machine', 'p' || n, 'd' || n, '{orders.read}',
        md5('user' || n)::uuid, now() FROM generate_series(1, %(fewer)s) n
    """,
    """
    INSERT INTO order_claims (id, version, user_id, at)
    SELECT md5('order' || n)::uuid, 1, md5('user' || n %% 999)::uuid, now()
    FROM generate_series(1, %(fewer)s) n
    """,
    """
    INSERT INTO account_deletions (id, version, user_id, requested_at, due_at, state)
    SELECT md5('deletion' || n)::uuid, 1, md5('user' || n)::uuid, now(), now(), 'requested'
    FROM generate_series(1, %(fewer)s) n
    """,
    """
    INSERT INTO recoveries (id, version, user_id, new_email, new_key, proofs, opened_by, opened_at,
        ready_at, state)
    SELECT md5('recovery' || n)::uuid, 1, md5('user' || n)::uuid, 'b', 'b', '[]', 'x', now(), now(),
        'completed' FROM generate_series(1, %(fewer)s) n
    """,
    """
    INSERT INTO email_changes (id, version, user_id, new_email, new_key, current_challenge,
        new_challenge, created_at, expires_at, state)
    SELECT md5('change' || n)::uuid, 1, md5('user' || n)::uuid, 'b', 'b', md5('c' || n)::uuid,
        md5('d' || n)::uuid, now(), now(), 'done' FROM generate_series(1, %(fewer)s) n
    """,
    """
    INSERT INTO emails (id, version, key, kind, "to", to_key, state, provider, provider_key,
        first_try_at, created_at)
    SELECT md5('mail' || n)::uuid, 1, 'k' || n, 'order-ready', 'a' || n, 'a' || n, 'sent', 'm',
        'k' || n, now(), now() FROM generate_series(1, %(fewer)s) n
    """,
)
LIMITS = Limits()
NOW = datetime.now(UTC)


class WatchedDatabase(Database):
    """Remembers every statement that it was asked to run."""

    questions: Sequence[Question] = ()

    async def send(
        self,
        connection: Connection,
        questions: Sequence[Question],
        *,
        patience: float | None = None,
    ) -> list[Rows]:
        self.questions = (*self.questions, *questions)
        return await super().send(connection, questions, patience=patience)


class Shop(msgspec.Struct, frozen=True):
    """A filled database and its views."""

    url: str
    database: WatchedDatabase
    orders: OrderViews
    catalog: CatalogViews
    desk: DeskViews
    people: PeopleViews
    order_id: str
    product_id: str
    user_id: str
    session_id: str

    async def asked(self, ask: Callable[["Shop"], Awaitable[object]]) -> list[Question]:
        """The statements of one question to a view."""
        self.database.questions = ()
        await ask(self)
        return list(self.database.questions)

    async def scanned(self, question: Question) -> set[str]:
        """The tables that the plan of a statement reads from end to end."""
        async with await psycopg.AsyncConnection.connect(self.url) as connection:
            answer = await connection.execute(b"EXPLAIN (FORMAT JSON) " + _written_out(question))
            row = await answer.fetchone()
        assert row is not None
        return set(_sequential(row[0]))


def _written_out(question: Question) -> bytes:
    """The statement with its values in the text: EXPLAIN takes no parameters."""
    values = question.parameters or ()

    def value(found: re.Match[str]) -> str:
        return sql.Literal(values[int(found[1]) - 1]).as_string()

    return re.sub(r"\$(\d+)", value, question.statement.sql.decode()).encode()


def _sequential(plan: object) -> list[str]:
    match plan:
        case list():
            return [name for each in plan for name in _sequential(each)]
        case dict():
            own = [str(plan["Relation Name"])] if plan.get("Node Type") == "Seq Scan" else []
            return own + [name for each in plan.values() for name in _sequential(each)]
        case _:
            return []


HOT: dict[str, Callable[[Shop], Awaitable[object]]] = {
    "order": lambda shop: shop.orders.order(shop.order_id),
    "deliveries": lambda shop: shop.orders.deliveries(shop.order_id),
    "receipt": lambda shop: shop.orders.receipt(shop.order_id),
    "timeline": lambda shop: shop.orders.timeline(shop.order_id, after=0, limit=9, kinds=None),
    "buyer_timeline": lambda shop: shop.orders.buyer_timeline(shop.order_id, after=0, limit=9),
    "product": lambda shop: shop.catalog.product("product-000777"),
    "products": lambda shop: shop.catalog.products(ShelfQuery(in_stock=True), limit=20, after=None),
    "filters": lambda shop: shop.catalog.filters(),
    "group": lambda shop: shop.catalog.group("variants"),
    "sellables": lambda shop: shop.catalog.sellables([shop.product_id]),
    "order_id_of_number": lambda shop: shop.desk.order_id_of_number("BL777"),
    "file": lambda shop: shop.desk.file(shop.order_id),
    "events": lambda shop: shop.desk.events(shop.order_id),
    "ledger": lambda shop: shop.desk.ledger(shop.order_id),
    "orders": lambda shop: shop.desk.orders(limit=20, after=shop.order_id),
    "orders of an address": lambda shop: shop.desk.orders(email_key="a777", limit=20, after=None),
    "holds": lambda shop: shop.desk.holds(limit=20, after=None),
    "session_state": lambda shop: shop.people.session_state(shop.session_id),
    "api_key_state": lambda shop: shop.people.api_key_state("d777"),
    "credentials": lambda shop: shop.people.credentials("a777"),
    "owner_of": lambda shop: shop.people.owner_of(shop.order_id),
    "profile": lambda shop: shop.people.profile(shop.user_id),
    "sessions": lambda shop: shop.people.sessions(shop.user_id, at=NOW),
    "own orders": lambda shop: shop.people.orders(shop.user_id, limit=20, after=None),
    "users": lambda shop: shop.people.users(UserFilter(), limit=20, after=shop.user_id),
    "staff": lambda shop: shop.people.users(UserFilter(role="support"), limit=20, after=None),
    "users of an address": lambda shop: shop.people.users(
        UserFilter(email_key="a777"), limit=20, after=None
    ),
    "api_keys": lambda shop: shop.people.api_keys(limit=20, after=None),
    "recoveries": lambda shop: shop.people.recoveries(shop.user_id),
}
OTHERS: dict[str, Callable[[Shop], Awaitable[object]]] = {
    "webhooks": lambda shop: shop.desk.webhooks(provider="x", limit=20, after=shop.order_id),
    "webhook": lambda shop: shop.desk.webhook(shop.order_id),
    "reservations": lambda shop: shop.desk.reservations(state="held", limit=20, after=None),
    "reservation": lambda shop: shop.desk.reservation(shop.order_id),
    "audit": lambda shop: shop.desk.audit(limit=20, after="9"),
    "audit of an order": lambda shop: shop.desk.audit(order_id=shop.order_id, limit=9, after=None),
    "audit chain": lambda shop: shop.desk.audit_chain(after=9, limit=20),
    "stuck": lambda shop: shop.desk.stuck(limit=5),
    "breaches": lambda shop: shop.desk.breaches(limit=5),
}


@pytest.fixture
async def shop(shop_url: str) -> AsyncIterator[Shop]:
    async with await psycopg.AsyncConnection.connect(shop_url, autocommit=True) as connection:
        await connection.execute("SET session_replication_role = replica")
        for statement in FILLED:
            await connection.execute(statement.encode(), {"rows": ROWS, "fewer": FEWER})
        await connection.execute("ANALYZE")
        ids = await connection.execute(
            "SELECT md5('order777')::uuid::text, md5('product777')::uuid::text,"
            " md5('user777')::uuid::text, md5('session777')::uuid::text"
        )
        found = await ids.fetchone()
    assert found is not None
    async with open_database(shop_url, LIMITS) as opened:
        database = WatchedDatabase(opened._lending, patience=60.0)
        yield Shop(
            shop_url,
            database,
            PostgresOrderViews(database),
            PostgresCatalogViews(database, gateway_fee=Decimal("0.01")),
            PostgresDeskViews(database, limits=LIMITS),
            PostgresPeopleViews(database),
            *found,
        )


async def test_every_view_is_one_statement_and_hot_ones_read_no_table_from_end_to_end(
    shop: Shop,
) -> None:
    scanned: dict[str, set[str]] = {}
    for name, ask in {**HOT, **OTHERS}.items():
        trips = shop.database.round_trips
        questions = await shop.asked(ask)
        assert (name, len(questions)) == (name, 1)
        assert (name, shop.database.round_trips - trips) == (name, 1)
        if name in HOT:
            scanned[name] = await shop.scanned(questions[0])
    # What is empty here has nothing to be read.
    empty = {
        "inventory_keys",
        "invoices",
        "product_group_members",
        "product_groups",
        "product_media",
        "reservations",
        "supplier_attempts",
    }
    assert {name: tables - empty for name, tables in scanned.items() if tables - empty} == {}


async def test_an_export_is_one_round_trip_and_reads_no_table_from_end_to_end(shop: Shop) -> None:
    trips = shop.database.round_trips
    questions = await shop.asked(lambda shop: shop.people.export(shop.user_id, limit=20))
    assert shop.database.round_trips - trips == 1
    assert [await shop.scanned(question) for question in questions] == [set()] * 7


async def test_a_text_that_is_no_id_costs_nothing(shop_url: str) -> None:
    async with open_database(shop_url, LIMITS) as database:
        views = PostgresOrderViews(database)
        assert await views.order("' OR 1=1") is None
        assert database.round_trips == 0


async def test_a_transaction_that_is_left_open_is_a_breach(shop_url: str) -> None:
    quick = msgspec.structs.replace(LIMITS, database_idle_in_transaction=timedelta(milliseconds=50))
    async with (
        open_database(shop_url, LIMITS) as database,
        await psycopg.AsyncConnection.connect(shop_url) as forgotten,
    ):
        desk = PostgresDeskViews(database, limits=quick)
        assert await desk.breaches(limit=9) == ()
        answer = await forgotten.execute("SELECT pg_backend_pid()")
        row = await answer.fetchone()
        assert row is not None
        until = time.monotonic() + 5
        while not (found := await desk.breaches(limit=9)) and time.monotonic() < until:
            pass
        assert [(b.name, b.subject) for b in found] == [("transaction_too_old", str(row[0]))]
