"""The unique rules of the store, by the names that the database constraints carry."""

from collections.abc import Callable, Hashable
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from bitloot.domain.account import OrderClaim, User
from bitloot.domain.account_deletion import AccountDeletion
from bitloot.domain.api_key import ApiKey
from bitloot.domain.catalogue_sync import CatalogueRefusal, CatalogueSync
from bitloot.domain.category import Category
from bitloot.domain.decision import Row
from bitloot.domain.email import Email, Suppression
from bitloot.domain.email_change import EmailChange
from bitloot.domain.fulfilment import LIVE_ATTEMPT, Fulfilment, SupplierAttempt
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

# The table of each row: `<table>_pkey` is the rule that an id stands there once.
TABLES: Final[dict[type[Row], str]] = {
    Order: "orders",
    OrderItem: "order_items",
    Payment: "payments",
    Invoice: "invoices",
    Reservation: "reservations",
    Fulfilment: "fulfilments",
    SupplierAttempt: "supplier_attempts",
    Hold: "holds",
    LedgerLine: "ledger_lines",
    SealedKey: "sealed_keys",
    InventoryKey: "inventory_keys",
    Grant: "grants",
    Webhook: "webhook_logs",
    Quote: "quotes",
    Product: "products",
    Offer: "product_offers",
    Listing: "listings",
    PriceRecord: "price_history",
    PricingRule: "pricing_rules",
    Category: "categories",
    ProductMedia: "product_media",
    ProductGroup: "product_groups",
    GroupMember: "product_group_members",
    CatalogueSync: "catalogue_syncs",
    CatalogueRefusal: "catalogue_refusals",
    Email: "emails",
    Suppression: "suppressions",
    IdempotencyRecord: "idempotency_keys",
    ReconciliationBreak: "reconciliation_breaks",
    User: "users",
    Session: "sessions",
    ApiKey: "api_keys",
    OrderClaim: "order_claims",
    EmailChange: "email_changes",
    AccountDeletion: "account_deletions",
    Recovery: "recoveries",
}

R = TypeVar("R", bound=Row)
UniqueKey = tuple[Hashable, ...]


class UniqueRule(msgspec.Struct, Generic[R], frozen=True):
    """`key` gives what must be unique, None for a row that the rule does not speak of."""

    name: str
    row: type[R]
    key: Callable[[R], UniqueKey | None]

    def key_of(self, row: Row) -> UniqueKey | None:
        """The key of any row; None for rows of other tables."""
        return self.key(row) if isinstance(row, self.row) else None


class AnyRule(Protocol):
    """A unique rule, whatever its row."""

    @property
    def name(self) -> str: ...
    @property
    def row(self) -> type[Row]: ...
    def key_of(self, row: Row) -> UniqueKey | None: ...


def _known(*parts: Hashable) -> UniqueKey | None:
    return None if None in parts else parts


def _rule(name: str, row: type[R], key: Callable[[R], UniqueKey | None]) -> AnyRule:
    return UniqueRule(name, row, key)


UNIQUE_RULES: Final[tuple[AnyRule, ...]] = (
    _rule("orders_number", Order, lambda r: (r.number,)),
    _rule("orders_quote", Order, lambda r: (r.quote_id,)),
    _rule("order_items_item_no", OrderItem, lambda r: (r.order_id, r.item_no)),
    _rule(
        "payments_gateway_payment",
        Payment,
        lambda r: _known(r.gateway, r.gateway_payment_id),
    ),
    _rule(
        "invoices_gateway_invoice",
        Invoice,
        lambda r: _known(r.gateway, r.gateway_invoice_id),
    ),
    _rule(
        "webhook_logs_dedupe_key",
        Webhook,
        lambda r: (r.provider, r.dedupe_key) if r.signature_ok else None,
    ),
    _rule("ledger_lines_entry_account", LedgerLine, lambda r: (r.entry, r.account)),
    _rule("fulfilments_item_part", Fulfilment, lambda r: (r.order_item_id, r.part)),
    _rule("supplier_attempts_pkey", SupplierAttempt, lambda r: (r.fulfilment_id, r.gen)),
    _rule(
        "supplier_attempts_one_live",
        SupplierAttempt,
        lambda r: (r.fulfilment_id,) if r.state in LIVE_ATTEMPT else None,
    ),
    _rule(
        "supplier_attempts_supplier_order",
        SupplierAttempt,
        lambda r: _known(r.supplier, r.supplier_order_id),
    ),
    _rule(
        "sealed_keys_slot",
        SealedKey,
        lambda r: _known(r.order_item_id, r.slot) if r.state == "live" else None,
    ),
    _rule(
        "sealed_keys_supplier_key",
        SealedKey,
        lambda r: _known(r.supplier, r.supplier_key_id),
    ),
    _rule(
        "sealed_keys_fingerprint",
        SealedKey,
        lambda r: None if r.state == "quarantined" else (r.fingerprint,),
    ),
    _rule("sealed_keys_object_name", SealedKey, lambda r: (r.object_name,)),
    _rule("emails_key", Email, lambda r: (r.key,)),
    _rule("emails_provider_id", Email, lambda r: _known(r.provider, r.provider_id)),
    _rule("idempotency_keys_key", IdempotencyRecord, lambda r: (r.route, r.caller, r.key)),
    _rule(
        "reconciliation_breaks_open",
        ReconciliationBreak,
        lambda r: (r.kind, r.subject) if r.state == "open" else None,
    ),
    _rule("products_slug", Product, lambda r: (r.slug,)),
    _rule("products_source_product", Product, lambda r: _known(r.source, r.supplier_product_id)),
    _rule("product_offers_offer", Offer, lambda r: (r.supplier, r.supplier_product_id, r.offer_id)),
    _rule("categories_slug", Category, lambda r: (r.slug,)),
    _rule("product_media_url", ProductMedia, lambda r: (r.product_id, r.url)),
    _rule("product_groups_slug", ProductGroup, lambda r: (r.slug,)),
    _rule("product_group_members_product", GroupMember, lambda r: (r.group_id, r.product_id)),
    _rule(
        "catalogue_syncs_one_running",
        CatalogueSync,
        lambda r: (r.supplier,) if r.state == "running" else None,
    ),
    _rule("users_email_key", User, lambda r: None if r.state == "deleted" else (r.email_key,)),
    _rule("api_keys_digest", ApiKey, lambda r: (r.digest,)),
    _rule(
        "api_keys_name",
        ApiKey,
        lambda r: (r.created_by, r.name) if r.revoked_at is None else None,
    ),
    _rule(
        "email_changes_one_open",
        EmailChange,
        lambda r: (r.user_id,) if r.state == "open" else None,
    ),
    _rule(
        "account_deletions_one_open",
        AccountDeletion,
        lambda r: (r.user_id,) if r.state == "requested" else None,
    ),
    _rule("recoveries_one_open", Recovery, lambda r: (r.user_id,) if r.state == "open" else None),
)
