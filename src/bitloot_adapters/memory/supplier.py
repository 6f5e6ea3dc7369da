"""A supplier of keys in memory, with the levers of its stockroom and of the weather."""

from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from hmac import compare_digest
from itertools import islice
from typing import Final, TypeVar

import msgspec

from bitloot.domain.money import Eur
from bitloot.domain.supply import UnitState
from bitloot.ports.clock import Clock, RandomBytes
from bitloot.ports.errors import Rejected
from bitloot.ports.payment_gateway import Forged, Malformed
from bitloot.ports.supplier import (
    CataloguePage,
    SuppliedKey,
    SupplierCapabilities,
    SupplierHint,
    SupplierKeyState,
    SupplierOffer,
    SupplierOrder,
    SupplierOrderState,
    SupplierProduct,
    SupplierRequest,
    SupplierWebhook,
)
from bitloot_adapters.memory.faults import Faults, never_in_transaction
from bitloot_adapters.memory.signed_json import Unreadable, digest, read_object, text

PROOF_HEADER: Final = "x-memory-secret"
MOST_UNITS: Final = 9
WHOLESALE_UNITS: Final = 1000
RETURN_WINDOW: Final = timedelta(hours=24)
PAGE: Final = 25
SEARCH_LETTERS: Final = 3

T = TypeVar("T")


class NextOrder(msgspec.Struct, frozen=True, kw_only=True):
    """How the next order goes. `units` are delivered `after` that time, None: all of them.

    `serials` are what is delivered first, before fresh ones; `content_type` is that of all.
    `refuse` is one of the port's words; `price` is what a unit costs whatever the offer said.
    """

    units: int | None = None
    after: timedelta = timedelta(0)
    serials: tuple[bytes, ...] = ()
    content_type: str = "text/plain"
    refuse: str | None = None
    price: Eur | None = None


class _Unit(msgspec.Struct):
    key_id: str
    serial: bytes
    content_type: str
    state: UnitState
    comes_at: datetime | None


class _Order(msgspec.Struct, kw_only=True):
    id: str
    external_id: str
    supplier_product_id: str
    total: Eur
    is_preorder: bool
    units: list[_Unit]
    created_at: datetime
    updated_at: datetime
    ended: SupplierOrderState | None = None
    return_asked: bool = False


class MemorySupplier:
    """Sells what it was stocked with. An id of the buyer's may come twice, as at real ones."""

    def __init__(
        self,
        *,
        clock: Clock,
        random_bytes: RandomBytes,
        name: str = "memory",
        balance: Eur = Decimal(1_000_000),
        search_lag: timedelta = timedelta(0),
        in_transaction: Callable[[], bool] = never_in_transaction,
    ) -> None:
        self._name: Final = name
        self._clock = clock
        self._random_bytes = random_bytes
        self._secret = random_bytes(16).hex()
        self._balance = balance
        self._search_lag = search_lag
        self._catalogue: dict[str, SupplierProduct] = {}
        self._offers: dict[str, SupplierOffer] = {}
        self._orders: dict[str, _Order] = {}
        self._script: deque[NextOrder] = deque()
        self._hidden: set[str] = set()
        self.faults: Final = Faults(name, in_transaction=in_transaction)

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self._name

    @property
    def capabilities(self) -> SupplierCapabilities:
        """Everything but own stock."""
        return SupplierCapabilities(
            returns_keys=True,
            preorders=True,
            wholesale_units=WHOLESALE_UNITS,
            search_letters=SEARCH_LETTERS,
        )

    # --- the port ------------------------------------------------------------------------

    async def offers(self, supplier_product_id: str) -> Sequence[SupplierOffer]:
        """The offers of a product, cheapest first."""
        self.faults.arrive()
        if supplier_product_id not in self._catalogue:
            raise Rejected(self._name, "not_found")
        return [offer for offer in self._cheapest(supplier_product_id) if offer.stock > 0]

    async def place(self, request: SupplierRequest) -> SupplierOrder:
        """Place one order."""
        self.faults.arrive(key=request.external_id)
        plan = self._script.popleft() if self._script else NextOrder()
        if plan.refuse is not None:
            raise Rejected(self._name, plan.refuse)
        order = self._placed(request, plan)
        self.faults.leave(key=request.external_id)
        return self._shown(order)

    async def find(self, external_id: str) -> Sequence[SupplierOrder]:
        """Orders with exactly this id of ours."""
        self.faults.arrive()
        seen_until = self._clock() - self._search_lag
        return [
            self._shown(order)
            for order in self._orders.values()
            if order.external_id == external_id and order.created_at <= seen_until
        ]

    async def order(self, supplier_order_id: str) -> SupplierOrder:
        """One order."""
        self.faults.arrive()
        return self._shown(self._known(supplier_order_id))

    async def keys(self, supplier_order_id: str) -> Sequence[SuppliedKey]:
        """The keys that can be read now."""
        self.faults.arrive()
        order = self._known(supplier_order_id)
        self._bring(order)
        return [
            SuppliedKey(
                key_id=unit.key_id,
                serial=unit.serial,
                content_type=unit.content_type,
                supplier_product_id=order.supplier_product_id,
            )
            for unit in order.units
            if unit.state == "delivered" and unit.key_id not in self._hidden
        ]

    async def give_back(self, supplier_order_id: str) -> None:
        """Ask once for the return of an order's keys."""
        self.faults.arrive(key=supplier_order_id)
        order = self._known(supplier_order_id)
        now = self._clock()
        self._bring(order)
        open_units = [unit for unit in order.units if unit.state == "delivered"]
        if order.return_asked or not open_units or now - order.created_at > RETURN_WINDOW:
            raise Rejected(self._name, "nothing_to_return")
        order.return_asked = True
        order.updated_at = now
        for unit in open_units:
            unit.state = "returned"
        self._balance += order.total * len(open_units) / len(order.units)
        self.faults.leave(key=supplier_order_id)

    async def balance(self) -> Eur:
        """What is left to buy with."""
        self.faults.arrive()
        return self._balance

    async def catalogue(
        self, *, updated_since: datetime | None, first_page: int = 1
    ) -> AsyncIterator[CataloguePage]:
        """The catalogue, page by page, with today's price and stock."""
        if updated_since is not None:
            changed = (p for p in self._catalogue.values() if p.updated_at >= updated_since)
            found, skipped = sorted(changed, key=lambda p: p.updated_at), first_page - 1
        else:
            found, skipped = list(self._catalogue.values()), 0
        pages = max(1, -(-len(found) // PAGE))
        for number in range(first_page, max(pages + skipped, first_page) + 1):
            self.faults.arrive()
            start = (number - 1 - skipped) * PAGE
            products = tuple(self._today(each) for each in found[start : start + PAGE])
            yield CataloguePage(
                number=number,
                products=products,
                is_last=number >= pages + skipped,
                up_to=products[-1].updated_at if products and updated_since else updated_since,
            )

    async def product(self, supplier_product_id: str) -> SupplierProduct | None:
        """One product with today's price and stock."""
        self.faults.arrive()
        found = self._catalogue.get(supplier_product_id)
        return None if found is None else self._today(found)

    async def search(self, name: str, *, limit: int) -> Sequence[SupplierProduct]:
        """Products whose title holds this text, in any case."""
        self.faults.arrive()
        if len(name.strip()) < SEARCH_LETTERS:
            raise Rejected(self._name, "invalid", "name")
        wanted = name.strip().casefold()
        found = (p for p in self._catalogue.values() if wanted in p.title.casefold())
        return [self._today(each) for each in islice(found, limit)]

    async def orders_since(
        self, since: datetime, *, first_page: int = 1
    ) -> AsyncIterator[Sequence[SupplierOrder]]:
        """Orders placed since then, page by page."""
        self.faults.arrive()
        found = [self._shown(o) for o in self._orders.values() if o.created_at >= since]
        for page in _pages(found[(first_page - 1) * PAGE :]):
            yield page

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> SupplierWebhook:
        """Compare the secret, then read the hint."""
        given = headers.get(PROOF_HEADER, "")
        if not compare_digest(given.encode(), self._secret.encode()):
            return Forged("secret")
        try:
            fields = read_object(body)
        except Unreadable as error:
            return Malformed(str(error))
        order_id, product_id = text(fields.get("order_id")), text(fields.get("product_id"))
        if order_id is None and product_id is None:
            return SupplierHint(dedupe_key=digest(body), kind="other")
        return SupplierHint(
            dedupe_key=digest(body),
            kind="order" if order_id is not None else "product",
            supplier_order_id=order_id,
            external_id=text(fields.get("external_id")),
            supplier_product_id=product_id,
            status=text(fields.get("status")),
        )

    # --- the levers ----------------------------------------------------------------------

    def stock(self, product: SupplierProduct, *offers: SupplierOffer) -> None:
        """Put a product on sale, by default with the one offer that it names."""
        self._catalogue[product.supplier_product_id] = product
        for offer in offers or (_offer_of(product),):
            self._offers[offer.offer_id] = offer

    def listed(self, supplier_product_id: str) -> SupplierProduct:
        """A product as it is on sale now."""
        return self._today(self._catalogue[supplier_product_id])

    def change_offer(self, offer_id: str, **fields: object) -> None:
        """Another price or stock."""
        self._offers[offer_id] = msgspec.structs.replace(self._offers[offer_id], **fields)

    def next_order(self, plan: NextOrder) -> None:
        """How the next order goes; several make a queue."""
        self._script.append(plan)

    def forget_plans(self) -> None:
        """The next orders go as orders go."""
        self._script.clear()

    @property
    def order_ids(self) -> Sequence[str]:
        """The ids of all orders, oldest first."""
        return tuple(self._orders)

    def lag_behind(self, lag: timedelta) -> None:
        """From now on its search shows an order only so long after it was placed."""
        self._search_lag = lag

    def shown(self, supplier_order_id: str) -> SupplierOrder:
        """An order as it stands now, whether it can be asked for or not."""
        return self._shown(self._orders[supplier_order_id])

    def set_balance(self, balance: Eur) -> None:
        """What is left to buy with."""
        self._balance = balance

    def placed(self, external_id: str) -> Sequence[str]:
        """The ids of all orders that carry this id of ours, whether the buyer knows or not."""
        return [order.id for order in self._orders.values() if order.external_id == external_id]

    def deliver(self, supplier_order_id: str, units: int | None = None) -> None:
        """The next `units` that are still missing come now, None: all."""
        order = self._orders[supplier_order_id]
        missing = [unit for unit in order.units if unit.state == "pending"]
        for unit in missing[:units]:
            unit.comes_at = self._clock()
        self._bring(order)

    def hide(self, supplier_order_id: str, units: int = 1) -> None:
        """The last `units` of the order are called delivered, and nobody can read their keys."""
        self._hidden |= {unit.key_id for unit in self._orders[supplier_order_id].units[-units:]}

    def show(self) -> None:
        """Every key that is called delivered can be read."""
        self._hidden.clear()

    def end(self, supplier_order_id: str, state: SupplierOrderState) -> None:
        """Cancel or refund an order: missing units never come, the money returns."""
        order = self._orders[supplier_order_id]
        order.ended = state
        order.updated_at = self._clock()
        lost: UnitState = "canceled" if state == "canceled" else "refunded"
        for unit in order.units:
            unit.state = lost
        self._balance += order.total

    def webhook(self, supplier_order_id: str) -> tuple[Mapping[str, str], bytes]:
        """What is sent when an order changed."""
        order = self._shown(self._orders[supplier_order_id])
        body = {
            "order_id": order.supplier_order_id,
            "external_id": order.external_id,
            "status": order.state,
        }
        return self.secret_headers(), msgspec.json.encode(body)

    def secret_headers(self) -> Mapping[str, str]:
        """The headers of a true webhook."""
        return {PROOF_HEADER: self._secret}

    # --- inside --------------------------------------------------------------------------

    def _placed(self, request: SupplierRequest, plan: NextOrder) -> _Order:
        offer, price = self._bought(request, plan)
        total = price * request.quantity
        if total > self._balance:
            raise Rejected(self._name, "balance")
        self._balance -= total
        self.change_offer(offer.offer_id, stock=offer.stock - request.quantity)
        now = self._clock()
        coming = request.quantity if plan.units is None else plan.units
        order = _Order(
            id=self._random_bytes(12).hex(),
            external_id=request.external_id,
            supplier_product_id=request.supplier_product_id,
            total=total,
            is_preorder=request.is_preorder,
            units=[
                _Unit(
                    key_id=self._random_bytes(12).hex(),
                    serial=plan.serials[n] if n < len(plan.serials) else self._serial(),
                    content_type=plan.content_type,
                    state="pending",
                    comes_at=now + plan.after if n < coming else None,
                )
                for n in range(request.quantity)
            ],
            created_at=now,
            updated_at=now,
        )
        self._orders[order.id] = order
        return order

    def _bought(self, request: SupplierRequest, plan: NextOrder) -> tuple[SupplierOffer, Eur]:
        if request.quantity < 1 or not request.external_id:
            raise Rejected(self._name, "invalid", "quantity")
        for offer in self._cheapest(request.supplier_product_id):
            tiers = [t for t in offer.wholesale if t.from_units <= request.quantity]
            named = request.offer_id in {None, offer.offer_id}
            tier = max(tiers, key=lambda t: t.from_units) if tiers and request.offer_id else None
            price = plan.price or (tier.price if tier else offer.price)
            fits = price <= request.max_price and offer.stock >= request.quantity
            if not named or not fits or offer.is_preorder != request.is_preorder:
                continue
            if request.quantity > (WHOLESALE_UNITS if tier else MOST_UNITS):
                raise Rejected(self._name, "invalid", "quantity")
            return offer, price
        raise Rejected(self._name, "unavailable")

    def _cheapest(self, supplier_product_id: str) -> list[SupplierOffer]:
        found = [o for o in self._offers.values() if o.supplier_product_id == supplier_product_id]
        return sorted(found, key=lambda offer: (offer.price, offer.offer_id))

    def _serial(self) -> bytes:
        digits = self._random_bytes(10).hex().upper()
        return "-".join(digits[n : n + 5] for n in range(0, 20, 5)).encode()

    def _today(self, product: SupplierProduct) -> SupplierProduct:
        offers = self._cheapest(product.supplier_product_id)
        best = next((offer for offer in offers if offer.stock > 0), None)
        if best is None:
            return msgspec.structs.replace(product, stock=0)
        return msgspec.structs.replace(
            product,
            offer_id=best.offer_id,
            price=best.price,
            stock=best.stock,
            wholesale=best.wholesale,
        )

    def _known(self, supplier_order_id: str) -> _Order:
        order = self._orders.get(supplier_order_id)
        if order is None:
            raise Rejected(self._name, "not_found")
        return order

    def _bring(self, order: _Order) -> None:
        now = self._clock()
        for unit in order.units:
            if unit.state == "pending" and unit.comes_at is not None and unit.comes_at <= now:
                unit.state = "delivered"
                order.updated_at = max(order.updated_at, unit.comes_at)

    def _shown(self, order: _Order) -> SupplierOrder:
        self._bring(order)
        is_complete = all(unit.state != "pending" for unit in order.units)
        return SupplierOrder(
            supplier_order_id=order.id,
            external_id=order.external_id,
            state=order.ended or ("completed" if is_complete else "processing"),
            quantity=len(order.units),
            total=order.total,
            is_preorder=order.is_preorder,
            keys=tuple(SupplierKeyState(unit.key_id, unit.state) for unit in order.units),
            created_at=order.created_at,
            updated_at=order.updated_at,
        )


def _offer_of(product: SupplierProduct) -> SupplierOffer:
    return SupplierOffer(
        supplier_product_id=product.supplier_product_id,
        offer_id=product.offer_id,
        price=product.price,
        stock=product.stock,
        is_preorder=product.is_preorder,
        wholesale=product.wholesale,
    )


def _pages(found: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(found), PAGE):
        yield found[start : start + PAGE]
