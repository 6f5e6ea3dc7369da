"""What can be paid with, and what an amount comes to."""

from typing import Annotated, Final

import msgspec
from litestar.params import QueryParameter

from bitloot.domain.errors import Refused
from bitloot.domain.money import estimate_up, eur_text, plain
from bitloot.ports.payment_gateway import Asset, AssetQuote
from bitloot_web.api.fields import eur
from bitloot_web.dependencies import TheShop
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.routes import get
from bitloot_web.security.access import Anyone
from bitloot_web.security.rate_limits import limited
from bitloot_web.shop import Shop

DEFAULT_PRECISION: Final = 8


class Currency(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An asset by its lower-case ticker; `needsMemo`: a tag must be sent with the payment."""

    ticker: str
    name: str
    network: str | None
    needs_memo: bool
    precision: int


class Estimate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `price` EUR come to in the asset, rounded up, and the least that it can carry."""

    price: str
    currency: str = "EUR"
    asset: str
    amount: str
    minimum: str
    is_enough: bool


@get(
    "/v1/payments/currencies",
    access=Anyone(),
    guards=[limited("catalogue")],
    operation_id="listCurrencies",
)
async def currencies(
    shop: TheShop, limit: PageLimit = None, cursor: PageCursor = None
) -> PageOf[Currency]:
    """What can be paid with now, by ticker; 100 a page unless told."""
    paging = Paging(shop, "currencies", limit, cursor)
    assets = sorted(await shop.opening.currencies(), key=lambda asset: asset.ticker)
    return paging.part(assets, _currency)


def _currency(asset: Asset) -> Currency:
    return Currency(
        ticker=asset.ticker,
        name=asset.name,
        network=asset.network,
        needs_memo=asset.needs_memo,
        precision=asset.precision,
    )


@get(
    "/v1/payments/estimate",
    access=Anyone(),
    guards=[limited("quotes")],
    operation_id="estimatePayment",
)
async def estimate(
    shop: TheShop,
    amount: Annotated[str, QueryParameter(max_length=64, description="EUR, such as 12.50.")],
    asset: Annotated[str, QueryParameter(max_length=32, description="A ticker, such as btc.")],
) -> Estimate:
    """What an EUR amount comes to in an asset now."""
    price = eur(amount, "amount")
    found = await shop.opening.estimate(price, asset)
    return Estimate(
        price=eur_text(price),
        asset=found.asset,
        amount=await amount_shown(shop, found),
        minimum=plain(found.minimum),
        is_enough=found.amount >= found.minimum,
    )


async def amount_shown(shop: Shop, found: AssetQuote) -> str:
    """An estimate for people: rounded up at the precision of its asset, 8 places if unknown."""
    try:
        assets = await shop.opening.currencies()
    except Refused:
        assets = ()
    known = (asset.precision for asset in assets if asset.ticker == found.asset)
    return plain(estimate_up(found.amount, next(known, DEFAULT_PRECISION)))
