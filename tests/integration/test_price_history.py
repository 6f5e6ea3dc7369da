"""Every price that the database ever made is what comes out of what it keeps."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import psycopg
from sqlalchemy import text
from tests.integration.catalogue_shop import unit_of_work

from bitloot.domain.decision import Change, Decision, insert, update
from bitloot.domain.limits import Limits
from bitloot.domain.money import up_to_cent
from bitloot.domain.price_contexts import PricingTerms
from bitloot.domain.price_derivation import PriceRecord, explain
from bitloot.domain.pricing_rules import PricingRule, RuleTerms, new_rule
from bitloot.ports.catalogue_writer import CatalogueBatch
from bitloot.testing.invented_supplier import InventedSupplier
from bitloot_adapters.clock import new_id
from bitloot_adapters.postgres.catalogue_writer import CatalogueWriter
from bitloot_adapters.postgres.pool import Database, open_database
from bitloot_adapters.postgres.rows import codec
from bitloot_adapters.postgres.statements import ask, compiled

CHANGES = 10_000
PRODUCTS = 250
AT_ONCE = 100
FEE = Decimal("0.01")
DAY = datetime(2026, 3, 1, tzinfo=UTC)
RECORD = codec(PriceRecord)
COSTS = b"""
    UPDATE product_offers o SET cost = c.cost
    FROM json_to_recordset(%s) AS c(place integer, cost numeric), (
        SELECT id, row_number() OVER (ORDER BY supplier_product_id) - 1 AS place FROM product_offers
    ) at
    WHERE o.id = at.id AND at.place = c.place
"""

FIRST_LISTED = b"""
    SELECT p.supplier_product_id FROM listings l JOIN products p ON p.id = l.id
    WHERE l.ctid = '(0,1)' FOR UPDATE OF l
"""
PRICED = "SELECT l.price, o.cost FROM listings l JOIN product_offers o ON o.product_id = l.id"


class Desk:
    """Somebody who writes, changes and takes away rules at random."""

    def __init__(self, chance: random.Random, products: list[tuple[str, str | None]]) -> None:
        self.chance = chance
        self.products = products
        self.rules: dict[str, PricingRule] = {}

    def amount(self, highest: int) -> Decimal:
        places = self.chance.choice([2, 2, 4, 8])
        return Decimal(self.chance.randint(1, highest * 10**places)).scaleb(-places)

    def terms(self) -> RuleTerms:
        product, category = self.chance.choice(self.products)
        scope, subject = self.chance.choice(
            [("global", None), ("category", category or "action"), ("product", product)]
        )
        kind = self.chance.choice(["margin", "fixed", "override"])
        signs = kind == "override" and self.chance.random() < 0.3
        return RuleTerms(
            scope=scope,
            subject=subject,
            kind=kind,
            value=self.amount(3 if kind == "margin" else 60),
            cap=self.chance.choice([None, None, self.amount(80)]),
            rounding=self.chance.choice(["cent", "99", "95", "whole"]),
            priority=self.chance.randint(-2, 2),
            is_enabled=self.chance.random() < 0.8,
            loss_signed_by="ada" if signs else None,
        )

    def decision(self, at: datetime) -> Decision:
        """One rule more, one less, or one with other terms."""
        known = list(self.rules.values())
        if len(known) > 40 or (known and self.chance.random() < 0.2):
            gone = self.rules.pop(self.chance.choice(known).id)
            return Decision(remove=(gone,))
        change: Change
        if known and self.chance.random() < 0.4:
            old = self.chance.choice(known)
            told = msgspec.structs.replace(self.terms(), scope=old.scope, subject=old.subject)
            change = update(old, **msgspec.structs.asdict(told), updated_at=at)
        else:
            change = insert(new_rule(self.terms(), rule_id=new_id(), at=at))
        assert isinstance(change.after, PricingRule)
        self.rules[change.after.id] = change.after
        return Decision(save=(change,))


async def shelved(database: Database, terms: PricingTerms) -> list[tuple[str, str | None]]:
    """Products of a supplier, each with its category."""
    found = tuple(InventedSupplier(3, PRODUCTS).now())
    await CatalogueWriter(database).merge(
        "invented", CatalogueBatch(products=found), terms=terms, new_id=new_id, at=DAY
    )
    question = compiled(text("SELECT id, category FROM products ORDER BY id"))
    (rows,) = await database.read(ask(question))
    return [(str(row[0]), None if row[1] is None else str(row[1])) for row in rows]


async def test_after_ten_thousand_random_changes_every_stored_price_is_explained(
    shop_url: str,
) -> None:
    chance = random.Random(11)
    terms = PricingTerms(margin=Decimal("0.1"), gateway_fee=Decimal("0.01"))
    async with (
        open_database(shop_url, Limits()) as database,
        await psycopg.AsyncConnection.connect(shop_url, autocommit=True) as connection,
    ):
        desk = Desk(chance, await shelved(database, terms))
        for turn in range(CHANGES // AT_ONCE):
            at = DAY + timedelta(minutes=turn + 1)
            fee = Decimal(chance.randint(0, 150)) / 1000
            terms = PricingTerms(margin=terms.margin, gateway_fee=fee)
            costs = [
                {"place": chance.randrange(PRODUCTS), "cost": desk.amount(50)}
                for _ in range(AT_ONCE - 3)
            ]
            await connection.execute(COSTS, (msgspec.json.encode(costs).decode(),))
            for _ in range(3):
                async with unit_of_work(database).begin() as tx:
                    await tx.record(desk.decision(at))
            await CatalogueWriter(database).reprice(None, reason="rule", terms=terms, at=at)
        everything = text(
            f"SELECT {', '.join(RECORD.names)} FROM price_history ORDER BY product_id, at"
        )
        prices = text("SELECT id, price, floor, is_loss_signed FROM listings")
        rows, listed = await database.read(ask(compiled(everything)), ask(compiled(prices)))
    records = RECORD.rows(rows)
    assert len(records) > CHANGES / 3
    last: dict[str, PriceRecord] = {}
    for record in records:
        again = explain(record)
        assert (again.price, again.floor) == (record.price, record.floor), record
        before = last.get(record.product_id)
        assert record.previous == (None if before is None else before.price), record
        told = [each.rule_id for each in record.tried if each.outcome == "applied"]
        assert told == ([] if record.rule is None else [record.rule.id])
        last[record.product_id] = record
    assert {str(row[0]): row[1] for row in listed} == {
        name: record.price for name, record in last.items()
    }
    decided = Counter(explain(record).decided_by for record in records)
    assert set(decided) >= {"rule", "cap", "floor"}
    assert any(record.price < record.floor for record in records)


async def test_a_floor_beyond_all_amounts_leaves_that_price_and_hinders_no_other(
    shop_url: str,
) -> None:
    terms = PricingTerms(margin=Decimal("0.1"), gateway_fee=FEE)
    async with open_database(shop_url, Limits()) as database:
        products = await shelved(database, terms)
        dear, _ = products[0]
        told = RuleTerms(
            scope="product", subject=dear, kind="override", value=Decimal(5), loss_signed_by="ada"
        )
        async with unit_of_work(database).begin() as tx:
            await tx.record(Decision(save=(insert(new_rule(told, rule_id=new_id(), at=DAY)),)))
        async with await psycopg.AsyncConnection.connect(shop_url, autocommit=True) as connection:
            await connection.execute(
                "UPDATE product_offers SET cost = 999999999999 WHERE product_id = %s", (dear,)
            )
        at, doubled = DAY + timedelta(days=1), PricingTerms(margin=Decimal(1), gateway_fee=FEE)
        changed = await CatalogueWriter(database).reprice(None, reason="rule", terms=doubled, at=at)
    assert changed == len(products) - 1


async def test_prices_are_made_by_one_at_a_time_each_of_what_is_known_by_then(
    shop_url: str,
) -> None:
    old = PricingTerms(margin=Decimal("0.1"), gateway_fee=FEE)
    new = PricingTerms(margin=Decimal(1), gateway_fee=FEE)
    at = DAY + timedelta(days=1)
    async with (
        open_database(shop_url, Limits()) as database,
        await psycopg.AsyncConnection.connect(shop_url) as reader,
    ):
        writer = CatalogueWriter(database)
        products = await shelved(database, old)
        # Somebody holds the listing that a pass over all comes to first.
        (held,) = await (await reader.execute(FIRST_LISTED)).fetchall()
        dearer = tuple(
            msgspec.structs.replace(each, price=each.price + 10)
            for each in InventedSupplier(3, PRODUCTS).now()
            if each.supplier_product_id != held[0]
        )
        batch = CatalogueBatch(products=dearer)
        every = asyncio.create_task(writer.reprice(None, reason="rule", terms=new, at=at))
        await asyncio.sleep(0.3)
        merge = asyncio.create_task(
            writer.merge("invented", batch, terms=new, new_id=new_id, at=at)
        )
        await asyncio.sleep(0.3)
        await reader.rollback()
        await asyncio.gather(every, merge)
        (rows,) = await database.read(ask(compiled(text(PRICED))))
    assert len(rows) == len(products)
    for price, cost in rows:
        assert price == up_to_cent(Decimal(str(cost)) * 2)
