"""Products and offers as Kinguin writes them, cleaned for the shop.

What can be sold is what is in stock now (`availableTextQty`, `availableQty`), not what merchants
declared (`textQty`, `qty`); a product whose keys are all images has stock 0 where only text keys
are bought. A pre-order is the exception: nobody has its keys yet, so its declared stock counts.

Source: Kinguin eCommerce API documentation, product v1 and v2, wholesale, product updates.
"""

import re
from collections.abc import Mapping
from datetime import date
from typing import Final, Literal, TypeAlias
from urllib.parse import urlsplit

from bitloot.domain.product import WholesaleTier
from bitloot.domain.supply import SupplierOffer
from bitloot.ports.supplier import SupplierProduct
from bitloot_adapters.kinguin import plain_text
from bitloot_adapters.kinguin.values import (
    Json,
    count,
    elements,
    fields,
    flag,
    identifier,
    moment,
    price,
    word,
)

KeyType: TypeAlias = Literal["text", "any"]

# Units from which a wholesale level holds.
WHOLESALE_UNITS: Final[Mapping[int, int]] = {1: 10, 2: 50, 3: 100, 4: 500}
MAX_TITLE: Final = 300
MAX_DESCRIPTION: Final = 20_000
MAX_INSTRUCTIONS: Final = 10_000
MAX_URL: Final = 2_000
MAX_COUNTRIES: Final = 250
_COUNTRY: Final = re.compile(r"[A-Z]{2}")


def offers(value: Json, *, key_type: KeyType, preorders: bool) -> tuple[SupplierOffer, ...]:
    """What can be bought of a product now, cheapest first."""
    body = fields(value)
    product_id = identifier(body.get("productId"))
    if product_id is None:
        return ()
    listed = body.get("offers")
    if isinstance(listed, list):
        is_preorder = flag(body.get("isPreorder"))
        read = [_offer(product_id, each, key_type, is_preorder=is_preorder) for each in listed]
    else:
        read = [_offer_of_product(product_id, body, key_type)]
    able = [each for each in read if each is not None and each.stock > 0]
    allowed = [each for each in able if preorders or not each.is_preorder]
    return tuple(sorted(allowed, key=lambda each: (each.price, each.offer_id)))


def _offer(
    product_id: str, value: Json, key_type: KeyType, *, is_preorder: bool
) -> SupplierOffer | None:
    body = fields(value)
    offer_id, asked = identifier(body.get("offerId")), price(body.get("price"))
    if offer_id is None or asked is None:
        return None
    is_preorder = is_preorder or flag(body.get("isPreorder"))
    return SupplierOffer(
        supplier_product_id=product_id,
        offer_id=offer_id,
        price=asked,
        stock=_stock(body, key_type, is_preorder=is_preorder),
        is_preorder=is_preorder,
        wholesale=_wholesale(body.get("wholesale")),
    )


def _offer_of_product(
    product_id: str, body: Mapping[str, Json], key_type: KeyType
) -> SupplierOffer | None:
    """The best offer of an account that is not shown offers.

    The quantity is that of all cheapest offers together: with more than one, none is named and
    the supplier picks.
    """
    asked = price(body.get("price"))
    if asked is None:
        return None
    is_preorder = flag(body.get("isPreorder"))
    return SupplierOffer(
        supplier_product_id=product_id,
        offer_id=_only_offer(body),
        price=asked,
        stock=_stock(body, key_type, is_preorder=is_preorder),
        is_preorder=is_preorder,
    )


def _only_offer(body: Mapping[str, Json]) -> str:
    cheapest = elements(body.get("cheapestOfferId"))
    return (identifier(cheapest[0]) or "") if len(cheapest) == 1 else ""


def _stock(body: Mapping[str, Json], key_type: KeyType, *, is_preorder: bool) -> int:
    """Units that can be sold. Where text keys are not counted, the order itself asks for them."""
    here, declared = count(body.get("availableQty")), count(body.get("qty"))
    if is_preorder:
        return max(here or 0, declared or 0)
    of_any = declared or 0 if here is None else here
    if key_type == "any":
        return of_any
    text_here, text_declared = count(body.get("availableTextQty")), count(body.get("textQty"))
    if text_here is not None:
        return text_here
    return of_any if text_declared is None else min(text_declared, of_any)


def _wholesale(value: Json) -> tuple[WholesaleTier, ...]:
    body = fields(value)
    if not flag(body.get("enabled")):
        return ()
    tiers: dict[int, WholesaleTier] = {}
    for each in elements(body.get("tiers")):
        level, asked = count(fields(each).get("level")), price(fields(each).get("price"))
        units = None if level is None else WHOLESALE_UNITS.get(level)
        if units is not None and asked is not None:
            tiers[units] = WholesaleTier(units, asked)
    return tuple(tiers[units] for units in sorted(tiers))


def product(value: Json, *, key_type: KeyType, preorders: bool) -> SupplierProduct | None:
    """A product of the catalogue, None where it cannot be told which, what, when or for how much.

    Without anything to sell it keeps its cheapest price and has stock 0.
    """
    body = fields(value)
    product_id, updated_at = identifier(body.get("productId")), moment(body.get("updatedAt"))
    name, asked = body.get("name"), price(body.get("price"))
    title = plain_text.line(name, MAX_TITLE) if isinstance(name, str) else ""
    able = offers(value, key_type=key_type, preorders=True)
    best = able[0] if able else None
    unit_price = best.price if best is not None else asked
    if product_id is None or updated_at is None or not title or unit_price is None:
        return None
    is_preorder = flag(body.get("isPreorder")) if best is None else best.is_preorder
    return SupplierProduct(
        supplier_product_id=product_id,
        title=title,
        description=_prose(body.get("description"), MAX_DESCRIPTION) or "",
        platform=_name(body.get("platform")),
        region=_name(body.get("regionalLimitations")),
        excluded_countries=_countries(body.get("countryLimitation")),
        is_preorder=is_preorder,
        release_date=_day(body.get("releaseDate")),
        instructions=_prose(body.get("activationDetails"), MAX_INSTRUCTIONS),
        cover_url=_cover(body.get("images")),
        offer_id=_only_offer(body) if best is None else best.offer_id,
        price=unit_price,
        stock=0 if best is None or (is_preorder and not preorders) else best.stock,
        wholesale=() if best is None else best.wholesale,
        updated_at=updated_at,
    )


def _prose(value: Json, limit: int) -> str | None:
    return (plain_text.prose(value, limit) or None) if isinstance(value, str) else None


def _name(value: Json) -> str | None:
    return (plain_text.line(value, MAX_TITLE) or None) if isinstance(value, str) else None


def _countries(value: Json) -> tuple[str, ...]:
    """ISO-2 codes where it cannot be used, each once."""
    codes = (code.upper() for each in elements(value) if (code := word(each)) is not None)
    return tuple(dict.fromkeys(code for code in codes if _COUNTRY.fullmatch(code)))[:MAX_COUNTRIES]


def _day(value: Json) -> str | None:
    try:
        return date.fromisoformat(value.strip()).isoformat() if isinstance(value, str) else None
    except ValueError:
        return None


def _cover(value: Json) -> str | None:
    """The cover, an object or an array of one; else the first screenshot; web addresses only."""
    body = fields(value)
    for name in ("cover", "screenshots"):
        found = body.get(name)
        for each in found if isinstance(found, list) else [found]:
            for size in ("url", "thumbnail"):
                url = _web_address(fields(each).get(size))
                if url is not None:
                    return url
    return None


def _web_address(value: Json) -> str | None:
    if not isinstance(value, str) or len(value) > MAX_URL:
        return None
    url = value.strip()
    if not url.isprintable() or any(each in url for each in " \"'<>\\`"):
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    is_web = parts.scheme.lower() in {"http", "https"} and "@" not in parts.netloc
    return url if is_web and host else None
