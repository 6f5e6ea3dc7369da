"""Order numbers: `BL` and eight random characters of Crockford's base 32."""

from typing import Final

# https://www.crockford.com/base32.html: no I, L, O or U.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
NUMBER_BYTES: Final = 5


def order_number(random_bytes: bytes) -> str:
    """The number made of five random bytes; 40 bits are exactly eight characters."""
    if len(random_bytes) != NUMBER_BYTES:
        raise ValueError(f"an order number is made of {NUMBER_BYTES} random bytes")
    bits = int.from_bytes(random_bytes, "big")
    return "BL" + "".join(_ALPHABET[bits >> shift & 31] for shift in range(35, -1, -5))
