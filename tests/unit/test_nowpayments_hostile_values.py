"""What a gateway, or somebody in its name, may write: numbers, letters and shapes of every kind.

A callback that was signed is never refused for how it is written; a forged one always is. A value
that no amount, id or time can be counts as absent, and never as money.
"""

import hashlib
import hmac
import json
import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloot.domain.limits import Limits
from bitloot.domain.payment import PaymentReport
from bitloot.ports.payment_gateway import Forged, Malformed, VerifiedPayment, WebhookReading
from bitloot_adapters.http import HttpClient
from bitloot_adapters.nowpayments import wire
from bitloot_adapters.nowpayments.client import NowPayments
from bitloot_adapters.nowpayments.signature import parse_as_javascript, stringify

SECRET = "ipn-secret"
ID = "4300998877"
STATUS = '"payment_status":"finished"'
FEE = '"fee":{"currency":"btc","depositFee":0.000083,"serviceFee":1e-7,"withdrawalFee":0}'
MEGABYTES = 10 * 1024 * 1024
ESTIMATES = wire.reader(wire.WireEstimate)


def gateway(secret: str = SECRET) -> NowPayments:
    http = HttpClient(
        "http://nowhere/v1", limits=Limits(), in_transaction=lambda: False, headers={}
    )
    return NowPayments(
        http, ipn_secret=secret, callback_url="https://shop.example/hook", limits=Limits()
    )


GATEWAY = gateway()


def sign(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha512).hexdigest()


def read(body: str | bytes, signature: str | None = None) -> WebhookReading:
    raw = body.encode() if isinstance(body, str) else body
    header = sign(raw) if signature is None else signature
    return GATEWAY.read_webhook({"x-nowpayments-sig": header}, raw)


def report_of(body: str | bytes) -> PaymentReport:
    found = read(body)
    assert isinstance(found, VerifiedPayment), found
    return found.report


def callback(*fields: str, payment_id: str = ID) -> str:
    return "{" + ",".join((f'"payment_id":{payment_id}', STATUS, *fields)) + "}"


# --- numbers -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("1e-7", "0.0000001"),
        ("5E-7", "0.0000005"),
        ("13.0", "13"),
        ("2.50", "2.5"),
        ("1e2", "100"),
        ("0", "0"),
        ("-0.0", "0"),
        ('"0.5"', "0.5"),
        ('"1e-7"', "0.0000001"),
        ("0.123456789012345678", "0.123456789012345678"),
    ],
)
def test_an_amount_is_exact_however_it_is_written(written: str, meant: str) -> None:
    report = report_of(callback(f'"actually_paid":{written}', f'"pay_amount":{written}', FEE))
    assert report.actually_paid == Decimal(meant) == report.pay_amount


@pytest.mark.parametrize(
    "written",
    [
        "-1",
        "-1e-7",
        '"NaN"',
        '"sNaN"',
        '"Infinity"',
        '"-Infinity"',
        '"1_000"',
        '"١٢"',
        '"twelve"',
        '""',
        "true",
        "null",
        "[1]",
        '{"amount":1}',
        "1e31",
        "1e400",
        "1e9999999",
        "1e99999999999999999999",
        "1e-99999999999999999999",
        "0.1234567890123456789",
        "9" * 31,
        "9" * 5000,
        "0." + "9" * 5000,
    ],
)
def test_what_is_no_amount_counts_as_absent_and_the_callback_as_signed(written: str) -> None:
    report = report_of(
        callback(f'"actually_paid":{written}', f'"price_amount":{written}', f'"x":{written}')
    )
    assert (report.actually_paid, report.price_amount) == (None, None)
    assert (report.gateway_payment_id, report.status) == (ID, "finished")


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("0.2088", "0.2088"),
        ('"17.5"', "17.5"),
        ("1e-7", "0.0000001"),
        ("0.00023116599999999998", "0.000231166"),
        ("0.0000000000000000001", "0.000000000000000001"),
        ("-1", None),
        ('"NaN"', None),
        ('"Infinity"', None),
        ("1e31", None),
        ("1e400", None),
        ("null", None),
    ],
)
def test_an_estimate_may_have_the_noise_of_a_double(written: str, meant: str | None) -> None:
    read = wire.decode(f'{{"estimated_amount":{written}}}'.encode(), ESTIMATES)
    expected = None if meant is None else Decimal(meant)
    assert wire.about(read.estimated_amount) == expected


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (ID, ID),
        (f'"{ID}"', ID),
        (f'"  {ID} "', ID),
        (f"{ID}.0", ID),
        ("4.300998877e9", ID),
        ("99999999999999999999", "99999999999999999999"),
        ('"99999999999999999999"', "99999999999999999999"),
        ("18446744073709551616", "18446744073709551616"),
    ],
)
def test_an_id_is_the_same_text_however_it_is_written(written: str, meant: str) -> None:
    body = callback(f'"invoice_id":{written}', f'"purchase_id":{written}', payment_id=written)
    report = report_of(body)
    assert report.gateway_payment_id == meant
    assert (report.gateway_invoice_id, report.purchase_id) == (meant, meant)


@pytest.mark.parametrize("written", ["1e600", "1e99999999", "0.5", "true", "[]", '""', "null"])
def test_a_callback_that_names_no_payment_cannot_be_read(written: str) -> None:
    assert isinstance(read(callback(payment_id=written)), Malformed)


@pytest.mark.parametrize("written", ["null", "0", "0.0", '"0"', '"null"', '""', '" "', "false"])
def test_no_parent_is_no_parent_however_it_is_written(written: str) -> None:
    assert report_of(callback(f'"parent_payment_id":{written}')).parent_payment_id is None


@pytest.mark.parametrize("written", ["7", '"7"', "7.0", "true", "[7]", '{"id":7}', "1e999", "0.5"])
def test_a_parent_that_cannot_be_read_is_a_parent_all_the_same(written: str) -> None:
    assert report_of(callback(f'"parent_payment_id":{written}')).parent_payment_id is not None


@pytest.mark.parametrize(
    "written", ['"9999-12-31T23:59:59Z"', '"0001-01-01T00:00:00+14:00"', '"soon"', "1e99", "[]"]
)
def test_a_time_that_nothing_can_be_added_to_counts_as_absent(written: str) -> None:
    body = callback(f'"valid_until":{written}', f'"expiration_estimate_date":{written}')
    report = report_of(body)
    assert (report.valid_until, report.quote_ends_at) == (None, None)


# --- letters and shapes ------------------------------------------------------------------------


def test_tickers_and_statuses_are_read_in_lower_case() -> None:
    body = callback('"pay_currency":"USDTTRC20"', '"price_currency":"EUR"', '"network":"TRX"')
    report = report_of(body.replace("finished", "FINISHED"))
    assert (report.pay_currency, report.price_currency) == ("usdttrc20", "eur")
    assert (report.network, report.status) == ("trx", "finished")


@pytest.mark.parametrize(
    "letters",
    [
        '"Zurück / café 🎮"',
        r'"\u00e9\ud83c\udfae\/"',
        r'"\ud83c"',
        r'"\udfae and more"',
        r'"\u0000\u0001\u007f\u2028"',
        '"' + "x" * 100_000 + '"',
        "[]",
        "{}",
        "[1,[2,{}]]",
    ],
)
def test_no_description_makes_a_signed_callback_unreadable(letters: str) -> None:
    body = callback(f'"order_description":{letters}', FEE)
    assert report_of(body).gateway_payment_id == ID
    canonical = stringify(parse_as_javascript(body.encode())).encode("utf-8", "surrogatepass")
    signed = read(body, sign(canonical))
    assert isinstance(signed, VerifiedPayment)


@pytest.mark.parametrize("order_id", [r'"\u0000"', r'"\ud800"', '"' + "x" * 600 + '"', "[]", "{}"])
def test_an_order_number_that_could_not_be_stored_counts_as_absent(order_id: str) -> None:
    assert report_of(callback(f'"order_id":{order_id}')).order_number is None


@pytest.mark.parametrize("array", ["[7,8.0]", '["7","8"]', '{"0":7,"1":"8"}', "[7,null,[],8]"])
def test_children_are_listed_as_array_or_object(array: str) -> None:
    report = report_of(callback(f'"payment_extra_ids":{array}'))
    assert report.child_payment_ids == ("7", "8")


def test_reordered_keys_and_spaces_are_accepted_under_the_sorted_form() -> None:
    fields = {
        "payment_id": int(ID),
        "payment_status": "finished",
        "order_description": "é/ß",
        "fee": {"withdrawalFee": 1e-07, "currency": "btc", "depositFee": 8.3e-05},
        "payment_extra_ids": None,
    }
    canonical = stringify(parse_as_javascript(json.dumps(fields).encode())).encode()
    shuffler = random.Random(5)
    for indent in (None, 2):
        names = list(fields)
        shuffler.shuffle(names)
        body = json.dumps({name: fields[name] for name in names}, indent=indent)
        assert isinstance(read(body, sign(canonical)), VerifiedPayment)


def test_padding_and_case_of_signature_and_secret_do_not_matter() -> None:
    body = callback().encode()
    padded = gateway(f"\t{SECRET} \n")
    header = f"  {sign(body).upper()} "
    assert isinstance(padded.read_webhook({"x-nowpayments-sig": header}, body), VerifiedPayment)


@pytest.mark.parametrize(
    "body",
    [
        callback('"payment_id":5'),
        callback('"fee":{"a":1,"a":2}'),
        callback('"x":NaN'),
        callback('"x":-Infinity'),
        callback('"x":' + "[" * 100 + "]" * 100),
        callback('"x":' + "[" * 100_000 + "]" * 100_000),
        "[1]",
        "null",
        "",
        "\ufeff" + callback(),
        r'"\ud800"',
        r'["\ud800"]',
    ],
)
def test_what_two_readers_could_understand_differently_is_malformed_even_when_signed(
    body: str,
) -> None:
    assert isinstance(read(body), Malformed)


# --- forgeries ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        callback(),
        callback(FEE),
        callback('"payment_id":5'),
        callback('"x":1e99999999999999999999'),
        callback('"x":' + "9" * 5000),
        callback('"x":' + "[" * 100_000 + "]" * 100_000),
        callback(r'"x":"\ud800"'),
        "",
        "{",
        "[]",
        "x" * MEGABYTES,
        "[" * MEGABYTES,
        '{"a":' * (MEGABYTES // 5),
    ],
    ids=range(13),
)
def test_a_forged_callback_is_forged_whatever_it_holds(body: str) -> None:
    good = sign(callback().encode())
    wrong = [
        "",
        " ",
        "0" * 128,
        sign(body.encode(), "another"),
        sign(body.encode())[:-1],
        good[::-1],
    ]
    assert all(isinstance(read(body, header), Forged) for header in wrong)


@given(st.binary(max_size=300), st.text(max_size=140))
def test_no_bytes_and_no_header_pass_without_the_secret(body: bytes, header: str) -> None:
    assert isinstance(read(body, header), Forged)


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(wire.WirePayment.__struct_fields__), ANYTHING))
def test_any_signed_object_is_read_or_malformed_and_its_amounts_are_money(
    fields: dict[str, object],
) -> None:
    raw = json.dumps({**fields, "payment_id": 5, "payment_status": "waiting"}).encode()
    canonical = stringify(parse_as_javascript(raw)).encode("utf-8", "surrogatepass")
    for signature in (sign(raw), sign(canonical)):
        found = read(raw, signature)
        assert isinstance(found, VerifiedPayment)
        for amount in (found.report.actually_paid, found.report.pay_amount):
            assert amount is None or (amount.is_finite() and amount >= 0)
