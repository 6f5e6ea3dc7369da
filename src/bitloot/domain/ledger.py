"""Ledger lines: each entry sums to zero, in EUR."""

from datetime import datetime
from typing import Literal, TypeAlias

from bitloot.domain.decision import Row
from bitloot.domain.money import Eur

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
