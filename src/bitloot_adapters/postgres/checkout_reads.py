"""The facts of placing an order, and today's facts of products."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from sqlalchemy import (
    ColumnElement,
    FromClause,
    Integer,
    ScalarSelect,
    Text,
    and_,
    bindparam,
    cast,
    column,
    extract,
    func,
    literal_column,
    or_,
    select,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.sql.selectable import LateralFromClause

from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.domain.idempotency import IdempotencyRecord, Once
from bitloot.domain.order import BEFORE_PAYMENT
from bitloot.domain.product import Offer, Product, Sellable, is_sold_from_keys
from bitloot.domain.quote import Quote
from bitloot.domain.routing import Shelf
from bitloot.ports.unit_of_work import Placing
from bitloot_adapters.postgres.job_statements import IS_PENDING, NOW
from bitloot_adapters.postgres.order_reads import ID, locked_by_id
from bitloot_adapters.postgres.rows import codec
from bitloot_adapters.postgres.session import Session
from bitloot_adapters.postgres.statements import (
    Question,
    Rows,
    Statement,
    Values,
    ask,
    compiled,
    is_id,
)
from bitloot_adapters.postgres.tables import (
    idempotency_keys,
    inventory_keys,
    jobs,
    listings,
    orders,
    product_offers,
    products,
    quotes,
)

QUOTE: Final = codec(Quote)
PRODUCT: Final = codec(Product)
OFFER: Final = codec(Offer)
RECORD: Final = codec(IdempotencyRecord)

# The kinds of advisory locks that order unpaid orders: of one person, from one network address.
PERSON_LOCKS: Final = 1
ADDRESS_LOCKS: Final = 2
CROWD: Final = 100


def free_keys() -> LateralFromClause:
    """How many keys of the product are free, and what the dearest of them cost."""
    keys = inventory_keys
    return (
        select(func.count().label("free"), func.max(keys.c.cost).label("cost"))
        .where(
            keys.c.product_id == products.c.id,
            keys.c.state == literal_column("'available'"),
            or_(keys.c.expires_at.is_(None), keys.c.expires_at > NOW),
        )
        .lateral("stock")
    )


def best_offer() -> LateralFromClause:
    """The cheapest offer that has something left, else the cheapest."""
    offers = product_offers
    return (
        select(*OFFER.columns)
        .where(offers.c.product_id == products.c.id)
        .order_by((offers.c.stock > offers.c.held).desc(), offers.c.cost, offers.c.id)
        .limit(literal_column("1"))
        .lateral("offer")
    )


def facts_of(offer: FromClause, stock: FromClause) -> tuple[ColumnElement[object], ...]:
    """What `sellable` reads: a product, its price, its offer, its free keys."""
    return (
        *PRODUCT.columns,
        listings.c.price,
        listings.c.is_loss_signed,
        *(offer.c[name] for name in OFFER.names),
        *stock.c,
    )


def _facts(
    source: FromClause,
    offer: FromClause,
    place: ColumnElement[int],
    only: ColumnElement[bool],
) -> Statement:
    stock = free_keys()
    whole = source.outerjoin(stock, true()).outerjoin(listings, listings.c.id == products.c.id)
    return compiled(select(*facts_of(offer, stock)).select_from(whole).where(only).order_by(place))


def _of_quote() -> Statement:
    lines = (
        func.jsonb_array_elements(quotes.c.lines)
        .table_valued(column("value", JSONB), with_ordinality="place", joins_implicitly=True)
        .render_derived(name="line")
    )
    product_id = cast(lines.c.value.op("->>")(literal_column("'product_id'")), ID)
    offer_id = cast(lines.c.value.op("->>")(literal_column("'offer_row_id'")), ID)
    source = (
        quotes.join(lines, true())
        .join(products, products.c.id == product_id)
        .outerjoin(product_offers, product_offers.c.id == offer_id)
    )
    this_quote = quotes.c.id == bindparam("quote_id", type_=ID)
    return _facts(source, product_offers, lines.c.place, this_quote)


def _of_references() -> Statement:
    wanted = (
        func.unnest(bindparam("names", type_=ARRAY(Text)), bindparam("ids", type_=ARRAY(ID)))
        .table_valued(column("name", Text), column("id", ID), with_ordinality="place")
        .render_derived(name="wanted")
    )
    named = or_(products.c.slug == wanted.c.name, products.c.id == wanted.c.id)
    offer = best_offer()
    source = wanted.join(products, named).outerjoin(offer, true())
    return _facts(source, offer, wanted.c.place, true())


def _keys_of_product() -> Statement:
    stock = free_keys()
    this = products.c.id == bindparam("product_id", type_=ID)
    return compiled(select(*stock.c).select_from(products.join(stock, true())).where(this))


def _unpaid(by: ColumnElement[str], name: str) -> ScalarSelect[int]:
    return (
        select(func.count())
        .where(by == bindparam(name, type_=Text), orders.c.status.in_([literal_column(_words())]))
        .scalar_subquery()
    )


def _words() -> str:
    return ", ".join(f"'{status}'" for status in sorted(BEFORE_PAYMENT))


_LOCKED_QUOTE: Final = locked_by_id(QUOTE, "quote_id")
_SELLABLES_OF_QUOTE: Final = _of_quote()
_SELLABLES: Final = _of_references()
_OFFERS: Final = compiled(
    select(*OFFER.columns)
    .where(product_offers.c.product_id == bindparam("product_id", type_=ID))
    .order_by(product_offers.c.id)
)
_FREE_KEYS: Final = _keys_of_product()


def _lock(kind: int, name: str) -> ColumnElement[None]:
    """Held to the end of the transaction; asked for in the order of the kinds by everybody."""
    subject = func.hashtext(bindparam(name, type_=Text))
    return func.pg_advisory_xact_lock(literal_column(str(kind), Integer), subject)


def _one_by_one() -> Statement:
    """Orders of one person, and of one network address, are placed one after the other, so that
    their counts are exact. A shop that lets an address have more open orders than `CROWD` does not
    mean to hold it to a number: from there on nobody waits.
    """
    status = orders.c.status.in_([literal_column(_words())])
    by_address = orders.c.placed_from == bindparam("placed_from", type_=Text)
    most = literal_column(str(CROWD), Integer)
    some = select(orders.c.id).where(by_address, status).limit(most).subquery("some")
    is_crowd = select(func.count() >= most).select_from(some).scalar_subquery()
    address = select(_lock(ADDRESS_LOCKS, "placed_from")).where(~is_crowd).scalar_subquery()
    return compiled(select(_lock(PERSON_LOCKS, "email_person"), address))


_ONE_BY_ONE: Final = _one_by_one()
_COUNTS: Final = compiled(
    select(
        _unpaid(orders.c.email_person, "email_person"),
        _unpaid(orders.c.placed_from, "placed_from"),
        select(extract("epoch", NOW - func.min(jobs.c.available_at)))
        .where(
            IS_PENDING,
            jobs.c.kind == literal_column("'fulfil'"),
            jobs.c.available_at <= NOW,
            jobs.c.lease_until < NOW,
        )
        .scalar_subquery(),
    )
)
_ONCE: Final = compiled(
    select(*RECORD.columns)
    .where(
        and_(
            idempotency_keys.c.route == bindparam("route", type_=Text),
            idempotency_keys.c.caller == bindparam("caller", type_=Text),
            idempotency_keys.c.key == bindparam("key", type_=Text),
        )
    )
    .with_for_update(key_share=True)
)


class CheckoutReads:
    """The port `Checkout`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def placing(
        self, quote_id: str, *, email_person: str, placed_from: str
    ) -> Placing | None:
        if not is_id(quote_id):
            return None
        answers = await self._session.ask(*_placing_asked(quote_id, email_person, placed_from))
        return _placing(answers)

    async def placing_once(
        self, quote_id: str, once: Once, *, email_person: str, placed_from: str
    ) -> tuple[Placing | None, IdempotencyRecord | None]:
        if not is_id(quote_id):
            return None, await self.once(once)
        # In this order: whoever waited for the quote's lock sees what its holder stored.
        *answers, records = await self._session.ask(
            *_placing_asked(quote_id, email_person, placed_from), _once_asked(once)
        )
        return _placing(answers), RECORD.first(records)

    async def sellables(self, references: Sequence[str]) -> Sequence[Sellable]:
        (rows,) = await self._session.ask(sellables_of(references))
        return tuple(sellable(values) for values in rows)

    async def shelf(self, product_id: str) -> Shelf:
        named = {"product_id": product_id}
        offers, keys = await self._session.ask(ask(_OFFERS, **named), ask(_FREE_KEYS, **named))
        free, dearest = keys[0] if keys else (0, None)
        return Shelf(
            offers=tuple(OFFER.row(values) for values in offers),
            free_keys=_whole(free),
            key_cost=dearest if isinstance(dearest, Decimal) else None,
        )

    async def once(self, once: Once) -> IdempotencyRecord | None:
        (rows,) = await self._session.ask(_once_asked(once))
        return RECORD.first(rows)


def _placing_asked(quote_id: str, email_person: str, placed_from: str) -> tuple[Question, ...]:
    return (
        ask(_LOCKED_QUOTE, quote_id=quote_id),
        ask(_SELLABLES_OF_QUOTE, quote_id=quote_id),
        ask(_ONE_BY_ONE, email_person=email_person, placed_from=placed_from),
        ask(_COUNTS, email_person=email_person, placed_from=placed_from),
    )


def _once_asked(once: Once) -> Question:
    return ask(_ONCE, route=once.route, caller=once.caller, key=once.key)


def _placing(answers: Sequence[Rows]) -> Placing | None:
    found, sellables, _, counts = answers
    quote = QUOTE.first(found)
    if quote is None:
        return None
    by_address, by_ip, waited = counts[0]
    return Placing(
        quote=quote,
        sellables=tuple(sellable(values, is_named=True) for values in sellables),
        open_by_address=_whole(by_address),
        open_by_ip=_whole(by_ip),
        backlog_seconds=float(waited) if isinstance(waited, Decimal) else 0.0,
    )


def sellables_of(references: Sequence[str]) -> Question:
    """Today's facts of products named by id or slug, to be read by `sellable`."""
    ids = [reference if is_id(reference) else None for reference in references]
    return ask(_SELLABLES, names=list(references), ids=ids)


def sellable(values: Values, *, is_named: bool = False) -> Sellable:
    """`is_named`: the offer, or that there is none, was chosen before."""
    width = len(PRODUCT.names)
    product = PRODUCT.row(values[:width])
    listed, is_loss_signed, *offered, free, dearest = values[width:]
    offer = None if offered[0] is None else OFFER.row(tuple(offered))
    key_cost = dearest if isinstance(dearest, Decimal) else None
    from_keys = offer is None or (not is_named and is_sold_from_keys(offer, _whole(free), key_cost))
    if product.source == OWN_STOCK and from_keys:
        offer, cost, available = None, key_cost, _whole(free)
    elif offer is None:
        cost, available = None, 0
    else:
        cost, available = offer.cost, max(offer.stock - offer.held, 0)
    return Sellable(
        product=product,
        offer=offer,
        available=available,
        unit_cost=cost,
        price=listed if isinstance(listed, Decimal) else None,
        is_loss_signed=is_loss_signed is True,
    )


def _whole(value: object) -> int:
    assert isinstance(value, int)
    return value
