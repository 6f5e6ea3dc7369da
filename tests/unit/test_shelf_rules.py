"""How many media and members there may be, what touching a supplier's media means, and order."""

from datetime import UTC, datetime

import msgspec
import pytest

from bitloot.domain import category_change, group_change, media_change
from bitloot.domain.category import Category
from bitloot.domain.decision import Decision
from bitloot.domain.errors import Refused
from bitloot.domain.group_change import MOST_MEMBERS
from bitloot.domain.media_change import MOST_MEDIA, NewMedia
from bitloot.domain.product import Product
from bitloot.domain.product_group import GroupMember, ProductGroup
from bitloot.domain.product_media import ProductMedia

AT = datetime(2026, 3, 1, tzinfo=UTC)
PRODUCT = Product(
    id="p1", version=3, slug="p", title="P", source="kinguin", created_at=AT, updated_at=AT
)
GROUP = ProductGroup(id="g1", version=5, slug="g", title="G", created_at=AT, updated_at=AT)
CATEGORY = Category(id="c1", version=2, slug="c", title="C", created_at=AT, updated_at=AT)


def picture(place: int, *, source: str = "kinguin") -> ProductMedia:
    return ProductMedia(
        id=f"m{place}",
        version=1,
        product_id=PRODUCT.id,
        kind="image",
        url=f"https://pictures.example/{place}.png",
        position=place,
        source=source,
    )


def member(place: int) -> GroupMember:
    return GroupMember(
        id=f"g{place}", version=1, group_id=GROUP.id, product_id=f"p{place}", position=place
    )


def added(known: int) -> Decision:
    wanted = NewMedia(kind="image", url="https://pictures.example/new.png")
    return media_change.added(
        PRODUCT,
        [picture(n) for n in range(known)],
        wanted,
        media_id="new",
        actor="ada",
        at=AT,
    )


def joined(known: int, *, product: str = "new") -> Decision:
    fresh = GroupMember(id="new", group_id=GROUP.id, product_id=product, position=9, label="X")
    return group_change.joined(
        GROUP,
        [member(n) for n in range(known)],
        fresh,
        expected_version=GROUP.version,
        actor="ada",
        at=AT,
    )


def pinned(decision: Decision) -> tuple[str, ...]:
    """What the product keeps to itself after the decision."""
    products = [each.after for each in decision.save if isinstance(each.after, Product)]
    return products[-1].pinned if products else PRODUCT.pinned


def test_a_product_has_so_many_media_and_not_one_more() -> None:
    assert added(MOST_MEDIA - 1).save
    with pytest.raises(Refused, match="invalid-input"):
        added(MOST_MEDIA)


def test_a_group_has_so_many_products_and_not_one_more() -> None:
    assert joined(MOST_MEMBERS - 1).save
    with pytest.raises(Refused, match="invalid-input"):
        joined(MOST_MEMBERS)


def test_a_member_of_a_full_group_may_still_move() -> None:
    move, group = joined(MOST_MEMBERS, product="p7").save
    assert isinstance(move.after, GroupMember)
    assert (move.after.id, move.after.position, move.after.label) == ("g7", 9, "X")
    assert move.before is not None
    assert group.after.version == GROUP.version + 1


@pytest.mark.parametrize("source", ["kinguin", "custom"])
def test_a_suppliers_picture_that_a_person_touched_is_the_persons(source: str) -> None:
    row = picture(1, source=source)
    other = picture(2, source=source)
    changed = media_change.changed(
        PRODUCT, row, {"alt": "New"}, expected_version=1, actor="ada", at=AT
    )
    removed = media_change.removed(PRODUCT, row, expected_version=1, actor="ada", at=AT)
    ordered = media_change.ordered(
        PRODUCT, [row, other], ["m2", "m1"], expected_version=3, actor="ada", at=AT
    )
    kept = ("media",) if source == "kinguin" else ()
    assert [pinned(each) for each in (changed, removed, ordered)] == [kept] * 3


def test_an_order_of_media_is_another_version_of_the_product() -> None:
    rows = [picture(1, source="custom"), picture(2, source="custom")]
    ordered = media_change.ordered(
        PRODUCT, rows, ["m2", "m1"], expected_version=3, actor="ada", at=AT
    )
    (product,) = (each.after for each in ordered.save if isinstance(each.after, Product))
    assert product.version == PRODUCT.version + 1
    same = media_change.ordered(PRODUCT, rows, ["m1", "m2"], expected_version=3, actor="ada", at=AT)
    assert same.save == ()


def test_products_follow_where_the_words_or_the_place_of_a_category_change() -> None:
    def jobs(**fields: object) -> list[str]:
        decision = category_change.changed(CATEGORY, fields, expected_version=2, actor="ada", at=AT)
        return [each.kind for each in decision.jobs]

    assert jobs(genres=("Action",)) == jobs(position=7) == ["shelve_products"]
    assert jobs(title="Else") == jobs(is_shown=False) == jobs(genres=()) == []
    fresh = msgspec.structs.replace(CATEGORY, version=0)
    assert [j.kind for j in category_change.added(fresh, actor="ada", at=AT).jobs] == [
        "shelve_products"
    ]
