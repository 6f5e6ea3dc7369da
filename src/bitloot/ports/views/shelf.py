"""A product as the shelf shows it, and the key of a page: one truth for every store."""

from decimal import Decimal
from typing import Final, Literal, TypeAlias

import msgspec

from bitloot.domain.errors import Refused
from bitloot.domain.money import ZERO, Eur, up_to_cent
from bitloot.domain.price_derivation import standing_price
from bitloot.domain.product import Product
from bitloot.ports.views.catalog import ProductView
from bitloot.ports.views.paging import id_after

# How a page was found: in the order of its key among the acclaimed that are hit, among the few
# hits, or among all products.
Way: TypeAlias = Literal["best", "few", "walk"]


class ShelfKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a page ends. Which of the fields count depends on the order."""

    way: Way
    id: str
    rank: int = 0
    weight: int = 0
    price: Decimal = ZERO
    slug: str = ""


_KEYS: Final = msgspec.json.Decoder(ShelfKey)


def key_text(key: ShelfKey) -> str:
    """The key as text."""
    return msgspec.json.encode(key).decode()


def key_after(after: str | None) -> ShelfKey | None:
    """The key that a text stands for. Raises Refused `invalid-input` for any other text."""
    if after is None:
        return None
    try:
        key = _KEYS.decode(after.encode())
    except (msgspec.DecodeError, UnicodeEncodeError):
        raise Refused(
            "invalid-input", "Ask for the next page with its own key.", field="cursor"
        ) from None
    id_after(key.id)
    return key


def shown_price(
    listed: Eur | None, cost: Eur | None, gateway_fee: Decimal, *, is_loss_signed: bool
) -> Eur:
    """What a quote would ask for a unit now; of what cannot be had, the price set."""
    price = up_to_cent(listed or ZERO)
    if listed is None or cost is None:
        return price
    return standing_price(price, cost, gateway_fee, is_loss_signed=is_loss_signed)


def product_view(product: Product, *, price: Eur, available: int) -> ProductView:
    """The product at this price."""
    return ProductView(
        id=product.id,
        slug=product.slug,
        title=product.title,
        source=product.source,
        category=product.category,
        platform=product.platform,
        region=product.region,
        excluded_countries=product.excluded_countries,
        price=price,
        available=max(0, available),
        is_preorder=product.is_preorder,
        release_date=product.release_date,
        cover_url=product.cover_url,
    )
