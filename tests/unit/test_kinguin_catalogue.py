"""Products of the supplier become products of the shop: cleaned, priced, and sellable or not."""

import json
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitloot.domain.product import WholesaleTier
from bitloot.ports.supplier import RefusedProduct, SupplierProduct
from bitloot_adapters.kinguin import catalogue
from bitloot_adapters.kinguin.catalogue import KeyType
from bitloot_adapters.kinguin.plain_text import line, prose
from bitloot_adapters.kinguin.values import Json, parse

PLAIN: dict[str, object] = {
    "kinguinId": 20417,
    "productId": "5c9b5f6b2539a4e8f1000001",
    "name": "  Café\u2122 \n Noir  ",
    "price": 5.5,
    "qty": 12,
    "textQty": 10,
    "isPreorder": False,
    "updatedAt": "2026-03-02T10:00:00+00:00",
}
OFFER: dict[str, object] = {"offerId": "of1", "price": 5.5, "qty": 9, "availableTextQty": 3}


def product(
    changes: dict[str, object], key_type: KeyType = "text"
) -> SupplierProduct | RefusedProduct:
    body = parse(json.dumps(PLAIN | changes).encode())
    return catalogue.product(body, key_type=key_type, preorders=True)


def read(key_type: KeyType = "text", **changes: object) -> SupplierProduct:
    found = product(changes, key_type)
    assert isinstance(found, SupplierProduct), found
    return found


def stock(key_type: KeyType = "text", **offer: object) -> int:
    return read(key_type, offers=[{"offerId": "of1", "price": 5.5, **offer}]).stock


def test_a_product_with_nothing_but_its_required_fields_is_sold() -> None:
    found = read()
    assert (found.title, found.price, found.stock) == ("Café\u2122 Noir", Decimal("5.5"), 10)
    assert (found.description, found.cover_url, found.instructions) == ("", None, None)


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"productId": None}, "productId is missing"),
        ({"productId": "a/b"}, "productId is no id"),
        ({"productId": ["5c9b"]}, "productId is no id"),
        ({"name": None}, "name is missing"),
        ({"name": " \x00 "}, "name is no text"),
        ({"name": 5}, "name is no text"),
        ({"price": None}, "price is missing"),
        ({"price": "free"}, "price is no amount above zero"),
        ({"price": 0}, "price is no amount above zero"),
        ({"price": -1}, "price is no amount above zero"),
        ({"price": [5.5]}, "price is no amount above zero"),
        ({"updatedAt": "yesterday"}, "updatedAt is no time"),
        ({"updatedAt": 1_772_445_600}, "updatedAt is no time"),
        ({"qty": "many"}, "qty is no count"),
        ({"qty": [9]}, "qty is no count"),
        ({"qty": True}, "qty is no count"),
        ({"isPreorder": "perhaps"}, "isPreorder is no yes or no"),
        ({"isPreorder": {}}, "isPreorder is no yes or no"),
        ({"countryLimitation": "DE,AT"}, "countryLimitation is no list"),
        ({"countryLimitation": {"DE": True}}, "countryLimitation is no list"),
        ({"countryLimitation": False}, "countryLimitation is no list"),
    ],
)
def test_a_product_that_cannot_be_told_apart_priced_or_counted_is_refused_with_the_field(
    broken: dict[str, object], reason: str
) -> None:
    known = PLAIN["productId"] if "productId" not in broken else None
    assert product(broken) == RefusedProduct(
        supplier_product_id=None if known is None else str(known), reason=reason
    )


@pytest.mark.parametrize("entry", [b"null", b'"odd"', b"[]", b"5"])
def test_an_entry_that_is_no_object_is_refused(entry: bytes) -> None:
    read_entry = catalogue.product(parse(entry), key_type="text", preorders=True)
    assert read_entry == RefusedProduct(supplier_product_id=None, reason="the entry is no object")


@pytest.mark.parametrize(
    "field",
    [
        "description",
        "platform",
        "regionalLimitations",
        "releaseDate",
        "activationDetails",
        "images",
        "offers",
        "cheapestOfferId",
        "textQty",
        "originalName",
        "genres",
        "tags",
        "languages",
        "developers",
        "publishers",
        "ageRating",
        "metacriticScore",
        "steam",
        "systemRequirements",
        "videos",
    ],
)
@pytest.mark.parametrize("odd", [5, "text", True, [5, None], {"url": [1]}, [{"a": {}}], None])
def test_an_optional_field_of_any_type_spoils_nothing(field: str, odd: object) -> None:
    assert isinstance(product({field: odd}), SupplierProduct)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=6,
    ),
    st.sampled_from(
        [*PLAIN, "offers", "images", "videos", "genres", "systemRequirements", "steam"]
    ),
)
def test_no_value_of_any_field_raises(odd: object, field: str) -> None:
    product({field: odd})


def test_a_product_whose_keys_are_all_images_has_no_stock_where_text_is_bought() -> None:
    assert read(textQty=0).stock == 0
    assert read("any", textQty=0).stock == 12
    assert stock(qty=9, textQty=0) == 0
    assert stock(qty=9, availableQty=9, availableTextQty=0) == 0


def test_what_is_in_stock_now_counts_before_what_was_declared() -> None:
    assert stock(qty=9, availableQty=5, textQty=8, availableTextQty=3) == 3
    assert stock("any", qty=9, availableQty=5, textQty=8, availableTextQty=3) == 5
    assert stock(qty=9, availableQty=5, textQty=8) == 5
    assert stock(qty=9, textQty=8) == 8
    assert stock(qty=9) == 9
    assert stock(qty=9, availableQty=-2) == 0


def test_the_cheapest_offer_that_can_be_had_makes_the_price() -> None:
    found = read(
        price=1.0,
        offers=[
            OFFER | {"offerId": "sold", "price": 1.0, "availableTextQty": 0},
            OFFER | {"offerId": "dear", "price": 7.25},
            OFFER | {"offerId": "good", "price": "6.10"},
            OFFER | {"offerId": "free", "price": 0},
            OFFER | {"offerId": None, "price": 2},
            "nonsense",
        ],
    )
    assert (found.offer_id, found.price, found.stock) == ("good", Decimal("6.10"), 3)


def test_a_product_without_anything_to_sell_keeps_its_price() -> None:
    found = read(offers=[OFFER | {"availableTextQty": 0}], cheapestOfferId=["of1"])
    assert (found.offer_id, found.price, found.stock) == ("of1", Decimal("5.5"), 0)


@pytest.mark.parametrize("offers", [None, [], {}])
def test_an_account_that_is_shown_no_offers_buys_at_the_price_of_the_product(
    offers: object,
) -> None:
    found = read(offers=offers, cheapestOfferId=["of1"])
    assert (found.offer_id, found.price, found.stock) == ("of1", Decimal("5.5"), 10)


def test_without_offers_only_a_single_cheapest_one_is_named() -> None:
    assert read(cheapestOfferId=["of1"]).offer_id == "of1"
    assert read(cheapestOfferId=["of1", "of2"]).offer_id == ""


def test_wholesale_levels_are_units_and_unknown_levels_are_none() -> None:
    tiers = [{"level": level, "price": 5 - level / 10} for level in (4, 3, 2, 1, 5, 0)]
    found = read(offers=[OFFER | {"wholesale": {"enabled": True, "tiers": [*tiers, "x"]}}])
    assert found.wholesale == (
        WholesaleTier(10, Decimal("4.9")),
        WholesaleTier(50, Decimal("4.8")),
        WholesaleTier(100, Decimal("4.7")),
        WholesaleTier(500, Decimal("4.6")),
    )
    closed = read(offers=[OFFER | {"wholesale": {"enabled": False, "tiers": tiers}}])
    assert closed.wholesale == ()


def test_a_preorder_counts_what_is_declared_and_is_offered_only_where_it_may_be() -> None:
    body: Json = parse(
        json.dumps(
            PLAIN
            | {"isPreorder": True, "offers": [{"offerId": "o", "price": 5, "qty": 4, "textQty": 0}]}
        ).encode()
    )
    allowed = catalogue.offers(body, key_type="text", preorders=True)
    assert [(each.stock, each.is_preorder) for each in allowed] == [(4, True)]
    assert catalogue.offers(body, key_type="text", preorders=False) == ()


@pytest.mark.parametrize(
    ("images", "url"),
    [
        ({"cover": {"url": "https://i.example/c.jpg"}}, "https://i.example/c.jpg"),
        ({"cover": [{"url": "http://i.example/c.jpg"}]}, "http://i.example/c.jpg"),
        (
            {"cover": {"url": "javascript:alert(1)", "thumbnail": "https://i.example/t"}},
            "https://i.example/t",
        ),
        ({"cover": {"url": "data:image/png;base64,AAAA"}}, None),
        ({"cover": {"url": "//i.example/c.jpg"}}, None),
        ({"cover": {"url": 'https://i.example/" onload=x'}}, None),
        ({"cover": {"url": "https://user@i.example/c"}}, None),
        ({"cover": {"url": "https://[::1"}}, None),
        ({"cover": {"url": "https://i.example/" + "x" * 3000}}, None),
        ({"screenshots": [{"url": "https://i.example/1"}]}, "https://i.example/1"),
        ([], None),
    ],
)
def test_a_cover_is_a_web_address_or_none(images: object, url: str | None) -> None:
    assert read(images=images).cover_url == url


def test_names_countries_and_days_are_tidied() -> None:
    found = read(
        regionalLimitations="  Region free ",
        platform=" PC&nbsp;Steam\r\n",
        countryLimitation=["de", "AT ", "DE", "Germany", 5, None],
        releaseDate="2026-02-30",
        activationDetails="Step 1\r\n\r\n\r\n\r\nStep 2\rStep 3",
    )
    assert (found.region, found.platform) == ("Region free", "PC Steam")
    assert found.excluded_countries == ("DE", "AT")
    assert found.release_date is None
    assert found.instructions == "Step 1\n\nStep 2\nStep 3"


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("Aurora\u2122 &amp; &quot;Noir&quot; &#39;x&#39;", "Aurora\u2122 & \"Noir\" 'x'"),
        ("<p>One</p><p>Two<br>Three</p>", "One\n\nTwo\nThree"),
        ("<ul><li>a</li><li>b</li></ul>", "- a\n- b"),
        ("a<script>alert(1)</script>b", "ab"),
        ("a<style>p{}</style>b<svg><text>x</text></svg>c", "abc"),
        ("&lt;script&gt;alert(1)&lt;/script&gt;safe", "safe"),
        ("&amp;lt;img src=x onerror=alert(1)&amp;gt;safe", "safe"),
        ("<img src=x onerror=alert(1)>safe", "safe"),
        ("2 < 3 and 4 > 3, I <3 it", "2 < 3 and 4 > 3, I <3 it"),
        ("<scr<script>ipt>alert(1)</script>", None),
        ("one\r\ntwo\rthree\x00\x07\u202e", "one\ntwo\nthree"),
        ("", ""),
    ],
)
def test_descriptions_become_plain_text(html: str, text: str | None) -> None:
    read_text = prose(html, 1000)
    assert text is None or read_text == text
    assert "<script" not in read_text.lower()


@given(st.text(max_size=200))
def test_no_text_leaves_the_start_of_a_tag_or_a_control_character(text: str) -> None:
    for source in (text, f"<{text}", f"&lt;{text}>", f"<a {text}"):
        found = prose(source, 100)
        assert len(found) <= 100
        assert not any(f"<{c}" in found for c in "abcxyzABCXYZ/!?")
        assert all(c == "\n" or c >= " " for c in found)
        assert "\n" not in line(source, 50)
