"""The `Idempotency-Key` of a request: an unsafe call that may be sent twice and acts once."""

import hashlib
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec
from litestar.params import HeaderParameter

from bitloot.domain.decision import Decision, Row
from bitloot.domain.idempotency import Once
from bitloot.domain.limits import Limits
from bitloot.ports.unit_of_work import UnitOfWork
from bitloot.usecases.repeats import AnsweredMeanwhile
from bitloot_web.problems import ProblemError
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.shop import Shop

S = TypeVar("S", bound=msgspec.Struct)

HEADER: Final = "Idempotency-Key"
_SAME: Final = "16 to 128 characters; the same key with the same request acts once."
# How the header is described where it may be left out.
AT_WILL: Final = f"{_SAME} It may be left out."
IdempotencyKey: TypeAlias = Annotated[
    str | None, HeaderParameter(name=HEADER, description=f"{_SAME} Required.")
]
KeyAtWill: TypeAlias = Annotated[str | None, HeaderParameter(name=HEADER, description=AT_WILL)]


class Repeatable:
    """A request that may be sent twice, as its Idempotency-Key says."""

    def __init__(self, request: EdgeRequest, key: str | None, limits: Limits) -> None:
        self._request = request
        self._key = key
        self._limits = limits

    @property
    def has_key(self) -> bool:
        """Whether a key was sent."""
        return self._key is not None

    async def once(self, caller: str, *, body: bytes | None = None) -> Once:
        """Who asks for what under which key; the body counts by its meaning, not by its spaces.

        `body` where the handler has read it from the stream itself.

        Raises ProblemError `idempotency-key-missing` or `idempotency-key-malformed`.
        """
        key, request = self._checked_key(), self._request
        route = f"{request.method} {request.scope['path_template']}"
        digest = hashlib.sha256(f"{request.method} {request.scope['path']}\n".encode())
        given = await request.body() if body is None else body
        query = request.scope["query_string"]
        digest.update(query + b"\n" + _canonical(request, given))
        return Once(route=route[:200], caller=caller, key=key, request_hash=digest.hexdigest())

    def _checked_key(self) -> str:
        key, limits = self._key, self._limits
        if key is None:
            raise ProblemError("idempotency-key-missing")
        fits = limits.idempotency_key_min <= len(key) <= limits.idempotency_key_max
        is_one = len(self._request.headers.getall(HEADER)) == 1
        if not fits or not is_one or not key.isascii() or not key.isprintable():
            raise ProblemError("idempotency-key-malformed")
        return key


async def act_once(shop: Shop, once: Once, shape: type[S], act: Callable[[], Awaitable[S]]) -> S:
    """Act, or give the answer of the first time.

    For acts of several transactions, that are safe to repeat: after a crash between the act and its
    answer the same key acts once more.
    """
    stored = await shop.repeats.begin(once)
    if stored is not None:
        return msgspec.json.decode(stored, type=shape)
    try:
        answer = await act()
    except Exception:
        await shop.repeats.forget(once)
        raise
    await shop.repeats.keep(once, msgspec.json.encode(answer))
    return answer


async def decide_once(
    shop: Shop,
    once: Once,
    shape: type[S],
    answer_of: Callable[[Decision], S],
    act: Callable[[UnitOfWork], Awaitable[object]],
) -> S:
    """Act in one transaction of the given unit of work, or give the answer of the first time.

    The answer is committed with the act: after a crash anywhere the same key gets the answer if the
    act was done, and acts if it was not (409 until `limits.idempotency_running` is over).
    """
    stored = await shop.repeats.begin(once)
    if stored is None:
        uow = shop.repeats.answering(once, lambda made: msgspec.json.encode(answer_of(made)))
        try:
            await act(uow)
        except AnsweredMeanwhile as answered:
            stored = answered.answer
        except Exception:
            await shop.repeats.forget(once)
            raise
        else:
            stored = uow.given
    assert stored is not None
    return msgspec.json.decode(stored, type=shape)


class _Made(msgspec.Struct, frozen=True):
    """What is kept of having made something."""

    id: str


async def make_once(
    shop: Shop,
    repeatable: Repeatable,
    caller: str,
    kind: type[Row],
    make: Callable[[UnitOfWork], Awaitable[str]],
) -> str:
    """The id of the row of that kind that `make` writes in one transaction, or wrote the first time
    under the same key; without a key it is made each time.
    """
    if not repeatable.has_key:
        return await make(shop.repeats.uow)

    def made(decision: Decision) -> _Made:
        new = (each.after for each in decision.save if each.before is None)
        return _Made(next(row.id for row in new if isinstance(row, kind)))

    return (await decide_once(shop, await repeatable.once(caller), _Made, made, make)).id


def _canonical(request: EdgeRequest, body: bytes) -> bytes:
    if request.route_handler.parsed_data_field is None or not body:
        return body
    return msgspec.json.encode(msgspec.json.decode(body), order="sorted")
