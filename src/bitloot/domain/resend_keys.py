"""Telling a buyer once more where the keys are: the mail that came with the last item.

It holds no key. Whoever reads it opens the order and reveals them there, as the first time.
"""

from collections.abc import Callable
from datetime import datetime

from bitloot.domain.decision import Decision
from bitloot.domain.draft import Draft
from bitloot.domain.errors import Refused
from bitloot.domain.order import OrderFile


def resend_keys(
    file: OrderFile, *, actor: str, reason: str, at: datetime, new_id: Callable[[], str]
) -> Decision:
    """Have the completion mail sent once more, to the order's own address.

    Raises Refused `resend-not-allowed` unless the order is fulfilled and its keys can be revealed.
    """
    if file.order.status != "fulfilled" or file.open_order_hold() is not None:
        raise Refused("resend-not-allowed")
    draft = Draft(file, at=at, new_id=new_id)
    draft.audit(actor, "order.resend_keys", file.order.id, reason=reason)
    # `n` tells this mail apart from those before it, so that each asking sends one.
    draft.event("keys_resent", file.order.id, facts={"n": file.order.event_seq + 1})
    return draft.decision()
