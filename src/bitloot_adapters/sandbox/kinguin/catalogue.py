"""The products on sale: made from a seed when first read, then changed by sales and tests."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec

from bitloot_adapters.sandbox.kinguin import words
from bitloot_adapters.sandbox.kinguin.config import Delivery
from bitloot_adapters.sandbox.kinguin.draw import Draw

FIRST_ID = 20_000
"""The `kinguinId` of the first product; the others follow without gaps."""
EPOCH = datetime(2025, 1, 1, tzinfo=UTC)
PREORDER_RELEASE = date(2031, 3, 14)
WHOLESALE_LEVELS = (10, 50, 100, 500)
"""The least quantity of the price tiers 1 to 4."""


class Offer(msgspec.Struct, frozen=True):
    """One merchant's stock of a product.

    `qty` and `text_qty` are declared; `available_qty` and `available_text_qty` are in stock now.
    `tiers` are the wholesale prices of levels 1 to 4, empty when wholesale is off.
    """

    offer_id: str
    merchant: str
    price: Decimal
    qty: int
    text_qty: int
    available_qty: int
    available_text_qty: int
    tiers: tuple[Decimal, ...] = ()


class Product(msgspec.Struct, frozen=True):
    """What filters, prices and orders need of a product; its texts are made when it is shown."""

    kinguin_id: int
    product_id: str
    kind: str
    name: str
    original_name: str | None
    platform: str
    genres: tuple[str, ...]
    languages: tuple[str, ...]
    tags: tuple[str, ...]
    region_id: int
    release_date: date | None
    is_preorder: bool
    offers: tuple[Offer, ...]
    updated_at: datetime
    delivery: Delivery | None = None

    @property
    def qty(self) -> int:
        return sum(offer.qty for offer in self.cheapest)

    @property
    def text_qty(self) -> int:
        return sum(offer.text_qty for offer in self.cheapest)

    @property
    def total_qty(self) -> int:
        return sum(offer.qty for offer in self.offers)

    @property
    def price(self) -> Decimal:
        return self.cheapest[0].price

    @property
    def cheapest(self) -> tuple[Offer, ...]:
        """The offers at the lowest price among those with stock (among all when none has)."""
        stocked = [offer for offer in self.offers if offer.qty > 0] or list(self.offers)
        lowest = min(offer.price for offer in stocked)
        return tuple(offer for offer in stocked if offer.price == lowest)


class Catalogue:
    """All products by number and by id. Unchanged products are made on demand and kept."""

    def __init__(self, seed: int, size: int) -> None:
        self._seed = seed
        self._size = size
        self._made: dict[int, Product] = {}
        self._mask = Draw("mask", seed).below(1 << 31)

    def __len__(self) -> int:
        return self._size

    def get(self, kinguin_id: int) -> Product | None:
        if not FIRST_ID <= kinguin_id < FIRST_ID + self._size:
            return None
        found = self._made.get(kinguin_id)
        if found is None:
            found = self._made[kinguin_id] = self._make(kinguin_id)
        return found

    def by_product_id(self, product_id: str) -> Product | None:
        """The product of a 24-digit id, which carries its number in disguise."""
        if len(product_id) != 24 or any(c not in "0123456789abcdef" for c in product_id):
            return None
        found = self.get(int(product_id[-8:], 16) ^ self._mask)
        return found if found is not None and found.product_id == product_id else None

    def change(self, product: Product) -> None:
        """Put a changed product in the place of the old one."""
        self._made[product.kinguin_id] = product

    def forget_changes(self) -> None:
        self._made.clear()

    def ids(self) -> range:
        return range(FIRST_ID, FIRST_ID + self._size)

    def updated_at(self, kinguin_id: int) -> datetime:
        """When a product was changed last, without making it."""
        made = self._made.get(kinguin_id)
        return _first_update(kinguin_id) if made is None else made.updated_at

    def among(self, ids: Iterable[int]) -> Iterator[Product]:
        """The products of these numbers, in their order."""
        for kinguin_id in ids:
            product = self.get(kinguin_id)
            if product is not None:
                yield product

    def _make(self, kinguin_id: int) -> Product:
        draw = Draw("product", self._seed, kinguin_id)
        position = kinguin_id - FIRST_ID
        kind = "preorder" if position % 60 == 59 else _kind(draw)
        name, original, platform, genres = _titles(draw, kind)
        region_id, region = draw.pick(words.REGIONS)
        suffix = {"software": "CD Key", "prepaid": f"Gift Card {region.strip()}"}.get(
            kind, f"{platform} CD Key" if not draw.chance(8) else f"{platform} Altergift"
        )
        released = date(2008, 1, 1) + timedelta(days=draw.below(6000))
        if kind == "preorder":
            released = PREORDER_RELEASE + timedelta(days=draw.below(200))
        return Product(
            kinguin_id=kinguin_id,
            product_id=f"5c9b{self._seed & 0xFFFFFFFFFFFF:012x}{kinguin_id ^ self._mask:08x}",
            kind=kind,
            name=f"{name} {suffix}",
            original_name=original,
            platform=platform,
            genres=genres,
            languages=draw.some(words.LANGUAGES, 1, 9) if not draw.chance(6) else (),
            tags=_tags(draw, kind),
            region_id=region_id,
            release_date=released if kind == "preorder" or not draw.chance(10) else None,
            is_preorder=kind == "preorder",
            offers=_offers(draw, self._seed, kinguin_id),
            updated_at=_first_update(kinguin_id),
        )


def _first_update(kinguin_id: int) -> datetime:
    """One product a minute, at an uneven second."""
    return EPOCH + timedelta(minutes=kinguin_id - FIRST_ID, seconds=kinguin_id * 37 % 60)


def _kind(draw: Draw) -> str:
    roll = draw.below(100)
    if roll < 70:
        return "game"
    if roll < 82:
        return "dlc"
    return "software" if roll < 90 else "prepaid"


def _titles(draw: Draw, kind: str) -> tuple[str, str | None, str, tuple[str, ...]]:
    """The name, the base title, the platform and the genres."""
    if kind == "software":
        title = draw.pick(words.SOFTWARE)
        name = f"{title} {2022 + draw.below(5)} ({draw.pick(words.TERMS)})"
        return name, title, draw.pick(words.SOFTWARE_PLATFORMS), ("Software",)
    if kind == "prepaid":
        title = draw.pick(words.PREPAID)
        genre = draw.pick(("Subscription", "PSN Card", "Steam Gift Card", "XBOX LIVE Gold Card"))
        name = f"{title} {draw.pick(words.AMOUNTS)}"
        return name, None, draw.pick(words.PREPAID_PLATFORMS), (genre,)
    title = f"{draw.pick(words.ADJECTIVES)} {draw.pick(words.NOUNS)}{draw.pick(words.SUFFIXES)}"
    edition = (
        f" - {draw.pick(words.EXPANSIONS)} DLC" if kind == "dlc" else draw.pick(words.EDITIONS)
    )
    original = title if not draw.chance(12) else None
    genres = draw.some(words.GAME_GENRES, 1, 4)
    return f"{title}{edition}", original, draw.pick(words.GAME_PLATFORMS), genres


def _tags(draw: Draw, kind: str) -> tuple[str, ...]:
    if kind in {"dlc", "software", "prepaid"}:
        return (kind,)
    if draw.chance(15):
        return ()
    return ("base", "indie valley") if draw.chance(20) else ("base",)


def _offers(draw: Draw, seed: int, kinguin_id: int) -> tuple[Offer, ...]:
    """One to four offers; about one product in 14 is sold out, one in 12 has images only."""
    sold_out = kinguin_id % 14 == 5
    images_only = kinguin_id % 12 == 7
    cents = draw.between(49, 6999)
    offers = []
    for slot, merchant in enumerate(draw.some(words.MERCHANTS, 1, 4)):
        if slot and not draw.chance(15):
            cents += draw.between(1, 250)
        qty = 0 if sold_out else draw.between(3, 400)
        wholesale = kinguin_id % 9 == 4 and slot == 0
        if wholesale and not sold_out:
            qty += 1200
        text = 0 if images_only else qty - (draw.below(qty + 1) // 2 if draw.chance(15) else 0)
        declared_only = draw.chance(8) and not wholesale
        available = draw.below(qty + 1) if declared_only else qty
        offers.append(
            Offer(
                offer_id=f"5f7e{seed & 0xFFFFFFFFFF:010x}{slot:02x}{kinguin_id:08x}",
                merchant=merchant,
                price=Decimal(cents).scaleb(-2),
                qty=qty,
                text_qty=text,
                available_qty=available,
                available_text_qty=min(text, available),
                tiers=_tiers(cents) if wholesale else (),
            )
        )
    return tuple(offers)


def _tiers(cents: int) -> tuple[Decimal, ...]:
    return tuple(Decimal(max(1, cents * percent // 100)).scaleb(-2) for percent in (98, 96, 93, 90))
