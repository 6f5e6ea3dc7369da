"""A person adds, changes, orders or takes away pictures and films of a product."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from bitloot.domain.decision import AuditEntry, Decision, insert, update
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.domain.product import Product
from bitloot.domain.product_change import pinned_media
from bitloot.domain.product_media import MediaKind, ProductMedia
from bitloot.domain.rule_change import demand_version
from bitloot.domain.web_address import web_address

MOST_MEDIA: Final = 100


class NewMedia(msgspec.Struct, frozen=True, kw_only=True):
    """A picture or a film as a person names it; it comes behind all others."""

    kind: MediaKind
    url: str
    thumbnail_url: str | None = None
    alt: str = ""


def added(
    product: Product,
    known: Sequence[ProductMedia],
    wanted: NewMedia,
    *,
    media_id: str,
    actor: str,
    at: datetime,
) -> Decision:
    """One more. Raises Refused `invalid-input` for an address that cannot be shown or is known,
    and where there are as many as may be.
    """
    if len(known) >= MOST_MEDIA:
        raise Refused("invalid-input", f"A product has at most {MOST_MEDIA} media.", field="url")
    url = web_address(wanted.url, "url")
    if any(row.url == url for row in known):
        raise Refused("invalid-input", "The product has this address already.", field="url")
    if wanted.thumbnail_url is not None:
        web_address(wanted.thumbnail_url, "thumbnailUrl")
    row = ProductMedia(
        id=media_id,
        product_id=product.id,
        kind=wanted.kind,
        url=url,
        thumbnail_url=wanted.thumbnail_url,
        alt=wanted.alt,
        position=max((each.position for each in known), default=0) + 1,
        source=OWN_STOCK,
    )
    return Decision(save=(insert(row),), audit=(_entry("media.added", row, actor, at),))


def changed(
    product: Product,
    row: ProductMedia,
    fields: Mapping[str, object],
    *,
    expected_version: int,
    actor: str,
    at: datetime,
) -> Decision:
    """Another text, kind or thumbnail; a supplier's media are a person's from then on.

    Raises Refused `version-conflict` or `invalid-input`.
    """
    demand_version(row.version, expected_version)
    thumbnail = fields.get("thumbnail_url")
    if isinstance(thumbnail, str):
        web_address(thumbnail, "thumbnailUrl")
    pinned = () if row.source == OWN_STOCK else pinned_media(product, at=at)
    return Decision(
        save=(update(row, **fields), *pinned), audit=(_entry("media.changed", row, actor, at),)
    )


def removed(
    product: Product, row: ProductMedia, *, expected_version: int, actor: str, at: datetime
) -> Decision:
    """One less; one of the supplier does not come back with the next synchronisation.

    Raises Refused `version-conflict`.
    """
    demand_version(row.version, expected_version)
    pinned = () if row.source == OWN_STOCK else pinned_media(product, at=at)
    return Decision(save=pinned, remove=(row,), audit=(_entry("media.removed", row, actor, at),))


def ordered(
    product: Product,
    known: Sequence[ProductMedia],
    ids: Sequence[str],
    *,
    expected_version: int,
    actor: str,
    at: datetime,
) -> Decision:
    """The media in this order; the version is the product's. Raises Refused `version-conflict`, or
    `invalid-input` unless each is named once.
    """
    demand_version(product.version, expected_version)
    by_id = {row.id: row for row in known}
    if sorted(ids) != sorted(by_id):
        raise Refused("invalid-input", "Name each of the product's media once.", field="ids")
    places = {row_id: place for place, row_id in enumerate(ids, start=1)}
    moves = tuple(
        update(row, position=places[row.id]) for row in known if row.position != places[row.id]
    )
    if not moves:
        return Decision(reason="it is so already")
    foreign = any(row.source != OWN_STOCK for row in known)
    pinned = pinned_media(product, at=at) if foreign else ()
    # The order is the product's: whoever looked at it before looks again.
    whole = pinned or (update(product, updated_at=at),)
    entry = AuditEntry(at=at, actor=actor, action="media.ordered", subject=product.id)
    return Decision(save=(*moves, *whole), audit=(entry,))


def _entry(action: str, row: ProductMedia, actor: str, at: datetime) -> AuditEntry:
    facts: dict[str, str | int | None] = {"media": row.id, "kind": row.kind}
    return AuditEntry(at=at, actor=actor, action=action, subject=row.product_id, facts=facts)
