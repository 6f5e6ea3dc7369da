"""What a payer is told beside an address: a text for a QR code, and how long money usually takes.

Both are hints. What has to be paid is the amount, the address and the memo of the payment itself.
"""

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Final

from bitloot.domain.money import plain

_WEI_PLACES: Final = 18
# An address of any chain, with the prefix that Bitcoin Cash writes before it.
_ADDRESS: Final = re.compile(r"(?:bitcoincash:)?[A-Za-z0-9]+")


def _as_amount(name: str) -> Callable[[str, Decimal], str]:
    def write(address: str, amount: Decimal) -> str:
        return f"{address}?{name}={plain(amount)}"

    return write


def _as_wei(address: str, amount: Decimal) -> str:
    return f"{address}@1?value={plain(amount.scaleb(_WEI_PLACES))}"


# Each has its scheme and its amount written down by its community: BIP 21 (btc, and alike ltc,
# doge, dash), CashAddr (bch), ZIP 321 (zec), the URI format of Monero, Solana Pay, EIP-681 (eth).
# Only the coin of the chain itself: what a wallet makes of a token's address is not agreed on.
_SCHEMES: Final[Mapping[str, tuple[str, Callable[[str, Decimal], str]]]] = {
    "btc": ("bitcoin", _as_amount("amount")),
    "ltc": ("litecoin", _as_amount("amount")),
    "doge": ("dogecoin", _as_amount("amount")),
    "dash": ("dash", _as_amount("amount")),
    "bch": ("bitcoincash", _as_amount("amount")),
    "zec": ("zcash", _as_amount("amount")),
    "xmr": ("monero", _as_amount("tx_amount")),
    "sol": ("solana", _as_amount("amount")),
    "eth": ("ethereum", _as_wei),
}

# Minutes until a payment with the usual fee counts: the time between two blocks of the chain times
# the confirmations that payment services commonly wait for.
_MINUTES: Final[Mapping[str, int]] = {
    "btc": 20,
    "bch": 40,
    "ltc": 15,
    "doge": 10,
    "dash": 5,
    "zec": 15,
    "xmr": 20,
    "eth": 5,
    "etc": 30,
    "bsc": 2,
    "matic": 5,
    "arbitrum": 3,
    "avaxc": 2,
    "trx": 2,
    "sol": 1,
    "ton": 1,
    "xrp": 1,
    "xlm": 1,
    "algo": 1,
    "near": 1,
    "hbar": 1,
    "eos": 3,
    "atom": 2,
    "dot": 3,
    "ada": 10,
    "xtz": 3,
}


def qr_text(
    asset: str, network: str | None, address: str, amount: Decimal | None, memo: str | None
) -> str:
    """What a wallet scans: a payment URI with the amount, else the address alone.

    With a memo it is the address alone, so that no wallet pays past a memo that it did not read.
    """
    scheme, write = _SCHEMES.get(asset, ("", None))
    is_plain = write is None or amount is None or memo is not None or network not in {None, asset}
    if is_plain or not _ADDRESS.fullmatch(address):
        return address
    assert write is not None
    assert amount is not None
    return f"{scheme}:{write(address.removeprefix(f'{scheme}:'), amount)}"


def usual_minutes(asset: str, network: str | None) -> int | None:
    """How long a payment usually takes to be confirmed; None for chains that are not known."""
    return _MINUTES.get(network or asset)
