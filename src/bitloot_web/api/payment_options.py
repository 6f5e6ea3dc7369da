"""What can be paid with, and what an amount comes to."""

from typing import Annotated

import msgspec
from litestar import get
from litestar.params import QueryParameter

from bitloot.domain.money import estimate_up, eur_text, plain
from bitloot_web.api.fields import eur
from bitloot_web.dependencies import TheShop
from bitloot_web.security.rate_limits import limited

DEFAULT_PRECISION = 8


class Currency(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An asset by its lower-case ticker; `needsMemo`: a tag must be sent with the payment."""

    ticker: str
    name: str
    network: str | None
    needs_memo: bool
    precision: int


class Currencies(msgspec.Struct, frozen=True):
    """Every asset that the gateway takes now."""

    items: tuple[Currency, ...]


class Estimate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What `price` EUR come to in the asset, rounded up, and the least that it can carry."""

    price: str
    asset: str
    amount: str
    minimum: str
    is_enough: bool


@get("/v1/payments/currencies", guards=[limited("catalogue")], operation_id="listCurrencies")
async def currencies(shop: TheShop) -> Currencies:
    """What can be paid with now."""
    assets = await shop.opening.currencies()
    return Currencies(
        tuple(
            Currency(
                ticker=asset.ticker,
                name=asset.name,
                network=asset.network,
                needs_memo=asset.needs_memo,
                precision=asset.precision,
            )
            for asset in assets
        )
    )


@get("/v1/payments/estimate", guards=[limited("quotes")], operation_id="estimatePayment")
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
        amount=plain(estimate_up(found.amount, DEFAULT_PRECISION)),
        minimum=plain(found.minimum),
        is_enough=found.amount >= found.minimum,
    )
