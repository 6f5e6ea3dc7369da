"""Builders for rows: whole purchases that any store accepts, each fact in one place."""

from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from typing import TypeVar

import msgspec

from bitloot.domain.address import parse_address
from bitloot.domain.decision import Change, Decision, Event, Row, insert
from bitloot.domain.email import Email
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.domain.hold import Hold
from bitloot.domain.idempotency import IdempotencyRecord
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.money import ZERO, Eur, cost_floor
from bitloot.domain.order import Order, OrderItem
from bitloot.domain.payment import Invoice, Payment
from bitloot.domain.product import Listing, Offer, Product, new_listing
from bitloot.domain.quote import Quote, QuoteLine
from bitloot.domain.reservation import Reservation
from bitloot.domain.reveal import Grant
from bitloot.domain.webhook import Webhook
from bitloot.ports.clock import Clock, NewId

FEE = Decimal("0.01")
PRICE = Decimal("12.50")
COST = Decimal("9.00")
SUPPLIER = "supplier"
GATEWAY = "gateway"

R = TypeVar("R", bound=Row)


class Goods(msgspec.Struct, frozen=True):
    """A product with its listing, and the supplier's offer of it unless it is own stock."""

    product: Product
    offer: Offer | None
    listing: Listing


class Purchase(msgspec.Struct, frozen=True):
    """An order with what is written when it is placed."""

    quote: Quote
    order: Order
    items: tuple[OrderItem, ...]
    reservations: tuple[Reservation, ...]

    @property
    def item(self) -> OrderItem:
        """The first line."""
        return self.items[0]

    def placing(self) -> Decision:
        """The decision that places it; its goods must be stored before."""
        return Decision(
            save=(
                insert(self.quote),
                insert(self.order),
                *(insert(item) for item in self.items),
                *(insert(reservation) for reservation in self.reservations),
            ),
            events=(
                Event(
                    kind="order_placed",
                    at=self.order.created_at,
                    subject=self.order.id,
                    due=self.order.window_ends_at,
                ),
            ),
            order_id=self.order.id,
        )


class Rows:
    """Rows that fit together. Keyword arguments replace fields; ids are always fresh."""

    def __init__(self, *, clock: Clock, new_id: NewId) -> None:
        self.clock = clock
        self.new_id = new_id

    def goods(self, *, stock: int = 10, own: bool = False, cost: Eur = COST) -> Goods:
        """A product of a supplier with `stock` units, or one of our own without any keys yet."""
        at, product_id = self.clock(), self.new_id()
        product = Product(
            id=product_id,
            slug=f"product-{product_id}",
            title="A game",
            source=OWN_STOCK if own else SUPPLIER,
            supplier_product_id=None if own else f"sp-{product_id}",
            created_at=at,
            updated_at=at,
        )
        can_be_had = stock > 0 and not own
        listing = new_listing(product, price=PRICE, floor=ZERO, is_available=can_be_had, at=at)
        if product.supplier_product_id is None:
            return Goods(product, None, listing)
        offer = Offer(
            id=self.new_id(),
            product_id=product.id,
            supplier=SUPPLIER,
            supplier_product_id=product.supplier_product_id,
            offer_id=f"offer-{product_id}",
            cost=cost,
            stock=stock,
            updated_at=at,
        )
        return Goods(product, offer, listing)

    def purchase(
        self,
        *goods: Goods,
        quantity: int = 1,
        email: str = "buyer@shop.example",
        placed_from: str = "192.0.2.7",
    ) -> Purchase:
        """An order of `quantity` units of each of the goods, its units of suppliers held."""
        at, order_id = self.clock(), self.new_id()
        quote = self._quote(goods, quantity)
        order = Order(
            id=order_id,
            number=f"BL{order_id.replace('-', '')[-8:].upper()}",
            quote_id=quote.id,
            email=email,
            email_key=email,
            email_person=email,
            placed_from=placed_from,
            country="DE",
            source=goods[0].product.source,
            status="created",
            total=quote.total,
            gateway_fee=FEE,
            created_at=at,
            window_ends_at=at + timedelta(minutes=30),
        )
        items = tuple(
            self._item(order_id, no, line) for no, line in enumerate(quote.lines, start=1)
        )
        reservations = tuple(
            self._reservation(order, item, one.offer)
            for item, one in zip(items, goods, strict=True)
            if one.offer is not None
        )
        return Purchase(quote, order, items, reservations)

    def _quote(self, goods: tuple[Goods, ...], quantity: int) -> Quote:
        at = self.clock()
        lines = tuple(
            QuoteLine(
                product_id=one.product.id,
                slug=one.product.slug,
                title=one.product.title,
                source=one.product.source,
                supplier=one.product.source,
                supplier_product_id=one.product.supplier_product_id,
                offer_row_id=one.offer.id if one.offer else None,
                offer_id=one.offer.offer_id if one.offer else None,
                quantity=quantity,
                unit_price=PRICE,
                unit_cost=COST,
                unit_floor=cost_floor(COST, FEE),
                is_preorder=one.product.is_preorder,
            )
            for one in goods
        )
        return Quote(
            id=self.new_id(),
            lines=lines,
            country="DE",
            asset=None,
            gateway_fee=FEE,
            total=PRICE * quantity * len(lines),
            frozen_until=at + timedelta(minutes=15),
            created_at=at,
        )

    def _item(self, order_id: str, item_no: int, line: QuoteLine) -> OrderItem:
        return OrderItem(
            id=self.new_id(),
            order_id=order_id,
            item_no=item_no,
            product_id=line.product_id,
            title=line.title,
            source=line.source,
            supplier=line.supplier,
            supplier_product_id=line.supplier_product_id,
            offer_id=line.offer_id,
            quantity=line.quantity,
            unit_price=line.unit_price,
            unit_cost=line.unit_cost,
            unit_floor=line.unit_floor,
            is_preorder=line.is_preorder,
        )

    def _reservation(self, order: Order, item: OrderItem, offer: Offer) -> Reservation:
        return Reservation(
            id=self.new_id(),
            order_id=order.id,
            order_item_id=item.id,
            product_id=item.product_id,
            supplier=item.supplier,
            offer_row_id=offer.id,
            quantity=item.quantity,
            expires_at=order.window_ends_at,
            created_at=order.created_at,
        )

    def payment(self, order: Order, **fields: object) -> Payment:
        """A waiting payment in bitcoin."""
        at = self.clock()
        payment = Payment(
            id=self.new_id(),
            order_id=order.id,
            gateway=GATEWAY,
            gateway_payment_id=f"gp-{self.new_id()}",
            status="waiting",
            rank=10,
            price_amount=order.total,
            pay_currency="btc",
            pay_amount=Decimal("0.000208333333333333"),
            pay_address="bc1q",
            created_at=at,
            updated_at=at,
        )
        return _with(payment, fields)

    def invoice(self, order: Order, **fields: object) -> Invoice:
        """An open hosted page."""
        invoice = Invoice(
            id=self.new_id(),
            order_id=order.id,
            gateway=GATEWAY,
            gateway_invoice_id=f"gi-{self.new_id()}",
            url="https://pay.example/i",
            status="open",
            price_amount=order.total,
            created_at=self.clock(),
        )
        return _with(invoice, fields)

    def fulfilment(self, item: OrderItem, **fields: object) -> Fulfilment:
        """The first part of an item, all its units."""
        at = self.clock()
        fulfilment = Fulfilment(
            id=self.new_id(),
            order_id=item.order_id,
            order_item_id=item.id,
            item_no=item.item_no,
            part=1,
            slots=tuple(range(1, item.quantity + 1)),
            supplier=item.supplier,
            own_stock=item.supplier == OWN_STOCK,
            supplier_product_id=item.supplier_product_id,
            offer_id=item.offer_id,
            max_unit_price=item.unit_price,
            created_at=at,
            updated_at=at,
        )
        return _with(fulfilment, fields)

    def attempt(self, fulfilment: Fulfilment, **fields: object) -> SupplierAttempt:
        """The intent to buy the units of a fulfilment."""
        attempt = SupplierAttempt(
            id=self.new_id(),
            fulfilment_id=fulfilment.id,
            order_id=fulfilment.order_id,
            gen=1,
            supplier=fulfilment.supplier,
            external_id=f"BL-{fulfilment.id}",
            supplier_product_id=fulfilment.supplier_product_id or "sp",
            offer_id=fulfilment.offer_id,
            quantity=fulfilment.quantity,
            max_price=fulfilment.max_unit_price,
            intent_at=self.clock(),
        )
        return _with(attempt, fields)

    def sealed_key(self, **fields: object) -> SealedKey:
        """A sealed key that belongs to nobody yet; give it an item and slot, or a product."""
        key_id = self.new_id()
        ciphertext = sha256(key_id.encode()).digest()
        sealed = SealedKey(
            id=key_id,
            supplier=SUPPLIER,
            fingerprint=sha256(ciphertext).hexdigest(),
            wrapped_dek=b"\x00wrapped\xff",
            kek_id="kek-1",
            nonce=b"\x00" * 12,
            ciphertext=ciphertext,
            sha256=sha256(ciphertext).hexdigest(),
            size=len(ciphertext),
            object_name=f"keys/{key_id}",
            created_at=self.clock(),
        )
        return _with(sealed, fields)

    def sold_key(self, item: OrderItem, slot: int = 1, **fields: object) -> SealedKey:
        """The sealed key of one unit."""
        unit = {"order_id": item.order_id, "order_item_id": item.id, "slot": slot}
        return self.sealed_key(**{**unit, **fields})

    def stock_key(self, product: Product, **fields: object) -> tuple[SealedKey, InventoryKey]:
        """A key of our own stock, sealed, with its life on the shelf."""
        sealed = self.sealed_key(product_id=product.id, supplier=OWN_STOCK)
        key = InventoryKey(
            id=sealed.id,
            product_id=product.id,
            batch="batch-1",
            cost=COST,
            created_at=self.clock(),
        )
        return sealed, _with(key, fields)

    def hold(self, order: Order, **fields: object) -> Hold:
        """An open hold on the whole order."""
        hold = Hold(
            id=self.new_id(),
            order_id=order.id,
            subject="order",
            subject_id=order.id,
            reason="amount_mismatch",
            opened_at=self.clock(),
        )
        return _with(hold, fields)

    def ledger_line(self, order: Order, **fields: object) -> LedgerLine:
        """One line of the sale."""
        line = LedgerLine(
            id=self.new_id(),
            order_id=order.id,
            entry=f"sale/{order.id}",
            account="sale",
            amount=-order.total,
            at=self.clock(),
        )
        return _with(line, fields)

    def grant(self, item: OrderItem, **fields: object) -> Grant:
        """A fresh permission to download."""
        at = self.clock()
        grant = Grant(
            id=self.new_id(),
            order_id=item.order_id,
            order_item_id=item.id,
            granted_to="order_session",
            expires_at=at + timedelta(minutes=15),
            created_at=at,
        )
        return _with(grant, fields)

    def webhook(self, **fields: object) -> Webhook:
        """A well-signed delivery that nobody has looked at."""
        webhook = Webhook(
            id=self.new_id(),
            provider=GATEWAY,
            dedupe_key=f"key-{self.new_id()}",
            signature_ok=True,
            classification="received",
            body=b'{"a":1}',
            received_at=self.clock(),
        )
        return _with(webhook, fields)

    def email(self, *, to: str = "buyer@shop.example", **fields: object) -> Email:
        """A mail that is being sent."""
        at, key = self.clock(), f"order-ready/{self.new_id()}/1"
        email = Email(
            id=self.new_id(),
            key=key,
            kind="order-ready",
            order_id=None,
            to=to,
            to_key=parse_address(to).key,
            subject="Ready",
            html="<p>Ready</p>",
            text="Ready",
            provider="mailer",
            provider_key=key,
            first_try_at=at,
            created_at=at,
        )
        return _with(email, fields)

    def idempotency(self, **fields: object) -> IdempotencyRecord:
        """A request that was answered."""
        record = IdempotencyRecord(
            id=self.new_id(),
            route="POST /v1/orders",
            caller="192.0.2.7",
            key=f"key-{self.new_id()}",
            request_hash="00" * 32,
            state="done",
            answer=b"{}",
            started_at=self.clock(),
        )
        return _with(record, fields)


def inserts(*rows: Row | None) -> tuple[Change, ...]:
    """The changes that write these rows, leaving out what is not there."""
    return tuple(insert(row) for row in rows if row is not None)


def stocked(*goods: Goods) -> Decision:
    """The decision that puts goods on sale."""
    return Decision(
        save=tuple(c for one in goods for c in inserts(one.product, one.offer, one.listing))
    )


def _with(row: R, fields: dict[str, object]) -> R:
    return msgspec.structs.replace(row, **fields)
