"""The suite of searches that hit more than a store sorts: by which of them words are told apart."""

from collections.abc import Sequence
from decimal import Decimal

from bitloot.ports.views.catalog import Fences, ShelfQuery
from bitloot.testing.catalog_views import Told, on_sale, pages
from bitloot.testing.contract import Contract
from bitloot.testing.view_rig import ViewsRig

# Rigs collect so many to sort them.
FENCES_OF_RIG = Fences(candidates=4, hits=5)


async def quests(rig: ViewsRig, critics: str, count: int, *, stock: int = 5) -> list[str]:
    """Products equally popular, newest first: every other has the word `quest` in its title, those
    after them in a genre.
    """
    slugs = [f"{'genre' if n % 2 else 'title'}-{critics}-{n}" for n in range(count)]
    for slug in slugs:
        told: Told = {"platform": "Steam", "metacritic": Decimal(critics)}
        where: Told = {"genres": ("Quest",)} if "genre" in slug else {"title": "Quest"}
        await on_sale(rig, slug, stock=stock, **(told | where))
    return slugs[::-1]


def by_words(slugs: Sequence[str]) -> list[str]:
    """Those first that have the word in their titles."""
    return sorted(slugs, key=lambda slug: "genre" in slug)


class ManyHitsContract(Contract):
    """The order is the same however long a page is, and nothing is shown twice or left out."""

    async def test_of_many_hits_only_the_acclaimed_are_sorted_by_their_words(
        self, rig: ViewsRig
    ) -> None:
        others, acclaimed = await quests(rig, "84.99", 4), await quests(rig, "85", 4)
        query = ShelfQuery(text="quest")
        for limit in range(1, 10):
            assert await pages(rig, query, limit=limit) == [*by_words(acclaimed), *others]

    async def test_of_many_acclaimed_none_are_sorted_by_their_words(self, rig: ViewsRig) -> None:
        others, acclaimed = await quests(rig, "70", 2), await quests(rig, "90", 6)
        for limit in range(1, 10):
            slugs = await pages(rig, ShelfQuery(text="quest"), limit=limit)
            assert slugs == [*acclaimed, *others]

    async def test_few_hits_are_sorted_by_their_words_wherever_the_acclaimed_end(
        self, rig: ViewsRig
    ) -> None:
        others, acclaimed = await quests(rig, "70", 2), await quests(rig, "90", 3)
        for limit in range(1, 7):
            slugs = await pages(rig, ShelfQuery(text="quest"), limit=limit)
            assert slugs == [*by_words(acclaimed), *by_words(others)]

    async def test_acclaimed_products_that_are_gone_make_room_for_others(
        self, rig: ViewsRig
    ) -> None:
        others, _ = await quests(rig, "70", 4), await quests(rig, "90", 3, stock=0)
        acclaimed = await quests(rig, "95", 2)
        for limit in range(1, 8):
            slugs = await pages(rig, ShelfQuery(text="quest", in_stock=True), limit=limit)
            assert slugs == [*by_words(acclaimed), *others]

    async def test_many_hits_are_sorted_by_their_words_where_few_pass_the_filters(
        self, rig: ViewsRig
    ) -> None:
        acclaimed = await quests(rig, "90", 4)
        query = ShelfQuery(text="quest", platform="Steam")
        for number in range(2):
            await on_sale(rig, f"gog-{number}", title="Quest", platform="GOG")
        assert await pages(rig, query) == by_words(acclaimed)
        more = await quests(rig, "70", 1)
        assert await pages(rig, query) == [*acclaimed, *more]

    async def test_many_hits_of_a_mended_word_are_not_sorted_by_it(self, rig: ViewsRig) -> None:
        others, acclaimed = await quests(rig, "70", 4), await quests(rig, "90", 4)
        assert await pages(rig, ShelfQuery(text="quesst"), limit=3) == [*acclaimed, *others]
