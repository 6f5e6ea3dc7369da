"""Reading the catalogue from end to end while it changes.

The API has page numbers and no marks to go on from, so whatever goes into or out of the part that
was read already moves the rest.

- A full read goes by `kinguinId`. New products come at the end; products that leave or return move
  others between pages. So each page begins inside the one before: where it does not begin with
  something that was read already, products moved up unseen, and pages are read backwards until one
  does.
- An incremental read goes by the time of the last change and never turns a page where it need not:
  it asks for what changed since the last change that it saw. What changes meanwhile moves behind
  the reader's mark, nothing moves before it.

`withText=yes` is never sent: a product whose last text key was sold would be missing then, and
could not be told from one that was not read.

Source: Kinguin eCommerce API documentation, product v1, "Search".
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Final, TypeAlias

import msgspec

from bitloot.ports.errors import Unavailable
from bitloot.ports.supplier import CataloguePage, RefusedProduct, SupplierProduct
from bitloot_adapters.kinguin.values import Json, count, fields, moment

PATH: Final = "/v1/products"
PAGE: Final = 100
# The sizes of pages that overlap: their pages begin at many places, and all can be cut in parts.
SIZES: Final = (100, 99, 98, 96, 95, 92, 91, 90)
# How many products of the page before each page of a full read holds at least.
SHARED: Final = 3
MAX_PAGES: Final = 10_000
# Pages that are read backwards at most; a catalogue that shrinks faster is not believed.
MAX_STEPS_BACK: Final = 20
# What changed while the last page was read, and clocks that differ, are asked for again.
OVERLAP: Final = timedelta(minutes=5)
TOO_LARGE: Final = "answer_too_large"
# A page that is more than an answer may be is read in parts of so many at most, then one by one.
PART: Final = 14

_BY_NUMBER: Final = {"sortBy": "kingiunId", "sortType": "asc"}
Span: TypeAlias = tuple[Decimal, Decimal]
Listed: TypeAlias = tuple[Sequence[Json], int | None]
Fetch: TypeAlias = Callable[[str, Mapping[str, str]], Awaitable[Listed]]
Read: TypeAlias = Callable[[Json], SupplierProduct | RefusedProduct]


class Window(msgspec.Struct, frozen=True):
    """A page as the API counts: the `page`-th of those that have `limit` products."""

    page: int
    limit: int

    @property
    def start(self) -> int:
        """How many products are before it."""
        return (self.page - 1) * self.limit

    @property
    def end(self) -> int:
        """How many there are up to its last."""
        return self.page * self.limit

    def parts(self) -> "list[Window]":
        """The same products in smaller pages."""
        size = max(n for n in range(1, min(PART, self.limit - 1) + 1) if self.limit % n == 0)
        first = self.start // size + 1
        return [Window(first + n, size) for n in range(self.limit // size)]


def windows(first: int) -> Iterator[Window]:
    """The pages of a full read from the `first`-th on, each as far on as it can be."""
    window = Window(1, PAGE)
    for number in range(1, MAX_PAGES + 1):
        if number >= first:
            yield window
        inside = window.end - SHARED
        window = max(
            (Window(inside // size + 1, size) for size in SIZES), key=lambda each: each.end
        )


class _Page(msgspec.Struct, frozen=True):
    """One answer: what it lists, and how many there are in all."""

    window: Window
    listed: Sequence[Json]
    total: int | None
    refused: tuple[RefusedProduct, ...] = ()

    @property
    def size(self) -> int:
        return len(self.listed) + len(self.refused)

    @property
    def span(self) -> Span | None:
        """The lowest and the highest number, None where there is none or they are not in order."""
        told = [number for each in self.listed if (number := _number(each)) is not None]
        return (told[0], told[-1]) if told and told == sorted(told) else None

    def begins_after(self, reached: Decimal) -> bool:
        """Whether something may lie between what was read and this page; an empty one tells
        nothing, and one that is not in order cannot be compared.
        """
        return self.size == 0 if self.span is None else self.span[0] > reached

    def ends_before(self, after: Span | None) -> bool:
        """Whether something may lie between this page and the one behind it."""
        return self.span is not None and after is not None and self.span[1] < after[0]


class CatalogueReader:
    """One reading of the catalogue. `fetch` gives the list of a page and the number of matches.

    `provider` names who is Unavailable. Keeps one page, and of the one before it the ids alone.
    """

    def __init__(self, provider: str, fetch: Fetch, read: Read, *, preorders: bool) -> None:
        self._provider = provider
        self._fetch = fetch
        self._read = read
        self._preorders = preorders
        self._before: Mapping[str, datetime] = {}

    async def everything(self, first_page: int) -> AsyncIterator[CataloguePage]:
        """All pages from that one on. Taken up later it begins one page earlier: what moved up
        since is there.
        """
        reached: Decimal | None = None
        begin = max(first_page - 1, 1)
        for number, window in enumerate(windows(begin), begin):
            page = await self._page(_BY_NUMBER, window)
            if reached is not None and page.begins_after(reached):
                async for again in self._backwards(number, reached, page.span):
                    yield again
            is_last = self._is_last(page)
            yield self._cleaned(page, number, is_last=is_last, turned=number > begin)
            if is_last:
                return
            if page.span is not None:
                reached = page.span[1] if reached is None else max(reached, page.span[1])
        raise self._unavailable("too_many_pages")

    async def _backwards(
        self, number: int, reached: Decimal, after: Span | None
    ) -> AsyncIterator[CataloguePage]:
        """The pages before that one, until one begins with what was read up to `reached`.

        `after` is what the page after them holds: each must come up to there, unless all of that
        has left since.
        """
        for earlier in range(number - 1, max(number - 1 - MAX_STEPS_BACK, 0), -1):
            page = await self._page(_BY_NUMBER, next(windows(earlier)))
            yield self._cleaned(page, earlier)
            if page.ends_before(after) and not self._is_last(page):
                raise self._unavailable("incomplete_answer")
            if not page.begins_after(reached) or (earlier == 1 and page.size):
                return
            after = page.span
        raise self._unavailable("catalogue_shrank")

    async def changes(self, since: datetime, first_page: int) -> AsyncIterator[CataloguePage]:
        """What changed since then, oldest first; the pages are numbered from `first_page` on."""
        mark = _whole_second(since - OVERLAP)
        turned = 1
        up_to: datetime | None = since
        for number in range(first_page, first_page + MAX_PAGES):
            query = {"sortBy": "updatedAt", "sortType": "asc", "updatedSince": second(mark)}
            page = await self._page(query, Window(turned, PAGE))
            is_last = self._is_last(page)
            times = [moment(fields(each).get("updatedAt")) for each in page.listed]
            told = [each for each in times if each is not None]
            is_sorted = told == sorted(told)
            up_to = (max(up_to, *told) if told else up_to) if is_sorted and up_to else None
            yield self._cleaned(page, number, is_last=is_last, turned=turned > 1, up_to=up_to)
            if is_last:
                return
            newest = _whole_second(told[-1]) if told and is_sorted else mark
            if newest > mark:
                mark, turned = newest, 1
            else:
                turned += 1
        raise self._unavailable("too_many_pages")

    def _is_last(self, page: _Page) -> bool:
        """Raises Unavailable where the answer is empty although there should be more.

        Not finding a product here sets its stock to 0, so the end must be certain: a short page
        alone is none when the number of matches says otherwise.
        """
        if page.total is None:
            return page.size < page.window.limit
        if page.size == 0 and page.window.start < page.total:
            raise self._unavailable("incomplete_answer")
        return page.size == 0 or page.window.start + page.size == page.total

    def _cleaned(
        self,
        page: _Page,
        number: int,
        *,
        is_last: bool = False,
        turned: bool = False,
        up_to: datetime | None = None,
    ) -> CataloguePage:
        """Without what the page before held already, unless it changed since.

        Raises Unavailable where a page was turned and only the last one came again: who ignores
        page numbers would be read for ever.
        """
        found: dict[str, SupplierProduct] = {}
        refused: list[RefusedProduct] = list(page.refused)
        left_out: dict[str, datetime] = {}
        for each in page.listed:
            read = self._read(each)
            if isinstance(read, RefusedProduct):
                refused.append(read)
            elif read.is_preorder and not self._preorders:
                left_out[read.supplier_product_id] = read.updated_at
            else:
                known = found.get(read.supplier_product_id)
                if known is None or known.updated_at <= read.updated_at:
                    found[read.supplier_product_id] = read
        ids = {key: each.updated_at for key, each in found.items()} | left_out
        before, self._before = self._before, ids
        if turned and not is_last and not refused and ids and ids.keys() <= before.keys():
            raise self._unavailable("repeated_page")
        return CataloguePage(
            number=number,
            products=tuple(p for key, p in found.items() if before.get(key) != p.updated_at),
            refused=tuple(refused),
            left_out=tuple(left_out),
            is_last=is_last,
            up_to=up_to,
        )

    async def _page(self, query: Mapping[str, str], window: Window) -> _Page:
        """A page, or its parts where it is too large; one product that is too large is refused."""
        asked = {**query, "page": str(window.page), "limit": str(window.limit)}
        try:
            listed, total = await self._fetch(PATH, asked)
        except Unavailable as error:
            if error.reason != TOO_LARGE:
                raise
            if window.limit > 1:
                return await self._in_parts(query, window)
            too_large = RefusedProduct(supplier_product_id=None, reason="the entry is too large")
            return _Page(window, (), None, (too_large,))
        if len(listed) > window.limit:
            raise self._unavailable("page_too_long")
        return _Page(window, listed, total)

    async def _in_parts(self, query: Mapping[str, str], window: Window) -> _Page:
        listed: list[Json] = []
        refused: tuple[RefusedProduct, ...] = ()
        total: int | None = None
        for part in window.parts():
            page = await self._page(query, part)
            listed += page.listed
            refused += page.refused
            total = page.total if page.total is not None else total
            if page.size < part.limit:
                break
        return _Page(window, listed, total, refused)

    def _unavailable(self, reason: str) -> Unavailable:
        return Unavailable(self._provider, reason)


def second(at: datetime) -> str:
    """`Y-m-dTH:i:sP`; the client writes the plus sign as `%2B`."""
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _number(value: Json) -> Decimal | None:
    number = count(fields(value).get("kinguinId"))
    return None if number is None else Decimal(number)


def _whole_second(at: datetime) -> datetime:
    return at.replace(microsecond=0)
