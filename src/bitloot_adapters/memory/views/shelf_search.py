"""Finding products by what buyers type, as PostgreSQL does it, word by word."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Self

import msgspec

from bitloot.domain.product import Product, popularity
from bitloot.domain.search_text import (
    READ_AS_MAX,
    TYPED_LENGTHS,
    WORD_LENGTHS,
    is_slip,
    words_of,
)
from bitloot.ports.views.catalog import ACCLAIMED, Reading

_TITLE: Final = 2
_NAMES: Final = 1
_OTHER: Final = 0


class Found(msgspec.Struct, frozen=True):
    """How well each product that is hit has the words, 2 the best, and how they were read."""

    weights: Mapping[str, int]
    readings: tuple[Reading, ...]

    def unweighed(self) -> Self:
        """The same hits, each as good as the other."""
        return msgspec.structs.replace(self, weights=dict.fromkeys(self.weights, _OTHER))


class _Wanted(msgspec.Struct, frozen=True):
    """Words that are as good as each other; the first may be the beginning of one."""

    words: tuple[str, ...]
    is_beginning: bool

    def among(self, words: Iterable[str]) -> bool:
        first, *others = self.words
        return any(
            word == first or word in others or (self.is_beginning and word.startswith(first))
            for word in words
        )


def search(products: Sequence[Product], words: Sequence[str]) -> Found:
    """The products with all of the words, the last at least as a beginning."""
    documents = {product.id: _document(product) for product in products}
    wanted = [_Wanted((word,), word == words[-1]) for word in words]
    exact = _hits(documents, wanted)
    if exact:
        return Found(exact, ())
    titles = frozenset(word for product in products for word in words_of(product.title))
    readings = tuple(
        Reading(word=each.words[0], read_as=near)
        for each in wanted
        if (near := _near(each, titles, documents))
    )
    if not readings:
        return Found({}, ())
    mended = {reading.word: reading.read_as for reading in readings}
    read = [
        _Wanted((*each.words, *mended.get(each.words[0], ())), each.is_beginning) for each in wanted
    ]
    return Found(_hits(documents, read), readings)


def weighed_among_acclaimed(found: Found, products: Iterable[Product], most: int) -> Found:
    """The same hits, weighed only where they are acclaimed: unless `most` is not enough for all of
    those, or slips were mended.
    """
    acclaimed = {
        product.id: found.weights[product.id]
        for product in products
        if product.id in found.weights and popularity(product.metacritic) >= ACCLAIMED
    }
    plain = found.unweighed()
    if found.readings or len(acclaimed) > most:
        return plain
    return msgspec.structs.replace(plain, weights={**plain.weights, **acclaimed})


def _document(product: Product) -> dict[str, int]:
    """Each word of a product with the weight of the best place in which it stands."""
    other = " ".join((product.region or "", *product.genres, *product.tags))
    names = f"{product.original_name or ''} {product.platform or ''}"
    return {
        **dict.fromkeys(words_of(other), _OTHER),
        **dict.fromkeys(words_of(names), _NAMES),
        **dict.fromkeys(words_of(product.title), _TITLE),
    }


def _hits(documents: Mapping[str, Mapping[str, int]], wanted: Sequence[_Wanted]) -> dict[str, int]:
    found: dict[str, int] = {}
    for product_id, document in documents.items():
        for least in (_TITLE, _NAMES, _OTHER):
            words = [word for word, weight in document.items() if weight >= least]
            if all(each.among(words) for each in wanted):
                found[product_id] = least
                break
    return found


def _near(
    wanted: _Wanted, titles: frozenset[str], documents: Mapping[str, Mapping[str, int]]
) -> tuple[str, ...]:
    """The words of titles that a word may have been meant to be; none for a word that is known."""
    typed = wanted.words[0]
    known = frozenset(word for word in titles if len(word) in WORD_LENGTHS)
    if len(typed) not in TYPED_LENGTHS or typed in known:
        return ()
    if any(wanted.among(document) for document in documents.values()):
        return ()
    return tuple(sorted(word for word in known if is_slip(word, typed)))[:READ_AS_MAX]
