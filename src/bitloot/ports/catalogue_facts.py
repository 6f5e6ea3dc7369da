"""What a supplier's product is in our words: one truth for every store."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import blake2b, sha256
from operator import attrgetter
from typing import Final

import msgspec

from bitloot.domain.catalogue_sync import CatalogueSync
from bitloot.domain.category import (
    CATEGORIES_MADE,
    Category,
    genre_key,
    genre_slug,
    shelf_of,
    shelves,
)
from bitloot.domain.money import ZERO
from bitloot.domain.product import FACTS
from bitloot.ports.catalogue_writer import (
    COSTS_TOO_MUCH,
    HIGHEST_COST,
    CatalogueBatch,
    MergeCounts,
    PageRefusal,
)
from bitloot.ports.supplier_catalogue import RefusedProduct, SupplierProduct

SLUG_LENGTH: Final = 80

_PACKED: Final = msgspec.msgpack.Encoder()
_ANY_TIME: Final = datetime(2000, 1, 1, tzinfo=UTC)
_BEFORE: Final = attrgetter(*FACTS[: FACTS.index("category")])
_AFTER: Final = attrgetter(*FACTS[FACTS.index("category") + 1 :])


class Sorted(msgspec.Struct, frozen=True, kw_only=True):
    """A batch as it is taken over: each product once, and what is not to be sold or not to be
    believed set apart. `seen` are the ids of all that the supplier still has.
    """

    products: tuple[SupplierProduct, ...]
    left_out: tuple[str, ...]
    refusals: tuple[PageRefusal, ...]
    seen: tuple[str, ...]


def sorted_out(batch: CatalogueBatch) -> Sorted:
    """The batch set apart.

    A product that has no text keys tells the price of a picture: it is left out. One that costs
    beyond reason is refused, and stays what it was.
    """
    latest = {product.supplier_product_id: product for product in batch.products}
    absurd = [product for product in latest.values() if product.price > HIGHEST_COST]
    refusals = (
        *batch.refusals,
        *(
            PageRefusal(
                page=max(1, batch.next_page - 1),
                refused=RefusedProduct(
                    supplier_product_id=product.supplier_product_id, reason=COSTS_TOO_MUCH
                ),
            )
            for product in absurd
        ),
    )
    named = (each.refused.supplier_product_id for each in refusals)
    return Sorted(
        products=tuple(
            product
            for product in latest.values()
            if product.has_text and product.price <= HIGHEST_COST
        ),
        left_out=(
            *batch.left_out,
            *(each.supplier_product_id for each in latest.values() if not each.has_text),
        ),
        refusals=refusals,
        seen=tuple(
            dict.fromkeys((*latest, *batch.left_out, *(name for name in named if name is not None)))
        ),
    )


def category(product: SupplierProduct, by_word: Mapping[str, str]) -> str | None:
    """The category of a product."""
    return shelf_of(product.genres, by_word)


def facts(product: SupplierProduct, shelf: str | None) -> dict[str, object]:
    """The values of `FACTS`. `shelf` is the category of the product."""
    said: tuple[object, ...] = (*_BEFORE(product), shelf, *_AFTER(product))
    return dict(zip(FACTS, said, strict=True))


def digest(product: SupplierProduct, shelf: str | None) -> str:
    """What differs when anything that is said of a product differs, price and stock apart."""
    texts = msgspec.structs.replace(
        product, price=ZERO, stock=0, wholesale=(), updated_at=_ANY_TIME
    )
    return blake2b(_PACKED.encode((texts, shelf)), digest_size=16).hexdigest()


def slug(title: str, identity: str) -> str:
    """A readable name for addresses that differs for each identity, given once and then kept."""
    plain = unicodedata.normalize("NFKD", title).encode("ascii", "ignore").decode().lower()
    words = re.sub(r"[^a-z0-9]+", "-", plain)[:SLUG_LENGTH].strip("-")
    mark = sha256(identity.encode()).hexdigest()[:8]
    return f"{words}-{mark}" if words else mark


def missing_shelves(
    products: Sequence[SupplierProduct], by_word: Mapping[str, str], known: int
) -> dict[str, str]:
    """The categories to make for words that no category speaks of yet: slug to title.

    `known` is how many categories there are; with `CATEGORIES_MADE` no more are made.
    """
    made: dict[str, str] = {}
    for genre in genres_of(products):
        if known + len(made) >= CATEGORIES_MADE:
            return made
        name = None if genre_key(genre) in by_word else genre_slug(genre)
        if name is not None:
            made.setdefault(name, genre)
    return made


def with_made(
    genres: Iterable[str], by_word: Mapping[str, str], slugs: frozenset[str]
) -> dict[str, str]:
    """The category of each word, with those that carry the slug of a word for want of better."""
    whole = dict(by_word)
    for genre in genres:
        key = genre_key(genre)
        if key not in whole and (name := genre_slug(genre)) in slugs and name is not None:
            whole[key] = name
    return whole


def shelves_of(genres: Iterable[str], known: Sequence[Category]) -> dict[str, str]:
    """The category of each of these words, as suppliers write them; no more are made for it."""
    words = tuple(genres)
    whole = with_made(words, shelves(known), frozenset(each.slug for each in known))
    return {word: whole[key] for word in words if (key := genre_key(word)) in whole}


def genres_of(products: Sequence[SupplierProduct]) -> dict[str, None]:
    """Each word once, in the order in which they come."""
    return dict.fromkeys(genre for product in products for genre in product.genres)


def advanced(sync: CatalogueSync, batch: CatalogueBatch, counts: MergeCounts) -> CatalogueSync:
    """The synchronisation after a batch of it was merged."""
    return msgspec.structs.replace(
        sync,
        version=sync.version + 1,
        next_page=batch.next_page,
        updated_since=batch.updated_since or sync.updated_since,
        pages=sync.pages + batch.pages,
        products=sync.products + len(batch.products),
        refused=sync.refused + counts.refused,
        products_new=sync.products_new + counts.products_new,
        products_changed=sync.products_changed + counts.products_changed,
        offers_new=sync.offers_new + counts.offers_new,
        offers_changed=sync.offers_changed + counts.offers_changed,
        prices_changed=sync.prices_changed + counts.prices_changed,
        retired=sync.retired + counts.retired,
    )
