"""Pages of a list: a limit and an opaque cursor that only we can have written."""

import base64
import binascii
import hmac
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Annotated, Final, Generic, TypeAlias, TypeVar

import msgspec
from litestar.params import QueryParameter

from bitloot.domain.limits import Limits
from bitloot.ports.views.paging import Page, number_after
from bitloot_web.problems import FieldError, ProblemError
from bitloot_web.shop import Shop

R = TypeVar("R")
S = TypeVar("S")

MAX_CURSOR: Final = 512
_TAG_BYTES: Final = 12

PageLimit: TypeAlias = Annotated[
    int | None, QueryParameter(name="limit", ge=1, le=100, description="Rows a page.")
]
PageCursor: TypeAlias = Annotated[
    str | None,
    QueryParameter(name="cursor", max_length=MAX_CURSOR, description="`next` of the page before."),
]


class PageOf(msgspec.Struct, Generic[R], frozen=True, rename="camel"):
    """One page. `next` is the cursor of the following one, null on the last."""

    items: tuple[R, ...]
    next: str | None


class Cursors:
    """Writes and reads the cursors of one list. `key` signs them, so that none can be made up."""

    def __init__(self, key: bytes, name: str) -> None:
        self._key = key
        self._name = name

    def write(self, after: str) -> str:
        """The cursor of the page that begins after that row."""
        text = after.encode()
        return base64.urlsafe_b64encode(self._tag(text) + text).rstrip(b"=").decode()

    def read(self, cursor: str | None) -> str | None:
        """The row to go on after. Raises ProblemError for a cursor that is not ours."""
        if cursor is None:
            return None
        try:
            padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
            raw = base64.b64decode(padded, altchars=b"-_", validate=True)
            tag, text = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
            if hmac.compare_digest(tag, self._tag(text)):
                return text.decode()
        except (binascii.Error, ValueError):
            pass
        raise refused("cursor", "Give the `next` of the page before, or leave the cursor out.")

    def _tag(self, text: bytes) -> bytes:
        # Keyed BLAKE2 is a code of its own (RFC 7693, section 2.9), and takes a tenth of an HMAC.
        named = f"cursor|{self._name}|".encode() + text
        return blake2b(named, key=self._key, digest_size=_TAG_BYTES).digest()


class Paging:
    """The page of a list that a request asks for: `size` rows at most, that follow the row `after`.

    `name` says which list, with all that narrows it: a cursor is good for the list that gave it.
    Raises ProblemError `invalid-request` above the limit, and for a cursor of another list.
    """

    def __init__(self, shop: Shop, name: str, limit: int | None, cursor: str | None) -> None:
        self._cursors = Cursors(shop.edge.cursor_key, name)
        self._part = shop.limits.page_max if limit is None else limit
        self.size: Final = page_size(limit, shop.limits)
        self.after: Final = self._cursors.read(cursor)

    def page(self, page: Page[S], shape: Callable[[S], R]) -> PageOf[R]:
        """A page as it is answered."""
        return PageOf(tuple(shape(item) for item in page.items), self.next(page))

    def part(self, rows: Sequence[S], shape: Callable[[S], R]) -> PageOf[R]:
        """A page of what is at hand whole, by position: as many rows as may be unless told."""
        start = number_after(self.after) or 0
        end = start + self._part
        part = Page(tuple(rows[start:end]), str(end) if end < len(rows) else None)
        return self.page(part, shape)

    def next(self, page: Page[S]) -> str | None:
        """The cursor of the page after this one."""
        return None if page.after is None else self._cursors.write(page.after)


def page_size(limit: int | None, limits: Limits) -> int:
    """How many rows: as asked, else the default. Raises ProblemError above the limit."""
    if limit is None:
        return min(limits.page_default, limits.page_max)
    if limit > limits.page_max:
        raise refused("limit", f"Ask for 1 to {limits.page_max} rows.")
    return limit


def refused(parameter: str, detail: str) -> ProblemError:
    """A query parameter that cannot be used."""
    return ProblemError("invalid-request", errors=(FieldError(parameter, detail),))
