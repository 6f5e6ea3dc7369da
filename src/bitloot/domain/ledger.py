"""Ledger lines: each entry sums to zero, in EUR."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Literal, TypeAlias

from bitloot.domain.decision import Row
from bitloot.domain.money import CENT, ZERO, Eur, ledger_amount

Account: TypeAlias = Literal[
    "gateway",
    "fee",
    "sale",
    "surplus",
    "inventory",
    "supplier",
    "cost",
    "refund",
    "rounding",
]


class LedgerLine(Row, frozen=True, kw_only=True):
    """Part of an entry: `sale/<order>`, `payment/<payment>`, `cost/<attempt or key>`, `refund/…`.

    (entry, account) is unique: an entry is written once.
    """

    order_id: str
    entry: str
    account: Account
    amount: Eur
    at: datetime


def entry(
    order_id: str,
    name: str,
    amounts: Mapping[Account, Eur],
    *,
    at: datetime,
    new_id: Callable[[], str],
) -> tuple[LedgerLine, ...]:
    """The lines of one entry: eight decimals each, what is missing to zero goes to `rounding`.

    Accounts with nothing on them get no line. Raises ValueError when more than a cent is missing:
    such an entry was added up wrongly.
    """
    lines = {account: ledger_amount(amount) for account, amount in amounts.items()}
    missing = -sum(lines.values(), ZERO)
    if abs(missing) > CENT:
        raise ValueError("the lines of a ledger entry are more than a cent away from zero")
    lines["rounding"] = lines.get("rounding", ZERO) + missing
    return tuple(
        LedgerLine(
            id=new_id(), order_id=order_id, entry=name, account=account, amount=amount, at=at
        )
        for account, amount in lines.items()
        if amount
    )
