"""What is asked while a call is out goes together with the next."""

import asyncio
from collections.abc import Sequence
from contextvars import ContextVar

import pytest

from bitloot.ports.errors import Duplicate, StoreUnavailable
from bitloot_adapters.batching import Answers, Batcher

WHO: ContextVar[str] = ContextVar("who", default="nobody")


class Scribe:
    """Writes down what each call was asked, and answers when it is let."""

    def __init__(self, *, together: int = 3, waiting: int = 100) -> None:
        self.calls: list[list[int]] = []
        self.may_answer = asyncio.Event()
        self.fault: Exception | None = None
        self.seen: set[str] = set()
        self.batcher = Batcher[int, int](self._call, together=together, waiting=waiting)

    async def _call(self, asked: Sequence[int]) -> Answers[int]:
        self.calls.append(list(asked))
        self.seen.add(WHO.get())
        await self.may_answer.wait()
        if self.fault is not None:
            raise self.fault
        return [Duplicate("odd") if number % 2 else number * 10 for number in asked]


async def test_what_is_asked_meanwhile_goes_together_in_its_order() -> None:
    scribe = Scribe()
    first = scribe.batcher.ask(0)
    await asyncio.sleep(0)
    others = [scribe.batcher.ask(number) for number in (2, 4, 6, 8)]
    scribe.may_answer.set()
    assert await asyncio.gather(first, *others) == [0, 20, 40, 60, 80]
    assert scribe.calls == [[0], [2, 4, 6], [8]]


async def test_what_is_asked_later_begins_anew() -> None:
    scribe = Scribe()
    scribe.may_answer.set()
    assert await scribe.batcher.ask(2) == 20
    await asyncio.sleep(0)
    assert await scribe.batcher.ask(4) == 40
    assert scribe.calls == [[2], [4]]


async def test_each_is_told_of_its_own_fault_alone() -> None:
    scribe = Scribe()
    scribe.may_answer.set()
    ends = await asyncio.gather(*map(scribe.batcher.ask, (2, 3, 4)), return_exceptions=True)
    assert (ends[0], ends[2]) == (20, 40)
    assert isinstance(ends[1], Duplicate)
    assert scribe.calls == [[2, 3, 4]]


async def test_a_call_that_fails_fails_for_each_and_the_next_are_asked() -> None:
    scribe = Scribe()
    scribe.fault = StoreUnavailable("away")
    scribe.may_answer.set()
    ends = await asyncio.gather(*map(scribe.batcher.ask, (2, 4)), return_exceptions=True)
    assert [str(end) for end in ends] == ["away", "away"]
    assert ends[0] is not ends[1]
    scribe.fault = None
    assert await scribe.batcher.ask(6) == 60


async def test_who_gave_up_is_not_asked_for_and_harms_nobody() -> None:
    scribe = Scribe()
    first = scribe.batcher.ask(0)
    await asyncio.sleep(0)
    given_up, stays = scribe.batcher.ask(2), scribe.batcher.ask(4)
    first.cancel()
    given_up.cancel()
    scribe.may_answer.set()
    assert await stays == 40
    assert scribe.calls == [[0], [4]]


async def test_whoever_comes_behind_too_many_is_told_at_once_and_calls_belong_to_nobody() -> None:
    scribe = Scribe(waiting=2)
    WHO.set("somebody")
    first = scribe.batcher.ask(0)
    await asyncio.sleep(0)
    others = [scribe.batcher.ask(2), scribe.batcher.ask(4)]
    with pytest.raises(StoreUnavailable, match="too many wait"):
        scribe.batcher.ask(6)
    scribe.may_answer.set()
    assert await asyncio.gather(first, *others) == [0, 20, 40]
    assert scribe.seen == {"nobody"}
