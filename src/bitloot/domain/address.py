"""E-mail addresses: what is sent to, what is compared, and who counts as one person.

An address is sent to as it was typed (trimmed, NFC). It is compared by its key: the local part
case-folded, the domain as IDNA. Two addresses that differ only in a plus-alias are one person for
velocity, never for access.

Domains are read as mail goes to them: `faß.example` is no other writing of `fass.example`, though
IDNA had it so until 2008 (RFC 5894, section 7.2), and who reads the mail of the one is nobody at
the other.
"""

import re
import unicodedata
from encodings.idna import nameprep
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
# RFC 3490, section 3.1: what separates labels.
_DOTS: Final = re.compile("[.\u3002\uff0e\uff61]")
# Letters of their own since RFC 5891, which RFC 3490, and so the codec of Python, writes otherwise.
_OWN_LETTERS: Final = re.compile("([\u00df\u03c2])")
_PREFIX: Final = "xn--"


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
    if not at or len(typed) > MAX_ADDRESS or _has_format_characters(typed):
        raise _refused()
    if not _LOCAL.fullmatch(local) or len(local.encode()) > MAX_LOCAL:
        raise _refused()
    host = _idna(domain)
    folded = unicodedata.normalize("NFC", local.casefold())
    person = folded.partition("+")[0] or folded
    return Address(typed=typed, key=f"{folded}@{host}", person=f"{person}@{host}")


def _idna(domain: str) -> str:
    try:
        labels = [_ascii(label) for label in _DOTS.split(domain)]
    except UnicodeError:
        raise _refused() from None
    if len(labels) < 2 or labels[-1].isdigit() or not all(map(_LABEL.fullmatch, labels)):
        raise _refused()
    return ".".join(labels)


def _ascii(label: str) -> str:
    """The label as the domain name system has it. Raises UnicodeError."""
    parts = _OWN_LETTERS.split(label.replace("\u1e9e", "\u00df"))
    if len(parts) == 1:
        return label.encode("idna").decode("ascii").lower()
    # Every second one is such a letter: all but these is prepared.
    prepared = "".join(part if place % 2 else nameprep(part) for place, part in enumerate(parts))
    if prepared.startswith(_PREFIX):
        raise UnicodeError
    return _PREFIX + prepared.encode("punycode").decode("ascii")


def _has_format_characters(text: str) -> bool:
    # Bidirectional marks and zero-width characters make two addresses look like one; half a letter
    # has no bytes.
    return any(unicodedata.category(character).startswith("C") for character in text)


def _refused() -> Refused:
    return Refused(
        "invalid-input", "Write one plain e-mail address, such as name@example.org.", field="email"
    )
