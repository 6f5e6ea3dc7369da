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

from bitloot.domain.money import Eur
from bitloot.domain.product import WholesaleTier
from bitloot.domain.supply import SupplierOffer
from bitloot.ports.supplier import RefusedProduct, SupplierProduct
from bitloot_adapters.kinguin import plain_text
from bitloot_adapters.kinguin import product_facts as facts
from bitloot_adapters.kinguin.values import (
    Json,
    count,
    elements,
    fields,
    flag,
    identifier,
    is_flag,
    moment,
    price,
    word,
)

KeyType: TypeAlias = Literal["text", "any"]

# Units from which a wholesale level holds.
WHOLESALE_UNITS: Final[Mapping[int, int]] = {1: 10, 2: 50, 3: 100, 4: 500}
MAX_DESCRIPTION: Final = 20_000
MAX_INSTRUCTIONS: Final = 10_000
MAX_COUNTRIES: Final = 250
_COUNTRY: Final = re.compile(r"[A-Z]{2}")


def offers(value: Json, *, key_type: KeyType, preorders: bool) -> tuple[SupplierOffer, ...]:
    """What can be bought of a product now, cheapest first."""
    body = fields(value)
    product_id = identifier(body.get("productId"))
    if product_id is None:
        return ()
    listed = elements(body.get("offers"))
    if listed:
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


def product(value: Json, *, key_type: KeyType, preorders: bool) -> SupplierProduct | RefusedProduct:
    """A product of the catalogue, or why it is none of those that can be sold or kept.

    Without anything to sell it has stock 0 and the price of its cheapest offer of text keys, or
    the product's own where no offer says that it has any.
    """
    if not isinstance(value, dict):
        return RefusedProduct(supplier_product_id=None, reason="the entry is no object")
    product_id, updated_at = identifier(value.get("productId")), moment(value.get("updatedAt"))
    title = facts.name(value.get("name"))
    able = offers(value, key_type=key_type, preorders=True)
    best = able[0] if able else None
    unit_price = best.price if best is not None else _price_of_nothing(value, key_type)
    if product_id is None or updated_at is None or title is None or unit_price is None:
        return RefusedProduct(supplier_product_id=product_id, reason=_fault(value))
    if (reason := _wrong_type(value)) is not None:
        return RefusedProduct(supplier_product_id=product_id, reason=reason)
    is_preorder = flag(value.get("isPreorder")) if best is None else best.is_preorder
    media = facts.media(value.get("images"), value.get("videos"))
    return SupplierProduct(
        supplier_product_id=product_id,
        title=title,
        description=_prose(value.get("description"), MAX_DESCRIPTION) or "",
        platform=facts.name(value.get("platform")),
        region=facts.name(value.get("regionalLimitations")),
        excluded_countries=_countries(value.get("countryLimitation")),
        is_preorder=is_preorder,
        release_date=_day(value.get("releaseDate")),
        instructions=_prose(value.get("activationDetails"), MAX_INSTRUCTIONS),
        cover_url=facts.cover_url(media),
        offer_id=_only_offer(value) if best is None else best.offer_id,
        price=unit_price,
        stock=0 if best is None or (is_preorder and not preorders) else best.stock,
        wholesale=() if best is None else best.wholesale,
        updated_at=updated_at,
        original_name=facts.name(value.get("originalName")),
        genres=facts.labels(value.get("genres")),
        tags=facts.labels(value.get("tags")),
        languages=facts.labels(value.get("languages")),
        developers=facts.labels(value.get("developers")),
        publishers=facts.labels(value.get("publishers")),
        age_rating=facts.name(value.get("ageRating"), facts.MAX_LABEL),
        metacritic=facts.metacritic(value.get("metacriticScore")),
        steam_app=facts.steam_app(value.get("steam")),
        system_requirements=facts.system_requirements(value.get("systemRequirements")),
        media=media,
        has_text=_has_text(value),
    )


def _fault(body: Mapping[str, Json]) -> str:
    """Which required field is missing or useless; the price comes last, offers may have one."""
    readers: tuple[tuple[str, str, bool], ...] = (
        ("productId", "id", identifier(body.get("productId")) is not None),
        ("name", "text", facts.name(body.get("name")) is not None),
        ("updatedAt", "time", moment(body.get("updatedAt")) is not None),
    )
    for field, kind, is_good in readers:
        if not is_good:
            return _missing(body, field, kind)
    return _missing(body, "price", "amount above zero")


def _missing(body: Mapping[str, Json], field: str, kind: str) -> str:
    return f"{field} is missing" if body.get(field) is None else f"{field} is no {kind}"


def _wrong_type(body: Mapping[str, Json]) -> str | None:
    """What decides whether units are sold, and where, must not be guessed from nonsense: a lock
    that is not read is a key that its buyer cannot use.
    """
    if body.get("qty") is not None and count(body.get("qty")) is None:
        return "qty is no count"
    if body.get("isPreorder") is not None and not is_flag(body.get("isPreorder")):
        return "isPreorder is no yes or no"
    if not isinstance(body.get("countryLimitation"), list | None):
        return "countryLimitation is no list"
    return None


def _price_of_nothing(body: Mapping[str, Json], key_type: KeyType) -> Eur | None:
    """The price of a product that cannot be had now.

    The product's own price may be that of an image: an offer that says it has text keys, sold out
    or not, is nearer to what a text key will cost.
    """
    if key_type == "text":
        asked = [
            price(fields(each).get("price"))
            for each in elements(body.get("offers"))
            if count(fields(each).get("textQty"))
        ]
        known = [each for each in asked if each is not None]
        if known:
            return min(known)
    return price(body.get("price"))


def _has_text(body: Mapping[str, Json]) -> bool:
    """False where there are keys and every count of text keys is 0: then all are images."""
    counted = [body, *(fields(each) for each in elements(body.get("offers")))]
    has_keys = any(count(each.get("qty")) for each in counted)
    texts = [
        count(each.get(field)) for each in counted for field in ("textQty", "availableTextQty")
    ]
    told = [each for each in texts if each is not None]
    return not (has_keys and told and not any(told))


def _prose(value: Json, limit: int) -> str | None:
    return (plain_text.prose(value, limit) or None) if isinstance(value, str) else None


def _countries(value: Json) -> tuple[str, ...]:
    """ISO-2 codes where it cannot be used, each once."""
    codes = (code.upper() for each in elements(value) if (code := word(each)) is not None)
    return tuple(dict.fromkeys(code for code in codes if _COUNTRY.fullmatch(code)))[:MAX_COUNTRIES]


def _day(value: Json) -> str | None:
    try:
        return date.fromisoformat(value.strip()).isoformat() if isinstance(value, str) else None
    except ValueError:
        return None
