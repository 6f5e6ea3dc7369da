"""What a product is, beside its price: names, scores, requirements, pictures and films."""

import json
from decimal import Decimal

import pytest

from bitloot.ports.supplier import SupplierMedia, SupplierProduct, SystemRequirements
from bitloot_adapters.kinguin import catalogue
from bitloot_adapters.kinguin.catalogue import KeyType
from bitloot_adapters.kinguin.product_facts import MAX_LABELS, MAX_SCREENSHOTS, MAX_VIDEOS
from bitloot_adapters.kinguin.values import parse

CDN = "https://i.example"


def read(key_type: KeyType = "text", **changes: object) -> SupplierProduct:
    body = {
        "kinguinId": 20417,
        "productId": "5c9b5f6b2539a4e8f1000001",
        "name": "Silent Harbour Steam CD Key",
        "price": 5.5,
        "qty": 12,
        "isPreorder": False,
        "updatedAt": "2026-03-02T10:00:00+00:00",
    } | changes
    found = catalogue.product(parse(json.dumps(body).encode()), key_type=key_type, preorders=False)
    assert isinstance(found, SupplierProduct), found
    return found


def test_names_are_trimmed_and_each_comes_once_in_its_first_spelling() -> None:
    found = read(
        originalName=" Silent&nbsp;Harbour ",
        genres=["RPG", " rpg", "", 5, None, ["x"], "Point &amp; click\r\n"],
        tags=["dlc"],
        languages=["Čeština", "English"],
        developers=["Łódź\u202e Pixel Works"],
        publishers="Nordlys",
        ageRating=" PEGI 12 ",
    )
    assert found.original_name == "Silent Harbour"
    assert found.genres == ("RPG", "Point & click")
    assert (found.tags, found.languages) == (("dlc",), ("Čeština", "English"))
    assert (found.developers, found.publishers) == (("Łódź Pixel Works",), ())
    assert found.age_rating == "PEGI 12"


def test_lists_and_texts_have_their_most() -> None:
    found = read(
        genres=[f"genre {n}" for n in range(999)],
        tags=["x" * 5_000],
        images={"screenshots": [{"url": f"{CDN}/{n}"} for n in range(999)]},
        videos=[{"video_id": f"{n:011d}"} for n in range(999)],
        systemRequirements=[
            {"system": f"system {n}", "requirement": ["y" * 5_000, *map(str, range(99))]}
            for n in range(99)
        ],
    )
    assert len(found.genres) == MAX_LABELS
    assert [len(each) for each in found.tags] == [100]
    kinds = [each.kind for each in found.media]
    assert (kinds.count("screenshot"), kinds.count("video")) == (MAX_SCREENSHOTS, MAX_VIDEOS)
    assert len(found.system_requirements) == 10
    for system in found.system_requirements:
        assert len(system.requirements) == 40
        assert max(map(len, system.requirements)) == 300


@pytest.mark.parametrize(
    ("score", "kept"),
    [
        (87, Decimal(87)),
        (87.456, Decimal("87.46")),
        ("91.5", Decimal("91.5")),
        (100, Decimal(100)),
        (0, None),
        (0.001, None),
        (-1, None),
        (100.01, None),
        (1e300, None),
        ("tbd", None),
        (True, None),
    ],
)
def test_a_score_is_a_share_of_a_hundred(score: object, kept: Decimal | None) -> None:
    found = read(metacriticScore=score).metacritic
    assert found == kept
    assert found is None or int(found.as_tuple().exponent) >= -2


@pytest.mark.parametrize(
    ("steam", "kept"),
    [
        ("440", "440"),
        (440, "440"),
        (" 440 ", "440"),
        ("0", None),
        ("-1", None),
        ("12345678901", None),
        ("app/440", None),
        (4.5, None),
    ],
)
def test_a_steam_app_is_a_number_as_text(steam: object, kept: str | None) -> None:
    assert read(steam=steam).steam_app == kept


def test_requirements_are_plain_lines_by_system() -> None:
    found = read(
        systemRequirements=[
            {"system": " Windows ", "requirement": ["OS: 10 (64-bit) ", "<b>RAM</b>: 8&nbsp;GB"]},
            {"system": "Windows", "requirement": ["again"]},
            {"system": "Mac", "requirement": "one line"},
            {"system": "Linux", "requirement": ["<script>alert(1)</script>", 5, None]},
            {"system": 5, "requirement": ["x"]},
            "odd",
        ]
    ).system_requirements
    assert found == (
        SystemRequirements(system="Windows", requirements=("OS: 10 (64-bit)", "RAM: 8 GB")),
        SystemRequirements(system="Mac", requirements=("one line",)),
    )


@pytest.mark.parametrize("as_array", [False, True])
def test_media_are_the_cover_then_screenshots_then_films(as_array: bool) -> None:
    cover = {"url": f"{CDN}/c.jpg", "thumbnail": f"{CDN}/c_t.jpg"}
    found = read(
        images={
            "screenshots": [
                {"url": f"{CDN}/1.jpg", "thumbnail": "javascript:alert(1)"},
                {"url": "ftp://i.example/2.jpg", "thumbnail": "http://i.example/2_t.jpg"},
                {"url": f"{CDN}/c.jpg"},
                {"url": "data:image/png;base64,AA"},
                "odd",
            ],
            "cover": [cover] if as_array else cover,
        },
        videos=[{"video_id": "dQw4w9WgXcQ"}, {"video_id": "dQw4w9WgXcQ"}],
    )
    assert found.media == (
        SupplierMedia(kind="image", url=f"{CDN}/c.jpg", thumbnail_url=f"{CDN}/c_t.jpg"),
        SupplierMedia(kind="screenshot", url=f"{CDN}/1.jpg"),
        SupplierMedia(kind="screenshot", url="http://i.example/2_t.jpg"),
        SupplierMedia(kind="video", url="https://www.youtube.com/watch?v=dQw4w9WgXcQ"),
    )
    assert found.cover_url == f"{CDN}/c.jpg"


@pytest.mark.parametrize(
    "video_id",
    ["", "short", "twelve_chars", "dQw4w9Wg/cQ", "dQw4w9Wg&cQ", "dQw4w9Wgéc", 12345678901, None],
)
def test_a_film_without_a_checked_id_is_none(video_id: object) -> None:
    assert read(videos=[{"video_id": video_id}, video_id, {"id": "dQw4w9WgXcQ"}]).media == ()


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        "file:///etc/passwd",
        "//i.example/c.jpg",
        "https://user:password@i.example/c.jpg",
        "https://",
        "https://i.example/\x00",
        'https://i.example/"onerror=x',
        5,
    ],
)
def test_an_address_of_another_scheme_is_no_picture(url: object) -> None:
    found = read(images={"cover": {"url": url}, "screenshots": [{"url": url, "thumbnail": url}]})
    assert (found.media, found.cover_url) == ((), None)


# --- text keys and images ------------------------------------------------------------------------


def test_a_product_says_whether_it_has_text_keys() -> None:
    images = {"offerId": "i", "price": 1, "qty": 9, "textQty": 0, "availableTextQty": 0}
    texts = {"offerId": "t", "price": 7, "qty": 9, "textQty": 9, "availableTextQty": 2}
    assert read().has_text
    assert read(qty=0, textQty=0).has_text
    assert read(textQty=1).has_text
    assert read(textQty=0, offers=[images, texts]).has_text
    assert not read(textQty=0).has_text
    assert not read("any", textQty=0).has_text
    assert not read(textQty=0, offers=[images]).has_text


def test_the_price_is_that_of_the_cheapest_text_key_and_never_of_an_image() -> None:
    images = {"offerId": "i", "price": 1, "qty": 9, "textQty": 0, "availableTextQty": 0}
    texts = {"offerId": "t", "price": 7, "qty": 9, "textQty": 9, "availableTextQty": 2}
    dearer = texts | {"offerId": "d", "price": 8}
    found = read(price=1, offers=[images, dearer, texts])
    assert (found.price, found.stock, found.offer_id) == (Decimal(7), 2, "t")
    sold_out = [images, dearer | {"availableTextQty": 0}, texts | {"availableTextQty": 0}]
    found = read(price=1, offers=sold_out)
    assert (found.price, found.stock) == (Decimal(7), 0)
    assert read("any", price=1, offers=sold_out).price == Decimal(1)
    assert read(price=1, textQty=0, offers=[images]).stock == 0


def test_a_preorder_has_no_stock_where_preorders_are_not_sold() -> None:
    found = read(isPreorder=True, qty=40)
    assert (found.is_preorder, found.stock) == (True, 0)
