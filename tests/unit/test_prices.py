"""Prices, discounts, addresses and order numbers."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloot.domain.address import parse_address
from bitloot.domain.errors import Refused
from bitloot.domain.money import CENT, ZERO, cost_floor
from bitloot.domain.order_number import order_number
from bitloot.domain.pricing import PricedLine, fixed_discounts, percent_discounts, unit_price

COSTS = st.decimals("0.01", "9999.99", places=4)
FEES = st.decimals("0", "0.20", places=3)
LINES = st.lists(
    st.builds(
        lambda quantity, floor, over, matches: PricedLine(
            quantity=quantity, unit_price=floor + over, unit_floor=floor, matches=matches
        ),
        st.integers(1, 90),
        st.decimals("0.01", "500", places=2),
        st.decimals("0", "100", places=2),
        st.booleans(),
    ),
    min_size=1,
    max_size=8,
)


@given(cost=COSTS, margin=st.decimals("0", "2", places=3), fee=FEES)
def test_a_unit_price_is_whole_cents_never_below_the_floor_nor_a_cent_too_high(
    cost: Decimal, margin: Decimal, fee: Decimal
) -> None:
    price = unit_price(cost, margin, fee)
    floor = cost_floor(cost, fee)
    assert price == price.quantize(CENT)
    assert price >= floor
    assert price * (1 - fee) >= cost
    assert price == floor or price - CENT < cost * (1 + margin) <= price


def test_the_price_of_a_unit_is_rounded_up_to_the_cent() -> None:
    assert unit_price(Decimal("9.00"), Decimal("0.101"), Decimal("0.01")) == Decimal("9.91")
    assert unit_price(Decimal("9.00"), Decimal(0), Decimal("0.01")) == Decimal("9.10")


@given(lines=LINES, percent=st.decimals("0", "100", places=2))
def test_a_percentage_never_goes_below_a_floor_nor_touches_other_lines(
    lines: list[PricedLine], percent: Decimal
) -> None:
    for line, off in zip(lines, percent_discounts(lines, percent), strict=True):
        assert off == off.quantize(CENT)
        assert ZERO <= off <= line.total * percent / 100
        assert line.total - off >= line.unit_floor * line.quantity
        assert line.matches or off == 0


@given(lines=LINES, amount=st.decimals("0", "5000", places=2))
def test_a_fixed_discount_is_never_more_than_given_and_never_goes_below_a_floor(
    lines: list[PricedLine], amount: Decimal
) -> None:
    taken = fixed_discounts(lines, amount)
    assert sum(taken) <= amount
    for line, off in zip(lines, taken, strict=True):
        assert off >= 0
        assert line.total - off >= line.unit_floor * line.quantity
        assert line.matches or off == 0


@given(lines=LINES, amount=st.decimals("0", "5000", places=2))
def test_without_floors_a_fixed_discount_is_given_to_the_cent(
    lines: list[PricedLine], amount: Decimal
) -> None:
    free = [
        PricedLine(
            quantity=line.quantity,
            unit_price=line.unit_price,
            unit_floor=ZERO,
            matches=line.matches,
        )
        for line in lines
    ]
    whole = sum((line.total for line in free if line.matches), ZERO)
    assert sum(fixed_discounts(free, amount)) == min(amount, whole)


def test_left_over_cents_go_to_the_largest_line_first() -> None:
    lines = [
        PricedLine(quantity=1, unit_price=Decimal(price), unit_floor=ZERO)
        for price in ("10.00", "30.00", "20.00")
    ]
    taken = fixed_discounts(lines, Decimal("0.10"))
    assert taken == (Decimal("0.01"), Decimal("0.06"), Decimal("0.03"))


def test_a_negative_or_impossible_discount_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(ValueError, match="negative"):
        fixed_discounts([], Decimal(-1))
    with pytest.raises(ValueError, match="between 0 and 100"):
        percent_discounts([], Decimal(101))


@pytest.mark.parametrize(
    ("text", "typed", "key", "person"),
    [
        ("  Ada@Example.ORG ", "Ada@Example.ORG", "ada@example.org", "ada@example.org"),
        ("ada+shop@example.org", "ada+shop@example.org", "ada+shop@example.org", "ada@example.org"),
        ("STRASSE@bücher.example", None, "strasse@xn--bcher-kva.example", None),
        ("straße@example.org", None, "strasse@example.org", None),
        ("e\u0301va@example.org", "\u00e9va@example.org", "\u00e9va@example.org", None),
        ("+tag@example.org", None, "+tag@example.org", "+tag@example.org"),
        ("a@bu\u0308cher\u3002example", None, "a@xn--bcher-kva.example", None),
    ],
)
def test_an_address_is_sent_to_as_typed_and_compared_folded(
    text: str, typed: str | None, key: str, person: str | None
) -> None:
    address = parse_address(text)
    assert address.key == key
    assert typed in {None, address.typed}
    assert person in {None, address.person}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "nobody",
        "@example.org",
        "a@",
        "a@localhost",
        "a@1.2.3.4",
        "a b@example.org",
        "a@b@example.org",
        "a@exa mple.org",
        "a..b@example.org",
        ".a@example.org",
        '"a"@example.org',
        "a@-example.org",
        "a\u202eb@example.org",
        "a\u200bb@example.org",
        "a@exam\u00adple.org",
        "a@exam\u200dple.org",
        "\ud800@example.org",
        "a@xn--fa\u00df.example",
        "a@example.org.",
        "a\r\nBcc: x@example.org",
        "a@example.org,b@example.org",
        "<a@example.org>",
        "x" * 65 + "@example.org",
        "a@" + "b" * 64 + ".org",
        "a@" + "b." * 130 + "org",
    ],
)
def test_what_is_no_single_plain_address_is_refused_by_its_field(text: str) -> None:
    with pytest.raises(Refused) as no:
        parse_address(text)
    assert (no.value.code, no.value.field) == ("invalid-input", "email")


@pytest.mark.parametrize(
    ("own", "key", "others"),
    [
        ("a@faß.example", "a@xn--fa-hia.example", "a@fass.example"),
        ("a@FAẞ.example", "a@xn--fa-hia.example", "a@fass.example"),
        ("a@Groß-BÜCHER.example", "a@xn--gro-bcher-i1a53a.example", "a@gross-bücher.example"),
        ("a@λόγος.example", "a@xn--oxapnm1c.example", "a@λόγοσ.example"),
    ],
)
def test_domains_to_which_mail_goes_apart_are_not_compared_as_one(
    own: str, key: str, others: str
) -> None:
    assert parse_address(own).key == key
    assert parse_address(own).key != parse_address(others).key
    assert parse_address(parse_address(own).key).key == key


@given(st.text(max_size=300))
def test_any_text_is_an_address_or_refused_and_its_key_is_stable(text: str) -> None:
    try:
        address = parse_address(text)
    except Refused:
        return
    assert parse_address(address.typed) == address
    assert parse_address(address.key).key == address.key


@given(st.binary(min_size=5, max_size=5))
def test_an_order_number_tells_its_five_bytes_in_crockfords_letters(noise: bytes) -> None:
    number = order_number(noise)
    assert len(number) == 10
    assert set(number[2:]) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")
    back = 0
    for letter in number[2:]:
        back = back * 32 + "0123456789ABCDEFGHJKMNPQRSTVWXYZ".index(letter)
    assert back.to_bytes(5) == noise


def test_an_order_number_needs_exactly_five_bytes() -> None:
    with pytest.raises(ValueError, match="5 random bytes"):
        order_number(b"1234")
