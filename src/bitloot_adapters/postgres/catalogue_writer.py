"""A supplier's catalogue into ours, a page at a time and in whole sets.

Rows are copied into a table that lives as long as the transaction, and merged from there: what
did not change is not written, and neither `held` nor what an admin decided is touched.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from decimal import Decimal
from hashlib import sha256
from typing import Final

import msgspec
from sqlalchemy import (
    Column,
    ColumnElement,
    Integer,
    MetaData,
    Table,
    Text,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import Insert, distinct_on, insert
from sqlalchemy.schema import CreateTable

from bitloot.ports.catalogue_writer import UpsertCounts
from bitloot.ports.clock import NewId
from bitloot.ports.supplier import SupplierProduct
from bitloot_adapters.postgres.job_statements import MOMENT
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.statements import (
    BEGIN,
    COMMIT,
    Rows,
    Statement,
    ask,
    compiled,
)
from bitloot_adapters.postgres.tables import listings, product_offers, products

SLUG_LENGTH: Final = 80
PAGE_STATEMENT_SECONDS: Final = 60


_TEXTS: Final = (
    "title",
    "description",
    "platform",
    "region",
    "excluded_countries",
    "is_preorder",
    "release_date",
    "instructions",
    "cover_url",
)
_FIGURES: Final = ("product_id", "supplier_product_id", "cost", "stock", "wholesale")
_ONE: Final = literal_column("1", Integer)
_SUPPLIER: Final = bindparam("supplier", type_=Text)
_AT: Final = bindparam("at", type_=MOMENT)

_STAGED: Final = Table(
    "staged_catalogue",
    MetaData(),
    Column("product_row_id", products.c.id.type),
    Column("offer_row_id", product_offers.c.id.type),
    Column("slug", Text),
    Column("supplier_product_id", Text),
    *(Column(name, products.c[name].type) for name in _TEXTS),
    Column("price", listings.c.price.type),
    Column("offer_id", Text),
    Column("cost", product_offers.c.cost.type),
    Column("stock", product_offers.c.stock.type),
    Column("wholesale", product_offers.c.wholesale.type),
    prefixes=["TEMPORARY"],
    postgresql_on_commit="DROP",
)


def _changed(fresh: Insert, table: Table, names: Iterable[str]) -> ColumnElement[bool]:
    listed = tuple(names)
    before = tuple_(*(table.c[name] for name in listed))
    return before.is_distinct_from(tuple_(*(fresh.excluded[name] for name in listed)))


def _merged(fresh: Insert, table: Table, names: Sequence[str], key: Sequence[str]) -> Statement:
    """Insert, or update what differs; tells of each written row whether it is new."""
    return compiled(
        fresh.on_conflict_do_update(
            index_elements=[table.c[name] for name in key],
            set_={
                **{name: fresh.excluded[name] for name in names},
                "version": table.c.version + _ONE,
                "updated_at": fresh.excluded.updated_at,
            },
            where=_changed(fresh, table, names),
        ).returning(literal_column("xmax = 0"))
    )


def _products() -> Statement:
    names = ["id", "version", "slug", "source", "supplier_product_id", *_TEXTS]
    unsaid = {
        "genres": "'{}'::text[]",
        "tags": "'{}'::text[]",
        "languages": "'{}'::text[]",
        "developers": "'{}'::text[]",
        "publishers": "'{}'::text[]",
        "pinned": "'{}'::text[]",
        "system_requirements": "'[]'::jsonb",
        "hides_when_sold_out": "false",
    }
    rows = select(
        _STAGED.c.product_row_id,
        _ONE,
        _STAGED.c.slug,
        _SUPPLIER,
        _STAGED.c.supplier_product_id,
        *(_STAGED.c[name] for name in _TEXTS),
        literal_column("true"),
        *(literal_column(value) for value in unsaid.values()),
        _AT,
        _AT,
    )
    names += ["is_published", *unsaid, "created_at", "updated_at"]
    fresh = insert(products).from_select(names, rows, include_defaults=False)
    return _merged(fresh, products, _TEXTS, ("source", "supplier_product_id"))


def _listings() -> Statement:
    rows = select(
        products.c.id,
        _ONE,
        products.c.is_published,
        _STAGED.c.stock > literal_column("0"),
        _STAGED.c.price,
        literal_column("0"),
        literal_column("false"),
        literal_column("0"),
        products.c.category,
        products.c.platform,
        products.c.region,
        products.c.source,
        _AT,
    ).join_from(
        _STAGED,
        products,
        and_(
            products.c.source == _SUPPLIER,
            products.c.supplier_product_id == _STAGED.c.supplier_product_id,
        ),
    )
    names = ["id", "version", "is_listed", "is_available", "price", "floor", "is_loss_signed"]
    names += ["rank", "category", "platform", "region", "source", "updated_at"]
    fresh = insert(listings).from_select(names, rows, include_defaults=False)
    return _merged(fresh, listings, ("price",), ("id",))


def _offers() -> Statement:
    rows = (
        select(
            _STAGED.c.offer_row_id,
            _ONE,
            products.c.id,
            _SUPPLIER,
            _STAGED.c.supplier_product_id,
            _STAGED.c.offer_id,
            _STAGED.c.cost,
            _STAGED.c.stock,
            literal_column("0"),
            _STAGED.c.wholesale,
            _AT,
        )
        .ext(distinct_on(_STAGED.c.offer_id))
        .join(
            products,
            and_(
                products.c.source == _SUPPLIER,
                products.c.supplier_product_id == _STAGED.c.supplier_product_id,
            ),
        )
        .order_by(_STAGED.c.offer_id)
    )
    names = ["id", "version", "product_id", "supplier", "supplier_product_id", "offer_id"]
    fresh = insert(product_offers).from_select(
        [*names, "cost", "stock", "held", "wholesale", "updated_at"], rows, include_defaults=False
    )
    return _merged(fresh, product_offers, _FIGURES, ("supplier", "offer_id"))


def _retired() -> Statement:
    listed = select(_STAGED.c.offer_id)
    return compiled(
        update(product_offers)
        .values(stock=literal_column("0"), version=product_offers.c.version + _ONE, updated_at=_AT)
        .where(
            product_offers.c.supplier == _SUPPLIER,
            product_offers.c.supplier_product_id.in_(select(_STAGED.c.supplier_product_id)),
            product_offers.c.offer_id.not_in(listed),
            product_offers.c.stock > literal_column("0"),
        )
        .returning(product_offers.c.id)
    )


_CREATE: Final = ask(compiled(CreateTable(_STAGED)))
_PATIENCE: Final = compiled(
    select(
        func.set_config(
            literal_column("'statement_timeout'"),
            literal_column(f"'{PAGE_STATEMENT_SECONDS}s'"),
            literal_column("true"),
        )
    )
)
_COPY: Final = f"COPY {_STAGED.name} ({', '.join(_STAGED.c.keys())}) FROM STDIN".encode()
_PRODUCTS: Final = _products()
_OFFERS: Final = _offers()
_LISTINGS: Final = _listings()
_RETIRED: Final = _retired()


class CatalogueWriter:
    """Writes what suppliers offer."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def upsert(
        self,
        supplier: str,
        page: Sequence[SupplierProduct],
        *,
        price: Callable[[SupplierProduct], Decimal],
        new_id: NewId,
        at: datetime,
    ) -> UpsertCounts:
        """Merge products of one supplier, in one transaction. `price` gives our price in EUR.

        Of a product named twice the last counts. Raises StoreUnavailable.
        """
        latest = {product.supplier_product_id: product for product in page}
        named = {"supplier": supplier, "at": at}
        async with self._database.lent() as connection:
            await self._database.send(connection, (BEGIN, ask(_PATIENCE), _CREATE))
            async with connection.cursor() as cursor, cursor.copy(_COPY) as copy:
                for product in latest.values():
                    await copy.write_row(_staged(supplier, product, price(product), new_id))
            merged, offered, _, retired, _ = await self._database.send(
                connection,
                (
                    ask(_PRODUCTS, **named),
                    ask(_OFFERS, **named),
                    ask(_LISTINGS, **named),
                    ask(_RETIRED, **named),
                    COMMIT,
                ),
            )
        return UpsertCounts(
            products_new=_new(merged),
            products_changed=len(merged) - _new(merged),
            offers_new=_new(offered),
            offers_changed=len(offered) - _new(offered),
            retired=len(retired),
        )


def _staged(
    supplier: str, product: SupplierProduct, price: Decimal, new_id: NewId
) -> tuple[object, ...]:
    return (
        new_id(),
        new_id(),
        slug(product.title, f"{supplier}/{product.supplier_product_id}"),
        product.supplier_product_id,
        product.title,
        product.description,
        product.platform,
        product.region,
        list(product.excluded_countries),
        product.is_preorder,
        product.release_date,
        product.instructions,
        product.cover_url,
        price,
        product.offer_id,
        product.price,
        product.stock,
        msgspec.json.encode(product.wholesale).decode(),
    )


def slug(title: str, identity: str) -> str:
    """A readable name for addresses that differs for each identity, given once and then kept."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain)[:SLUG_LENGTH].strip("-")
    mark = sha256(identity.encode()).hexdigest()[:8]
    return f"{words}-{mark}" if words else mark


def _new(rows: Rows) -> int:
    return sum(row[0] is True for row in rows)
