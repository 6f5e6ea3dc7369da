"""A person has one product sold from several suppliers, or no longer.

Suppliers name things as they like, so nothing joins their products by itself. What is joined is
every offer of one product of a supplier; from then on its catalogue tells price and stock of them,
and the product that it had made of them is hidden. That one hears all else that is said of them:
once a buyer would be promised what it does not keep, the offers are parted by themselves.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from bitloot.domain.decision import AuditEntry, Decision, update
from bitloot.domain.errors import Refused
from bitloot.domain.product import Offer, Product
from bitloot.domain.rule_change import reprice

# What a buyer is promised of a product, and what a request calls it.
PROMISED: Final[Mapping[str, str]] = {
    "excluded_countries": "excludedCountries",
    "region": "region",
    "is_preorder": "isPreorder",
}


def joined(
    product: Product, its_own: Product, offers: Sequence[Offer], *, actor: str, at: datetime
) -> Decision:
    """Have the offers sold as `product`; `its_own` is what their supplier's catalogue made of them.

    Raises Refused `invalid-input` for offers of the product's own supplier, or of goods that are
    sold in other places, or at another time.
    """
    if its_own.id == product.id:
        raise Refused("invalid-input", "The product is made of these offers.", field="offer")
    fault = unlike(product, its_own)
    if fault is not None:
        raise Refused("invalid-input", fault, field="offer")
    moved = [update(each, product_id=product.id, updated_at=at) for each in offers]
    hidden = [update(its_own, is_published=False, updated_at=at)] if its_own.is_published else []
    return Decision(
        save=(*moved, *hidden),
        jobs=(reprice(product.id), reprice(its_own.id)),
        audit=(_entry("offer.joined", product, its_own, actor, at),),
    )


def parted(
    product: Product, its_own: Product, offers: Sequence[Offer], *, actor: str, at: datetime
) -> Decision:
    """Give the offers back to the product that their catalogue made of them; it stays hidden.

    Raises Refused `not-found` for offers that are not sold as `product`.
    """
    moved = [
        update(each, product_id=its_own.id, updated_at=at)
        for each in offers
        if each.product_id == product.id
    ]
    if not moved or its_own.id == product.id:
        raise Refused("not-found")
    return Decision(
        save=tuple(moved),
        jobs=(reprice(product.id), reprice(its_own.id)),
        audit=(_entry("offer.parted", product, its_own, actor, at),),
    )


def demand_alike(product: Product, its_own: Product, field: str) -> None:
    """That a person who corrects either leaves both such that offers of `its_own` can go on being
    sold as `product`. Raises Refused `invalid-input`, `field` being what was corrected.
    """
    if its_own.id != product.id and unlike(product, its_own) is not None:
        told = (
            "Offers of a supplier are sold as another product that would not keep this: part them."
        )
        raise Refused("invalid-input", told, field=field)


def unlike(product: Product, its_own: Product) -> str | None:
    """Why offers of `its_own` cannot be sold as `product`; None where they can.

    A buyer is promised where and when a key works before it is known whose key it will be.
    """
    if not set(its_own.excluded_countries) <= set(product.excluded_countries):
        return "These offers are locked in countries where it is sold."
    if its_own.region != product.region and product.region is not None:
        return "These offers are for another region."
    if its_own.is_preorder != product.is_preorder:
        return "Only one of both is a preorder."
    return None


def _entry(action: str, product: Product, its_own: Product, actor: str, at: datetime) -> AuditEntry:
    facts: Mapping[str, str | int | None] = {
        "supplier": its_own.source,
        "supplier_product_id": its_own.supplier_product_id,
    }
    return AuditEntry(at=at, actor=actor, action=action, subject=product.id, facts=facts)
