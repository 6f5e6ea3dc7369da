"""What is sold, what a supplier asks and has for it, and what we ask."""

from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from bitloot.domain.decision import Row
from bitloot.domain.money import Eur

# What the supplier says of a product. A name in `Product.pinned` is said by a person instead, and
# so are the media where it holds `media`.
FACTS: Final = (
    "title",
    "original_name",
    "description",
    "category",
    "platform",
    "region",
    "genres",
    "tags",
    "languages",
    "developers",
    "publishers",
    "age_rating",
    "metacritic",
    "steam_app",
    "system_requirements",
    "excluded_countries",
    "is_preorder",
    "release_date",
    "instructions",
    "cover_url",
)


class WholesaleTier(msgspec.Struct, frozen=True):
    """From `from_units` units on, each costs `price` EUR."""

    from_units: int
    price: Eur


class SystemRequirements(msgspec.Struct, frozen=True, kw_only=True):
    """What a product needs to run: plain lines, by the name of the operating system."""

    system: str
    requirements: tuple[str, ...] = ()


class Product(Row, frozen=True, kw_only=True):
    """What a thing on sale is. `source` is `custom` for own stock, else the supplier plugin's name.

    `excluded_countries` are ISO-2 codes where it cannot be activated. `category` is the slug of one
    of our categories; `genres` are the supplier's words. `metacritic` is 0 to 100. `pinned` names
    the fields that a person set: a synchronisation leaves them alone. `facts_digest` stands for all
    that the supplier said last, at `supplier_updated_at`. `low_stock_at` is how many units left are
    few; one that `hides_when_sold_out` is not listed while nothing of it can be had.
    """

    slug: str
    title: str
    original_name: str | None = None
    source: str
    supplier_product_id: str | None = None
    description: str = ""
    category: str | None = None
    platform: str | None = None
    region: str | None = None
    genres: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    developers: tuple[str, ...] = ()
    publishers: tuple[str, ...] = ()
    age_rating: str | None = None
    metacritic: Decimal | None = None
    steam_app: str | None = None
    system_requirements: tuple[SystemRequirements, ...] = ()
    excluded_countries: tuple[str, ...] = ()
    is_preorder: bool = False
    release_date: str | None = None
    instructions: str | None = None
    cover_url: str | None = None
    pinned: tuple[str, ...] = ()
    low_stock_at: int | None = None
    hides_when_sold_out: bool = False
    is_published: bool = True
    facts_digest: str | None = None
    supplier_updated_at: datetime | None = None
    created_at: datetime
    updated_at: datetime


class Offer(Row, frozen=True, kw_only=True):
    """One supplier's price (`cost`, EUR) and stock of text keys for a product.

    `held` counts units kept by reservations; what can still be sold is `stock - held`.
    `supplier_product_id` is what the supplier's order call wants to be told. It said all this at
    `supplier_updated_at`: what it said before that is no news.
    """

    product_id: str
    supplier: str
    supplier_product_id: str
    offer_id: str
    cost: Eur
    stock: int
    held: int = 0
    wholesale: tuple[WholesaleTier, ...] = ()
    supplier_updated_at: datetime | None = None
    updated_at: datetime


class Listing(Row, frozen=True, kw_only=True):
    """What we ask for a product, and all that lists are filtered and sorted by. `id` is its
    product's.

    `floor` is the cost floor that `price` was worked out over; the price lies below it only where a
    person signed the loss. `category`, `platform`, `region`, `source`, `rank` and `is_listed` are
    copies that the store keeps in step with the product, and `is_available` with what can be had.
    """

    is_listed: bool
    is_available: bool
    price: Eur
    floor: Eur
    is_loss_signed: bool = False
    rank: int = 0
    category: str | None = None
    platform: str | None = None
    region: str | None = None
    source: str
    updated_at: datetime


class Sellable(msgspec.Struct, frozen=True, kw_only=True):
    """A product with what can be had of it now: the facts that pricing and quoting need.

    Sold from own keys: `offer` is None, `available` counts free ones, `unit_cost` is their highest
    cost.
    `price` is the listed one, None where the product has none yet.
    """

    product: Product
    offer: Offer | None
    available: int
    unit_cost: Eur | None
    price: Eur | None
    is_loss_signed: bool = False


def is_sold_from_keys(offer: Offer | None, free_keys: int, key_cost: Eur | None) -> bool:
    """Whether a product of our own is sold from its keys, `offer` being the best of suppliers.

    Keys that are free come first, unless a supplier that has units asks less than the dearest cost.
    """
    if offer is None:
        return True
    if not free_keys or key_cost is None:
        return False
    return offer.stock <= offer.held or key_cost <= offer.cost


def new_listing(
    product: Product,
    *,
    price: Eur,
    floor: Eur,
    is_available: bool,
    at: datetime,
    is_loss_signed: bool = False,
) -> Listing:
    """What stands on the lists for a product that has just been priced for the first time."""
    bare = Listing(
        id=product.id,
        is_listed=product.is_published,
        is_available=is_available,
        price=price,
        floor=floor,
        is_loss_signed=is_loss_signed,
        source=product.source,
        updated_at=at,
    )
    return followed(bare, product, is_available=is_available)


def followed(listing: Listing, product: Product, *, is_available: bool) -> Listing:
    """The listing with its copies in step."""
    return msgspec.structs.replace(
        listing,
        is_listed=product.is_published and (is_available or not product.hides_when_sold_out),
        is_available=is_available,
        rank=popularity(product.metacritic),
        category=product.category,
        platform=product.platform,
        region=product.region,
        source=product.source,
    )


def popularity(metacritic: Decimal | None) -> int:
    """How far up a product stands on lists: what the critics say, 0 where they said nothing."""
    return 0 if metacritic is None else int(metacritic)
