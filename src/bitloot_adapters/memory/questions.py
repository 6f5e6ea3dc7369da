"""The named questions of a transaction, answered from the memory tables."""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Final

import msgspec

from bitloot.domain.decision import Event
from bitloot.domain.email import CODE_KINDS, Email, Suppression
from bitloot.domain.forgetting import FORGOTTEN_BODY
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.domain.hold import Hold
from bitloot.domain.idempotency import IdempotencyRecord, Once
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.order import BEFORE_PAYMENT, Order, OrderFile, OrderItem
from bitloot.domain.payment import Invoice, Payment
from bitloot.domain.product import Listing, Offer, Product, Sellable, is_sold_from_keys
from bitloot.domain.quote import Quote, QuoteLine
from bitloot.domain.reservation import Reservation
from bitloot.domain.reveal import Grant
from bitloot.domain.routing import Shelf
from bitloot.domain.webhook import Webhook
from bitloot.ports.clock import Clock
from bitloot.ports.unit_of_work import Facts, Placing
from bitloot_adapters.memory.job_table import JobTable
from bitloot_adapters.memory.tables import Tables, order_by_number

_OF_AN_ORDER: Final[
    dict[str, type[Fulfilment | SupplierAttempt | Payment | Hold | Grant | OrderItem]]
] = {
    "fulfilment": Fulfilment,
    "attempt": SupplierAttempt,
    "payment": Payment,
    "hold": Hold,
    "grant": Grant,
    "item": OrderItem,
}


class MemoryOrders(msgspec.Struct, frozen=True):
    """Whole orders."""

    tables: Tables

    async def file(self, order_id: str) -> OrderFile | None:
        """By id."""
        order = self.tables.get(Order, order_id)
        if order is None:
            return None
        of = self.tables.of_order
        return OrderFile(
            order=order,
            items=tuple(sorted(of(OrderItem, order_id), key=lambda item: item.item_no)),
            payments=tuple(of(Payment, order_id)),
            invoices=tuple(of(Invoice, order_id)),
            reservations=tuple(of(Reservation, order_id)),
            fulfilments=tuple(
                sorted(of(Fulfilment, order_id), key=lambda part: (part.item_no, part.part))
            ),
            attempts=tuple(of(SupplierAttempt, order_id)),
            holds=tuple(of(Hold, order_id)),
        )

    async def file_of_payment(self, gateway: str, gateway_payment_id: str) -> OrderFile | None:
        """By the gateway's payment id."""
        rule = "payments_gateway_payment"
        payment = self.tables.by_key(Payment, rule, gateway, gateway_payment_id)
        return await self.file(payment.order_id) if payment else None

    async def file_of_invoice(self, gateway: str, gateway_invoice_id: str) -> OrderFile | None:
        """By the gateway's invoice id."""
        rule = "invoices_gateway_invoice"
        invoice = self.tables.by_key(Invoice, rule, gateway, gateway_invoice_id)
        return await self.file(invoice.order_id) if invoice else None

    async def file_by_number(self, number: str) -> OrderFile | None:
        """By number."""
        order = order_by_number(self.tables, number)
        return await self.file(order.id) if order else None

    async def order_of(self, kind: str, row_id: str) -> str | None:
        """The order that a row hangs on."""
        row = self.tables.get(_OF_AN_ORDER[kind], row_id)
        return row.order_id if row else None

    async def order_of_supplier_order(
        self, supplier: str, supplier_order_id: str | None, external_id: str | None
    ) -> tuple[str, str] | None:
        """(order, fulfilment) of an attempt; the latest one where an id of ours was used again."""
        found: SupplierAttempt | None = None
        if supplier_order_id is not None:
            rule = "supplier_attempts_supplier_order"
            found = self.tables.by_key(SupplierAttempt, rule, supplier, supplier_order_id)
        if found is None and external_id is not None:
            same = (
                attempt
                for attempt in self.tables.all(SupplierAttempt)
                if attempt.supplier == supplier and attempt.external_id == external_id
            )
            found = max(same, key=lambda attempt: attempt.gen, default=None)
        return (found.order_id, found.fulfilment_id) if found else None

    async def purchases_at(
        self, supplier: str, *, since: datetime, limit: int
    ) -> Sequence[SupplierAttempt]:
        """Attempts that were at work, or got money back, since then."""
        found = (
            attempt
            for attempt in self.tables.all(SupplierAttempt)
            if attempt.supplier == supplier
            and (
                attempt.state in {"intent", "unknown"}
                or attempt.intent_at >= since
                or (attempt.created_at is not None and attempt.created_at >= since)
                or (attempt.back_at is not None and attempt.back_at >= since)
            )
        )
        return sorted(found, key=lambda each: (each.intent_at, each.id))[:limit]


class MemoryCheckout(msgspec.Struct, frozen=True):
    """What placing an order reads."""

    tables: Tables
    jobs: JobTable
    clock: Clock

    async def placing(
        self, quote_id: str, *, email_person: str, placed_from: str
    ) -> Placing | None:
        """The facts of placing."""
        quote = self.tables.get(Quote, quote_id)
        if quote is None:
            return None
        unpaid = [order for order in self.tables.all(Order) if order.status in BEFORE_PAYMENT]
        return Placing(
            quote=quote,
            sellables=tuple(
                found for line in quote.lines if (found := self._of_line(line)) is not None
            ),
            open_by_address=sum(order.email_person == email_person for order in unpaid),
            open_by_ip=sum(order.placed_from == placed_from for order in unpaid),
            backlog_seconds=self._backlog(),
        )

    async def placing_once(
        self, quote_id: str, once: Once, *, email_person: str, placed_from: str
    ) -> tuple[Placing | None, IdempotencyRecord | None]:
        """Both."""
        found = await self.placing(quote_id, email_person=email_person, placed_from=placed_from)
        return found, await self.once(once)

    async def once(self, once: Once) -> IdempotencyRecord | None:
        """What was stored under this key."""
        return self.tables.by_key(
            IdempotencyRecord, "idempotency_keys_key", once.route, once.caller, once.key
        )

    async def sellables(self, references: Sequence[str]) -> Sequence[Sellable]:
        """Today's facts of products named by id or slug; the cheapest offer with units left."""
        found = (
            self.tables.get(Product, reference)
            or self.tables.by_key(Product, "products_slug", reference)
            for reference in references
        )
        return [
            self._sellable(product, self._best_offer(product.id), is_named=False)
            for product in found
            if product is not None
        ]

    async def shelf(self, product_id: str) -> Shelf:
        """Its offers and its free own keys."""
        offers = (offer for offer in self.tables.all(Offer) if offer.product_id == product_id)
        free = free_keys(self.tables, product_id, at=self.clock())
        return Shelf(
            offers=tuple(sorted(offers, key=lambda offer: offer.id)),
            free_keys=len(free),
            key_cost=max((key.cost for key in free), default=None),
        )

    def _of_line(self, line: QuoteLine) -> Sellable | None:
        product = self.tables.get(Product, line.product_id)
        named = line.offer_row_id
        offer = None if named is None else self.tables.get(Offer, named)
        return self._sellable(product, offer, is_named=True) if product else None

    def _sellable(self, product: Product, offer: Offer | None, *, is_named: bool) -> Sellable:
        listing = self.tables.get(Listing, product.id)
        free = free_keys(self.tables, product.id, at=self.clock())
        dearest = max((key.cost for key in free), default=None)
        from_keys = offer is None or (not is_named and is_sold_from_keys(offer, len(free), dearest))
        if product.source == OWN_STOCK and from_keys:
            offer, available, cost = None, len(free), dearest
        else:
            available = _left(offer) if offer else 0
            cost = offer.cost if offer else None
        return Sellable(
            product=product,
            offer=offer,
            available=available,
            unit_cost=cost,
            price=listing.price if listing else None,
            is_loss_signed=listing is not None and listing.is_loss_signed,
        )

    def _best_offer(self, product_id: str) -> Offer | None:
        offers = (offer for offer in self.tables.all(Offer) if offer.product_id == product_id)
        return min(offers, key=lambda offer: (not _left(offer), offer.cost, offer.id), default=None)

    def _backlog(self) -> float:
        now = self.clock()
        waiting = [
            job.available_at
            for job in self.jobs.pending()
            if job.kind == "fulfil" and job.is_due(now)
        ]
        return (now - min(waiting)).total_seconds() if waiting else 0.0


def _left(offer: Offer) -> int:
    return max(0, offer.stock - offer.held)


def free_keys(tables: Tables, product_id: str, *, at: datetime) -> list[InventoryKey]:
    """The free, unexpired keys of a product, cheapest batch first."""
    return sorted(
        (
            key
            for key in tables.all(InventoryKey)
            if key.product_id == product_id
            and key.state == "available"
            and (key.expires_at is None or key.expires_at > at)
        ),
        key=lambda key: (key.cost, key.id),
    )


class MemoryKeys(msgspec.Struct, frozen=True):
    """Sealed keys and own stock."""

    tables: Tables

    async def pick(self, product_id: str, quantity: int, *, at: datetime) -> Sequence[InventoryKey]:
        """Up to `quantity` free keys."""
        return free_keys(self.tables, product_id, at=at)[:quantity]

    async def inventory(self, ids: Sequence[str]) -> Sequence[InventoryKey]:
        """These inventory keys, in id order."""
        found = (self.tables.get(InventoryKey, key_id) for key_id in sorted(set(ids)))
        return [key for key in found if key is not None]

    async def sealed(self, ids: Sequence[str]) -> Sequence[SealedKey]:
        """These sealed keys, in id order."""
        found = (self.tables.get(SealedKey, key_id) for key_id in sorted(set(ids)))
        return [key for key in found if key is not None]

    async def sealed_small(self, ids: Sequence[str], *, most: int) -> Sequence[SealedKey]:
        """Those that are here and not larger."""
        found = await self.sealed(ids)
        return [key for key in found if key.ciphertext is not None and key.size <= most]

    async def sealed_of_item(self, order_item_id: str) -> Sequence[SealedKey]:
        """All sealed keys ever of an item, without ciphertext."""
        return [
            msgspec.structs.replace(key, ciphertext=None)
            for key in _by_slot(self.tables, order_item_id=order_item_id)
        ]

    async def sealed_of_fulfilment(self, fulfilment_id: str) -> Sequence[SealedKey]:
        """All sealed keys of a fulfilment."""
        return _by_slot(self.tables, fulfilment_id=fulfilment_id)

    async def known(self, fingerprints: Sequence[str]) -> frozenset[str]:
        """Which of these were ever seen."""
        asked = frozenset(fingerprints)
        return asked & {key.fingerprint for key in self.tables.all(SealedKey)}

    async def known_supplier_keys(self, supplier: str, ids: Sequence[str]) -> frozenset[str]:
        """Which of these were ever sealed."""
        asked = frozenset(ids)
        return asked & {
            key.supplier_key_id
            for key in self.tables.all(SealedKey)
            if key.supplier == supplier and key.supplier_key_id is not None
        }

    async def past_expiry(self, *, at: datetime, limit: int) -> Sequence[InventoryKey]:
        """Up to `limit` available keys that ended."""
        over = (
            key
            for key in self.tables.all(InventoryKey)
            if key.state == "available" and key.expires_at is not None and key.expires_at <= at
        )
        return list(islice(over, limit))

    async def not_on_kek(
        self, kek_id: str, *, after: str | None = None, limit: int
    ) -> Sequence[SealedKey]:
        """Up to `limit` sealed keys that another key-encryption key wraps, in id order."""
        found = [key for key in self._elsewhere(kek_id) if after is None or key.id > after]
        return sorted(found, key=lambda key: key.id)[:limit]

    async def count_not_on_kek(self, kek_id: str) -> int:
        """How many are left."""
        return sum(1 for _ in self._elsewhere(kek_id))

    def _elsewhere(self, kek_id: str) -> Iterator[SealedKey]:
        keys = self.tables.all(SealedKey)
        return (key for key in keys if key.kek_id != kek_id and key.state != "shredded")


def _by_slot(
    tables: Tables, *, order_item_id: str | None = None, fulfilment_id: str | None = None
) -> list[SealedKey]:
    return sorted(
        (
            key
            for key in tables.all(SealedKey)
            if (order_item_id is None or key.order_item_id == order_item_id)
            and (fulfilment_id is None or key.fulfilment_id == fulfilment_id)
        ),
        key=lambda key: (key.slot or 0, key.id),
    )


class MemoryGrants(msgspec.Struct, frozen=True):
    """Permissions to download."""

    tables: Tables

    async def get(self, grant_id: str) -> Grant | None:
        """One grant."""
        return self.tables.get(Grant, grant_id)

    async def usable(self, order_id: str, *, at: datetime) -> Sequence[Grant]:
        """Those that are neither over nor revoked."""
        return [
            grant
            for grant in self.tables.of_order(Grant, order_id)
            if grant.revoked_at is None and grant.expires_at > at
        ]


class MemoryInbox(msgspec.Struct, frozen=True):
    """Incoming webhooks and outgoing mails; `timeline` gives the events of an order."""

    tables: Tables
    timeline: Callable[[str], Sequence[Event]]

    async def webhook(self, webhook_id: str) -> Webhook | None:
        """One stored webhook."""
        return self.tables.get(Webhook, webhook_id)

    async def was_hinted(self, order_id: str, provider: str, external_id: str) -> bool:
        """Whether a webhook of this supplier named our id."""
        return any(
            (webhook.order_id, webhook.provider, webhook.order_number)
            == (order_id, provider, external_id)
            for webhook in self.tables.all(Webhook)
            if webhook.signature_ok
        )

    async def email(self, key: str) -> Email | None:
        """By its key."""
        return self.tables.by_key(Email, "emails_key", key)

    async def email_by_provider_id(self, provider: str, provider_id: str) -> Email | None:
        """By the provider's id."""
        return self.tables.by_key(Email, "emails_provider_id", provider, provider_id)

    async def mails_to(
        self, address_key: str, *, order_id: str | None = None, limit: int
    ) -> Sequence[Email]:
        """Mails to an address, oldest first."""
        found = (
            mail
            for mail in self.tables.all(Email)
            if mail.to_key == address_key and order_id in {None, mail.order_id}
        )
        return sorted(found, key=lambda mail: mail.id)[:limit]

    async def mails_named(self, keys: Sequence[str]) -> Sequence[Email]:
        """Mails by their keys."""
        found = (self.tables.by_key(Email, "emails_key", key) for key in dict.fromkeys(keys))
        return sorted((mail for mail in found if mail is not None), key=lambda mail: mail.id)

    async def mail_events(self, provider_ids: Sequence[str], *, limit: int) -> Sequence[Webhook]:
        """What was told of these mails."""
        found = (
            webhook
            for webhook in self.tables.all(Webhook)
            if webhook.signature_ok
            and webhook.order_number is None
            and webhook.subject in provider_ids
            and webhook.body != FORGOTTEN_BODY
        )
        return sorted(found, key=lambda webhook: webhook.id)[:limit]

    async def is_suppressed(self, address_key: str) -> bool:
        """Whether this address is not to be written to."""
        return self.tables.get(Suppression, address_key) is not None

    async def codes_sent(self, address_key: str, *, since: datetime) -> int:
        """How many codes went to this address since then."""
        return sum(
            mail.kind in CODE_KINDS
            and mail.to_key == address_key
            and mail.created_at >= since
            and mail.state != "suppressed"
            for mail in self.tables.all(Email)
        )

    async def last_facts(self, order_id: str, kind: str) -> Facts | None:
        """What the last event of this kind says."""
        told = [event.facts for event in self.timeline(order_id) if event.kind == kind]
        return told[-1] if told else None
