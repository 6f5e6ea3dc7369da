"""How a paid order is cut into fulfilments, within the limits of those who supply it.

Own stock is one fulfilment for the whole item. A supplier order is one line of at most nine units,
so a basket of any length never meets a supplier's limit of lines. A wholesale offer takes up to
its own limit and is named in the order (Kinguin eCommerce API, "Wholesale").
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final

from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.limits import Limits
from bitloot.domain.money import Eur, cost_floor, price_ceiling
from bitloot.domain.order import OrderFile, OrderItem

OWN_STOCK: Final = "custom"
WHOLESALE_FROM: Final = 10
_NO_CEILINGS: Final[Mapping[str, Eur]] = {}


def plan(
    file: OrderFile,
    *,
    at: datetime,
    new_id: Callable[[], str],
    limits: Limits,
    wholesale_units: Mapping[str, int],
    signed_ceilings: Mapping[str, Eur] = _NO_CEILINGS,
) -> tuple[Fulfilment, ...]:
    """The fulfilments of every item that has none yet, in the order of the items.

    `wholesale_units` gives, by offer id, the most units of one order of a wholesale offer; an
    offer that is not named there is no wholesale offer. `signed_ceilings` gives, by order item id,
    the EUR a unit up to which an admin signed a loss; otherwise the ceiling follows from the price
    paid.
    """
    planned = {fulfilment.order_item_id for fulfilment in file.fulfilments}
    return tuple(
        Fulfilment(
            id=new_id(),
            order_id=file.order.id,
            order_item_id=item.id,
            item_no=item.item_no,
            part=part,
            slots=slots,
            supplier=item.supplier,
            own_stock=is_own_stock(item),
            supplier_product_id=item.supplier_product_id,
            offer_id=item.offer_id,
            max_unit_price=signed_ceilings.get(
                item.id, purchase_ceiling(item, file.order.gateway_fee)
            ),
            created_at=at,
            updated_at=at,
        )
        for item in file.items
        if item.id not in planned
        for part, slots in enumerate(parts(item, limits, wholesale_units), start=1)
    )


def purchase_ceiling(item: OrderItem, gateway_fee: Decimal) -> Eur:
    """The most that a unit may cost us: what is left of its price after the gateway's fee.

    An item that was knowingly sold below the floor of its cost may cost what it did then, no more.
    """
    ceiling = price_ceiling(item.unit_price, gateway_fee)
    if item.unit_price < cost_floor(item.unit_cost, gateway_fee):
        return max(ceiling, item.unit_cost)
    return ceiling


def is_own_stock(item: OrderItem) -> bool:
    """Whether the item is sold from our own keys."""
    return item.supplier == OWN_STOCK


def parts(
    item: OrderItem, limits: Limits, wholesale_units: Mapping[str, int]
) -> tuple[tuple[int, ...], ...]:
    """The slots 1…quantity of an item, cut into fulfilments."""
    slots = tuple(range(1, item.quantity + 1))
    most = limits.units_per_fulfilment
    wholesale = min(wholesale_units.get(item.offer_id or "", 0), limits.wholesale_units)
    if is_own_stock(item):
        most = item.quantity
    elif item.quantity >= WHOLESALE_FROM and wholesale >= WHOLESALE_FROM:
        most = wholesale
    return tuple(slots[start : start + most] for start in range(0, len(slots), most))
