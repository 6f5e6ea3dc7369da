"""What a supplier says about its goods: cleaned products, pages of them, and its own words."""

from datetime import datetime
from decimal import Decimal

import msgspec

from bitloot.domain.money import Eur
from bitloot.domain.product import SystemRequirements, WholesaleTier
from bitloot.domain.product_media import MediaKind

__all__ = [
    "CataloguePage",
    "MediaKind",
    "RefusedProduct",
    "SupplierMedia",
    "SupplierProduct",
    "SystemRequirements",
]


class SupplierMedia(msgspec.Struct, frozen=True, kw_only=True):
    """A picture or a film of a product. Both addresses are `http` or `https`, nothing else.

    An `image` is the cover. A `video` is the address of its page, not of a file.
    """

    kind: MediaKind
    url: str
    thumbnail_url: str | None = None


class SupplierProduct(msgspec.Struct, frozen=True, kw_only=True):
    """A product of the supplier's catalogue, cleaned. `stock` 0 where nothing can be sold.

    All texts are plain, trimmed and bounded. `price` in EUR a unit is that of the cheapest offer
    that can be had. `has_text` is False where the supplier has keys and says that all of them are
    images: where only text keys are bought, the stock is then 0 and the price is not what a text
    key costs, so nothing may be priced by it. `metacritic` is above 0 and at most 100, with at
    most two decimals. `media` begins with the cover.
    """

    supplier_product_id: str
    title: str
    description: str
    platform: str | None
    region: str | None
    excluded_countries: tuple[str, ...]
    is_preorder: bool
    release_date: str | None
    instructions: str | None
    cover_url: str | None
    offer_id: str
    price: Eur
    stock: int
    wholesale: tuple[WholesaleTier, ...]
    updated_at: datetime
    original_name: str | None = None
    genres: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    developers: tuple[str, ...] = ()
    publishers: tuple[str, ...] = ()
    age_rating: str | None = None
    metacritic: Decimal | None = None
    steam_app: str | None = None
    system_requirements: tuple[SystemRequirements, ...] = ()
    media: tuple[SupplierMedia, ...] = ()
    has_text: bool = True


class RefusedProduct(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the catalogue that could not be read.

    `reason` is a short text that names the field (`price is not an amount`) and repeats nothing
    of the entry. The id is None where the entry does not tell it.
    """

    supplier_product_id: str | None
    reason: str


class CataloguePage(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the catalogue; no product comes twice in it.

    `number` counts from 1, or from the `first_page` that was asked for. In a full read a page
    before this one may be read again, with its own lower number, when the catalogue shrank
    meanwhile: what moved up is then not missed. `left_out` are the ids of products that this shop
    does not sell, such as pre-orders where they are switched off: whoever knows one sets its stock
    to 0, and nobody puts a new one on the shelf.

    `up_to` is for incremental reads: when the last change on this page was made. A read that was
    broken off after it goes on with `updated_since=up_to`; None: begin again.
    """

    number: int
    products: tuple[SupplierProduct, ...] = ()
    refused: tuple[RefusedProduct, ...] = ()
    left_out: tuple[str, ...] = ()
    is_last: bool = False
    up_to: datetime | None = None
