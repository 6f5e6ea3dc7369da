"""What is taken as a password.

Length is what counts (NIST SP 800-63B, 5.1.1.2): no rules about digits or signs, but none of the
passwords that are tried first, and not the address itself.
"""

import unicodedata
from functools import cache
from importlib.resources import files
from typing import Final

from bitloot.domain.errors import Refused

MIN_PASSWORD: Final = 8
MAX_PASSWORD: Final = 128
FIELD: Final = "password"


def normal_form(text: str) -> str:
    """The form that is hashed and compared: NFKC, so that keyboards do not matter."""
    return unicodedata.normalize("NFKC", text)


def checked_password(text: str, email: str) -> str:
    """The normal form of a password that may be set for an address.

    Raises Refused `invalid-input` (too short or too long) or `password-too-common` (among the
    commonest, or the address), each with field `password`. Lengths are in characters of the normal
    form; blanks count and are kept.
    """
    if len(text) > MAX_PASSWORD:
        raise _of_wrong_length()
    password = normal_form(text)
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise _of_wrong_length()
    folded = normal_form(password.casefold())
    address = normal_form(email.strip().casefold())
    if folded in _commonest() or folded in {address, address.rpartition("@")[0]}:
        raise Refused("password-too-common", field=FIELD)
    return password


def _of_wrong_length() -> Refused:
    detail = f"Choose a password of {MIN_PASSWORD} to {MAX_PASSWORD} characters."
    return Refused("invalid-input", detail, field=FIELD)


@cache
def _commonest() -> frozenset[str]:
    """One in a line, case-folded; those shorter than a password may be are left out of the file."""
    text = files("bitloot.domain").joinpath("commonest_passwords.txt").read_text(encoding="utf-8")
    return frozenset(text.split())
