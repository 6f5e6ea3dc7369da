"""A supplier's catalogue into ours, a batch at a time and in whole sets."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Final

import msgspec

from bitloot.domain.catalogue_sync import CatalogueSync, SyncKind, Unseen, ended
from bitloot.domain.category import Category, shelves
from bitloot.domain.price_contexts import PriceContexts, PricingTerms
from bitloot.domain.price_derivation import PriceReason
from bitloot.domain.pricing_rules import PricingRule
from bitloot.domain.product import FACTS
from bitloot.ports.catalogue_facts import (
    Sorted,
    advanced,
    category,
    digest,
    facts,
    genres_of,
    missing_shelves,
    shelves_of,
    slug,
    sorted_out,
    with_made,
)
from bitloot.ports.catalogue_writer import CatalogueBatch, MergeCounts
from bitloot.ports.clock import NewId
from bitloot.ports.supplier_catalogue import SupplierProduct
from bitloot_adapters.postgres import catalogue_statements as sql
from bitloot_adapters.postgres.copy_text import line
from bitloot_adapters.postgres.lending import Connection
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.price_statements import REPRICE, Which, written
from bitloot_adapters.postgres.rows import codec
from bitloot_adapters.postgres.statements import (
    BEGIN,
    COMMIT,
    Question,
    Rows,
    Statement,
    ask,
    is_id,
)

__all__ = ["CatalogueWriter", "slug"]

LINES_AT_ONCE: Final = 500
RULE: Final = codec(PricingRule)
CATEGORY: Final = codec(Category)
SYNC: Final = codec(CatalogueSync)


class CatalogueWriter:
    """The port `CatalogueWriter`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def merge(
        self,
        supplier: str,
        batch: CatalogueBatch,
        *,
        terms: PricingTerms,
        new_id: NewId,
        at: datetime,
        sync: CatalogueSync | None = None,
    ) -> MergeCounts:
        """Staged by COPY, recognised by digest, merged in sets; all of it or nothing."""
        whole = sorted_out(batch)
        async with self._database.lent() as connection:
            run = _Run(self._database, connection, supplier, at)
            known = await run.begin()
            told = await run.shelved(whole.products, known)
            fresh = await run.stage(whole.products, told, new_id)
            await run.stage_facts(whole.products, told, fresh)
            counts = await run.merge(whole)
            prices = await run.reprice("news", sql.RULES_OF_NEWS, "sync", terms)
            counts = msgspec.structs.replace(counts, prices_changed=prices)
            if sync is not None:
                await run.send(*_progress(sync, advanced(sync, batch, counts), whole, at))
            await run.send(COMMIT)
        return counts

    async def running(self, supplier: str) -> CatalogueSync | None:
        """The one that is not done."""
        (rows,) = await self._database.read(ask(sql.RUNNING, supplier=supplier))
        return SYNC.first(rows)

    async def sync(self, sync_id: str) -> CatalogueSync | None:
        """By id."""
        if not is_id(sync_id):
            return None
        (rows,) = await self._database.read(ask(sql.BY_ID, sync_id=sync_id))
        return SYNC.first(rows)

    async def last_done(
        self, supplier: str, *, kind: SyncKind | None = None
    ) -> CatalogueSync | None:
        """The latest one that was done."""
        (rows,) = await self._database.read(ask(sql.LAST_DONE, supplier=supplier, kind=kind))
        return SYNC.first(rows)

    async def give_up(self, failed: CatalogueSync) -> None:
        """Not to be gone on with."""
        row = msgspec.json.encode(failed).decode()
        async with self._database.lent() as connection:
            forget = ask(sql.FORGET_SEEN, sync_id=failed.id)
            await self._database.send(connection, (BEGIN, ask(sql.PROGRESS, row=row)))
            await self._database.send(connection, (forget, COMMIT))

    async def unseen(self, sync: CatalogueSync) -> Unseen:
        """Counted, not written."""
        async with self._database.lent() as connection:
            run = _Run(self._database, connection, sync.supplier, sync.started_at)
            named = {"supplier": sync.supplier, "sync_id": sync.id}
            *_, rows, _ = await run.send(BEGIN, ask(sql.PATIENCE), ask(sql.UNSEEN, **named), COMMIT)
            in_stock, unseen = rows[0]
        assert isinstance(in_stock, int)
        assert isinstance(unseen, int)
        return Unseen(in_stock=in_stock, unseen=unseen if sync.kind == "full" else 0)

    async def finish(self, sync: CatalogueSync, *, at: datetime) -> int:
        """Nothing is left of what a full run did not see; the index of words is in order."""
        async with self._database.lent() as connection:
            run = _Run(self._database, connection, sync.supplier, at)
            await run.send(BEGIN, ask(sql.PATIENCE))
            retired = 0
            if sync.kind == "full":
                named = {"supplier": sync.supplier, "sync_id": sync.id, "at": at}
                (rows,) = await run.send(ask(sql.RETIRE_UNSEEN, **named))
                retired = _count(rows)
            row = msgspec.json.encode(ended(sync, at=at, retired=retired)).decode()
            forget = ask(sql.FORGET_SEEN, sync_id=sync.id)
            await run.send(ask(sql.PROGRESS, row=row), forget, COMMIT)
            await run.send(BEGIN, ask(sql.PATIENCE), ask(sql.FLUSH_SEARCH), COMMIT)
        return retired

    async def shelve(self, *, at: datetime) -> int:
        """The words first, and then one pass over all of them."""
        async with self._database.lent() as connection:
            run = _Run(self._database, connection, "", at)
            *_, categories, words = await run.send(
                BEGIN, ask(sql.PATIENCE), ask(sql.CATEGORIES), ask(sql.GENRES)
            )
            by_word = shelves_of((str(word) for (word,) in words), CATEGORY.rows(categories))
            found = msgspec.json.encode(by_word).decode()
            (moved,) = await run.send(ask(sql.SHELVE, found=found, at=at))
            await run.send(COMMIT)
        return _count(moved)

    async def reprice(
        self,
        product_ids: Sequence[str] | None,
        *,
        reason: PriceReason,
        terms: PricingTerms,
        at: datetime,
    ) -> int:
        """One pass over all of them."""
        async with self._database.lent() as connection:
            run = _Run(self._database, connection, "", at)
            await run.send(BEGIN, ask(sql.PATIENCE), *map(ask, sql.TURN))
            if product_ids is None:
                changed = await run.reprice("all", sql.RULES_OF_ALL, reason, terms)
            else:
                ids = [each for each in product_ids if is_id(each)]
                changed = await run.reprice("named", sql.RULES_OF_NAMED, reason, terms, ids=ids)
            await run.send(COMMIT)
        return changed


class _Run:
    """One transaction of the writer."""

    def __init__(
        self, database: Database, connection: Connection, supplier: str, at: datetime
    ) -> None:
        self._database = database
        self._connection = connection
        self._named = {"supplier": supplier, "at": at}

    async def send(self, *questions: Question) -> list[Rows]:
        """In one round trip, with the patience that work on thousands of rows takes."""
        patience = float(sql.STATEMENT_SECONDS)
        return await self._database.send(self._connection, questions, patience=patience)

    async def begin(self) -> tuple[Category, ...]:
        """The tables of the batch; gives the categories there are."""
        made = (ask(sql.CREATE), ask(sql.CREATE_NEWS), ask(sql.CREATE_FACTS))
        told = (BEGIN, ask(sql.PATIENCE), *map(ask, sql.TURN), ask(sql.LOOK_UP))
        *_, rows = await self.send(*told, *made, ask(sql.CATEGORIES))
        return CATEGORY.rows(rows)

    async def shelved(
        self, products: Sequence[SupplierProduct], known: Sequence[Category]
    ) -> dict[str, str | None]:
        """The category of each product, by the supplier's id; some are made where one lacks."""
        by_word = shelves(known)
        made = missing_shelves(products, by_word, len(known))
        if made:
            values = {"slugs": list(made), "titles": list(made.values())}
            await self.send(ask(sql.MAKE_CATEGORIES, at=self._named["at"], **values))
        slugs = frozenset((*(each.slug for each in known), *made))
        whole = with_made(genres_of(products), by_word, slugs)
        return {product.supplier_product_id: category(product, whole) for product in products}

    async def stage(
        self,
        products: Sequence[SupplierProduct],
        told: dict[str, str | None],
        new_id: NewId,
    ) -> dict[str, tuple[str, bool]]:
        """The narrow half of all; gives our ids of those whose facts are news, and who is new."""
        lines = (
            line(
                (
                    *(new_id(), new_id(), product.supplier_product_id, product.updated_at),
                    digest(product, told[product.supplier_product_id]),
                    *(product.offer_id, product.price, product.stock),
                    msgspec.json.encode(product.wholesale).decode(),
                )
            )
            for product in products
        )
        await self._copy(sql.COPY, lines)
        (rows,) = await self.send(ask(sql.RECOGNISE, supplier=self._named["supplier"]))
        return {
            str(name): (str(row_id), bool(is_new))
            for name, row_id, has_facts, is_new in rows
            if has_facts
        }

    async def stage_facts(
        self,
        products: Sequence[SupplierProduct],
        told: dict[str, str | None],
        fresh: dict[str, tuple[str, bool]],
    ) -> None:
        """The texts of those that are news."""
        supplier = self._named["supplier"]
        lines = (
            line(
                (
                    fresh[name][0],
                    slug(product.title, f"{supplier}/{name}") if fresh[name][1] else None,
                    *_columns(facts(product, told[name])),
                    msgspec.json.encode(product.media).decode(),
                )
            )
            for product in products
            if (name := product.supplier_product_id) in fresh
        )
        await self._copy(sql.COPY_FACTS, lines)

    async def _copy(self, into: bytes, lines: Iterable[str]) -> None:
        async with self._connection.cursor() as cursor, cursor.copy(into) as copy:
            for block in iter(partial(_block, iter(lines)), ""):
                await copy.write(block)

    async def merge(self, whole: Sorted) -> MergeCounts:
        """All but prices."""
        named, left_out = self._named, list(whole.left_out)
        new, changed, offers, moved, retired, *_ = await self.send(
            ask(sql.INSERT_PRODUCTS, **named),
            ask(sql.UPDATE_PRODUCTS, at=named["at"]),
            ask(sql.INSERT_OFFERS, **named),
            ask(sql.UPDATE_OFFERS, **named),
            ask(sql.RETIRE_OTHERS, **named, left_out=left_out),
            ask(sql.MEDIA, **named),
            ask(sql.PART_UNLIKE, **named),
        )
        return MergeCounts(
            products_new=_count(new),
            products_changed=_count(changed),
            offers_new=_count(offers),
            offers_changed=_count(moved),
            retired=_count(retired),
            refused=len(whole.refusals),
        )

    async def reprice(
        self,
        which: Which,
        rules: Statement,
        reason: PriceReason,
        terms: PricingTerms,
        **named: object,
    ) -> int:
        """The rules, the choice for each context, and one pass; how many prices changed."""
        (rows,) = await self.send(ask(rules, **named))
        found = [(RULE.row(values[:-1]), values[-1]) for values in rows]
        contexts = PriceContexts((rule for rule, _ in found), margin=terms.margin)
        categories = {
            rule.subject: category if isinstance(category, str) else None
            for rule, category in found
            if rule.scope == "product" and rule.subject is not None
        }
        values: dict[str, object] = {
            "contexts": written(contexts.all_of(categories)),
            "fee": terms.gateway_fee,
            "reason": reason,
            "at": self._named["at"],
        }
        (told,) = await self.send(ask(REPRICE[which], **values, **named))
        return _count(told)


def _progress(
    sync: CatalogueSync, after: CatalogueSync, whole: Sorted, at: datetime
) -> list[Question]:
    questions = [ask(sql.PROGRESS, row=msgspec.json.encode(after).decode())]
    if sync.kind == "full":
        seen = {"page": sync.next_page, "seen": list(whole.seen)}
        questions.append(ask(sql.SEEN, sync_id=sync.id, **seen))
    if whole.refusals:
        lists = {
            "pages": [each.page for each in whole.refusals],
            "names": [each.refused.supplier_product_id for each in whole.refusals],
            "reasons": [each.refused.reason for each in whole.refusals],
        }
        questions.append(ask(sql.REFUSED, sync_id=sync.id, at=at, **lists))
    return questions


def _columns(said: dict[str, object]) -> Iterator[object]:
    for name in FACTS:
        is_document = name == "system_requirements"
        yield msgspec.json.encode(said[name]).decode() if is_document else said[name]


def _block(lines: Iterator[str]) -> str:
    return "".join(islice(lines, LINES_AT_ONCE))


def _count(rows: Rows) -> int:
    (count,) = rows[0]
    assert isinstance(count, int)
    return count
