"""Repeatable choices: the same name always draws the same values, in every process."""

import hashlib
import struct
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")

_WORDS = struct.Struct(">16I")


class Draw:
    """A stream of whole numbers made from a name by hashing."""

    __slots__ = ("_name", "_round", "_words")

    def __init__(self, *name: object) -> None:
        self._name = ":".join(map(str, name)).encode()
        self._round = 0
        self._words: list[int] = []

    def below(self, limit: int) -> int:
        """A number from 0 to `limit` - 1, for limits up to a few million."""
        if not self._words:
            salt = self._round.to_bytes(8, "big")
            digest = hashlib.blake2b(self._name, salt=salt).digest()
            self._words = list(_WORDS.unpack(digest))
            self._round += 1
        return self._words.pop() % limit

    def between(self, low: int, high: int) -> int:
        return low + self.below(high - low + 1)

    def chance(self, percent: int) -> bool:
        return self.below(100) < percent

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def some(self, choices: Sequence[T], least: int, most: int) -> tuple[T, ...]:
        """Between `least` and `most` neighbours of `choices`, none twice."""
        count = min(self.between(least, most), len(choices))
        start = self.below(len(choices))
        return tuple(choices[(start + step) % len(choices)] for step in range(count))


def hex_id(*name: object) -> str:
    """A repeatable id of 24 hexadecimal digits, the shape of the vendor's object ids."""
    return hashlib.blake2b(":".join(map(str, name)).encode(), digest_size=12).hexdigest()


def order_code(*name: object) -> str:
    """A repeatable order id: 11 upper-case letters and digits."""
    draw = Draw("order", *name)
    return "".join(draw.pick("ABCDEFGHJKLMNPQRSTUVWXYZ23456789") for _ in range(11))
