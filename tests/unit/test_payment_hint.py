"""What a payer is told beside the address: never another amount or address than that asked for."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloot.domain.payment_hint import qr_text, usual_minutes


@pytest.mark.parametrize(
    ("asset", "address", "amount", "text"),
    [
        ("btc", "bc1qpay", "0.00020000", "bitcoin:bc1qpay?amount=0.0002"),
        ("ltc", "ltc1qpay", "0.5", "litecoin:ltc1qpay?amount=0.5"),
        ("bch", "bitcoincash:qpay", "1", "bitcoincash:qpay?amount=1"),
        ("bch", "qpay", "1", "bitcoincash:qpay?amount=1"),
        ("xmr", "4pay", "0.000000000001", "monero:4pay?tx_amount=0.000000000001"),
        ("sol", "Pay1", "2", "solana:Pay1?amount=2"),
        ("eth", "0xpay", "0.0123", "ethereum:0xpay@1?value=12300000000000000"),
    ],
)
def test_a_wallet_is_given_address_and_amount_in_the_form_of_its_chain(
    asset: str, address: str, amount: str, text: str
) -> None:
    assert qr_text(asset, asset, address, Decimal(amount), None) == text


def test_where_no_form_is_agreed_on_or_a_memo_is_needed_it_is_the_address_alone() -> None:
    assert qr_text("usdttrc20", "trx", "Tpay", Decimal(9), None) == "Tpay"
    assert qr_text("btc", "bsc", "0xpay", Decimal(9), None) == "0xpay"
    assert qr_text("xrp", "xrp", "rpay", Decimal(9), "778899") == "rpay"
    assert qr_text("btc", "btc", "bc1q", Decimal(9), "778899") == "bc1q"
    assert qr_text("btc", "btc", "bc1q", None, None) == "bc1q"


@given(
    asset=st.sampled_from(["btc", "eth", "xmr", "usdttrc20"]),
    address=st.text(max_size=40),
    amount=st.decimals(min_value="0.00000001", max_value=10**9, places=8),
)
def test_an_address_adds_no_field_of_its_own_to_the_text(
    asset: str, address: str, amount: Decimal
) -> None:
    text = qr_text(asset, asset, address, amount, None)
    assert text == address or (text.count("?"), text.count("="), "&" in text) == (1, 1, False)


def test_the_usual_time_is_that_of_the_chain_that_carries_the_asset() -> None:
    assert usual_minutes("btc", "btc") == 20
    assert usual_minutes("usdttrc20", "trx") == usual_minutes("trx", None) == 2
    assert usual_minutes("usdterc20", "eth") == usual_minutes("eth", "eth")
    assert usual_minutes("btc", "a chain of tomorrow") is None
