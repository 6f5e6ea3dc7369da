"""What a supplier gives back of what an order at it cost: each unit of it is booked once."""

from typing import Final

from bitloot.domain.draft import Draft
from bitloot.domain.fulfilment import SupplierAttempt
from bitloot.domain.money import ZERO, Eur, ledger_amount
from bitloot.domain.supply import LOST_UNIT, SupplierOrder

# The supplier took such an order back: our money is with us.
ENDED: Final = frozenset({"canceled", "refunded"})


def lost_keys(report: SupplierOrder) -> frozenset[str]:
    """The ids of the units that will not come any more, or were taken back."""
    return frozenset(unit.key_id for unit in report.keys if unit.state in LOST_UNIT)


def units_given_back(attempt: SupplierAttempt, report: SupplierOrder) -> int:
    """For how many units of the order our money is with us again."""
    if report.state in ENDED:
        return attempt.quantity
    return min(len(lost_keys(report)), attempt.quantity)


def has_news_of_money(attempt: SupplierAttempt, report: SupplierOrder) -> bool:
    """Whether money came back that is not booked yet."""
    return units_given_back(attempt, report) > attempt.units_back


def book_back(draft: Draft, attempt: SupplierAttempt, units: int) -> None:
    """Book that the money for `units` of the attempt in all is back; what is booked already stays.

    Where the cost is not known yet it is booked with the cost.
    """
    row = draft.now(attempt)
    if units <= row.units_back:
        return
    _book(draft, _share(row, units) - _share(row, row.units_back), f"{row.id}/{units}")
    draft.set(row, units_back=units, back_at=draft.at)
    draft.event("supplier_reported", row.id, facts={"back": units})


def book_cost(draft: Draft, attempt: SupplierAttempt, total: Eur) -> None:
    """What a supplier order took from our balance, less what came back before that was known."""
    draft.book(f"cost/{attempt.id}", {"cost": total, "supplier": -total})
    row = draft.set(attempt, cost=total)
    _book(draft, _share(row, row.units_back), row.id)


def _book(draft: Draft, amount: Eur, name: str) -> None:
    if amount:
        draft.book(f"refund/{name}", {"supplier": amount, "cost": -amount})


def _share(attempt: SupplierAttempt, units: int) -> Eur:
    """What that many units cost; shares of all units add up to the whole."""
    return ledger_amount((attempt.cost or ZERO) * units / attempt.quantity)
