"""Answers that are kept: made once for all who wait, forgotten in time, never more than fit."""

import asyncio
from datetime import timedelta

import msgspec
import pytest

from bitloot_web.answers import Answer, Answers, response


class Said(msgspec.Struct):
    text: str


class Maker:
    """Makes an answer when it is let, and counts."""

    def __init__(self, text: str = "hello") -> None:
        self.text = text
        self.made = 0
        self.may = asyncio.Event()
        self.may.set()

    async def __call__(self) -> Said:
        self.made += 1
        await self.may.wait()
        if self.text == "fault":
            raise LookupError(self.text)
        return Said(self.text)


class Watch:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def kept(watch: Watch, size: int = 10_000) -> Answers:
    return Answers(size=size, life=timedelta(seconds=1), now=watch)


async def test_200_who_miss_at_once_ask_once() -> None:
    answers, maker = kept(Watch()), Maker()
    maker.may.clear()
    waiting = [asyncio.create_task(answers.answer("list", 1, maker)) for _ in range(200)]
    await asyncio.sleep(0)
    maker.may.set()
    found = await asyncio.gather(*waiting)
    assert (maker.made, {each.body for each in found}) == (1, {b'{"text":"hello"}'})


async def test_an_answer_lives_for_its_time_and_no_longer() -> None:
    watch, maker = Watch(), Maker()
    answers = kept(watch)
    first = await answers.answer("list", 1, maker)
    watch.now = 0.999
    assert await answers.answer("list", 1, maker) is first
    watch.now = 1.0
    await answers.answer("list", 1, maker)
    assert maker.made == 2


async def test_a_new_version_is_asked_for_at_once_even_while_the_old_is_being_made() -> None:
    answers, old, new = kept(Watch()), Maker("old"), Maker("new")
    old.may.clear()
    late = asyncio.create_task(answers.answer("list", 1, old))
    await asyncio.sleep(0)
    assert (await answers.answer("list", 2, new)).body == b'{"text":"new"}'
    old.may.set()
    assert (await late).body == b'{"text":"old"}'
    assert (await answers.answer("list", 2, new)).body == b'{"text":"new"}'


async def test_a_fault_is_told_to_all_who_wait_and_kept_by_nobody() -> None:
    answers, maker = kept(Watch()), Maker("fault")
    maker.may.clear()
    waiting = [asyncio.create_task(answers.answer("list", 1, maker)) for _ in range(3)]
    await asyncio.sleep(0)
    maker.may.set()
    told = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(each) for each in told] == [LookupError] * 3
    maker.text = "hello"
    assert (await answers.answer("list", 1, maker)).body == b'{"text":"hello"}'


async def test_who_gives_up_waiting_takes_the_answer_from_nobody() -> None:
    answers, maker = kept(Watch()), Maker()
    maker.may.clear()
    first = asyncio.create_task(answers.answer("list", 1, maker))
    second = asyncio.create_task(answers.answer("list", 1, maker))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    maker.may.set()
    assert (await second).body == b'{"text":"hello"}'


async def test_of_those_who_wait_for_one_who_gave_up_a_single_one_asks_again() -> None:
    answers, maker = kept(Watch()), Maker()
    maker.may.clear()
    first, *others = (asyncio.create_task(answers.answer("list", 1, maker)) for _ in range(200))
    await asyncio.sleep(0)
    first.cancel()
    maker.may.set()
    assert {each.body for each in await asyncio.gather(*others)} == {b'{"text":"hello"}'}
    assert maker.made == 2


async def test_the_oldest_make_room_and_what_is_too_large_is_not_kept() -> None:
    answers, maker, large = kept(Watch(), size=1_200), Maker(), Maker("x" * 2_000)
    for name in ("a", "b", "c", "c", "b"):
        await answers.answer(name, 1, maker)
    assert maker.made == 3
    await answers.answer("a", 1, maker)
    assert maker.made == 4
    for _ in range(2):
        await answers.answer("large", 1, large)
    assert large.made == 2


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        ('"tag"', 304), ('W/"tag"', 304), ("*", 304), ('"other", "tag"', 304),
        ('"other"', 200), ("tag", 200), ("", 200), (None, 200), (",,,", 200),
    ],
)  # fmt: skip
def test_whoever_has_an_answer_already_is_told_so(tags: str | None, status: int) -> None:
    answer = response(Answer(b"{}", '"tag"'), tags)
    assert answer.status_code == status
    assert answer.headers["etag"] == '"tag"'
    assert answer.headers["cache-control"] == "no-cache"


# --- known by the request -----------------------------------------------------------------------

PAGE = ("/products", b"limit=9")


async def test_an_answer_is_known_by_its_request_while_it_is_kept() -> None:
    watch, maker = Watch(), Maker()
    answers = kept(watch)
    assert answers.known(PAGE, 1) is None
    answer = await answers.answer("list", 1, maker)
    answers.remember(PAGE, "/products", "list")
    found = answers.known(PAGE, 1)
    assert found is not None
    assert (found.answer, found.route) == (answer, "/products")
    assert answers.known(PAGE, 2) is None
    assert answers.known(("/products", b"limit=8"), 1) is None
    watch.now = 1.0
    assert answers.known(PAGE, 1) is None


async def test_a_request_is_known_by_the_answer_that_was_made_last() -> None:
    answers, maker = kept(Watch()), Maker()
    await answers.answer("list", 1, maker)
    answers.remember(PAGE, "/products", "list")
    maker.text = "changed"
    fresh = await answers.answer("list", 2, maker)
    assert answers.known(PAGE, 2) is None
    answers.remember(PAGE, "/products", "list")
    found = answers.known(PAGE, 2)
    assert found is not None
    assert found.answer == fresh


async def test_nothing_is_known_that_is_not_kept() -> None:
    answers = kept(Watch())
    answers.remember(PAGE, "/products", "list")
    assert answers.known(PAGE, 1) is None


async def test_an_answer_is_known_by_a_few_requests_and_no_more() -> None:
    answers = kept(Watch())
    await answers.answer("list", 1, Maker())
    asked = [("/products", f"limit=20&n={number}".encode()) for number in range(100)]
    for each in asked:
        answers.remember(each, "/products", "list")
    assert [answers.known(each, 1) is not None for each in asked] == [True] * 4 + [False] * 96


async def test_requests_take_up_room_and_go_with_their_answers() -> None:
    answers = kept(Watch(), size=4_000)
    for number in range(50):
        await answers.answer(f"list {number}", 1, Maker())
        answers.remember((f"/products/{number}", b""), "/products", f"list {number}")
        assert answers._size <= 4_000
        assert len(answers._known) <= len(answers._kept) * 4
    assert answers.known(("/products/0", b""), 1) is None
    assert answers.known(("/products/49", b""), 1) is not None
