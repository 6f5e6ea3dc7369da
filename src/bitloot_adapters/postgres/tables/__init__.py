"""Every table of the shop, and which noun of the core is kept in which."""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Table

from bitloot.domain.account import OrderClaim, User
from bitloot.domain.account_deletion import AccountDeletion
from bitloot.domain.api_key import ApiKey
from bitloot.domain.catalogue_sync import CatalogueRefusal, CatalogueSync
from bitloot.domain.category import Category
from bitloot.domain.decision import Row
from bitloot.domain.email import Email, Suppression
from bitloot.domain.email_change import EmailChange
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.hold import Hold
from bitloot.domain.idempotency import IdempotencyRecord
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.order import Order, OrderItem
from bitloot.domain.payment import Invoice, Payment
from bitloot.domain.price_derivation import PriceRecord
from bitloot.domain.pricing_rules import PricingRule
from bitloot.domain.product import Listing, Offer, Product
from bitloot.domain.product_group import GroupMember, ProductGroup
from bitloot.domain.product_media import ProductMedia
from bitloot.domain.quote import Quote
from bitloot.domain.reconciliation import ReconciliationBreak
from bitloot.domain.recovery import Recovery
from bitloot.domain.reservation import Reservation
from bitloot.domain.reveal import Grant
from bitloot.domain.session import Session
from bitloot.domain.webhook import Webhook
from bitloot_adapters.postgres.tables.assortment import (
    catalogue_refusals,
    catalogue_seen,
    catalogue_syncs,
    categories,
    pricing_rules,
    product_group_members,
    product_groups,
    product_media,
    search_index,
    search_variants,
    search_words,
)
from bitloot_adapters.postgres.tables.catalogue import (
    listings,
    price_history,
    product_offers,
    products,
    quotes,
)
from bitloot_adapters.postgres.tables.fulfilment import (
    fulfilments,
    grants,
    inventory_keys,
    sealed_keys,
    supplier_attempts,
)
from bitloot_adapters.postgres.tables.people import (
    account_deletions,
    api_keys,
    email_changes,
    order_claims,
    recoveries,
    sessions,
    users,
)
from bitloot_adapters.postgres.tables.records import (
    audit_head,
    audit_logs,
    breakers,
    emails,
    events,
    idempotency_keys,
    jobs,
    reconciliation_breaks,
    scheduler_ticks,
    suppressions,
    webhook_logs,
)
from bitloot_adapters.postgres.tables.schema import METADATA
from bitloot_adapters.postgres.tables.selling import (
    holds,
    invoices,
    ledger_lines,
    order_items,
    orders,
    payments,
    reservations,
)

# In the order in which rows of several kinds are locked.
TABLES: Final[Mapping[type[Row], Table]] = {
    Quote: quotes,
    Order: orders,
    OrderItem: order_items,
    Invoice: invoices,
    Payment: payments,
    Fulfilment: fulfilments,
    SupplierAttempt: supplier_attempts,
    Reservation: reservations,
    SealedKey: sealed_keys,
    InventoryKey: inventory_keys,
    Grant: grants,
    Hold: holds,
    LedgerLine: ledger_lines,
    Product: products,
    Offer: product_offers,
    Listing: listings,
    PriceRecord: price_history,
    PricingRule: pricing_rules,
    Category: categories,
    ProductMedia: product_media,
    ProductGroup: product_groups,
    GroupMember: product_group_members,
    CatalogueSync: catalogue_syncs,
    CatalogueRefusal: catalogue_refusals,
    User: users,
    Session: sessions,
    ApiKey: api_keys,
    OrderClaim: order_claims,
    EmailChange: email_changes,
    AccountDeletion: account_deletions,
    Recovery: recoveries,
    Webhook: webhook_logs,
    Email: emails,
    Suppression: suppressions,
    IdempotencyRecord: idempotency_keys,
    ReconciliationBreak: reconciliation_breaks,
}

__all__ = [
    "METADATA",
    "TABLES",
    "account_deletions",
    "api_keys",
    "audit_head",
    "audit_logs",
    "breakers",
    "catalogue_refusals",
    "catalogue_seen",
    "catalogue_syncs",
    "categories",
    "email_changes",
    "emails",
    "events",
    "fulfilments",
    "grants",
    "holds",
    "idempotency_keys",
    "inventory_keys",
    "invoices",
    "jobs",
    "ledger_lines",
    "listings",
    "order_claims",
    "order_items",
    "orders",
    "payments",
    "price_history",
    "pricing_rules",
    "product_group_members",
    "product_groups",
    "product_media",
    "product_offers",
    "products",
    "quotes",
    "reconciliation_breaks",
    "recoveries",
    "reservations",
    "scheduler_ticks",
    "sealed_keys",
    "search_index",
    "search_variants",
    "search_words",
    "sessions",
    "supplier_attempts",
    "suppressions",
    "users",
    "webhook_logs",
]
