"""A buyer says that a unit that was handed over is no good: noted once, for a person to look at.

A report changes nothing else: replacing the key or giving the money back is decided at the desk.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final, get_args

from bitloot.domain.decision import Decision
from bitloot.domain.draft import Draft
from bitloot.domain.errors import Refused
from bitloot.domain.key_inventory import ReportReason, SealedKey
from bitloot.domain.order import OrderFile
from bitloot.domain.reveal import keys_to_show

REASONS: Final[tuple[ReportReason, ...]] = get_args(ReportReason)


def reported(
    file: OrderFile,
    order_item_id: str,
    slot: int,
    keys: Sequence[SealedKey],
    *,
    reason: ReportReason,
    note: str,
    reported_by: str,
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """The unit bears the mark from here on; `keys` are the sealed keys of its item.

    What the buyer writes stays out of the timeline and the audit log: it may hold the key itself.
    Raises Refused: `not-found` for a unit that was not handed over, `already-reported`.
    """
    item = next((i for i in file.items if i.id == order_item_id), None)
    if item is None:
        raise Refused("not-found")
    key = next((k for k in keys_to_show(file, item.id, keys) if k.slot == slot), None)
    if key is None:
        raise Refused("not-found")
    if key.reported_at is not None:
        raise Refused("already-reported")
    draft = Draft(file, at=at, new_id=new_id)
    draft.set(key, reported_at=at, report_reason=reason, report_note=note or None)
    facts = {"item": item.item_no, "unit": slot, "reason": reason}
    draft.audit(reported_by, "unit.report", key.id, facts=facts)
    draft.event("unit_reported", key.id, facts=facts)
    return draft.decision()
