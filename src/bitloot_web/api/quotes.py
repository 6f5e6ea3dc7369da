"""A basket, priced and frozen."""

from datetime import datetime
from typing import Annotated

import msgspec
from litestar.params import JSONBody

from bitloot.domain.money import eur_text, plain
from bitloot.domain.quote import Wanted
from bitloot.usecases.checkout import Quoted
from bitloot_web.api.fields import Name, ShortText
from bitloot_web.api.payment_options import amount_shown
from bitloot_web.dependencies import TheShop
from bitloot_web.routes import post
from bitloot_web.security.access import Anyone
from bitloot_web.security.rate_limits import limited


class WantedLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """So many of a product, named by id or slug. A price is never asked for."""

    product: Name
    quantity: Annotated[int, msgspec.Meta(ge=1, le=1_000_000)] = 1


class NewQuote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A basket. `country` as two letters; `asset` is a ticker to estimate the total in."""

    lines: Annotated[tuple[WantedLine, ...], msgspec.Meta(min_length=1, max_length=1000)]
    country: ShortText | None = None
    asset: ShortText | None = None


class PricedLine(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A priced line; EUR."""

    product_id: str
    slug: str
    title: str
    source: str
    quantity: int
    unit_price: str
    total: str
    is_preorder: bool


class QuoteEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """The total in the asset asked for, rounded up; the amount to pay is told with the payment."""

    asset: str
    amount: str
    minimum: str


class Quote(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Prices hold until `frozenUntil`; `estimate` is null without an asset or an answer."""

    id: str
    lines: tuple[PricedLine, ...]
    total: str
    currency: str
    country: str | None
    asset: str | None
    frozen_until: datetime
    estimate: QuoteEstimate | None
    underpayment_policy: str


@post("/v1/quotes", access=Anyone(), guards=[limited("quotes")], operation_id="createQuote")
async def create_quote(shop: TheShop, data: JSONBody[NewQuote]) -> Quote:
    """Price a basket and freeze it."""
    wanted = [Wanted(product=line.product, quantity=line.quantity) for line in data.lines]
    quoted = await shop.checkout.quote(wanted, country=data.country, asset=data.asset)
    found = quoted.estimate
    estimate = None
    if found is not None:
        amount = await amount_shown(shop, found)
        estimate = QuoteEstimate(asset=found.asset, amount=amount, minimum=plain(found.minimum))
    return shown(quoted, estimate)


def shown(quoted: Quoted, estimate: QuoteEstimate | None) -> Quote:
    """The quote as it is answered: no costs, no floors."""
    quote = quoted.quote
    return Quote(
        id=quote.id,
        lines=tuple(
            PricedLine(
                product_id=line.product_id,
                slug=line.slug,
                title=line.title,
                source=line.source,
                quantity=line.quantity,
                unit_price=eur_text(line.unit_price),
                total=eur_text(line.unit_price * line.quantity),
                is_preorder=line.is_preorder,
            )
            for line in quote.lines
        ),
        total=eur_text(quote.total),
        currency="EUR",
        country=quote.country,
        asset=quote.asset,
        frozen_until=quote.frozen_until,
        estimate=estimate,
        underpayment_policy=quoted.underpayment_policy,
    )
