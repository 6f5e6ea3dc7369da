"""The catalogue is read whole while it changes, and nothing is taken for its end that is not."""

import gc
import random
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.contract.wire.kinguin_shelf import (
    SECOND,
    START,
    Shelf,
    kinguin,
    number_of,
    numbers,
    read,
)

from bitloot.domain.limits import Limits
from bitloot.ports.errors import Unavailable
from bitloot.ports.supplier import RefusedProduct
from bitloot_adapters.kinguin.catalogue_reader import windows

LONG_AGO = START - timedelta(days=1)


async def test_a_full_read_goes_by_the_age_of_the_products_and_filters_nothing() -> None:
    shelf = Shelf(*range(1, 251))
    pages = await read(kinguin(shelf).catalogue(updated_since=None))
    assert numbers(pages) == list(range(1, 251))
    assert [(page.number, page.is_last) for page in pages] == [(1, False), (2, False), (3, True)]
    asked = [dict(each) for each in shelf.asked]
    assert asked[0] == {"sortBy": "kingiunId", "sortType": "asc", "page": "1", "limit": "100"}
    assert {frozenset(each) for each in asked} == {frozenset(asked[0])}


def test_each_page_of_a_full_read_begins_inside_the_one_before() -> None:
    pages = list(islice(windows(1), 2000))
    assert all(page.limit <= 100 for page in pages)
    for before, page in pairwise(pages):
        assert before.start < page.start <= before.end - 3
        assert page.end > before.end
    assert pages[-1].end / 2000 > 80
    assert list(islice(windows(1500), 100)) == pages[1499:1599]
    for page in pages[:200]:
        parts = page.parts()
        assert (parts[0].start, parts[-1].end) == (page.start, page.end)
        assert all(one.end == other.start for one, other in pairwise(parts))


@pytest.mark.parametrize("size", [0, 1, 99, 100, 101, 200])
async def test_a_read_of_any_size_ends_with_one_last_page(size: int) -> None:
    for since in (None, LONG_AGO):
        shelf = Shelf(*range(1, size + 1))
        pages = await read(kinguin(shelf).catalogue(updated_since=since))
        assert numbers(pages) == list(range(1, size + 1))
        assert [page.is_last for page in pages] == [False] * (len(pages) - 1) + [True]
        assert all(page.products for page in pages[:-1])


@pytest.mark.parametrize("write", [int, str])
async def test_a_product_that_moves_up_when_others_leave_is_not_missed(
    write: Callable[[int], object],
) -> None:
    shelf = Shelf(*range(1, 301), write=write)

    def meanwhile(call: int) -> None:
        if call == 2:
            for gone in range(20, 50):
                del shelf.times[gone]
                shelf.times[gone + 1000] = shelf.now

    shelf.meanwhile = meanwhile
    pages = await read(kinguin(shelf).catalogue(updated_since=None))
    assert sorted(numbers(pages)) == [*range(1, 301), *range(1020, 1050)]
    assert [page.number for page in pages] == [1, 1, 2, 3, 4]


async def test_all_behind_a_page_may_leave_while_pages_are_read_backwards() -> None:
    shelf = Shelf(*range(1, 182))

    def meanwhile(call: int) -> None:
        # The second page begins too late; while the first is read again, all of the second goes.
        gone = {2: range(10, 80), 3: range(160, 182)}.get(call, ())
        for number in gone:
            del shelf.times[number]

    shelf.meanwhile = meanwhile
    pages = await read(kinguin(shelf).catalogue(updated_since=None))
    assert set(shelf.times) <= set(numbers(pages))
    assert [page.number for page in pages] == [1, 1, 2]


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(150, 700))
@example(181, 181)
async def test_whoever_stays_on_the_shelf_is_read_whoever_leaves_or_comes(
    seed: int, size: int
) -> None:
    chance = random.Random(seed)
    shelf = Shelf(*range(1, size + 1))
    stays = set(shelf.times)

    def meanwhile(call: int) -> None:
        for _ in range(chance.choice((0, 0, 1, 5, 40))):
            gone = chance.choice(sorted(shelf.times))
            del shelf.times[gone]
            stays.discard(gone)
        shelf.touch(chance.choice(sorted(shelf.times)))
        shelf.times.setdefault(10_000 + call, shelf.now) if chance.random() < 0.1 else None

    shelf.meanwhile = meanwhile
    pages = await read(kinguin(shelf).catalogue(updated_since=None))
    assert stays <= set(numbers(pages))


@settings(max_examples=60)
@given(st.integers(0, 2**32), st.integers(1, 500), st.sampled_from([1, 7, 90, 400]))
async def test_what_changed_is_read_although_it_goes_on_changing(
    seed: int, size: int, a_second: int
) -> None:
    chance = random.Random(seed)
    shelf = Shelf(*range(1, size + 1))
    for number in shelf.times:
        shelf.times[number] = START + (number // a_second) * SECOND
    before = set(shelf.times)

    def meanwhile(call: int) -> None:
        if a_second < 100 and call < 200:
            for number in chance.sample(sorted(shelf.times), k=min(size, chance.randint(0, 9))):
                shelf.touch(number)

    shelf.meanwhile = meanwhile
    pages = await read(kinguin(shelf).catalogue(updated_since=LONG_AGO))
    assert before <= set(numbers(pages))


async def test_a_thousand_changes_of_the_same_second_are_read_page_by_page() -> None:
    shelf = Shelf(*range(1, 1001))
    shelf.times = dict.fromkeys(shelf.times, START)
    pages = await read(kinguin(shelf).catalogue(updated_since=START))
    assert sorted(numbers(pages)) == list(range(1, 1001))


async def test_an_incremental_read_begins_a_little_earlier_and_turns_no_page_in_vain() -> None:
    shelf = Shelf(*range(1, 151))
    pages = await read(kinguin(shelf).catalogue(updated_since=START + 350 * SECOND))
    assert numbers(pages) == list(range(50, 151))
    assert [(asked["page"], asked["updatedSince"]) for asked in shelf.asked] == [
        ("1", "2026-03-02T10:00:50+00:00"),
        ("1", "2026-03-02T10:02:29+00:00"),
    ]
    assert {(asked["sortBy"], asked["sortType"]) for asked in shelf.asked} == {("updatedAt", "asc")}


async def test_a_broken_off_incremental_read_goes_on_where_its_last_page_says() -> None:
    shelf = Shelf(*range(1, 1001))
    whole = await read(kinguin(shelf).catalogue(updated_since=START))
    stopped = whole[4]
    assert stopped.up_to == START + number_of(stopped.products[-1].supplier_product_id) * SECOND
    rest = await read(
        kinguin(shelf).catalogue(updated_since=stopped.up_to, first_page=stopped.number + 1)
    )
    assert rest[0].number == 6
    assert {*numbers(whole[:5]), *numbers(rest)} == set(range(1, 1001))
    assert len(rest) < len(whole)


async def test_a_full_read_that_goes_on_looks_at_the_page_before_once_more() -> None:
    shelf = Shelf(*range(1, 401))
    first = kinguin(shelf).catalogue(updated_since=None)
    begun = [await anext(first), await anext(first)]
    for gone in (1, 2, 150):
        del shelf.times[gone]
    rest = await read(kinguin(shelf).catalogue(updated_since=None, first_page=3))
    assert sorted({*numbers(begun), *numbers(rest)}) == list(range(1, 401))
    assert rest[-1].is_last


async def test_a_shelf_that_loses_thousands_between_two_pages_is_not_believed() -> None:
    shelf = Shelf(*range(1, 5001))

    def meanwhile(call: int) -> None:
        if call == 30:
            shelf.times = {number: at for number, at in shelf.times.items() if number > 2500}

    shelf.meanwhile = meanwhile
    with pytest.raises(Unavailable) as gone:
        await read(kinguin(shelf).catalogue(updated_since=None))
    assert gone.value.reason == "catalogue_shrank"


async def test_a_page_that_is_too_large_is_read_in_parts() -> None:
    shelf = Shelf(*range(1, 131), text="word " * 60)
    pages = await read(
        kinguin(shelf, limits=Limits(http_answer_bytes=20_000)).catalogue(updated_since=None)
    )
    assert numbers(pages) == list(range(1, 131))
    assert [page.number for page in pages] == [1, 2]
    assert {"100", "10"} <= {asked["limit"] for asked in shelf.asked}


async def test_a_product_that_is_too_large_alone_is_refused_and_the_others_are_read() -> None:
    shelf = Shelf(*range(1, 12), text="word " * 800)
    found = await read(
        kinguin(shelf, limits=Limits(http_answer_bytes=3_000)).catalogue(updated_since=None)
    )
    too_large = RefusedProduct(supplier_product_id=None, reason="the entry is too large")
    assert [page.refused for page in found] == [(too_large,) * 11]
    assert found[-1].is_last


async def test_one_page_is_in_memory_however_many_there_are() -> None:
    peaks = []
    for size in (500, 1000):
        shelf = Shelf(*range(1, size + 1), text="word " * 400)
        pages = kinguin(shelf).catalogue(updated_since=None)
        await anext(pages)
        tracemalloc.start()
        async for page in pages:
            assert len(page.products) < 100
            shelf.asked.clear()
            gc.collect()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
