"""Reading the catalogue from end to end while it changes.

The API has page numbers and no marks to go on from, so whatever goes into or out of the part that
was read already moves the rest.

- A full read goes by `kinguinId`. New products come at the end. Products that leave move others up
  a page unseen, which the number of all products tells: then the pages before are read once more.
- An incremental read goes by the time of the last change and never turns a page where it need not:
  it asks for what changed since the last change that it saw. What changes meanwhile moves behind
  the reader's mark, nothing moves before it.

`withText=yes` is never sent: a product whose last text key was sold would be missing then, and
could not be told from one that was not read.

Source: Kinguin eCommerce API documentation, product v1, "Search".
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

import msgspec

from bitloot.ports.errors import Unavailable
from bitloot.ports.supplier import CataloguePage, RefusedProduct, SupplierProduct
from bitloot_adapters.kinguin.values import Json, fields, moment

PATH: Final = "/v1/products"
PAGE: Final = 100
MAX_PAGES: Final = 10_000
# More elements than this are no page, whatever the answer says.
MAX_LISTED: Final = 1_000
# Pages that are read once more when products left; more than that cannot be made good.
MAX_STEPS_BACK: Final = 20
# What changed while the last page was read, and clocks that differ, are asked for again.
OVERLAP: Final = timedelta(minutes=5)
TOO_LARGE: Final = "answer_too_large"
# A page that is more than an answer may be is read in parts, down to one product.
PART: Final = 10

Listed: TypeAlias = tuple[Sequence[Json], int | None]
Fetch: TypeAlias = Callable[[str, Mapping[str, str]], Awaitable[Listed]]
Read: TypeAlias = Callable[[Json], SupplierProduct | RefusedProduct]


class _Page(msgspec.Struct, frozen=True):
    """One answer: what it lists, and how many there are in all."""

    listed: Sequence[Json]
    total: int | None
    refused: tuple[RefusedProduct, ...] = ()

    @property
    def size(self) -> int:
        return len(self.listed) + len(self.refused)


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
        query = {"sortBy": "kingiunId", "sortType": "asc"}
        known: int | None = None
        if first_page > 1:
            page = await self._page(query, first_page - 1)
            known = page.total
            yield self._cleaned(page, first_page - 1)
        seen = (first_page - 1) * PAGE
        for number in range(first_page, MAX_PAGES + 1):
            page = await self._page(query, number)
            async for again in self._moved_up(query, number, known, page.total):
                yield again
            known = page.total
            seen += page.size
            is_last = self._is_last(page, number, seen)
            yield self._cleaned(page, number, is_last=is_last, turned=number > 1)
            if is_last:
                return
        raise self._unavailable("too_many_pages")

    async def changes(self, since: datetime, first_page: int) -> AsyncIterator[CataloguePage]:
        """What changed since then, oldest first; the pages are numbered from `first_page` on."""
        mark = _whole_second(since - OVERLAP)
        turned, seen = 1, 0
        up_to: datetime | None = since
        for number in range(first_page, first_page + MAX_PAGES):
            query = {"sortBy": "updatedAt", "sortType": "asc", "updatedSince": second(mark)}
            page = await self._page(query, turned)
            seen += page.size
            is_last = self._is_last(page, turned, seen)
            times = [moment(fields(each).get("updatedAt")) for each in page.listed]
            told = [each for each in times if each is not None]
            is_sorted = told == sorted(told)
            up_to = (max(up_to, *told) if told else up_to) if is_sorted and up_to else None
            yield self._cleaned(page, number, is_last=is_last, turned=turned > 1, up_to=up_to)
            if is_last:
                return
            newest = _whole_second(told[-1]) if told and is_sorted else mark
            if newest > mark:
                mark, turned, seen = newest, 1, 0
            else:
                turned += 1
        raise self._unavailable("too_many_pages")

    async def _moved_up(
        self, query: Mapping[str, str], number: int, known: int | None, total: int | None
    ) -> AsyncIterator[CataloguePage]:
        """The pages that products may have moved up to, when there are fewer than there were."""
        left = 0 if known is None or total is None else known - total
        steps = min(-(-left // PAGE), number - 1)
        if steps > MAX_STEPS_BACK:
            raise self._unavailable("catalogue_shrank")
        for earlier in range(number - steps, number):
            yield self._cleaned(await self._page(query, earlier), earlier)

    def _is_last(self, page: _Page, number: int, seen: int) -> bool:
        """Raises Unavailable where the answer is empty although there should be more.

        Not finding a product here sets its stock to 0, so the end must be certain: a short page
        alone is none when the number of matches says otherwise.
        """
        if page.size == 0:
            if page.total is not None and (number - 1) * PAGE < page.total and seen < page.total:
                raise self._unavailable("incomplete_answer")
            return True
        if page.total is None:
            return page.size < PAGE
        return seen == page.total or (page.size < PAGE and seen > page.total)

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
        left_out: dict[str, None] = {}
        for each in page.listed:
            read = self._read(each)
            if isinstance(read, RefusedProduct):
                refused.append(read)
            elif read.is_preorder and not self._preorders:
                left_out[read.supplier_product_id] = None
            else:
                known = found.get(read.supplier_product_id)
                if known is None or known.updated_at <= read.updated_at:
                    found[read.supplier_product_id] = read
        ids = {key: each.updated_at for key, each in found.items()}
        before, self._before = self._before, ids
        if turned and not is_last and page.size >= PAGE and ids and ids == before:
            raise self._unavailable("repeated_page")
        return CataloguePage(
            number=number,
            products=tuple(p for key, p in found.items() if before.get(key) != p.updated_at),
            refused=tuple(refused),
            left_out=tuple(left_out),
            is_last=is_last,
            up_to=up_to,
        )

    async def _page(self, query: Mapping[str, str], number: int) -> _Page:
        return await self._part(query, number, PAGE)

    async def _part(self, query: Mapping[str, str], number: int, limit: int) -> _Page:
        """A page, or its parts where it is too large; one product that is too large is refused."""
        asked = {**query, "page": str(number), "limit": str(limit)}
        try:
            listed, total = await self._fetch(PATH, asked)
        except Unavailable as error:
            if error.reason != TOO_LARGE:
                raise
            if limit > 1:
                return await self._in_parts(query, number, limit // PART)
            too_large = RefusedProduct(supplier_product_id=None, reason="the entry is too large")
            return _Page((), None, (too_large,))
        if len(listed) > MAX_LISTED:
            raise self._unavailable("page_too_long")
        return _Page(listed, total)

    async def _in_parts(self, query: Mapping[str, str], number: int, limit: int) -> _Page:
        listed: list[Json] = []
        refused: tuple[RefusedProduct, ...] = ()
        total: int | None = None
        for part in range((number - 1) * PART + 1, number * PART + 1):
            page = await self._part(query, part, limit)
            listed += page.listed
            refused += page.refused
            total = page.total if page.total is not None else total
            if page.size < limit:
                break
        return _Page(listed, total, refused)

    def _unavailable(self, reason: str) -> Unavailable:
        return Unavailable(self._provider, reason)


def second(at: datetime) -> str:
    """`Y-m-dTH:i:sP`; the client writes the plus sign as `%2B`."""
    return at.astimezone(UTC).isoformat(timespec="seconds")


def _whole_second(at: datetime) -> datetime:
    return at.replace(microsecond=0)
