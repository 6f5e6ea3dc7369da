"""A catalogue of any size out of a seed: for tests and benchmarks of what a shop does with it.

The same seed, size and history give the same products in every process, each made when it is
asked for and kept by nobody. Titles are made of some twenty thousand words, few of them common
and most of them rare.
"""

import hashlib
import struct
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import product
from typing import Final, Literal, TypeAlias

import msgspec

from bitloot.ports.supplier_catalogue import SupplierMedia, SupplierProduct, SystemRequirements

EpochKind: TypeAlias = Literal["prices", "texts", "vanish", "return", "nothing"]

FIRST_DAY: Final = datetime(2026, 1, 1, tzinfo=UTC)
WORDS: Final = 20_000
SENTENCES: Final = 1_024
PLATFORMS: Final = (
    "Steam", "EA App", "Epic Games", "GOG COM", "Xbox One", "Xbox Series X|S", "PS4", "PS5",
    "Nintendo", "Ubisoft Connect", "Battle.net", "Rockstar Games", "PC", "Mac",
)  # fmt: skip
REGIONS: Final = (
    "Region free", "Europe", "United States", "Other", "Outside Europe", "RU VPN", "United Kingdom",
    "ROW", "Latin America", "Asia", "Germany", "Australia", "Brazil", "India", "Japan",
    "North America", "Argentina", "Turkey",
)  # fmt: skip
GENRES: Final = (
    "Action", "Adventure", "Anime", "Casual", "Co-op", "FPS", "Fighting", "Hidden Object", "Horror",
    "Indie", "MMO", "Open World", "Platformer", "Puzzle", "RPG", "Racing", "Simulation", "Software",
    "Sport", "Story rich", "Strategy", "Subscription", "Survival", "VR Games", "Visual Novel",
)  # fmt: skip
LANGUAGES: Final = ("English", "German", "French", "Spanish", "Polish", "Japanese", "Čeština")
STUDIOS: Final = ("Nordlys Interactive", "Łódź Pixel Works", "Ocho Bits S.L.", "Lantern & Sons")
EDITIONS: Final = ("", "", "", "", " Deluxe Edition", " Gold Edition", " GOTY", " DLC")
COUNTRIES: Final = ("RU", "BY", "CN", "TR", "AR", "BR", "IN", "VN", "DE", "JP")
_ONSETS: Final = ("b", "br", "c", "d", "f", "g", "gr", "h", "k", "l", "m", "n", "p", "r", "s", "st")
_VOWELS: Final = ("a", "e", "i", "o", "u", "y", "ae", "ia", "é")
_CODAS: Final = ("", "l", "n", "r", "s", "th")
_MASK: Final = (1 << 64) - 1
_NUMBERS: Final = struct.Struct(">16I")
_SYSTEMS: Final = tuple(
    (SystemRequirements(system="Windows", requirements=("64 bit", f"Memory: {size} GB RAM")),)
    for size in range(4, 33)
)


class Epoch(msgspec.Struct, frozen=True):
    """What happened to `share` of the products, from 0 to 1, on one day after the first."""

    kind: EpochKind
    share: float = 1.0


def vocabulary(count: int = WORDS) -> tuple[str, ...]:
    """Words that can be spoken, of four letters or more, in a mixed order; every one once."""
    syllables = ["".join(each) for each in product(_ONSETS, _VOWELS, _CODAS)]
    every = len(syllables)
    made: dict[str, None] = {}
    number = 0
    while len(made) < count:
        drawn = _mixed(number)
        length = 2 + (drawn >> 60) % 2
        word = "".join(syllables[(drawn >> 12 * n) % every] for n in range(length))
        if len(word) > 3:
            made[word.capitalize()] = None
        number += 1
    return tuple(made)


class InventedCatalogue:
    """`size` products by their place, 0 for the oldest."""

    def __init__(self, seed: int, size: int, *, words: int = WORDS) -> None:
        self.seed = seed
        self.size = size
        self._words = vocabulary(words)
        self._sentences = [
            " ".join(self._words[each % words].lower() for each in _draws(seed, n, 1, 1)) + "."
            for n in range(SENTENCES)
        ]

    def id_of(self, place: int) -> str:
        """24 hexadecimal digits, in order of age."""
        return f"{place + 1:016x}{_mixed(self.seed) & 0xFFFFFFFF:08x}"

    def place_of(self, supplier_product_id: str) -> int | None:
        """The place of an id, None where it is nobody's."""
        try:
            place = int(supplier_product_id[:16], 16) - 1
        except ValueError:
            return None
        is_known = 0 <= place < self.size and self.id_of(place) == supplier_product_id
        return place if is_known else None

    def product(self, place: int, epochs: Sequence[Epoch] = ()) -> SupplierProduct | None:
        """The product after these epochs, None while it is gone."""
        prices = texts = changed = 0
        is_there = True
        for day, epoch in enumerate(epochs, 1):
            if epoch.kind == "nothing" or not self._is_touched(place, day, epoch.share):
                continue
            if epoch.kind in {"vanish", "return"}:
                is_there, changed = epoch.kind == "return", day
            elif epoch.kind == "prices":
                prices, changed = day, day
            else:
                texts, changed = day, day
        return self._made(place, prices, texts, changed) if is_there else None

    def _is_touched(self, place: int, day: int, share: float) -> bool:
        return _mixed(self.seed * 31 + day * 1_000_003 + place) % 1_000_000 < share * 1_000_000

    def _made(self, place: int, prices: int, texts: int, changed: int) -> SupplierProduct:
        drawn = _draws(self.seed, place)
        cents, stock, *_ = _draws(self.seed, place, prices, 0) if prices else drawn[-2:]
        identity = self.id_of(place)
        number, style, genre = drawn[0], drawn[1], drawn[2]
        title = self._title(drawn[3:8])
        platform, region = _skewed(drawn[8], PLATFORMS), _skewed(drawn[9], REGIONS)
        is_game = style % 10 < 8
        stem = f"https://images.supplier.example/{identity}"
        cover = SupplierMedia(kind="image", url=f"{stem}/cover.jpg", thumbnail_url=f"{stem}/s.jpg")
        return SupplierProduct(
            supplier_product_id=identity,
            title=f"{title}{EDITIONS[style % len(EDITIONS)]} {platform} CD Key",
            description=self._description(title, texts, drawn[10:13]),
            platform=platform,
            region=region,
            excluded_countries=COUNTRIES[: number % 4],
            is_preorder=False,
            release_date=f"{2005 + number % 21}-{1 + number % 12:02d}-{1 + number % 28:02d}",
            instructions=f"Open {platform}, choose Redeem, and enter the key.",
            cover_url=cover.url,
            offer_id=f"offer{identity}",
            price=Decimal(49 + cents % 5_950).scaleb(-2),
            stock=0 if place % 14 == 5 else stock % 400,
            wholesale=(),
            updated_at=FIRST_DAY + timedelta(days=changed, milliseconds=place * 10),
            original_name=title if is_game else None,
            genres=tuple(dict.fromkeys(GENRES[(genre >> n) % len(GENRES)] for n in (0, 8, 16))),
            tags=("base",) if is_game else ("software",),
            languages=LANGUAGES[: 1 + style % len(LANGUAGES)],
            developers=(STUDIOS[number % len(STUDIOS)],),
            publishers=(STUDIOS[style % len(STUDIOS)],),
            age_rating=("PEGI 3", "PEGI 12", "PEGI 18", None)[number % 4],
            metacritic=Decimal(41 + number % 57) if is_game and number % 3 else None,
            steam_app=str(200_000 + place * 10) if platform == "Steam" else None,
            system_requirements=_SYSTEMS[number % len(_SYSTEMS)],
            media=(cover, *_screenshots(stem, style % 4)),
        )

    def _title(self, drawn: Sequence[int]) -> str:
        """One to four words; the lower a word's number, the more titles have it."""
        words = drawn[1 : 2 + drawn[0] % 4]
        ranks = dict.fromkeys(_rank(each, len(self._words)) for each in words)
        return " ".join(self._words[rank] for rank in ranks)

    def _description(self, title: str, version: int, drawn: Sequence[int]) -> str:
        told = " ".join(self._sentences[each % SENTENCES] for each in drawn)
        return f"{title} is a game. {told}\n\nVersion {version + 1}."


def _screenshots(stem: str, count: int) -> Iterator[SupplierMedia]:
    for n in range(count):
        yield SupplierMedia(kind="screenshot", url=f"{stem}/{n}.jpg")


def _rank(drawn: int, count: int) -> int:
    """Low ranks come often: the lowest is one draw in twelve of twenty thousand."""
    share = drawn / 2**32
    return int(count * share**4)


def _skewed(drawn: int, choices: tuple[str, ...]) -> str:
    share = drawn / 2**32
    return choices[int(len(choices) * share * share)]


def _draws(*name: int) -> tuple[int, ...]:
    """Sixteen numbers below 2**32 that belong to this name."""
    return _NUMBERS.unpack(hashlib.blake2b(repr(name).encode()).digest())


def _mixed(number: int) -> int:
    """The finaliser of SplitMix64: neighbours become strangers (Steele, Lea, Flood 2014)."""
    mixed = (number + 0x9E3779B97F4A7C15) & _MASK
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & _MASK
    return mixed ^ (mixed >> 31)
