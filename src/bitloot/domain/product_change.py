"""A person puts a product on the shelf, corrects it, shows it, hides it or retires it.

What a person says of a supplier's product is pinned: a synchronisation leaves it alone until the
field is given back.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from bitloot.domain.decision import AuditEntry, Change, Decision, update
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.domain.own_product import (
    OwnProduct,
    check_price,
    check_title,
    check_words,
    put_on_shelf,
)
from bitloot.domain.product import FACTS, Listing, Product, followed
from bitloot.domain.rule_change import demand_version
from bitloot.domain.web_address import web_address

# What a person may say although the supplier says it too.
PINNABLE: Final = frozenset(FACTS) - {"steam_app", "system_requirements"}
# What the shop alone says.
OURS: Final = frozenset({"low_stock_at", "hides_when_sold_out"})
MEDIA: Final = "media"


class NewProduct(msgspec.Struct, frozen=True):
    """A product as it will stand on the shelf, and what has to be written for it."""

    product: Product
    decision: Decision


def created(
    wanted: OwnProduct,
    fields: Mapping[str, object],
    *,
    is_published: bool,
    gateway_fee: Decimal,
    actor: str,
    at: datetime,
    new_id: Callable[[], str],
) -> NewProduct:
    """A product of our own with all that is said of it. Raises Refused `invalid-input`."""
    check_words(wanted)
    check_price(wanted.price)
    said = _checked(fields)
    shelved = put_on_shelf(wanted, gateway_fee=gateway_fee, actor=actor, at=at, new_id=new_id)
    product = msgspec.structs.replace(shelved.product, is_published=is_published, **said)

    def whole(change: Change) -> Change:
        match change.after:
            case Product():
                return msgspec.structs.replace(change, after=product)
            case Listing() as listing:
                return msgspec.structs.replace(
                    change, after=followed(listing, product, is_available=False)
                )
            case _:
                return change

    save = tuple(whole(change) for change in shelved.decision.save)
    return NewProduct(product, msgspec.structs.replace(shelved.decision, save=save))


def edited(
    product: Product,
    fields: Mapping[str, object],
    *,
    unpin: Collection[str] = (),
    expected_version: int,
    actor: str,
    at: datetime,
) -> Decision:
    """The product as a person says it is. Raises Refused `version-conflict` or `invalid-input`.

    `unpin` are fields that the supplier speaks of again: the next synchronisation brings its word.
    """
    demand_version(product.version, expected_version)
    said = _checked(fields)
    unknown = sorted(set(unpin) - PINNABLE - {MEDIA})
    if unknown or set(unpin) & set(said):
        raise Refused("invalid-input", "Give back fields that are not set here.", field="unpin")
    pinned = set(product.pinned) - set(unpin)
    if product.source != OWN_STOCK:
        pinned |= set(said) & PINNABLE
    # What the supplier said last is forgotten, or it would be no news that it says it.
    digest = None if set(unpin) & set(product.pinned) else product.facts_digest
    change = update(
        product, **said, pinned=tuple(sorted(pinned)), facts_digest=digest, updated_at=at
    )
    facts = {
        "fields": ", ".join(sorted(said)) or None,
        "unpinned": ", ".join(sorted(unpin)) or None,
    }
    return Decision(
        save=(change,), audit=(_entry("product.changed", product, actor, at, facts=facts),)
    )


def shown(product: Product, *, is_published: bool, actor: str, at: datetime) -> Decision:
    """The product on the lists, or off them; nothing where it is so already."""
    if product.is_published == is_published:
        return Decision(reason="it is so already")
    action = "product.published" if is_published else "product.unpublished"
    change = update(product, is_published=is_published, updated_at=at)
    return Decision(save=(change,), audit=(_entry(action, product, actor, at),))


def retired(
    product: Product, *, is_spoken_for: bool, expected_version: int, actor: str, at: datetime
) -> Decision:
    """The product off the lists for good; what was sold of it, and its prices, stay on record.

    Raises Refused `version-conflict`, or `in-use` while units are kept or owed.
    """
    demand_version(product.version, expected_version)
    if is_spoken_for:
        raise Refused("in-use", "Units of this product are kept for an order or still owed.")
    change = update(product, is_published=False, updated_at=at)
    return Decision(save=(change,), audit=(_entry("product.retired", product, actor, at),))


def pinned_media(product: Product, *, at: datetime) -> tuple[Change, ...]:
    """The change that keeps a synchronisation from a product's media, if it is not kept yet."""
    if product.source == OWN_STOCK or MEDIA in product.pinned:
        return ()
    pinned = tuple(sorted({*product.pinned, MEDIA}))
    return (update(product, pinned=pinned, updated_at=at),)


def _checked(fields: Mapping[str, object]) -> dict[str, object]:
    unknown = sorted(set(fields) - PINNABLE - OURS)
    if unknown:
        raise Refused("invalid-input", "Nobody sets this field.", field=unknown[0])
    cover, title = fields.get("cover_url"), fields.get("title")
    if isinstance(cover, str):
        web_address(cover, "coverUrl")
    if isinstance(title, str):
        check_title(title)
    return dict(fields)


def _entry(
    action: str,
    product: Product,
    actor: str,
    at: datetime,
    *,
    facts: Mapping[str, str | int | None] | None = None,
) -> AuditEntry:
    return AuditEntry(at=at, actor=actor, action=action, subject=product.id, facts=facts or {})
