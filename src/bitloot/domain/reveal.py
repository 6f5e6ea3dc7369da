"""A grant: the permission to download the keys of one item, for minutes, revocable, audited."""

from collections.abc import Callable, Sequence
from datetime import datetime

from bitloot.domain.decision import Decision, Row
from bitloot.domain.delivery import is_delivered
from bitloot.domain.draft import Draft
from bitloot.domain.errors import Refused
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.limits import Limits
from bitloot.domain.order import Order, OrderFile


class Grant(Row, frozen=True, kw_only=True):
    """`granted_to` names the kind of caller (`order_session`, `user/<id>`), never a token."""

    order_id: str
    order_item_id: str
    granted_to: str
    expires_at: datetime
    created_at: datetime
    downloads: int = 0
    revoked_at: datetime | None = None
    revoked_reason: str | None = None


def allows_reveal(file: OrderFile) -> bool:
    """Whether keys of this order may be shown at all now."""
    return shows_keys(file.order) and file.open_order_hold() is None


def shows_keys(order: Order) -> bool:
    """Whether the order's status lets delivered keys be shown."""
    return order.status in {"partially_fulfilled", "fulfilled"} or (
        order.status == "failed" and order.failure_reason == "fulfilment_failed"
    )


def keys_to_show(
    file: OrderFile, order_item_id: str, keys: Sequence[SealedKey]
) -> tuple[SealedKey, ...]:
    """The keys of an item that the buyer may have: live, delivered, by unit."""
    delivered = {
        f.id
        for f in file.fulfilments
        if f.order_item_id == order_item_id and f.state == "delivered"
    }
    ours = [k for k in keys if k.state == "live" and k.fulfilment_id in delivered]
    return tuple(sorted(ours, key=lambda key: key.slot or 0))


def reveal(
    file: OrderFile,
    order_item_id: str,
    keys: Sequence[SealedKey],
    *,
    granted_to: str,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> tuple[Decision, Grant]:
    """Grant the download of an item's keys, the audit line first.

    Raises Refused(`not-found`) for an item of another order and Refused(`not-revealable`) when
    the item is not delivered, or the order may not show its keys now.
    """
    item = next((i for i in file.items if i.id == order_item_id), None)
    if item is None:
        raise Refused("not-found")
    shown = keys_to_show(file, item.id, keys)
    if not shown or not allows_reveal(file) or not is_delivered(item, file.fulfilments):
        raise Refused("not-revealable")
    draft = Draft(file, at=at, new_id=new_id)
    grant = draft.put(
        Grant(
            id=new_id(),
            order_id=file.order.id,
            order_item_id=item.id,
            granted_to=granted_to,
            expires_at=at + limits.link_life,
            created_at=at,
        )
    )
    draft.audit(
        granted_to, "key.reveal", grant.id, facts={"item": item.item_no, "keys": len(shown)}
    )
    draft.event("key_revealed", grant.id, facts={"item": item.item_no})
    return draft.decision(), grant


def download(
    file: OrderFile,
    grant: Grant,
    keys: Sequence[SealedKey],
    *,
    slot: int | None = None,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> tuple[Decision, tuple[SealedKey, ...]]:
    """Count one download of a grant; gives the keys to open, as they were stored.

    Of one unit only where `slot` is given. Raises Refused: `link-revoked`, `link-expired`,
    `link-used-up`, `not-found` for a unit that there is not, or `not-revealable` when the order may
    not show its keys any more.
    """
    if grant.revoked_at is not None:
        raise Refused("link-revoked")
    if at >= grant.expires_at:
        raise Refused("link-expired")
    if grant.downloads >= limits.downloads_per_link:
        raise Refused("link-used-up")
    shown = keys_to_show(file, grant.order_item_id, keys)
    if not shown or not allows_reveal(file):
        raise Refused("not-revealable")
    if slot is not None:
        shown = tuple(key for key in shown if key.slot == slot)
        if not shown:
            raise Refused("not-found")
    draft = Draft(file, at=at, new_id=new_id)
    draft.set(grant, downloads=grant.downloads + 1)
    for key in shown:
        draft.set(
            key,
            downloads=key.downloads + 1,
            first_download_at=key.first_download_at or at,
            last_download_at=at,
        )
    draft.audit(grant.granted_to, "key.download", grant.id, facts={"keys": len(shown)})
    draft.event("key_downloaded", grant.id, facts={"downloads": grant.downloads + 1})
    return draft.decision(), shown


def revoke(draft: Draft, grants: Sequence[Grant], reason: str) -> None:
    """End these grants now."""
    for grant in grants:
        if grant.revoked_at is None:
            draft.set(grant, revoked_at=draft.at, revoked_reason=reason)
            draft.event("grant_revoked", grant.id, facts={"reason": reason})


def revoked(
    file: OrderFile,
    grants: Sequence[Grant],
    *,
    actor: str,
    reason: str,
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """An admin ends the grants of an order or item."""
    draft = Draft(file, at=at, new_id=new_id)
    revoke(draft, grants, reason)
    draft.audit(actor, "grant.revoke", file.order.id, reason=reason)
    return draft.decision()
