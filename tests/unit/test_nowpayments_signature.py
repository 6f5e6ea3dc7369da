"""Which callbacks count as signed by NOWPayments."""

import hashlib
import hmac
import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloot_adapters.nowpayments.signature import (
    Unreadable,
    is_signed,
    javascript_number,
    parse_as_javascript,
    stringify,
)

SECRET = "ipn-secret-of-the-test"


def sign(text: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), text, hashlib.sha512).hexdigest()


@pytest.mark.parametrize(
    ("written", "javascript"),
    [
        ("0.000083", "0.000083"),
        ("0.00001", "0.00001"),
        ("0.000001", "0.000001"),
        ("0.0000005", "5e-7"),
        ("0.00000012", "1.2e-7"),
        ("13.0", "13"),
        ("2.50", "2.5"),
        ("1e16", "10000000000000000"),
        ("1e20", "100000000000000000000"),
        ("1e21", "1e+21"),
        ("1.5e21", "1.5e+21"),
        ("12345678901234567890", "12345678901234567000"),
        ("0.20881407", "0.20881407"),
        ("-0", "0"),
        ("-0.0", "0"),
        ("-1.5", "-1.5"),
        ("5e-324", "5e-324"),
        ("1.7976931348623157e308", "1.7976931348623157e+308"),
        ("1e400", "null"),
    ],
)
def test_a_number_is_written_as_javascript_writes_it(written: str, javascript: str) -> None:
    assert stringify(parse_as_javascript(written.encode())) == javascript


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_javascript_number_reads_back_as_the_same_double(number: float) -> None:
    assert float(javascript_number(number)) == number


def test_keys_are_sorted_by_utf16_code_units_at_every_depth_and_indices_come_first() -> None:
    body = '{"b":1,"a":{"z":1,"y":2},"10":1,"9":2,"\U0001f600":1,"\uffee":2}'.encode()
    assert stringify(parse_as_javascript(body)) == (
        '{"9":2,"10":1,"a":{"y":2,"z":1},"b":1,"\U0001f600":1,"\uffee":2}'
    )


def test_letters_stay_raw_and_control_characters_are_escaped_as_javascript_does() -> None:
    body = b'"\\u00e9/\\/\\u2028\\u007f\\u0001\\ud800\\b\\t\\n\\f\\r\\"\\\\"'
    assert stringify(parse_as_javascript(body)) == (
        '"é//\u2028\x7f\\u0001\\ud800\\b\\t\\n\\f\\r\\"\\\\"'
    )


UNSORTED = (
    b'{ "payment_id": 4300998877, "payment_status": "finished", "price_amount": 17.50,\n'
    b'  "order_description": "Zur\\u00fcck / caf\xc3\xa9", "pay_amount": 13.0,\n'
    b'  "fee": {"withdrawalFee": 0.0000005, "currency": "ltc", "depositFee": 0.000083} }'
)
SORTED = (
    '{"fee":{"currency":"ltc","depositFee":0.000083,"withdrawalFee":5e-7},'
    '"order_description":"Zurück / café","pay_amount":13,"payment_id":4300998877,'
    '"payment_status":"finished","price_amount":17.5}'
).encode()


def test_a_body_signed_over_its_raw_bytes_is_accepted() -> None:
    assert is_signed(SORTED, sign(SORTED), SECRET)
    assert is_signed(UNSORTED, sign(UNSORTED), SECRET)


def test_an_unsorted_body_signed_over_its_javascript_form_is_accepted() -> None:
    assert is_signed(UNSORTED, sign(SORTED), SECRET)


def test_an_array_may_be_signed_as_an_array_or_as_an_object_with_indices() -> None:
    numbers = list(range(12))
    body = b'{"b": ' + json.dumps(numbers).encode() + b', "a": 1}'
    kept = b'{"a":1,"b":[0,1,2,3,4,5,6,7,8,9,10,11]}'
    indexed = b'{"a":1,"b":{' + ",".join(f'"{n}":{n}' for n in numbers).encode() + b"}}"
    assert is_signed(body, sign(kept), SECRET)
    assert is_signed(body, sign(indexed), SECRET)


def test_upper_case_and_padded_signatures_and_padded_secrets_are_accepted() -> None:
    assert is_signed(SORTED, f"  {sign(SORTED).upper()}\n", SECRET)
    assert is_signed(SORTED, sign(SORTED), f" {SECRET}\n")


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "0" * 128,
        sign(SORTED)[:-1],
        sign(SORTED) + "0",
        sign(SORTED, "another secret"),
        hmac.new(SECRET.encode(), SORTED, hashlib.sha256).hexdigest(),
        "é" * 128,
        sign(SORTED) + "," + sign(SORTED),
    ],
)
def test_any_other_signature_is_refused(header: str) -> None:
    assert not is_signed(SORTED, header, SECRET)


def test_an_empty_secret_accepts_nothing() -> None:
    assert not is_signed(SORTED, sign(SORTED, ""), "")
    assert not is_signed(SORTED, sign(SORTED, ""), "  ")


def test_a_changed_body_is_refused() -> None:
    changed = SORTED.replace(b"17.5", b"17.6")
    assert not is_signed(changed, sign(SORTED), SECRET)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"NaN", b'{"a":Infinity}', b'{"a":1,"a":2}', b'{"a":' * 40 + b"1" + b"}" * 40,
     b"[" * 5000, b'"\xff"'],
)  # fmt: skip
def test_what_two_readers_could_understand_differently_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        parse_as_javascript(body)


def test_infinity_is_never_written_as_a_number() -> None:
    assert javascript_number(math.inf) == "null"
