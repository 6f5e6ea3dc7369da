"""Answers that are the same for everybody, kept encoded for a moment and made once for all.

A kept answer costs no question to any store, and neither does the 304 for whoever has it already.
It is forgotten after its life, and at once when its version is: the caller says which version of
the world it wants to be told of. While an answer is being made, everyone who asks waits for it.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextvars import Context
from datetime import timedelta
from hashlib import blake2b
from typing import Final

import msgspec
from litestar import MediaType, Response
from litestar.status_codes import HTTP_200_OK, HTTP_304_NOT_MODIFIED

ETAG_BYTES: Final = 16
# What an entry takes up beside its body and its key.
_OVERHEAD: Final = 512


class Answer(msgspec.Struct, frozen=True):
    """The bytes of an answer and their strong entity tag."""

    body: bytes
    etag: str


class _Kept(msgspec.Struct, frozen=True):
    answer: Answer
    version: int
    ends_at: float
    size: int


class Answers:
    """At most `size` bytes of answers, the oldest of which makes room. `now` in seconds."""

    def __init__(
        self, *, size: int, life: timedelta, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = size
        self._life = life.total_seconds()
        self._now = now
        self._kept: dict[str, _Kept] = {}
        self._size = 0
        self._being_made: dict[tuple[str, int], asyncio.Task[Answer]] = {}

    async def answer(
        self, name: str, version: int, make: Callable[[], Awaitable[msgspec.Struct]]
    ) -> Answer:
        """The answer of that name. Raises what `make` raises; that is kept by nobody."""
        kept = self._kept.get(name)
        if kept is not None and kept.version == version and self._now() < kept.ends_at:
            return kept.answer
        place = (name, version)
        making = self._being_made.get(place)
        if making is None:
            # Nothing of the request that happens to be first belongs to the others.
            making = asyncio.create_task(self._make(name, version, make), context=Context())
            self._being_made[place] = making
            making.add_done_callback(lambda done: self._is_made(place, done))
        return await asyncio.shield(making)

    async def _make(
        self, name: str, version: int, make: Callable[[], Awaitable[msgspec.Struct]]
    ) -> Answer:
        body = msgspec.json.encode(await make())
        digest = blake2b(body, digest_size=ETAG_BYTES).hexdigest()
        answer = Answer(body, f'"{digest}"')
        size = len(body) + len(name) + _OVERHEAD
        self._forget(name)
        while self._kept and self._size + size > self._most:
            self._forget(next(iter(self._kept)))
        if size <= self._most:
            self._kept[name] = _Kept(answer, version, self._now() + self._life, size)
            self._size += size
        return answer

    def _forget(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            self._size -= kept.size

    def _is_made(self, place: tuple[str, int], making: "asyncio.Task[Answer]") -> None:
        del self._being_made[place]
        if not making.cancelled():
            making.exception()  # whoever waited was told; if nobody did, nobody has to be


def response(answer: Answer, if_none_match: str | None) -> Response[bytes]:
    """The answer, or 304 for whoever has it. It may be kept, but has to be asked about."""
    headers = {"etag": answer.etag, "cache-control": "no-cache"}
    if if_none_match is not None and _is_among(answer.etag, if_none_match):
        return Response(b"", status_code=HTTP_304_NOT_MODIFIED, headers=headers)
    return Response(
        answer.body, status_code=HTTP_200_OK, media_type=MediaType.JSON, headers=headers
    )


def _is_among(etag: str, tags: str) -> bool:
    """Weak comparison (RFC 9110, section 13.1.2)."""
    return any(tag.strip().removeprefix("W/") in {etag, "*"} for tag in tags.split(","))
