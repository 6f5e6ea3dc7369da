"""Ids and bytes from a seed: one seed, one run."""

from random import Random
from typing import Final

from bitloot.ports.clock import Clock

_TAIL_BITS: Final = 62


class SeededBytes:
    """A `RandomBytes` that gives the same bytes for the same seed. Never for real secrets."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose, never a real secret

    def __call__(self, count: int) -> bytes:
        """`count` bytes."""
        return self._random.randbytes(count)


class SeededIds:
    """A `NewId`: UUIDv7 texts that rise with every call (RFC 9562, 5.7 and 6.2)."""

    def __init__(self, clock: Clock, seed: int) -> None:
        self._clock = clock
        self._random = Random(seed)  # noqa: S311 - repeatable on purpose, never a real secret
        self._last = 0

    def __call__(self) -> str:
        """The next id."""
        milliseconds = int(self._clock().timestamp() * 1000)
        # The 12 bits behind the time count the ids of one millisecond; what is over goes on top.
        self._last = max(self._last + 1, milliseconds << 12)
        moment, count = self._last >> 12, self._last & 0xFFF
        tail = self._random.getrandbits(_TAIL_BITS)
        number = moment << 80 | 0x7 << 76 | count << 64 | 0b10 << _TAIL_BITS | tail
        text = f"{number:032x}"
        return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
