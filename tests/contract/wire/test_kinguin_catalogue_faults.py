"""Hostile pages, single products, searches and dictionaries: refused one by one, never believed."""

import json
from collections.abc import Awaitable, Callable
from decimal import Decimal

import httpx
import pytest
from tests.contract.wire.kinguin_shelf import START, kinguin, numbers, product, product_id, read

from bitloot.ports.errors import Rejected, Unavailable
from bitloot.ports.supplier import CataloguePage, SupplierProduct
from bitloot_adapters.sandbox.scripted import Scripted

NO_SUCH = {"kind": "HttpClient", "status": 404, "title": "Not Found"}


def script(*answers: tuple[int, object], **headers: str) -> tuple[Scripted, httpx.ASGITransport]:
    scripted = Scripted(*answers, headers={n.replace("_", "-"): v for n, v in headers.items()})
    app: Callable[..., Awaitable[None]] = scripted
    return scripted, httpx.ASGITransport(app)


def page(*listed: object, total: int | None = None) -> tuple[int, object]:
    body: dict[str, object] = {"results": list(listed)}
    return 200, body if total is None else {**body, "item_count": total}


def games(first: int, last: int) -> list[object]:
    return [product(number) for number in range(first, last + 1)]


async def pages_of(*answers: tuple[int, object], preorders: bool = False) -> list[CataloguePage]:
    _, transport = script(*answers)
    return await read(kinguin(transport, preorders=preorders).catalogue(updated_since=None))


# --- products of a page ------------------------------------------------------------------------


async def test_products_that_cannot_be_read_are_refused_one_by_one_and_the_others_kept() -> None:
    listed: list[object] = [
        product(1),
        product(2, name=None),
        "odd",
        product(3, price="free"),
        product(4, description={"odd": []}, images=[[]], offers={}, genres="RPG"),
        product(5, name="lone \ud800 half"),
        product(6, qty="many"),
        product(7, updatedAt=7),
        product(8, surprise={"extra": [1, 2]}),
        product(9) | {"productId": "../etc"},
    ]
    body = json.dumps({"results": listed, "item_count": 10}).encode()
    (found,) = await pages_of((200, body.replace(b"Game 1", b"Game \xff1")))
    titles = [each.title for each in found.products]
    assert titles == ["Game \ufffd1", "Game 4", "lone half", "Game 8"]
    refusals = [(each.supplier_product_id, each.reason) for each in found.refused]
    assert refusals == [
        (product_id(2), "name is missing"),
        (None, "the entry is no object"),
        (product_id(3), "price is no amount above zero"),
        (product_id(6), "qty is no count"),
        (product_id(7), "updatedAt is no time"),
        (None, "productId is no id"),
    ]


async def test_of_a_product_that_comes_twice_on_a_page_the_newer_one_counts() -> None:
    newer = product(1, name="newer", updatedAt="2026-03-02T10:00:05+00:00")
    for listed in ([product(1), newer], [newer, product(1)]):
        (found,) = await pages_of(page(*listed, total=2))
        assert [each.title for each in found.products] == ["newer"]


async def test_a_product_of_two_pages_comes_again_only_when_it_changed_between() -> None:
    again = [product(98), product(99), product(100, price=4, updatedAt="2026-03-02T11:00:00Z")]
    first, second = await pages_of(
        page(*games(1, 100), total=101), page(product(97), *again, product(101), total=101)
    )
    assert numbers([first]) == list(range(1, 101))
    assert [(each.title, each.price) for each in second.products] == [
        ("Game 100", Decimal(4)),
        ("Game 101", Decimal(5)),
    ]


async def test_preorders_are_named_as_left_out_unless_they_may_be_sold() -> None:
    answer = page(product(1), product(2, isPreorder=True), total=2)
    (found,) = await pages_of(answer)
    assert (numbers([found]), found.left_out) == ([1], (product_id(2),))
    (found,) = await pages_of(answer, preorders=True)
    assert [each.is_preorder for each in found.products] == [False, True]
    assert found.left_out == ()


async def test_a_page_of_preorders_alone_is_a_page() -> None:
    coming = [product(number, isPreorder=True) for number in range(101, 193)]
    found = await pages_of(
        page(*games(1, 100), total=200),
        page(*games(97, 100), *coming, total=200),
        page(*games(185, 200), total=200),
    )
    assert [len(each.left_out) for each in found] == [0, 92, 0]


# --- where a catalogue ends --------------------------------------------------------------------


async def test_without_a_number_of_matches_a_short_page_is_the_last() -> None:
    found = await pages_of(page(*games(1, 100)), page(*games(97, 120)))
    assert (numbers(found), found[-1].is_last) == (list(range(1, 121)), True)


async def test_without_a_number_of_matches_an_empty_shelf_is_one_empty_page() -> None:
    assert await pages_of(page()) == [CataloguePage(number=1, is_last=True)]


@pytest.mark.parametrize("total", [None, "many", 1.5, [100], {"n": 100}])
async def test_a_number_of_matches_that_is_none_is_as_good_as_missing(total: object) -> None:
    body: dict[str, object] = {"results": games(1, 7), "item_count": total}
    found = await pages_of((200, body))
    assert (numbers(found), found[-1].is_last) == (list(range(1, 8)), True)


@pytest.mark.parametrize(
    ("reason", "answers"),
    [
        ("incomplete_answer", [page(total=700)]),
        ("catalogue_shrank", [page(*games(1, 100), total=700), page(total=700), page(total=700)]),
        (
            "incomplete_answer",
            [
                page(*games(1, 50), total=700),
                page(*games(201, 250), total=700),
                page(*games(1, 50), total=700),
            ],
        ),
        ("page_too_long", [page(*games(1, 101), total=700)]),
        ("repeated_page", [page(*games(1, 100), total=700), page(*games(1, 96), total=700)]),
    ],
)
async def test_pages_that_contradict_themselves_are_no_catalogue(
    reason: str, answers: list[tuple[int, object]]
) -> None:
    with pytest.raises(Unavailable) as refused:
        await pages_of(*answers)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    "body",
    [b"", b"null", b"[]", b"{", b"<html>", b'{"results":null}', b'{"results":{"0":{}}}', b"5"],
)
async def test_a_page_that_is_no_list_is_no_answer(body: bytes) -> None:
    with pytest.raises(Unavailable) as refused:
        await pages_of((200, body))
    assert refused.value.reason == "unreadable_answer"


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (404, NO_SUCH, "http_404"),
        (429, b"slow down", "rate_limited"),
        (500, {"kind": "Error", "status": 500}, "http_500"),
        (503, b"<html>", "http_503"),
        (302, b"", "http_302"),
        (204, b"", "http_204"),
    ],
)
async def test_a_page_that_does_not_come_keeps_what_came_and_is_asked_for_again(
    status: int, body: object, reason: str
) -> None:
    scripted, transport = script(
        page(*games(1, 100), total=120),
        (status, body),
        page(*games(1, 100), total=120),
        page(*games(97, 120), total=120),
        retry_after="7",
    )
    client = kinguin(transport)
    pages = client.catalogue(updated_since=None)
    begun = [await anext(pages)]
    with pytest.raises(Unavailable) as away:
        await anext(pages)
    assert (away.value.reason, away.value.retry_after) == (reason, 7.0)
    assert numbers(begun) == list(range(1, 101))
    rest = await read(client.catalogue(updated_since=None, first_page=2))
    assert sorted({*numbers(begun), *numbers(rest)}) == list(range(1, 121))
    assert [each.query["page"] for each in scripted.asked] == ["1", "2", "1", "2"]


async def test_a_refused_key_is_no_empty_catalogue() -> None:
    with pytest.raises(Rejected) as refused:
        await pages_of((401, {"kind": "Authorization", "status": 401}))
    assert refused.value.reason == "credentials"


# --- one product -------------------------------------------------------------------------------


async def one(*answers: tuple[int, object]) -> SupplierProduct | None:
    _, transport = script(*answers)
    return await kinguin(transport).product(product_id(1))


async def test_a_product_that_is_gone_sold_out_or_not_released_is_none() -> None:
    assert await one((404, NO_SUCH)) is None
    assert await one((400, {"kind": "ProductUnavailable", "status": 400})) is None
    assert await one((200, product(1, isPreorder=True))) is None
    found = await one((200, product(1, qty=0)))
    assert found is not None
    assert (found.stock, found.price, found.updated_at) == (0, Decimal(5), START)


async def test_a_product_that_cannot_be_read_says_which_field() -> None:
    with pytest.raises(Rejected) as refused:
        await one((200, product(1, name=[])))
    assert (refused.value.reason, refused.value.detail) == ("unreadable", "name is no text")


@pytest.mark.parametrize(
    ("status", "body", "reason"),
    [
        (200, product(2), "unreadable_answer"),
        (200, [product(1)], "unreadable_answer"),
        (200, b"{", "unreadable_answer"),
        (404, b"<html>", "http_404"),
        (500, NO_SUCH, "http_500"),
        (429, b"", "rate_limited"),
    ],
)
async def test_an_answer_that_tells_nothing_of_the_product_is_none_at_all(
    status: int, body: object, reason: str
) -> None:
    with pytest.raises(Unavailable) as away:
        await one((status, body))
    assert away.value.reason == reason


# --- search ------------------------------------------------------------------------------------


async def test_a_search_asks_for_one_page_of_a_tidied_name() -> None:
    scripted, transport = script(page(*games(1, 3), "odd", product(5, isPreorder=True), total=90))
    found = await kinguin(transport).search("  Silent \n Harbour & Co ", limit=4)
    assert [each.title for each in found] == ["Game 1", "Game 2", "Game 3"]
    (asked,) = scripted.asked
    assert asked.query == {"name": "Silent Harbour & Co", "limit": "4"}


@pytest.mark.parametrize(("limit", "asked"), [(0, "1"), (-5, "1"), (101, "100"), (10**9, "100")])
async def test_a_search_never_asks_for_more_than_a_page(limit: int, asked: str) -> None:
    scripted, transport = script(page(*games(1, 100), total=100))
    found = await kinguin(transport).search("game", limit=limit)
    assert len(found) == int(asked)
    assert scripted.asked[0].query["limit"] == asked


@pytest.mark.parametrize("name", ["", "ab", "  ab  ", "a\x00bc", "x" * 201, "\u202eabc"])
async def test_a_name_that_cannot_be_searched_for_is_not_asked_for(name: str) -> None:
    scripted, transport = script()
    with pytest.raises(Rejected) as refused:
        await kinguin(transport).search(name, limit=5)
    assert (refused.value.reason, scripted.asked) == ("invalid", [])
