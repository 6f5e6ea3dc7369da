"""Categories: how the shop sorts its goods, apart from the words that suppliers have for them."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final

from bitloot.domain.decision import Row

# So many categories are made from words of suppliers; what comes later stays without one.
CATEGORIES_MADE: Final = 200
SLUG_LENGTH: Final = 60


class Category(Row, frozen=True, kw_only=True):
    """A shelf of the shop. `genres` are the words of suppliers that belong on it.

    `position` orders the shelves; one that is not shown still holds its products. One with a
    `home_position` is a section of the home page, too, the lowest first.
    """

    slug: str
    title: str
    position: int = 0
    home_position: int | None = None
    genres: tuple[str, ...] = ()
    is_shown: bool = True
    created_at: datetime
    updated_at: datetime


def genre_key(genre: str) -> str:
    """The form in which words of suppliers are compared."""
    return " ".join(genre.casefold().split())


def genre_slug(genre: str) -> str | None:
    """The slug of a category made from a supplier's word, None where nothing is left of it."""
    plain = unicodedata.normalize("NFKD", genre).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "-", plain)[:SLUG_LENGTH].strip("-") or None


def shelves(categories: Iterable[Category]) -> dict[str, str]:
    """The slug of the category of each word, the first on the list where two claim one."""
    ordered = sorted(categories, key=lambda each: (each.position, each.slug), reverse=True)
    return {genre_key(genre): each.slug for each in ordered for genre in each.genres}


def shelf_of(genres: Sequence[str], known: Mapping[str, str]) -> str | None:
    """The category of a product: that of the first of its genres that has one."""
    found = (known.get(genre_key(genre)) for genre in genres)
    return next((slug for slug in found if slug is not None), None)
