"""E-mail addresses: what is sent to, what is compared, and who counts as one person.

An address is sent to as it was typed (trimmed, NFC). It is compared by its key: the local part
case-folded, the domain as IDNA. Two addresses that differ only in a plus-alias are one person for
velocity, never for access.
"""

import re
import unicodedata
from typing import Final

import msgspec

from bitloot.domain.errors import Refused

MAX_ADDRESS: Final = 254
MAX_LOCAL: Final = 64

# RFC 5322 dot-atom, opened to letters beyond ASCII (RFC 6531); quoted local parts are refused.
_LOCAL: Final = re.compile(
    r"[^\s\x00-\x1f\x7f()<>\[\]:;@\\,\".]+(\.[^\s\x00-\x1f\x7f()<>\[\]:;@\\,\".]+)*"
)
_LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


class Address(msgspec.Struct, frozen=True, kw_only=True):
    """`typed` is sent to, `key` is compared, `person` is the key without its plus-alias."""

    typed: str
    key: str
    person: str


def parse_address(text: str) -> Address:
    """The address behind what somebody typed.

    Raises Refused `invalid-input` (field `email`) for anything that is no single plain address.
    """
    typed = unicodedata.normalize("NFC", text).strip()
    local, at, domain = typed.rpartition("@")
    if not at or len(typed) > MAX_ADDRESS or len(local.encode()) > MAX_LOCAL:
        raise _refused()
    if not _LOCAL.fullmatch(local) or _has_format_characters(local):
        raise _refused()
    host = _idna(domain)
    folded = unicodedata.normalize("NFC", local.casefold())
    person = folded.partition("+")[0] or folded
    return Address(typed=typed, key=f"{folded}@{host}", person=f"{person}@{host}")


def _idna(domain: str) -> str:
    try:
        host = domain.encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise _refused() from None
    labels = host.split(".")
    if len(labels) < 2 or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        raise _refused()
    return host


def _has_format_characters(text: str) -> bool:
    # Bidirectional marks and zero-width characters make two addresses look like one.
    return any(unicodedata.category(character) in {"Cf", "Cc", "Co", "Cn"} for character in text)


def _refused() -> Refused:
    return Refused(
        "invalid-input", "Write one plain e-mail address, such as name@example.org.", field="email"
    )
