"""A product of our own comes on the shelf, at a price that a person set."""

import re
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from typing import Final

import msgspec

from bitloot.domain.decision import AuditEntry, Decision, insert
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.domain.money import CENT, Eur
from bitloot.domain.price_derivation import derive, price_record
from bitloot.domain.pricing_rules import RuleTerms, choose, new_rule
from bitloot.domain.product import Product, new_listing

MAX_SLUG: Final = 80
MAX_TITLE: Final = 200
_SLUG: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


class OwnProduct(msgspec.Struct, frozen=True, kw_only=True):
    """A product of our own as it is put on the shelf. `price` in EUR a unit."""

    slug: str
    title: str
    price: Eur
    platform: str | None = None
    description: str = ""
    instructions: str | None = None


class Shelved(msgspec.Struct, frozen=True):
    """The product as it will stand there, and what has to be written for it."""

    product: Product
    decision: Decision


def check_words(wanted: OwnProduct) -> None:
    """Raises Refused `invalid-input` for a slug or a title that cannot be used."""
    if len(wanted.slug) > MAX_SLUG or not _SLUG.fullmatch(wanted.slug):
        raise Refused("invalid-input", "A slug is lower-case words with hyphens.", field="slug")
    check_title(wanted.title)


def check_title(title: str) -> None:
    """Raises Refused `invalid-input` for a title in which nothing can be read."""
    seen = any(each.isprintable() and not each.isspace() for each in title)
    if not seen or len(title) > MAX_TITLE:
        raise Refused("invalid-input", f"A title has 1 to {MAX_TITLE} characters.", field="title")


def check_price(price: Eur) -> None:
    """Raises Refused `invalid-input` for a price that nobody can be asked for."""
    if price < CENT or price % CENT:
        raise Refused("invalid-input", "A price is whole cents, at least one.", field="price")


def put_on_shelf(
    wanted: OwnProduct,
    *,
    gateway_fee: Decimal,
    actor: str,
    at: datetime,
    new_id: Callable[[], str],
) -> Shelved:
    """The product, its price as a rule of its own, its listing, and the first line of its history.

    Raises Refused `invalid-input` for a price that is none.
    """
    product = insert(
        Product(
            id=new_id(),
            slug=wanted.slug,
            title=wanted.title,
            source=OWN_STOCK,
            description=wanted.description,
            platform=wanted.platform,
            instructions=wanted.instructions,
            created_at=at,
            updated_at=at,
        )
    )
    assert isinstance(product.after, Product)
    row = product.after
    terms = RuleTerms(scope="product", subject=row.id, kind="override", value=wanted.price)
    rule = new_rule(terms, rule_id=new_id(), at=at)
    choice = choose((rule,), category=None, product_id=row.id)
    derived = derive(None, gateway_fee, choice.applied, None)
    assert derived.price is not None
    listing = new_listing(row, price=derived.price, floor=derived.floor, is_available=False, at=at)
    told = price_record(
        derived, record_id=new_id(), product_id=row.id, at=at, reason="own", tried=choice.tried
    )
    assert told is not None
    entry = AuditEntry(at=at, actor=actor, action="product.created", subject=row.id)
    save = (product, insert(rule), insert(listing), insert(told))
    return Shelved(row, Decision(save=save, audit=(entry,)))
