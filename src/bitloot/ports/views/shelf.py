"""A product as the shelf shows it: one truth for every store."""

from decimal import Decimal

from bitloot.domain.money import ZERO, up_to_cent
from bitloot.domain.pricing import price_today
from bitloot.domain.product import Sellable
from bitloot.ports.views.catalog import ProductView


def product_view(sellable: Sellable, gateway_fee: Decimal) -> ProductView:
    """The product with the price that a quote would give it now."""
    product = sellable.product
    price = price_today(sellable, gateway_fee)
    return ProductView(
        id=product.id,
        slug=product.slug,
        title=product.title,
        description=product.description,
        source=product.source,
        platform=product.platform,
        region=product.region,
        excluded_countries=product.excluded_countries,
        price=up_to_cent(sellable.price or ZERO) if price is None else price,
        available=sellable.available,
        is_preorder=product.is_preorder,
        release_date=product.release_date,
        cover_url=product.cover_url,
    )
