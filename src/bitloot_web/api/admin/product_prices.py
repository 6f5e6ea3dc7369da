"""What a product costs and cost: offers, the history of its price, and how a price came about."""

from datetime import datetime
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import FromPath, JSONBody, QueryParameter

from bitloot.domain.money import eur_text, plain
from bitloot.domain.price_derivation import PriceRecord, agrees, explain
from bitloot.domain.product import Offer
from bitloot_web.api.admin.pricing_rules import AppliedShown, applied_shown
from bitloot_web.api.admin.products import ProductDetail, product_answer
from bitloot_web.api.fields import eur_or_none
from bitloot_web.dependencies import TheActor, TheShop
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.problems import ProblemError
from bitloot_web.routes import delete, get, post, put
from bitloot_web.security.access import Staff


class OfferShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a supplier asks and has; `cost` in EUR a unit, `stock - held` can still be sold."""

    id: str
    supplier: str
    supplier_product_id: str
    offer_id: str
    cost: str
    currency: str = "EUR"
    stock: int
    held: int
    updated_at: datetime


class PriceShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A price that a product had from then on; EUR a unit. `ruleId` made it, if any did."""

    id: str
    at: datetime
    reason: str
    price: str
    previous: str | None
    floor: str
    cost: str | None
    currency: str = "EUR"
    gateway_fee: str
    offer_row_id: str | None
    rule_id: str | None


class TriedRule(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A rule that was looked at, and what became of it."""

    rule_id: str
    outcome: str


class Explained(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A price worked out again from what is on record; EUR a unit.

    `raw` is what the rule makes of the cost, `rounded` that with its rounding, `capped` that within
    its cap. `agrees` says whether that comes to the price that is stored.
    """

    record: PriceShown
    rule: AppliedShown | None
    tried: tuple[TriedRule, ...]
    raw: str | None
    rounded: str | None
    capped: str | None
    floor: str | None
    price: str | None
    currency: str = "EUR"
    decided_by: str | None
    is_loss_signed: bool
    agrees: bool


class RepriceAsked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Which product; null: all of them."""

    product_id: UUID | None = None


ALL_PRICES: Final = RepriceAsked()


class RepriceShown(msgspec.Struct, frozen=True, kw_only=True):
    """Passes over prices that wait or are at work (`pending`), and that failed for good."""

    pending: int
    failed: int
    oldest: datetime | None


@get(
    "/catalog/products/{product_id:uuid}/offers",
    access=Staff("prices.read"),
    operation_id="adminListOffers",
)
async def offers(
    *,
    shop: TheShop,
    product_id: FromPath[UUID],
    limit: PageLimit = None,
    cursor: PageCursor = None,
) -> PageOf[OfferShown]:
    """What suppliers ask and have, the offer that is bought first in front."""
    paging = Paging(shop, f"offers|{product_id}", limit, cursor)
    rows = await shop.views.assortment.offers(str(product_id))
    if not rows and await shop.views.assortment.product(str(product_id)) is None:
        raise ProblemError("not-found")
    return paging.part(rows, _offer_shown)


@put(
    "/catalog/products/{product_id:uuid}/offers/{supplier:str}/{external_id:str}",
    access=Staff("catalog.write"),
    operation_id="adminJoinOffer",
)
async def join_offer(
    shop: TheShop,
    actor: TheActor,
    product_id: FromPath[UUID],
    supplier: FromPath[str],
    external_id: FromPath[str],
) -> Response[ProductDetail]:
    """Have the product sold from a further supplier too, under the id that it has there.

    The supplier is asked for it now. What its catalogue made of it by itself is hidden.
    """
    await shop.supplier_desk.join(str(product_id), supplier, external_id, actor=actor.name)
    return await product_answer(shop, str(product_id))


@delete(
    "/catalog/products/{product_id:uuid}/offers/{supplier:str}/{external_id:str}",
    access=Staff("catalog.write"),
    operation_id="adminPartOffer",
)
async def part_offer(
    shop: TheShop,
    actor: TheActor,
    product_id: FromPath[UUID],
    supplier: FromPath[str],
    external_id: FromPath[str],
) -> None:
    """Have the product sold from that supplier no more."""
    await shop.supplier_desk.part(str(product_id), supplier, external_id, actor=actor.name)


@get(
    "/catalog/products/{product_id:uuid}/price-history",
    access=Staff("prices.read"),
    operation_id="adminListPrices",
)
async def price_history(
    *,
    shop: TheShop,
    product_id: FromPath[UUID],
    limit: PageLimit = None,
    cursor: PageCursor = None,
) -> PageOf[PriceShown]:
    """Every price that a product had, newest first."""
    paging = Paging(shop, f"prices|{product_id}", limit, cursor)
    page = await shop.views.assortment.price_history(
        str(product_id), limit=paging.size, after=paging.after
    )
    return paging.page(page, _price_shown)


@get(
    "/catalog/products/{product_id:uuid}/price-explain",
    access=Staff("prices.read"),
    operation_id="adminExplainPrice",
)
async def price_explain(
    shop: TheShop,
    product_id: FromPath[UUID],
    record: Annotated[UUID | None, QueryParameter()] = None,
) -> Explained:
    """How a price came about: the newest, or that of a `record` of the history."""
    if record is None:
        page = await shop.views.assortment.price_history(str(product_id), limit=1, after=None)
        found = page.items[0] if page.items else None
    else:
        found = await shop.views.assortment.price_record(str(record))
    if found is None or found.product_id != str(product_id):
        raise ProblemError("not-found")
    return _explained(found)


@post(
    "/catalog/products/{product_id:uuid}/reprice",
    access=Staff("prices.write"),
    status_code=202,
    operation_id="adminRepriceProduct",
)
async def reprice_product(
    shop: TheShop, actor: TheActor, product_id: FromPath[UUID]
) -> RepriceShown:
    """Have the price of a product made anew."""
    await shop.products.reprice(str(product_id), actor=actor.name)
    return await _work(shop)


@post(
    "/catalog/reprice", access=Staff("prices.write"), status_code=202, operation_id="adminReprice"
)
async def reprice(
    shop: TheShop, actor: TheActor, data: JSONBody[RepriceAsked] = ALL_PRICES
) -> RepriceShown:
    """Have the price of one product, or all prices, made anew."""
    await shop.products.reprice(
        None if data.product_id is None else str(data.product_id), actor=actor.name
    )
    return await _work(shop)


@get("/catalog/reprice/status", access=Staff("prices.read"), operation_id="adminGetRepriceStatus")
async def reprice_status(shop: TheShop) -> RepriceShown:
    """What is still to be priced anew."""
    return await _work(shop)


async def _work(shop: TheShop) -> RepriceShown:
    work = await shop.views.assortment.reprice_work()
    return RepriceShown(pending=work.pending, failed=work.dead, oldest=work.oldest)


def _explained(record: PriceRecord) -> Explained:
    try:
        again = explain(record)
    except (ValueError, ArithmeticError):
        again = None
    return Explained(
        record=_price_shown(record),
        rule=None if record.rule is None else applied_shown(record.rule),
        tried=tuple(TriedRule(rule_id=each.rule_id, outcome=each.outcome) for each in record.tried),
        raw=eur_or_none(again.raw if again else None),
        rounded=eur_or_none(again.rounded if again else None),
        capped=eur_or_none(again.capped if again else None),
        floor=eur_or_none(again.floor if again else None),
        price=eur_or_none(again.price if again else None),
        decided_by=again.decided_by if again else None,
        is_loss_signed=again is not None and again.is_loss_signed,
        agrees=agrees(record),
    )


def _price_shown(row: PriceRecord) -> PriceShown:
    return PriceShown(
        id=row.id,
        at=row.at,
        reason=row.reason,
        price=eur_text(row.price),
        previous=eur_or_none(row.previous),
        floor=eur_text(row.floor),
        cost=eur_or_none(row.cost),
        gateway_fee=plain(row.gateway_fee),
        offer_row_id=row.offer_row_id,
        rule_id=None if row.rule is None else row.rule.id,
    )


def _offer_shown(row: Offer) -> OfferShown:
    return OfferShown(
        id=row.id,
        supplier=row.supplier,
        supplier_product_id=row.supplier_product_id,
        offer_id=row.offer_id,
        cost=eur_text(row.cost),
        stock=row.stock,
        held=row.held,
        updated_at=row.updated_at,
    )
