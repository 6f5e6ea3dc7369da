"""What must never be true of the stored rows. Each is a query that has to return nothing."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from bitloot.domain.email import EmailKind

# Open work of a paid order has a job that is due within this time.
SOON: Final = timedelta(hours=1)
# Mails of which an order may have several: one for each batch, hold or request.
SEVERAL_MAILS: Final = frozenset[EmailKind]({"order-partly-ready", "payment-held", "reentry-code"})

# The name of each, and what a found subject means.
INVARIANTS: Final[Mapping[str, str]] = {
    # books
    "ledger_unbalanced": "The ledger lines of an order do not sum to zero.",
    "sale_of_unpaid_order": "An order has a sale in the ledger and was never paid.",
    "paid_without_sale": "An order was paid and has no sale in the ledger.",
    "refund_above_price": "More was refunded than an order brought.",
    "cost_above_ceiling": "A supplier order cost more than was approved for its fulfilment.",
    # goods
    "fulfilled_without_keys": "A fulfilled order has an item with fewer keys than units.",
    "two_supplier_orders": "A fulfilment has two supplier orders that count.",
    "supplier_order_unknown": "A fulfilment has goods and no attempt knows the supplier's order.",
    "supplier_key_twice": "A supplier's key is kept twice.",
    "fingerprint_twice": "The same key is kept twice and neither is quarantined.",
    "unit_with_two_attempts": "Two live attempts buy the same unit.",
    "unit_with_two_keys": "A unit has two keys, neither of them replaced or returned.",
    "reservation_left": "Goods are kept for an order that no longer waits for money.",
    # order and payment
    "fulfilled_undelivered": "A fulfilled order has an item that is not delivered.",
    "delivered_unfulfilled": "Every item is delivered and the order is not fulfilled.",
    "paid_without_payment": "A paid order has no payment behind it and no remark `manual`.",
    "fulfilment_of_unpaid_order": "There is a fulfilment of an order that was never paid.",
    "finished_payment_unnoticed": "An unpaid order has a finished payment and no open hold.",
    "expired_with_money_on_its_way": "The timer ended an order whose money had been seen.",
    "usable_grant": "A grant can be used and its order may not show keys.",
    # work
    "paid_but_idle": "A paid order has open work, no job due within the hour and no hold.",
    "mail_twice": "A mail was written more often for an order than it was called for.",
    "lease_forgotten": "A job's lease ended longer ago than it lasts, and nobody took the job.",
    "transaction_too_old": "A database session keeps a transaction open too long.",
}
