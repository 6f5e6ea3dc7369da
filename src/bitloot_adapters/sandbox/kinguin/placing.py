"""Placing an order: duplicate check, offers at the price, the balance, and then the purchase."""

from decimal import Decimal

import msgspec

from bitloot_adapters.sandbox.kinguin.catalogue import WHOLESALE_LEVELS, Offer, Product
from bitloot_adapters.sandbox.kinguin.config import Delivery
from bitloot_adapters.sandbox.kinguin.delivery import DeliveryEngine
from bitloot_adapters.sandbox.kinguin.draw import Draw, hex_id, order_code
from bitloot_adapters.sandbox.kinguin.errors import EsaError, violation
from bitloot_adapters.sandbox.kinguin.orders import Line, Order, Unit
from bitloot_adapters.sandbox.kinguin.payload import MAX_PER_LINE, Request, Wanted
from bitloot_adapters.sandbox.kinguin.serials import IMAGE_MEDIA, TEXT_STYLES
from bitloot_adapters.sandbox.kinguin.state import Store


class Pick(msgspec.Struct, frozen=True):
    """The offer that serves a line, its price per unit, and how many of the units are images."""

    wanted: Wanted
    product: Product
    offer: Offer
    price: Decimal
    images: int


def place(store: Store, engine: DeliveryEngine, request: Request) -> Order:
    """Buy all of a request or nothing; the order comes back as `processing`.

    :raises EsaError: `ConstraintViolation` (external id used before), `Preorder`, `OrderFailed`
        (no billing address), `ProductUnavailable` (no stock at the price), `InsufficientBalance`.
    """
    _refuse_duplicate(store, request)
    picks = _pick_all(store, request)
    if not store.switches.billing_address:
        raise EsaError("OrderFailed", "The account has no default billing address.")
    total = sum((pick.price * pick.wanted.qty for pick in picks), Decimal(0))
    if total > store.switches.balance:
        raise EsaError("InsufficientBalance", "There are not enough funds to place the order.")
    plan = _plan(store, picks)
    number = store.count()
    order_id = order_code(store.config.seed, number)
    now = store.now()
    order = Order(
        order_id=order_id,
        number=90_000_000 + number,
        external_id=request.external_id,
        status="processing",
        created_at=now,
        updated_at=now,
        lines=tuple(_line(pick) for pick in picks),
        units=tuple(
            unit
            for position, pick in enumerate(picks)
            for unit in _units(store, order_id, position, pick, plan)
        ),
        wrong_product_id=_other_product(store, picks[0].product) if plan.wrong_product else None,
    )
    store.switch(balance=store.switches.balance - total)
    store.save_order(order)
    for pick in picks:
        _take_stock(store, engine, pick)
    engine.start(order, plan)
    return order


def _refuse_duplicate(store: Store, request: Request) -> None:
    refuse = store.switches.duplicate_external_id == "refuse"
    if refuse and request.external_id is not None and store.with_external_id(request.external_id):
        raise violation("orderExternalId", "This value is already used.", request.external_id)


def _pick_all(store: Store, request: Request) -> list[Pick]:
    products = [_product(store, wanted) for wanted in request.products]
    if any(product.is_preorder for product in products):
        if len(products) > 1:
            raise EsaError("Preorder", "A pre-order must be the only product of its order.")
        if request.products[0].key_type is not None:
            raise EsaError("Preorder", "Buying a pre-order with keyType is not allowed.")
    named = {wanted.offer_id for wanted in request.products if wanted.offer_id is not None}
    picks: list[Pick] = []
    for position, (wanted, product) in enumerate(zip(request.products, products, strict=True)):
        taken = named | {pick.offer.offer_id for pick in picks}
        picks.append(_pick(store, wanted, product, position, taken))
    return picks


def _product(store: Store, wanted: Wanted) -> Product:
    if wanted.product_id is not None:
        product = store.catalogue.by_product_id(wanted.product_id)
    else:
        product = store.catalogue.get(wanted.kinguin_id or 0)
    if product is None:
        raise _unavailable()
    return product


def _pick(store: Store, wanted: Wanted, product: Product, position: int, taken: set[str]) -> Pick:
    """The cheapest single offer that has the quantity at or below the price."""
    if wanted.offer_id is not None:
        offers = [offer for offer in product.offers if offer.offer_id == wanted.offer_id]
    else:
        offers = [offer for offer in product.offers if offer.offer_id not in taken]
    if wanted.qty > MAX_PER_LINE and offers and not offers[0].tiers:
        raise violation(
            f"products[{position}].qty",
            f"This value should be less than or equal to {MAX_PER_LINE}.",
            wanted.qty,
        )
    for offer in sorted(offers, key=lambda each: (each.price, each.offer_id)):
        price = _unit_price(offer, wanted.qty)
        stock = offer.text_qty if wanted.key_type == "text" else offer.qty
        if price <= wanted.price and stock >= wanted.qty:
            images = _image_count(store, offer, wanted)
            return Pick(wanted=wanted, product=product, offer=offer, price=price, images=images)
    raise _unavailable()


def _unit_price(offer: Offer, qty: int) -> Decimal:
    """The offer's price, or from 10 units the price of the highest tier reached."""
    reached = [
        price for least, price in zip(WHOLESALE_LEVELS, offer.tiers, strict=False) if qty >= least
    ]
    return reached[-1] if reached else offer.price


def _image_count(store: Store, offer: Offer, wanted: Wanted) -> int:
    """How many units of any type are images: at least what text stock cannot serve."""
    if wanted.key_type == "text":
        return 0
    pictures = offer.qty - offer.text_qty
    least = max(0, wanted.qty - offer.text_qty)
    draw = Draw("images", store.config.seed, store.switches.counter, offer.offer_id)
    return min(wanted.qty, pictures, max(least, draw.below(wanted.qty + 1)))


def _plan(store: Store, picks: list[Pick]) -> Delivery:
    """The next-order plan, else the first product that has one of its own, else the default."""
    waiting = store.switches.next_orders
    if waiting:
        store.switch(next_orders=waiting[1:])
        return waiting[0]
    own = [pick.product.delivery for pick in picks if pick.product.delivery is not None]
    return own[0] if own else store.switches.delivery


def _line(pick: Pick) -> Line:
    return Line(
        kinguin_id=pick.product.kinguin_id,
        product_id=pick.product.product_id,
        offer_id=pick.offer.offer_id,
        name=pick.product.name,
        qty=pick.wanted.qty,
        price=pick.price,
        request_price=pick.wanted.price,
        is_preorder=pick.product.is_preorder,
        release_date=pick.product.release_date,
        key_type=pick.wanted.key_type,
        wholesale=pick.wanted.qty > MAX_PER_LINE,
    )


def _units(store: Store, order_id: str, position: int, pick: Pick, plan: Delivery) -> list[Unit]:
    repeated = _delivered_before(store) if plan.duplicate_serial else None
    units = []
    for number in range(pick.wanted.qty):
        key_id = hex_id(store.config.seed, order_id, position, number)
        draw = Draw("unit", key_id)
        media: str = draw.pick(IMAGE_MEDIA) if number < pick.images else "text/plain"
        style: str = draw.pick(TEXT_STYLES) if plan.serial_style is None else plan.serial_style
        if plan.key_media is not None and pick.wanted.key_type is None:
            media = plan.key_media
        if repeated is not None:
            media, style = repeated.media, repeated.style
        units.append(
            Unit(
                key_id=key_id,
                line=position,
                media=media,
                style=style,
                serial_of=key_id if repeated is None else repeated.serial_of,
                late=number >= pick.offer.available_qty,
            )
        )
    return units


def _delivered_before(store: Store) -> Unit | None:
    for order in reversed(store.orders.values()):
        for unit in order.units:
            if unit.status == "DELIVERED" and unit.media == "text/plain":
                return unit
    return None


def _other_product(store: Store, product: Product) -> int:
    ids = store.catalogue.ids()
    following = product.kinguin_id + 1
    return following if following in ids else ids[0]


def _take_stock(store: Store, engine: DeliveryEngine, pick: Pick) -> None:
    product = store.catalogue.get(pick.product.kinguin_id)
    if product is None:
        return
    texts = pick.wanted.qty - pick.images
    offers = tuple(
        msgspec.structs.replace(
            offer,
            qty=offer.qty - pick.wanted.qty,
            text_qty=max(0, offer.text_qty - texts),
            available_qty=max(0, offer.available_qty - pick.wanted.qty),
            available_text_qty=max(0, offer.available_text_qty - texts),
        )
        if offer.offer_id == pick.offer.offer_id
        else offer
        for offer in product.offers
    )
    engine.change_product(msgspec.structs.replace(product, offers=offers))


def _unavailable() -> EsaError:
    return EsaError(
        "ProductUnavailable",
        "Product has been sold or is not active. Maybe try to update product and send request "
        "again.",
    )
