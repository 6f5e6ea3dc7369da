"""What may be set as a password."""

import pytest

from bitloot.domain.errors import Refused
from bitloot.domain.limits import LEAST_HASH_BYTES, Limits, limit_faults
from bitloot.domain.password import checked_password

EMAIL = "Buyer.One@mail.example"


def refused(text: str, email: str = EMAIL) -> str:
    with pytest.raises(Refused) as no:
        checked_password(text, email)
    assert no.value.field == "password"
    return no.value.code


@pytest.mark.parametrize("text", ["", "x", "seven77", "x" * 129, "x" * 60_000, "\ufdfa" * 100])
def test_too_short_and_too_long_are_told(text: str) -> None:
    assert refused(text) == "invalid-input"


@pytest.mark.parametrize(
    "text", ["eight8ch", "y" * 128, "  blanks count  ", "пароль-из-слов", "🗝" * 8]
)
def test_length_is_all_that_is_asked_of_a_password(text: str) -> None:
    assert checked_password(text, EMAIL) == text


def test_characters_are_counted_and_given_in_their_normal_form() -> None:
    assert checked_password("U\u0308bergro\u0308\u00dfe", EMAIL) == "Übergröße"
    assert checked_password("\uff41\uff42\uff43-lantern", EMAIL) == "abc-lantern"
    # Sixteen typed characters, eight that count.
    assert checked_password("o\u0308" * 8, EMAIL) == "ö" * 8
    assert refused("o\u0308" * 7) == "invalid-input"


@pytest.mark.parametrize(
    "text",
    ["password", "PassWord", "12345678", "qwertyuiop", "iloveyou", "\uff30assword", "trustno1"],
)
def test_the_commonest_passwords_are_refused_in_any_case_and_width(text: str) -> None:
    assert refused(text) == "password-too-common"


@pytest.mark.parametrize("text", [EMAIL, EMAIL.upper(), "buyer.one", "BUYER.ONE"])
def test_the_address_and_its_name_are_no_password(text: str) -> None:
    assert refused(text) == "password-too-common"
    assert checked_password(text, "another@mail.example") == text


def test_a_password_around_a_common_word_is_fine() -> None:
    assert checked_password("password of a lantern keeper", EMAIL)


def test_parameters_below_what_is_advised_are_refused() -> None:
    assert limit_faults(Limits(password_hash_bytes=LEAST_HASH_BYTES)) == []
    assert limit_faults(Limits(password_hash_bytes=LEAST_HASH_BYTES - 1))


def test_a_refusal_does_not_quote_the_password() -> None:
    with pytest.raises(Refused) as no:
        checked_password("Qwertyuiop", EMAIL)
    assert "qwertyuiop" not in (repr(no.value) + no.value.detail).lower()
