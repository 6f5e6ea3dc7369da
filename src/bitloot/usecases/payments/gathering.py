"""The facts that settling reads: the goods kept for an order, and what late money is worth."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from bitloot.domain.goods import Today
from bitloot.domain.key_inventory import InventoryKey
from bitloot.domain.limits import Limits
from bitloot.domain.money import ZERO, Eur
from bitloot.domain.order import OrderFile
from bitloot.domain.paying import Terms
from bitloot.domain.payment import Payment, PaymentReport
from bitloot.domain.settlement_guard import amount_to_value
from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.ports.unit_of_work import Transaction


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """`wholesale_limits` gives the most units of a wholesale order, by supplier."""

    limits: Limits
    new_id: Callable[[], str]
    wholesale_limits: Mapping[str, int]

    def terms(self, gateway: PaymentGateway) -> Terms:
        """What the shop is set up with, for this gateway."""
        return Terms(
            limits=self.limits,
            new_id=self.new_id,
            wholesale_limits=self.wholesale_limits,
            zero_paid_is_fine=gateway.capabilities.reports_zero_paid,
        )

    async def held_keys(self, tx: Transaction, file: OrderFile) -> Sequence[InventoryKey]:
        """The own keys kept for the order, locked."""
        ids = [key for r in file.reservations if r.state == "held" for key in r.key_ids]
        return await tx.keys.inventory(ids) if ids else ()

    async def today(self, tx: Transaction, file: OrderFile, worth: Eur, at: datetime) -> Today:
        """What the goods of an order cost today, and own keys that could be taken for it."""
        spare: list[InventoryKey] = []
        for kept in sorted(file.reservations, key=lambda r: r.product_id):
            if kept.offer_row_id is None and kept.state not in {"held", "consumed"}:
                spare += await tx.keys.pick(kept.product_id, kept.quantity, at=at)
        sellables = await tx.checkout.sellables([item.product_id for item in file.items])
        return Today(worth=worth, sellables=tuple(sellables), spare_keys=tuple(spare))

    async def worth(self, gateway: PaymentGateway, payment: Payment, report: PaymentReport) -> Eur:
        """What the amount paid is worth in EUR now. Raises Unavailable, Rejected."""
        zero = gateway.capabilities.reports_zero_paid
        value = amount_to_value(payment, report, zero=zero)
        return ZERO if value is None else await gateway.worth(value.amount, value.asset)
