"""What is asked while a call is out goes together with the next: one call for all of it.

A flood costs the one who is called a few calls and not one for each, and the slowest of those who
ask waits for two calls at most. Nobody waits for company: what is asked alone goes at once.
"""

import asyncio
import copy
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextvars import Context
from typing import Generic, TypeAlias, TypeVar

import msgspec

from bitloot.ports.errors import StoreUnavailable

Asked = TypeVar("Asked")
Told = TypeVar("Told")
# One for each that was asked, in their order; an error is raised for the one who asked that.
Answers: TypeAlias = Sequence[Told | BaseException]


class _Waiting(msgspec.Struct, Generic[Asked, Told], frozen=True):
    """What was asked, and where its answer is awaited."""

    asked: Asked
    told: "asyncio.Future[Told]"


class Batcher(Generic[Asked, Told]):
    """Bears one `call` at a time, each for at most `together`, while `waiting` more may wait."""

    def __init__(
        self,
        call: Callable[[Sequence[Asked]], Awaitable[Answers[Told]]],
        *,
        together: int,
        waiting: int,
    ) -> None:
        self._call = call
        self._together = together
        self._waiting: deque[_Waiting[Asked, Told]] = deque(maxlen=waiting)
        self._calling: asyncio.Task[None] | None = None

    def ask(self, asked: Asked) -> "asyncio.Future[Told]":
        """Its answer, when it comes. What is given up before its call begins is not asked at all.

        Raises StoreUnavailable where too many wait already. The future raises what the call says
        of this one, or what the call itself raised.
        """
        if len(self._waiting) == self._waiting.maxlen:
            raise StoreUnavailable("too many wait")
        told: asyncio.Future[Told] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(asked, told))
        if self._calling is None or self._calling.done():
            # Nothing of the request that happens to be first belongs to the others.
            self._calling = asyncio.create_task(self._call_for_all(), context=Context())
        return told

    async def _call_for_all(self) -> None:
        """Until nobody waits."""
        while self._waiting:
            count = min(len(self._waiting), self._together)
            taken = [self._waiting.popleft() for _ in range(count)]
            still = [each for each in taken if not each.told.done()]
            if still:
                await self._call_for(still)

    async def _call_for(self, waiting: Sequence[_Waiting[Asked, Told]]) -> None:
        (answers,) = await asyncio.gather(
            self._call([each.asked for each in waiting]), return_exceptions=True
        )
        if isinstance(answers, BaseException):
            # Each their own: an error that is raised twice tells of both places.
            answers = [copy.copy(answers) for _ in waiting]
        for each, answer in zip(waiting, answers, strict=True):
            if each.told.done():
                continue
            if isinstance(answer, BaseException):
                each.told.set_exception(answer)
            else:
                each.told.set_result(answer)
