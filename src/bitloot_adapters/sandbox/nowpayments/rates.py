"""Prices, conversions and minimum amounts: deterministic, changeable by the control door."""

from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Context, Decimal, localcontext
from typing import Final

from bitloot_adapters.sandbox.nowpayments.currencies import Coin, coin_table

_FIAT_USD: Final = {
    "usd": Decimal(1),
    "eur": Decimal("1.08"),
    "cad": Decimal("0.73"),
    "gbp": Decimal("1.27"),
    "aud": Decimal("0.66"),
    "ils": Decimal("0.27"),
    "ron": Decimal("0.217"),
}
_FIAT_MINIMUM_USD: Final = Decimal(2)
# A frozen rate costs the payer a margin, and its minimum is materially higher.
_FIXED_RATE_MARGIN: Final = Decimal("1.005")
_FEE_BY_PAYER_MARGIN: Final = Decimal("1.01")
_FLAGGED_MINIMUM: Final = Decimal("2.2")
_OTHER_COIN_MINIMUM: Final = Decimal("1.2")
# Room for the largest amount of the dearest coin in the cheapest one, to the last place.
_WIDE: Final = Context(prec=60)
CAP_USD: Final = Decimal(2000)


class RateBook:
    """One unit of each currency in USD, and which coins are switched on."""

    def __init__(self) -> None:
        self.coins = coin_table()
        self.overrides: dict[str, Decimal] = {}
        self.switches: dict[str, bool] = {}

    def knows(self, currency: str) -> bool:
        return currency in self.coins or currency in _FIAT_USD

    def is_fiat(self, currency: str) -> bool:
        return currency in _FIAT_USD

    def enabled(self, coin: Coin) -> bool:
        return self.switches.get(coin.ticker, coin.enabled_at_start)

    def usd(self, currency: str) -> Decimal:
        if currency in self.overrides:
            return self.overrides[currency]
        fiat = _FIAT_USD.get(currency)
        return self.coins[currency].usd if fiat is None else fiat

    def places(self, currency: str) -> Decimal:
        """The smallest step of an amount: at most eight places, two for a fiat."""
        coin = self.coins.get(currency)
        return Decimal(1).scaleb(-2 if coin is None else -min(coin.precision, 8))

    def rounded(self, amount: Decimal, currency: str) -> Decimal:
        """The nearest amount of whole steps."""
        return amount.quantize(self.places(currency), context=_WIDE)

    def convert(self, amount: Decimal, source: str, target: str) -> Decimal:
        with localcontext(_WIDE):
            value = amount * self.usd(source) / self.usd(target)
            return value.quantize(self.places(target), rounding=ROUND_HALF_UP)

    def pay_amount(
        self, price: Decimal, source: str, target: str, *, fixed_rate: bool, fee_by_payer: bool
    ) -> Decimal:
        """What the payer is asked for, rounded up so that the merchant is never short."""
        with localcontext(_WIDE):
            value = price * self.usd(source) / self.usd(target)
            if fixed_rate or fee_by_payer:
                value *= _FIXED_RATE_MARGIN
            if fee_by_payer:
                value *= _FEE_BY_PAYER_MARGIN
            return value.quantize(self.places(target), rounding=ROUND_UP)

    def minimum(
        self, source: str, target: str | None, *, fixed_rate: bool, fee_by_payer: bool
    ) -> Decimal:
        """The least amount of `source`; `target` is the currency of the settlement."""
        coin = self.coins.get(source)
        usd = _FIAT_MINIMUM_USD if coin is None else coin.minimum_usd
        if fixed_rate or fee_by_payer:
            usd *= _FLAGGED_MINIMUM
        if target is not None and target != source and not self.is_fiat(target):
            usd *= _OTHER_COIN_MINIMUM
        return (usd / self.usd(source)).quantize(self.places(source), rounding=ROUND_UP)

    def after_fee(self, amount: Decimal, source: str, target: str, percent: Decimal) -> Decimal:
        """What reaches the merchant of `amount`, in the settlement currency."""
        with localcontext(_WIDE):
            net = amount * (Decimal(100) - percent) / Decimal(100)
            value = net * self.usd(source) / self.usd(target)
            return value.quantize(self.places(target), rounding=ROUND_DOWN)
