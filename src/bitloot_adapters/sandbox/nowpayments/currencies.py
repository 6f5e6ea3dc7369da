"""The coins that the stand-in knows: a table, not a copy of the vendor's whole list."""

import hashlib
from decimal import Decimal
from typing import Final

import msgspec

_HEX = "0123456789abcdef"
_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_BECH32 = "023456789acdefghjklmnpqrstuvwxyz"
_DIGITS = "0123456789"

# style → (prefix, alphabet, number of characters after the prefix)
_ADDRESS_STYLES: Final = {
    "btc": ("bc1q", _BECH32, 38),
    "ltc": ("ltc1q", _BECH32, 38),
    "bch": ("q", _BECH32, 41),
    "evm": ("0x", _HEX, 40),
    "trx": ("T", _BASE58, 33),
    "xrp": ("r", _BASE58, 33),
    "xlm": ("G", _BASE32, 55),
    "xmr": ("4", _BASE58, 94),
    "sol": ("", _BASE58, 44),
    "doge": ("D", _BASE58, 33),
    "ada": ("addr1", _BECH32, 53),
    "dash": ("X", _BASE58, 33),
    "zec": ("t1", _BASE58, 33),
    "dot": ("1", _BASE58, 47),
    "atom": ("cosmos1", _BECH32, 38),
    "algo": ("", _BASE32, 58),
    "ton": ("UQ", _BASE58, 46),
    "near": ("", _HEX, 64),
    "eos": ("nowpay", "abcdefghijklmnopqrstuvwxyz12345", 6),
    "hbar": ("0.0.", _DIGITS, 7),
    "xtz": ("tz1", _BASE58, 33),
}

# ticker | name | network | address style | precision | USD price | minimum USD | flags
# flags: m memo coin, x about 2000 USD per payment, d disabled, s stable, v no fixed rate
_TABLE: Final = """
btc|Bitcoin|btc|btc|8|64000|2.5|
ltc|Litecoin|ltc|ltc|8|82|2|
eth|Ethereum|eth|evm|18|3200|4|
trx|Tron|trx|trx|6|0.125|3|
usdttrc20|Tether USD (Tron)|trx|trx|6|1|9|s
usdterc20|Tether USD (Ethereum)|eth|evm|6|1|12|s
xrp|Ripple|xrp|xrp|6|0.55|2|m
xlm|Stellar|xlm|xlm|7|0.11|2|m
xmr|Monero|xmr|xmr|12|160|2|
sol|Solana|sol|sol|9|150|2|
doge|Dogecoin|doge|doge|8|0.14|3|
ada|Cardano|ada|ada|6|0.45|2|
bnbbsc|BNB (BSC)|bsc|evm|18|580|2|
usdcsol|USD Coin (Solana)|sol|sol|6|1|2|s
usdcerc20|USD Coin (Ethereum)|eth|evm|6|1|12|s
usdc|USD Coin|eth|evm|6|1|12|s
usdcbsc|USD Coin (BSC)|bsc|evm|18|1|3|s
usdtbsc|Tether USD (BSC)|bsc|evm|18|1|3|s
usdtsol|Tether USD (Solana)|sol|sol|6|1|2|s
usdtmatic|Tether USD (Polygon)|matic|evm|6|1|2|s
usdcmatic|USD Coin (Polygon)|matic|evm|6|1|2|s
usdtton|Tether USD (TON)|ton|ton|6|1|3|sm
dai|Dai|eth|evm|18|1|12|s
busdbsc|Binance USD (BSC)|bsc|evm|18|1|3|sd
tusd|TrueUSD|eth|evm|18|1|12|sd
matic|Polygon|eth|evm|18|0.7|10|
maticmainnet|Polygon (Mainnet)|matic|evm|18|0.7|2|
bch|Bitcoin Cash|bch|bch|8|430|2|
dash|Dash|dash|dash|8|28|2|
zec|Zcash|zec|zec|8|24|2|
etc|Ethereum Classic|etc|evm|18|25|2|
dot|Polkadot|dot|dot|10|6.2|3|
atom|Cosmos|atom|atom|6|7.5|2|m
algo|Algorand|algo|algo|6|0.17|2|
ton|Toncoin|ton|ton|9|6.5|2|m
near|NEAR|near|near|24|5.1|2|
eos|EOS|eos|eos|4|0.72|2|md
hbar|Hedera|hbar|hbar|8|0.08|2|m
xtz|Tezos|xtz|xtz|6|0.85|2|
avaxc|Avalanche C-Chain|avaxc|evm|18|32|2|
arb|Arbitrum|arbitrum|evm|18|0.9|3|
etharb|Ether (Arbitrum)|arbitrum|evm|18|3200|2|
link|Chainlink|eth|evm|18|14|12|
uni|Uniswap|eth|evm|18|8.5|12|xv
shib|Shiba Inu|eth|evm|18|0.000018|12|x
floki|FLOKI|eth|evm|9|0.00016|12|xv
pepe|Pepe|eth|evm|18|0.0000095|12|x
ftm|Fantom|ftm|evm|18|0.6|2|d
luna|Terra|luna|atom|6|0.4|5|mxdv
bttc|BitTorrent Chain|trx|trx|18|0.0000009|3|xv
""".strip()


class Coin(msgspec.Struct, frozen=True, kw_only=True):
    """One ticker; `usd` is the price of one unit, `minimum_usd` the plain minimum."""

    number: int
    ticker: str
    name: str
    network: str
    style: str
    precision: int
    usd: Decimal
    minimum_usd: Decimal
    flags: str

    @property
    def has_memo(self) -> bool:
        return "m" in self.flags

    @property
    def is_capped(self) -> bool:
        return "x" in self.flags

    @property
    def enabled_at_start(self) -> bool:
        return "d" not in self.flags

    @property
    def fixed_rate(self) -> bool:
        return "v" not in self.flags

    @property
    def is_token(self) -> bool:
        return self.network != self.ticker and self.style in {"evm", "trx", "sol", "ton"}

    @property
    def wallet_regex(self) -> str:
        prefix, alphabet, length = _ADDRESS_STYLES[self.style]
        return f"^{prefix.replace('.', '[.]')}[{alphabet}]{{{length}}}$"

    @property
    def wire_precision(self) -> int | str | None:
        """`network_precision`: text, number or null, as the vendor mixes them."""
        return (str(self.precision), None, self.precision)[self.number % 3]

    @property
    def smart_contract(self) -> str | None:
        if not self.is_token:
            return None
        return "0x" + hashlib.sha256(self.ticker.encode()).hexdigest()[:40]

    def address(self, seed: str) -> str:
        """A well-formed, worthless deposit address; the same seed gives the same one."""
        prefix, alphabet, length = _ADDRESS_STYLES[self.style]
        return prefix + _spell(f"address:{self.ticker}:{seed}", alphabet, length)

    def memo(self, seed: str) -> str | None:
        """The memo or tag that a payer must send along, for memo coins."""
        return _spell(f"memo:{self.ticker}:{seed}", "123456789", 8) if self.has_memo else None


def _spell(seed: str, alphabet: str, length: int) -> str:
    octets = hashlib.shake_256(seed.encode()).digest(length)
    return "".join(alphabet[octet % len(alphabet)] for octet in octets)


def coin_table() -> dict[str, Coin]:
    """Every coin by its lower-case ticker, in the vendor's list order."""
    coins: dict[str, Coin] = {}
    for number, line in enumerate(_TABLE.splitlines(), start=50):
        ticker, name, network, style, precision, usd, minimum, flags = line.split("|")
        coins[ticker] = Coin(
            number=number,
            ticker=ticker,
            name=name,
            network=network,
            style=style,
            precision=int(precision),
            usd=Decimal(usd),
            minimum_usd=Decimal(minimum),
            flags=flags,
        )
    return coins
