"""Answers that are the same for everybody, kept encoded for a moment and made once for all.

A kept answer costs no question to any store, and neither does the 304 for whoever has it already.
It is known by its name, and by the requests to the letter that it was given for: whoever asks the
same again need not be understood first. It is forgotten after its life, and at once when its
version is: the caller says which version of the world it wants to be told of. While an answer is
being made, everyone who asks waits for it.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from hashlib import blake2b
from typing import Final, TypeAlias

import msgspec
from litestar import MediaType, Response
from litestar.status_codes import HTTP_200_OK, HTTP_304_NOT_MODIFIED
from litestar.types import Scope

ETAG_BYTES: Final = 16
# What an entry takes up beside its body and its key.
_OVERHEAD: Final = 512
# Each answer is known by so many requests at most: the same can be asked in many ways.
REQUESTS: Final = 4

# The path of a request, and its query.
Asked: TypeAlias = tuple[str, bytes]


class Answer(msgspec.Struct, frozen=True):
    """The bytes of an answer and their strong entity tag."""

    body: bytes
    etag: str

    def headers(self) -> dict[str, str]:
        """It may be kept, but has to be asked about."""
        return {"etag": self.etag, "cache-control": "no-cache"}


class Known(msgspec.Struct, frozen=True):
    """A kept answer that is known by its request, and the template of the route that gave it."""

    answer: Answer
    route: str


class _GivenUpError(Exception):
    """Whoever was making the answer does not wait for it any more."""


class _Kept(msgspec.Struct):
    answer: Answer
    version: int
    ends_at: float
    size: int
    asked: list[Asked]


class Answers:
    """At most `size` bytes of answers, the oldest of which makes room. `now` in seconds."""

    def __init__(
        self, *, size: int, life: timedelta, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._most = size
        self._life = life.total_seconds()
        self._now = now
        self._kept: dict[str, _Kept] = {}
        self._known: dict[Asked, tuple[str, Known]] = {}
        self._size = 0
        self._being_made: dict[tuple[str, int], asyncio.Future[Answer]] = {}

    async def answer(
        self, name: str, version: int, make: Callable[[], Awaitable[msgspec.Struct]]
    ) -> Answer:
        """The answer of that name. Raises what `make` raises; that is kept by nobody."""
        place = (name, version)
        while not self._is_fresh(name, version):
            making = self._being_made.get(place)
            if making is None:
                return await self._made_for_all(place, make)
            with contextlib.suppress(_GivenUpError):
                return await asyncio.shield(making)
        return self._kept[name].answer

    def known(self, asked: Asked, version: int) -> Known | None:
        """What such a request was answered, while it is kept."""
        name, known = self._known.get(asked, ("", None))
        return known if self._is_fresh(name, version) else None

    def remember(self, asked: Asked, route: str, name: str) -> None:
        """That the answer of that name was given for such a request."""
        kept = self._kept.get(name)
        if kept is None or asked in self._known or len(kept.asked) == REQUESTS:
            return
        kept.asked.append(asked)
        self._known[asked] = name, Known(kept.answer, route)
        size = len(asked[0]) + len(asked[1]) + _OVERHEAD
        kept.size += size
        self._size += size
        self._make_room(0)

    def _is_fresh(self, name: str, version: int) -> bool:
        kept = self._kept.get(name)
        return kept is not None and kept.version == version and self._now() < kept.ends_at

    async def _made_for_all(
        self, place: tuple[str, int], make: Callable[[], Awaitable[msgspec.Struct]]
    ) -> Answer:
        """Make it, and tell those who came meanwhile; if we are called off, one of them goes on."""
        making = self._being_made[place] = asyncio.get_running_loop().create_future()
        try:
            answer = self._keep(*place, await make())
        except BaseException as fault:
            making.set_exception(fault if isinstance(fault, Exception) else _GivenUpError())
            making.exception()  # if nobody waited, nobody has to be told
            raise
        else:
            making.set_result(answer)
            return answer
        finally:
            del self._being_made[place]

    def _keep(self, name: str, version: int, made: msgspec.Struct) -> Answer:
        body = msgspec.json.encode(made)
        digest = blake2b(body, digest_size=ETAG_BYTES).hexdigest()
        answer = Answer(body, f'"{digest}"')
        size = len(body) + len(name) + _OVERHEAD
        self._forget(name)
        self._make_room(size)
        if size <= self._most:
            self._kept[name] = _Kept(answer, version, self._now() + self._life, size, [])
            self._size += size
        return answer

    def _make_room(self, size: int) -> None:
        while self._kept and self._size + size > self._most:
            self._forget(next(iter(self._kept)))

    def _forget(self, name: str) -> None:
        kept = self._kept.pop(name, None)
        if kept is not None:
            self._size -= kept.size
            for asked in kept.asked:
                del self._known[asked]


def is_among(etag: str, tags: str) -> bool:
    """Whether `If-None-Match` names this tag: weak comparison (RFC 9110, section 13.1.2)."""
    return any(tag.strip().removeprefix("W/") in {etag, "*"} for tag in tags.split(","))


def asked_of(scope: Scope) -> Asked:
    """What a request asks, to the letter."""
    return scope["path"], scope["query_string"]


def response(answer: Answer, if_none_match: str | None) -> Response[bytes]:
    """The answer, or 304 for whoever has it."""
    if if_none_match is not None and is_among(answer.etag, if_none_match):
        return Response(b"", status_code=HTTP_304_NOT_MODIFIED, headers=answer.headers())
    return Response(
        answer.body, status_code=HTTP_200_OK, media_type=MediaType.JSON, headers=answer.headers()
    )
