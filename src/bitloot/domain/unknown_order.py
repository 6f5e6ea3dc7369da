"""A supplier's order that no attempt knows, and that carries our id.

Then it is what a doubtful attempt waited for, or nobody needs it and its keys are given back.
"""

from collections.abc import Callable
from datetime import datetime

from bitloot.domain import resolution
from bitloot.domain.decision import NOTHING, Decision
from bitloot.domain.draft import Draft
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.purchase import doubtful_attempt
from bitloot.domain.supply import SupplierOrder


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
    live = doubtful_attempt(file, fulfilment)
    name = (supplier, order.external_id)
    if live is not None and (live.supplier, live.external_id) == name:
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
    resolution.surplus_order(
        draft, row, _like(file, row, order, supplier), order, row.gen, limits=limits
    )
    draft.event("attempt_resolved", row.id, facts={"to": "surplus", "gen": row.gen})
    return draft.decision("surplus")


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
