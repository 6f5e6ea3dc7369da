"""What Tillgate may write and the client must not believe, beyond what the suite asks."""

from decimal import Decimal

import pytest

from bitloot_tillgate.wire import STATES, Unreadable, amount, moment, read_object, report


@pytest.mark.parametrize("odd", ["1_000", " 1", "+1", "1e3", "٣", "", "0x1", "1.", ".5", "9" * 41])
def test_a_text_that_is_no_plain_number_is_no_amount(odd: str) -> None:
    assert amount(odd) is None


@pytest.mark.parametrize("body", [b'{"a": 1E99999999999999999999}', b'{"a": NaN}', b'{"a": '])
def test_a_body_that_no_reader_agrees_on_is_unreadable(body: bytes) -> None:
    with pytest.raises(Unreadable):
        read_object(body)


def test_a_number_is_read_to_its_last_digit() -> None:
    fields = read_object(b'{"received": 1234567.123456789012345678}')
    assert amount(fields["received"]) == Decimal("1234567.123456789012345678")


@pytest.mark.parametrize("odd", ["yesterday", "2031-05-04T12:00:00", "", None, 5])
def test_a_time_without_a_zone_or_sense_is_none(odd: object) -> None:
    assert moment(odd) is None


def test_every_documented_state_has_a_word_of_the_shop_and_a_new_one_keeps_its_own() -> None:
    told = {state: report({"till": "T1", "state": state}).status for state in (*STATES, "Frozen")}
    assert told == {**STATES, "Frozen": "frozen"}
