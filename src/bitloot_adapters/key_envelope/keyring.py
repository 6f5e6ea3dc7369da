"""Key-encryption keys and the pepper of fingerprints, as settings give them."""

import base64
import binascii
import re
from itertools import pairwise
from typing import Final

import msgspec

KEY_BYTES: Final = 32
PEPPER_MIN: Final = 32
# Of 32 random bytes, some 30 differ; fewer than these come up once in more keys than there are.
FEWEST_DIFFERENT: Final = 12
_ID: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")


class Keyring(msgspec.Struct, frozen=True):
    """`keys` by id, the `current` one wraps; older ones only open. Never shown."""

    current: str
    keys: dict[str, bytes]
    pepper: bytes

    def __repr__(self) -> str:
        return f"Keyring(current={self.current!r}, ids={sorted(self.keys)})"


def parse_keys(text: str) -> list[tuple[str, bytes]]:
    """`id:base64,id:base64`, the first one current. Raises ValueError without showing a key."""
    found: list[tuple[str, bytes]] = []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, encoded = part.partition(":")
        if not _ID.fullmatch(name):
            raise ValueError("each key is written id:base64, the id in lower-case letters")
        try:
            key = base64.b64decode(encoded, validate=True)
        except binascii.Error:
            raise ValueError(f"key {name!r} is not base64") from None
        if len(key) != KEY_BYTES:
            raise ValueError(f"key {name!r} must be {KEY_BYTES} bytes")
        found.append((name, key))
    if not found:
        raise ValueError("at least one key is needed")
    if len(dict(found)) != len(found):
        raise ValueError("two keys have the same id")
    return found


def keyring(keys: str, pepper: str) -> Keyring:
    """The keyring of two settings. Raises ValueError as `parse_keys` does."""
    parsed = parse_keys(keys)
    return Keyring(current=parsed[0][0], keys=dict(parsed), pepper=pepper.encode())


def keyring_faults(prefix: str, keys: str, pepper: str, *, is_production: bool) -> list[str]:
    """What is wrong with the two settings, one readable line each, without showing them."""
    found: list[str] = []
    try:
        parsed = parse_keys(keys)
    except ValueError as error:
        found.append(f"{prefix}KEKS: {error}")
        parsed = []
    # A placeholder such as all zeros, or a text that was typed, is no key.
    weak = [name for name, key in parsed if _is_placeholder(key)]
    if is_production and weak:
        found.append(f"{prefix}KEKS: {', '.join(weak)} was not made by a random generator")
    if len(pepper) < PEPPER_MIN or len(set(pepper)) < 8:
        found.append(f"{prefix}PEPPER must have at least {PEPPER_MIN} characters, well mixed")
    return found


def _is_text(key: bytes) -> bool:
    """Random bytes are never all printable: one in 10^13 keys would be."""
    return all(0x20 <= byte < 0x7F for byte in key)


def _is_placeholder(key: bytes) -> bool:
    """All zeros, a row of numbers, or a text that was typed: what no generator gives."""
    steps = {(after - before) % 256 for before, after in pairwise(key)}
    return min(len(set(key)), len(steps)) < FEWEST_DIFFERENT or _is_text(key)
