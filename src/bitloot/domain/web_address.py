"""Addresses of pictures, films and pages that people name: of the web, whole and bounded."""

import re
from typing import Final
from urllib.parse import urlsplit

from bitloot.domain.errors import Refused

ADDRESS_LENGTH: Final = 2_000
_PLAIN: Final = re.compile(r"[\x21-\x7e]+")


def web_address(address: str, field: str) -> str:
    """The address, if a browser may be sent there. Raises Refused `invalid-input`.

    Only `http` and `https` with a host, without a user's name or password, in plain ASCII.
    """
    if len(address) > ADDRESS_LENGTH:
        raise _bad(f"An address has at most {ADDRESS_LENGTH} characters.", field)
    if _PLAIN.fullmatch(address) is None:
        raise _bad("Write the address in plain ASCII without spaces.", field)
    try:
        parts = urlsplit(address)
        is_whole = parts.scheme in {"http", "https"} and bool(parts.hostname)
        is_whole = is_whole and "@" not in parts.netloc and (parts.port is None or parts.port > 0)
    except ValueError:
        is_whole = False
    if not is_whole:
        raise _bad("Write a whole http or https address.", field)
    return address


def _bad(detail: str, field: str) -> Refused:
    return Refused("invalid-input", detail, field=field)
