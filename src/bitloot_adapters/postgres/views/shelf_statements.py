"""The statements that find a page of products: one for each mixture of filters, order and way.

A page is read in the order of an index where there is one for its filters. For other mixtures, and
for searches, the few that pass are collected first and sorted; a fence says how few. Where more
pass than that, they are common enough to be met by walking along the order itself. A search by
popularity looks among the acclaimed before all that. No statement sorts the table, and none counts
it. What one step finds is looked up one by one (`LATERAL … LIMIT 1`), so that no plan turns to
reading a table from end to end.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import msgspec
from sqlalchemy import text

from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.ports.views.catalog import Fences, Sort
from bitloot.ports.views.shelf import Way
from bitloot_adapters.postgres.price_statements import floor_of
from bitloot_adapters.postgres.statements import Statement, compiled
from bitloot_adapters.postgres.views import search_statements as search

_NUMBERS: Final = {
    "own": f"'{OWN_STOCK}'",
    # As `is_sold_from_keys` has it.
    "keys": f"""p.source = '{OWN_STOCK}' AND (offer.cost IS NULL OR (stock.free > 0
        AND (offer.spare <= 0 OR stock.cost <= offer.cost)))""",
}


def filled(template: str, /, **parts: str | int) -> str:
    """The text with its parts in their places."""
    return template.format(**_NUMBERS, **parts)


# What a product on a list shows, as one array: `p` and `l` are its rows, `had` is of `HAD`. The
# price is what a unit is quoted for now (`standing_price`), or that set if it cannot be had.
CARD: Final = f"""
    json_build_array(p.id, p.slug, p.title, p.source, p.category, p.platform, p.region,
        p.excluded_countries,
        CAST(CASE WHEN had.cost IS NULL OR l.is_loss_signed THEN ceil(l.price * 100) * 0.01
            ELSE greatest(ceil(l.price * 100) * 0.01, {floor_of("had.cost")}) END AS text),
        greatest(had.free, 0), p.is_preorder, p.release_date, p.cover_url)"""
HAD: Final = filled("""
    LEFT JOIN LATERAL (
        SELECT o.cost, o.stock - o.held AS spare FROM product_offers o WHERE o.product_id = p.id
        ORDER BY (o.stock > o.held) DESC, o.cost, o.id LIMIT 1
    ) offer ON true
    LEFT JOIN LATERAL (
        SELECT count(*) AS free, max(k.cost) AS cost FROM inventory_keys k
        WHERE p.source = {own} AND k.product_id = p.id AND k.state = 'available'
            AND (k.expires_at IS NULL OR k.expires_at > now())
    ) stock ON true
    CROSS JOIN LATERAL (
        SELECT CASE WHEN {keys} THEN stock.cost ELSE offer.cost END AS cost,
            CASE WHEN {keys} THEN stock.free ELSE coalesce(offer.spare, 0) END AS free
    ) had""")

_FILTERS: Final = {
    "category": "l.category = CAST(:category AS text)",
    "platform": "l.platform = CAST(:platform AS text)",
    "region": "l.region = CAST(:region AS text)",
    "own": filled("l.source = {own}"),
    "source": "l.source = CAST(:source AS text)",
    "price_from": "l.price >= CAST(:price_from AS numeric)",
    "price_to": "l.price <= CAST(:price_to AS numeric)",
    "in_stock": "l.is_available",
}
# A source that nobody has is known by one look, where else the whole order would be walked along.
_HAS_SOURCE: Final = """CAST(:source AS text) = (
    SELECT known.source FROM products known WHERE known.source >= CAST(:source AS text)
    ORDER BY known.source LIMIT 1)"""
_PRICES: Final = frozenset({"price_from", "price_to"})
# By which index those that pass are collected: the first of these filters that is given.
_ANCHORS: Final = {
    "own": "l.rank DESC, l.id DESC",
    "category": "l.category, l.rank DESC, l.id DESC",
    "region": "l.region, l.rank DESC, l.id DESC",
    "platform": "l.platform, l.rank DESC, l.id DESC",
    "price_from": "l.price, l.id",
    "price_to": "l.price, l.id",
}


class _Order(msgspec.Struct, frozen=True):
    """Columns to sort by, and the condition of what comes after a key."""

    by: str
    after: str


_BY_RANK: Final = _Order(
    "rank DESC, id DESC", "(rank, id) < (CAST(:rank AS integer), CAST(:id AS uuid))"
)
_ORDERS: Final[dict[Sort, _Order]] = {
    "popular": _BY_RANK,
    "price": _Order("price, id", "(price, id) > (CAST(:price AS numeric), CAST(:id AS uuid))"),
    "-price": _Order(
        "price DESC, id DESC", "(price, id) < (CAST(:price AS numeric), CAST(:id AS uuid))"
    ),
    "newest": _Order("id DESC", "id < CAST(:id AS uuid)"),
    "title": _Order("slug", "slug > CAST(:slug AS text)"),
}
_BY_WEIGHT: Final = _Order(
    "rank DESC, weight DESC, id DESC",
    "(rank, weight, id) < (CAST(:rank AS integer), CAST(:weight AS integer), CAST(:id AS uuid))",
)
_COUNT: Final = "{name}_count AS MATERIALIZED (SELECT count(*) > {limit} AS is_many FROM {name})"
_ARE_MANY: Final = "(SELECT is_many FROM {name}_count)"
_SOME: Final = "SELECT id, rank FROM {name} WHERE NOT (SELECT is_many FROM {name}_count)"
_PASSING: Final = """
    passing AS MATERIALIZED (
        SELECT l.id, l.rank FROM listings l WHERE {only} ORDER BY {by} LIMIT {fence}
    )"""
_ONE_OF_FEW: Final = """
    SELECT l.id, '{way}' AS way, few.rank, {weight} AS weight, l.price, l.is_loss_signed,
        {slug} AS slug
    FROM {few} CROSS JOIN LATERAL (
        SELECT * FROM listings l WHERE l.id = few.id AND {only} LIMIT 1
    ) l {look}"""
# In the order of popularity no more is looked up than the page takes: sorted by rank beforehand,
# the rest of the order is settled among equals.
_BY_RANK_FIRST: Final = "(SELECT * FROM {name} WHERE {only} ORDER BY rank DESC OFFSET 0) few"
_NOT_BEFORE: Final = "rank <= CAST(:rank AS integer)"
_ITS_SLUG: Final = """
    CROSS JOIN LATERAL (SELECT slug FROM products WHERE id = few.id LIMIT 1) t"""
_HAS_WORDS: Final = """
    (SELECT {has_them} FROM search_index s WHERE s.product_id = l.id)"""
_BY_SLUG: Final = """products t CROSS JOIN LATERAL (
    SELECT * FROM listings l WHERE l.id = t.id AND {only} LIMIT 1) l"""
_ONE_OF_ALL: Final = """
    SELECT l.id, 'walk' AS way, l.rank, 0 AS weight, l.price, l.is_loss_signed, {slug} AS slug
    FROM {source}"""
# The order is settled before the words are looked at: a planner that thinks they are rare would
# collect and sort all that have them.
_ONE_WITH_WORDS: Final = """
    SELECT s.id, 'walk' AS way, s.rank, 0 AS weight, l.price, l.is_loss_signed, NULL AS slug
    FROM (
        SELECT product_id AS id, rank, document FROM search_index
        WHERE {passed} ORDER BY rank DESC, product_id DESC OFFSET 0
    ) s CROSS JOIN LATERAL (SELECT * FROM listings l WHERE l.id = s.id AND {only} LIMIT 1) l"""
_AFTER_ONE: Final = "(rank, product_id) < (CAST(:rank AS integer), CAST(:id AS uuid))"
_PART: Final = """
    SELECT * FROM ({ones} WHERE {only}) one WHERE {after} ORDER BY {by} LIMIT {limit}"""
_FIRST: Final = "SELECT * FROM ({rows}) one ORDER BY {by} LIMIT {limit}"
_SHELF: Final = """
    WITH {steps}
    SELECT json_agg(json_build_array({card}, l.way, l.rank, l.weight, CAST(l.price AS text))
        ORDER BY {by}), {readings}
    FROM page l
    CROSS JOIN LATERAL (SELECT * FROM products WHERE products.id = l.id LIMIT 1) p
    {had}"""


class ShelfForm(msgspec.Struct, frozen=True):
    """What makes a statement. `given` names filters of `_FILTERS`; `way` is that of the page
    before, None for a first page.
    """

    given: frozenset[str]
    sort: Sort
    is_search: bool
    way: Way | None
    limit: int
    fences: Fences

    @property
    def is_open(self) -> bool:
        """It is yet to be found out whether there are few, or whether to walk."""
        return self.way is None or self.way == "best"

    @property
    def is_by_words(self) -> bool:
        """A search in an order that the index of words knows by itself."""
        return self.is_search and self.sort == "popular" and self.given <= {"in_stock"}


@lru_cache(maxsize=512)
def shelf(form: ShelfForm) -> Statement:
    """A page and one product more, each its `CARD` and the parts of its key; and how words were
    read. One row, with two texts of JSON.
    """
    has_best = form.is_by_words and form.is_open
    steps, parts, fences = [], [], []
    if has_best:
        steps += search.best_steps(_best(form), hits=form.fences.hits, limit=form.limit)
        parts.append(search.BEST_OF_MANY)
    if form.is_search:
        steps.append(search.hit_steps(form.fences.hits, after_best=has_best))
        steps.append(filled(_COUNT, name="hits", limit=form.fences.hits))
        fences.append("hits")
    anchor = _anchor(form)
    if anchor is not None:
        gates = [filled(_ARE_MANY, name=fence) for fence in fences]
        only, most = " AND ".join((_conditions(form), *gates)), form.fences.candidates
        steps += [
            filled(_PASSING, only=only, by=anchor, fence=most + 1),
            filled(_COUNT, name="passing", limit=most),
        ]
        fences.append("passing")
    if fences and form.way != "walk":
        some = " UNION ALL ".join(filled(_SOME, name=fence) for fence in fences)
        steps.append(f"few AS ({some})")
        parts.append(_few(form))
    if form.way != "few" or not fences:
        parts.append(_walk(form, fences if form.is_open else ()))
    steps.append(_page(form, parts))
    by = ", ".join(f"l.{each.strip()}" for each in _order(form).by.split(","))
    readings = search.READINGS if form.is_search else "NULL"
    whole = filled(_SHELF, steps=", ".join(steps), card=CARD, readings=readings, had=HAD, by=by)
    return compiled(text(whole))


def _order(form: ShelfForm) -> _Order:
    return _BY_WEIGHT if form.is_search and form.sort == "popular" else _ORDERS[form.sort]


def _anchor(form: ShelfForm) -> str | None:
    """The order of the index that those that pass are collected by; None where none is needed."""
    given = form.given - {"in_stock"}
    of_category = given <= _PRICES | {"category"}
    has_index = {
        "popular": not given & _PRICES,
        "price": of_category,
        "-price": of_category,
        "newest": not given,
        "title": not given,
    }
    if has_index[form.sort] and not form.is_search:
        return None
    return next((order for name, order in _ANCHORS.items() if name in given), None)


def _conditions(form: ShelfForm) -> str:
    filters = (condition for name, condition in _FILTERS.items() if name in form.given)
    return " AND ".join(("l.is_listed", *filters))


def _best(form: ShelfForm) -> str:
    """Of the acclaimed, those after the key; none where they are too many to be sorted."""
    ones = filled(
        _ONE_OF_FEW,
        way="best",
        few=filled(_BY_RANK_FIRST, name="best", only=f"{search.FEW_BEST} AND {_not_before(form)}"),
        weight=search.weight("few.document", search.TYPED),
        slug="NULL",
        only=_conditions(form),
        look="",
    )
    return _part(form, _order(form), ones, "true")


def _few(form: ShelfForm) -> str:
    """Of the few, those after the key."""
    words, by_slug = form.is_search, form.sort == "title"
    few = filled(_BY_RANK_FIRST, name="few", only=_not_before(form))
    ones = filled(
        _ONE_OF_FEW,
        way="few",
        few=few if form.sort == "popular" else "few",
        weight=search.weight("s.document", search.WANTED) if words else "0",
        slug="t.slug" if by_slug else "NULL",
        only=_conditions(form),
        look=(search.ITS_WORDS if words else "") + (_ITS_SLUG if by_slug else ""),
    )
    only = search.HAS_THEM if words else "true"
    return _part(form, _order(form), ones, only)


def _walk(form: ShelfForm, fences: Sequence[str]) -> str:
    """Along the order itself, where more than few got past every fence."""
    conditions = [filled(_ARE_MANY, name=fence) for fence in fences]
    if form.is_by_words:
        conditions.append(search.BELOW_BEST if form.is_open else _AFTER_ONE)
        ones = filled(_ONE_WITH_WORDS, passed=" AND ".join(conditions), only=_conditions(form))
        return _part(form, _BY_RANK, ones, search.HAS_THEM)
    if form.is_search:
        conditions.append(filled(_HAS_WORDS, has_them=search.HAS_THEM))
    if "source" in form.given:
        conditions.append(_HAS_SOURCE)
    slug, source = "NULL", "listings l"
    if form.sort == "title":
        slug, source = "t.slug", filled(_BY_SLUG, only=_conditions(form))
    else:
        conditions.append(_conditions(form))
    ones = filled(_ONE_OF_ALL, slug=slug, source=source)
    return _part(form, _ORDERS[form.sort], ones, " AND ".join(conditions) or "true")


def _not_before(form: ShelfForm) -> str:
    return _NOT_BEFORE if form.way else "true"


def _part(form: ShelfForm, order: _Order, ones: str, only: str) -> str:
    after = order.after if form.way else "true"
    return filled(_PART, ones=ones, only=only, after=after, by=order.by, limit=form.limit + 1)


def _page(form: ShelfForm, parts: Sequence[str]) -> str:
    """The rows of all parts: only what comes after the acclaimed is not in one alone."""
    rows = " UNION ALL ".join(f"({part})" for part in parts)
    if form.is_by_words and form.is_open:
        rows = filled(_FIRST, rows=rows, by=_order(form).by, limit=form.limit + 1)
    return f"page AS ({rows})"
