"""Differences between our books and a provider's: what they mean, and the record of those left.

An order at the supplier that no attempt knows is ours when it carries our id: then it is what a
doubtful attempt waited for, or nobody needs it and its keys are given back. What cannot be put
right by a machine stays open as a break until it is explained.
"""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import ClassVar, Final, Literal, TypeAlias

import msgspec

from bitloot.domain import resolution
from bitloot.domain.decision import NOTHING, Decision, Row, also, insert
from bitloot.domain.draft import Draft
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.purchase import live_attempt
from bitloot.domain.supplier_refund import ENDED
from bitloot.domain.supply import LOST_UNIT, SupplierOrder

BreakKind: TypeAlias = Literal[
    "supplier_order_foreign",
    "surplus_too_late",
    "return_unclear",
    "key_object_missing",
    "key_object_differs",
    "key_object_orphan",
]
# What each means, for people.
BREAKS: Final[dict[BreakKind, str]] = {
    "supplier_order_foreign": "The supplier has an order that is none of ours.",
    "surplus_too_late": "A supplier order that nobody needs is too old to be given back.",
    "return_unclear": "Nobody can say whether a request to take keys back arrived.",
    "key_object_missing": "The stored bytes of a key are gone.",
    "key_object_differs": "The stored bytes of a key are not those that were sealed.",
    "key_object_orphan": "There are stored bytes of a key that nobody knows.",
}
OF_SUPPLIER: Final = frozenset[BreakKind](
    {"supplier_order_foreign", "surplus_too_late", "return_unclear"}
)
# An order number, the item, its part and the round, as `purchase.external_id` writes them.
_OUR_ID: Final = re.compile(
    r"(?P<number>BL[0-9A-HJKMNP-TV-Z]{8})-(?P<item>\d{1,4})-(?P<part>\d{1,4})-\d{1,4}"
)
# The first 48 bits of a UUIDv7 are the milliseconds since 1970 (RFC 9562, 5.7).
_OBJECT_NAME: Final = re.compile(r"keys/(?P<high>[0-9a-f]{8})-(?P<low>[0-9a-f]{4})-[0-9a-f-]{22}")


class ReconciliationBreak(Row, frozen=True, kw_only=True):
    """`subject` is `<supplier>/<order id>` or a sealed key's id; `ours` and `theirs` are what each
    side says of it, without secrets.
    """

    in_timeline: ClassVar[bool] = False

    kind: BreakKind
    subject: str
    ours: str
    theirs: str
    state: Literal["open", "settled"] = "open"
    note: str = ""
    found_at: datetime
    settled_at: datetime | None = None


# Told of each new break, once.
Alert: TypeAlias = Callable[[ReconciliationBreak], None]


class OurId(msgspec.Struct, frozen=True):
    """What an external id of ours says: the order's number, and which fulfilment of it."""

    number: str
    item_no: int
    part: int

    def fulfilment(self, file: OrderFile, supplier: str) -> Fulfilment | None:
        """The fulfilment that is meant, if this supplier gets it."""
        return next(
            (
                f
                for f in file.fulfilments
                if (f.item_no, f.part, f.supplier) == (self.item_no, self.part, supplier)
            ),
            None,
        )


def our_id(external_id: str | None) -> OurId | None:
    """What the id means; None for one that is not written like ours."""
    found = _OUR_ID.fullmatch(external_id or "")
    if found is None:
        return None
    return OurId(found["number"], int(found["item"]), int(found["part"]))


def named_at(object_name: str) -> datetime | None:
    """When the key of a stored object was made, as its UUIDv7 says; None for any other name."""
    found = _OBJECT_NAME.fullmatch(object_name)
    if found is None:
        return None
    milliseconds = int(found["high"] + found["low"], 16)
    return datetime.fromtimestamp(milliseconds / 1000, UTC)


def supplier_subject(supplier: str, supplier_order_id: str) -> str:
    """How a break names an order at a supplier."""
    return f"{supplier}/{supplier_order_id}"


def unknown_order(
    file: OrderFile,
    fulfilment: Fulfilment,
    order: SupplierOrder,
    *,
    supplier: str,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
) -> Decision:
    """What becomes of an order at a supplier, of this fulfilment: adopted, or written down and
    returned. The fulfilment may be supplied from elsewhere by now.

    NOTHING for one that an attempt knows. One that is older than the supplier takes keys back for
    leaves a break.
    """
    if file.attempt_of(supplier, order.supplier_order_id) is not None:
        return NOTHING
    live = live_attempt(file, fulfilment)
    doubtful = live is not None and live.state in {"intent", "unknown"}
    name = (supplier, order.external_id)
    if live is not None and doubtful and (live.supplier, live.external_id) == name:
        return resolution.searched(
            file,
            fulfilment,
            live,
            [order],
            balance=None,
            at=at,
            new_id=new_id,
            limits=limits,
        )
    draft = Draft(file, at=at, new_id=new_id)
    row = draft.set(fulfilment, gen=_last_gen(file, fulfilment) + 1)
    in_time = order.created_at is None or at - order.created_at < limits.key_return_window
    surplus = resolution.surplus_order(
        draft, row, _like(file, row, order, supplier), order, row.gen, returnable=in_time
    )
    draft.event("attempt_resolved", row.id, facts={"to": "surplus", "gen": row.gen})
    decision = draft.decision("surplus")
    if in_time or order.state in ENDED:
        return decision
    late = ReconciliationBreak(
        id=new_id(),
        kind="surplus_too_late",
        subject=supplier_subject(supplier, order.supplier_order_id),
        ours=surplus.id,
        theirs=order.state,
        found_at=at,
    )
    return also(decision, insert(late))


def is_explained(row: ReconciliationBreak, order: SupplierOrder, *, is_known: bool) -> bool:
    """Whether the supplier's order as it is read now settles an open break about it."""
    if order.state in ENDED:
        return True
    if row.kind == "return_unclear":
        return bool(order.keys) and all(unit.state in LOST_UNIT for unit in order.keys)
    return row.kind == "supplier_order_foreign" and is_known


def _last_gen(file: OrderFile, fulfilment: Fulfilment) -> int:
    gens = [a.gen for a in file.attempts if a.fulfilment_id == fulfilment.id]
    return max([fulfilment.gen, *gens])


def _like(
    file: OrderFile, fulfilment: Fulfilment, order: SupplierOrder, supplier: str
) -> SupplierAttempt:
    """The attempt that the order came from; one that was lost is told by its fulfilment."""
    same = [
        a
        for a in file.attempts
        if a.fulfilment_id == fulfilment.id
        and (a.supplier, a.external_id) == (supplier, order.external_id)
    ]
    known = max(same, key=lambda a: a.gen, default=None)
    if known is not None:
        return known
    return SupplierAttempt(
        id="",
        fulfilment_id=fulfilment.id,
        order_id=fulfilment.order_id,
        gen=fulfilment.gen,
        supplier=supplier,
        external_id=order.external_id or "",
        supplier_product_id=fulfilment.supplier_product_id or "",
        offer_id=fulfilment.offer_id,
        quantity=order.quantity,
        max_price=fulfilment.max_unit_price,
        intent_at=order.created_at or fulfilment.created_at,
    )
