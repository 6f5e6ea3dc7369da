"""What comes from the supplier is read without trusting any of it."""

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloot_adapters.kinguin import values, wire
from bitloot_adapters.kinguin.values import Json, Unreadable, fields, parse


def read(text: str) -> Json:
    return fields(parse(f'{{"v": {text}}}'.encode()))["v"]


@pytest.mark.parametrize(
    ("written", "amount"),
    [
        ("5.35", "5.35"),
        ('"5.35"', "5.35"),
        ('" 5.3500 "', "5.35"),
        ("5.3499999999999996", "5.35"),
        ("19.990000000000002", "19.99"),
        ("1e1", "10"),
        ("0", "0"),
        ("0.00000001", "0.00000001"),
        ("999999999999.99", "999999999999.99"),
    ],
)
def test_an_amount_is_read_from_its_text_as_number_or_string(written: str, amount: str) -> None:
    assert values.eur(read(written)) == Decimal(amount)


@pytest.mark.parametrize(
    "written",
    [
        "-0.01",
        "1000000000000",
        "1e400",
        "1e99999999999999999999",
        "true",
        "null",
        "[]",
        "{}",
        '""',
        '"NaN"',
        '"Infinity"',
        '"1,50"',
        '"0x10"',
        '"\uff11\uff12"',
        '"1_000"',
        f'"{"9" * 5000}"',
        "9" * 5000,
    ],
)
def test_what_is_no_amount_counts_as_absent(written: str) -> None:
    assert values.eur(read(written)) is None


def test_a_price_of_nothing_is_no_price() -> None:
    assert values.price(read("0")) is None
    assert values.price(read("0.000000001")) is None
    assert values.price(read("0.01")) == Decimal("0.01")


@pytest.mark.parametrize(
    ("written", "found"),
    [("7", 7), ('"7"', 7), ("7.0", 7), ("-3", 0), ("7.5", None), ("true", None), ("1e300", None)],
)
def test_stock_is_a_whole_number_that_is_not_negative(written: str, found: int | None) -> None:
    assert values.count(read(written)) == found


@pytest.mark.parametrize(
    "written",
    ["2026-03-02T10:00:00+00:00", "2026-03-02T10:00:00.000+00:00", "2026-03-02T12:00:00.0+02:00"],
)
def test_times_have_seconds_or_milliseconds_and_become_utc(written: str) -> None:
    assert values.moment(written) == datetime(2026, 3, 2, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "written",
    [
        "",
        "soon",
        "2026-13-01T00:00:00+00:00",
        "0001-01-01T00:00+23:59",
        "0001-01-01T00:00:00+00:00",
        "1969-12-31T23:59:59+00:00",
        "9999-12-31T23:59:59+00:00",
        "-0001-11-30T00:00:00+00:00",
    ],
)
def test_what_is_no_time_counts_as_absent(written: str) -> None:
    assert values.moment(written) is None


@pytest.mark.parametrize(
    "written", ["../balance", "a/b", "a b", "a?b", "a#b", "a%2fb", "", "ä", "a\nb", "x" * 129]
)
def test_an_id_that_would_change_the_path_is_no_id(written: str) -> None:
    assert values.identifier(written) is None


@pytest.mark.parametrize(
    "body",
    [b"", b"<html>", b"{", b'{"a": NaN}', b'\xff{"a": 1}', b"[" * 100_000, b'{"a": 1} extra'],
)
def test_what_is_no_json_is_unreadable_and_nothing_worse(body: bytes) -> None:
    with pytest.raises(Unreadable):
        parse(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        wire.order(parse(body))
    except Unreadable:
        return


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=10,
)


@given(ANY_JSON)
def test_any_json_is_taken_for_an_order_a_key_or_an_error_without_a_fault(shape: object) -> None:
    body = parse(json.dumps(shape).encode())
    assert wire.order(body) is None or isinstance(body, dict)
    wire.key(body)
    wire.error(body)


ORDER: dict[str, Json] = {
    "orderId": "RVM52KDA8TC",
    "orderExternalId": "BL-1-1-1-1",
    "status": "processing",
    "paymentPrice": "32.50",
    "totalPrice": Decimal(35),
    "createdAt": "2026-03-02T10:00:00+00:00",
    "totalQty": Decimal(2),
    "isPreorder": False,
    "products": [
        {
            "qty": Decimal(2),
            "keys": [
                {"id": "aa", "status": "PENDING"},
                {"id": "ab", "status": "PROCESSING"},
                {"id": "ac", "status": "DELIVERED"},
                {"id": "ad", "status": "RETURNED"},
                {"id": "ae", "status": "REFUNDED"},
                {"id": "af", "status": "CANCELED"},
                {"id": "b0", "status": "TELEPORTED"},
                {"id": None, "status": "DELIVERED"},
                "nonsense",
            ],
        }
    ],
}


def test_an_order_has_the_words_of_the_port_and_costs_what_was_taken() -> None:
    order = wire.order(ORDER)
    assert order is not None
    assert (order.state, order.quantity, order.total) == ("processing", 2, Decimal("32.5"))
    assert [key.state for key in order.keys] == [
        "pending",
        "pending",
        "delivered",
        "returned",
        "refunded",
        "canceled",
        "pending",
    ]


@pytest.mark.parametrize(
    ("said", "state"),
    [
        ("processing", "processing"),
        ("completed", "completed"),
        ("canceled", "canceled"),
        ("cancelled", "canceled"),
        ("REFUNDED", "refunded"),
        ("on its way", "processing"),
        (None, "processing"),
    ],
)
def test_an_unknown_status_keeps_an_order_open(said: str | None, state: str) -> None:
    order = wire.order(ORDER | {"status": said})
    assert order is not None
    assert order.state == state


def test_a_silent_answer_leaves_the_quantity_that_was_asked_for() -> None:
    order = wire.order({"orderId": "A1"}, quantity=3)
    assert order is not None
    assert (order.quantity, order.total, order.external_id) == (3, None, None)


def test_an_order_without_an_id_is_none() -> None:
    assert wire.order(ORDER | {"orderId": None}) is None
    assert wire.order(ORDER | {"orderId": "../keys"}) is None


def test_a_text_key_is_kept_byte_for_byte() -> None:
    serial = " AAAA-BBBB\r\nline two ü \t"
    key = wire.key({"id": "aa", "serial": serial, "type": "text/plain", "productId": "p1"})
    assert key is not None
    assert key.serial == serial.encode()
    assert (key.content_type, key.supplier_product_id) == ("text/plain", "p1")
    assert "AAAA" not in repr(key)


@pytest.mark.parametrize("prefix", ["", "data:image/png;base64,"])
def test_an_image_key_is_decoded_with_and_without_a_prefix(prefix: str) -> None:
    image = bytes(range(256))
    folded = base64.encodebytes(image).decode()
    key = wire.key({"id": "aa", "serial": prefix + folded, "type": "image/PNG"})
    assert key is not None
    assert (key.serial, key.content_type) == (image, "image/png")


@pytest.mark.parametrize(
    "written", ["{}", "DATA:image/png;BASE64,{}", "data:image/png;n=1;base64,{}"]
)
def test_an_image_key_may_lack_its_padding(written: str) -> None:
    image = bytes(range(25))
    encoded = base64.b64encode(image).decode().rstrip("=")
    key = wire.key({"id": "aa", "serial": written.format(encoded), "type": "image/png"})
    assert key is not None
    assert key.serial == image


@pytest.mark.parametrize(
    "entry",
    [
        {"serial": "A"},
        {"id": "aa"},
        {"id": "aa", "serial": ""},
        {"id": "aa", "serial": Decimal(5)},
        {"id": "aa", "serial": "not base64!", "type": "image/png"},
        {"id": "aa", "serial": "\ud800"},
        "AAAA",
    ],
)
def test_an_entry_that_cannot_be_used_is_no_key(entry: Json) -> None:
    assert wire.key(entry) is None


def test_an_error_is_read_with_title_or_type_and_without_anything() -> None:
    assert wire.error({"kind": "Http", "title": "Bad\nRequest"}).detail == "BadRequest"
    assert wire.error({"kind": "Http", "type": "Bad Request"}).detail == "Bad Request"
    assert wire.error({"kind": "Http", "title": "x", "detail": "why"}).detail == "why"
    assert wire.error({"kind": ["Http"]}).kind is None
    assert wire.error(None).kind is None
