"""Differences between our books and a provider's: what they mean, and the record of those left.

Each is kept as a break until it is explained: by what the provider says later, or by a person.
"""

import re
from datetime import UTC, datetime
from typing import ClassVar, Final, Literal, TypeAlias

import msgspec

from bitloot.domain.decision import JobRequest, Row
from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.order import OrderFile
from bitloot.domain.supplier_refund import ENDED
from bitloot.domain.supply import LOST_UNIT, SupplierOrder

BreakKind: TypeAlias = Literal[
    "supplier_order_foreign",
    "surplus_order",
    "surplus_too_late",
    "return_unclear",
    "key_object_missing",
    "key_object_differs",
    "key_object_orphan",
]
# The sweep over a supplier's orders, before its name: see `usecases.reconciliation`.
SUPPLIER_SWEEP: Final = "reconcile-"
# What each means, for people.
BREAKS: Final[dict[BreakKind, str]] = {
    "supplier_order_foreign": "The supplier has an order that is none of ours.",
    "surplus_order": "A supplier order that nobody needs is being given back.",
    "surplus_too_late": "A supplier order that nobody needs is too old to be given back.",
    "return_unclear": "Nobody can say whether a request to take keys back arrived.",
    "key_object_missing": "The stored bytes of a key are gone.",
    "key_object_differs": "The stored bytes of a key are not those that were sealed.",
    "key_object_orphan": "There are stored bytes of a key that nobody knows.",
}
OF_SUPPLIER: Final = frozenset[BreakKind](
    {"supplier_order_foreign", "surplus_order", "surplus_too_late", "return_unclear"}
)
# Explained once the supplier has every unit back.
_GIVEN_BACK: Final = OF_SUPPLIER - {"supplier_order_foreign"}
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


def look_at_breaks(supplier: str, after_what: str, *, due: datetime) -> JobRequest:
    """Have the open breaks about a supplier's orders looked at before the next comparison."""
    return JobRequest(
        kind="sweep", ref=f"{SUPPLIER_SWEEP}{supplier}/{after_what}/0/breaks/", due=due
    )


def is_explained(row: ReconciliationBreak, order: SupplierOrder, *, is_known: bool) -> bool:
    """Whether the supplier's order as it is read now settles an open break about it."""
    if order.state in ENDED:
        return True
    if row.kind in _GIVEN_BACK:
        return bool(order.keys) and all(unit.state in LOST_UNIT for unit in order.keys)
    return is_known
