"""How the desk shows and sorts goods over HTTP: media, categories, groups."""

from typing import TYPE_CHECKING

import pytest
from tests.contract.http.goods_desk import BAD_ADDRESSES, asked, said, shelved

from bitloot.domain.category import Category
from bitloot.domain.decision import Decision, insert
from bitloot.domain.product_media import ProductMedia

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage

PICTURE = {"kind": "image", "url": "https://pictures.example/moon.png", "alt": "The moon"}

# --- media -----------------------------------------------------------------------------------


async def test_media_are_added_described_ordered_and_taken_away(stage: "Stage") -> None:
    path = f"/products/{stage.own_product}/media"
    first = (await asked(stage, "POST", path, PICTURE)).json()
    film = {"kind": "video", "url": "http://films.example/watch?v=1"}
    second = (await asked(stage, "POST", path, film)).json()
    assert (first["position"], second["position"], first["source"]) == (1, 2, "custom")
    half = {"alt": "Half a moon"}
    changed = await asked(stage, "PATCH", f"{path}/{first['id']}", half, version=1)
    assert (changed.json()["alt"], changed.headers["etag"]) == ("Half a moon", '"2"')
    places = {"ids": [second["id"], first["id"]]}
    turned = await asked(stage, "PUT", f"{path}/order", places, version=1)
    assert [each["id"] for each in turned.json()["media"]] == [second["id"], first["id"]]
    for wrong in ([first["id"]], [first["id"]] * 2, [first["id"], stage.near.new_id()]):
        answer = await asked(stage, "PUT", f"{path}/order", {"ids": wrong}, version=2)
        assert said(answer) == (422, "invalid-input")
    gone = await asked(stage, "DELETE", f"{path}/{second['id']}", version=2)
    assert gone.status_code == 204
    left = (await asked(stage, "GET", path)).json()["items"]
    assert [each["id"] for each in left] == [first["id"]]
    assert said(await asked(stage, "POST", path, PICTURE)) == (422, "invalid-input")
    row = (await asked(stage, "GET", f"/products/{stage.own_product}")).json()["summary"]
    assert row["pinned"] == []


async def test_a_suppliers_media_are_a_persons_once_touched(stage: "Stage") -> None:
    media = ProductMedia(
        id=stage.near.new_id(),
        product_id=stage.bought_product,
        kind="image",
        url="https://supplier.example/cover.png",
        position=1,
        source="kinguin",
    )
    async with stage.near.uow.begin() as tx:
        await tx.record(Decision(save=(insert(media),)))
    product = f"/products/{stage.bought_product}"
    await asked(stage, "POST", f"{product}/media", PICTURE)
    assert (await asked(stage, "GET", product)).json()["summary"]["pinned"] == []
    await asked(stage, "DELETE", f"{product}/media/{media.id}", version=1)
    assert (await asked(stage, "GET", product)).json()["summary"]["pinned"] == ["media"]


@pytest.mark.parametrize("address", BAD_ADDRESSES)
async def test_an_address_that_no_browser_should_be_sent_to_is_refused(
    stage: "Stage", address: str
) -> None:
    path = f"/products/{stage.own_product}/media"
    for body in (
        {"kind": "image", "url": address},
        {**PICTURE, "thumbnailUrl": address},
    ):
        assert said(await asked(stage, "POST", path, body)) == (422, "invalid-input")
    assert stage.store.rows(ProductMedia) == []


# --- categories and groups -------------------------------------------------------------------


async def test_categories_are_made_changed_and_taken_away_when_nothing_names_them(
    stage: "Stage",
) -> None:
    shelf = await shelved(stage, "space", genres=["Sci-fi"], position=2)
    await shelved(stage, "sea", position=1)
    listed = (await asked(stage, "GET", "/categories")).json()["items"]
    assert [each["slug"] for each in listed] == ["sea", "space"]
    path = f"/categories/{shelf}"
    words = {"genres": ["Sci-fi", "4X"], "isShown": False}
    changed = await asked(stage, "PATCH", path, words, version=1)
    assert (changed.json()["genres"], changed.json()["isShown"]) == (["Sci-fi", "4X"], False)
    again = await asked(stage, "POST", "/categories", {"slug": "space", "title": "Again"})
    assert said(again) == (422, "invalid-input")
    rule = {"scope": "category", "subject": "space", "kind": "fixed", "value": "1"}
    made = (await asked(stage, "POST", "/rules", rule)).json()
    assert said(await asked(stage, "DELETE", path, version=2)) == (409, "in-use")
    await asked(stage, "DELETE", f"/rules/{made['id']}", version=1)
    assert (await asked(stage, "DELETE", path, version=2)).status_code == 204
    assert [row.slug for row in stage.store.rows(Category)] == ["sea"]


async def test_the_desk_puts_categories_on_the_home_page_in_its_order(stage: "Stage") -> None:
    async def sections() -> list[str]:
        answer = await stage.client.get("/v1/catalog/categories?homepage=true")
        return [each["slug"] for each in answer.json()["items"]]

    sea = await shelved(stage, "sea", position=1, homePosition=2)
    await shelved(stage, "space", position=2, homePosition=1)
    await shelved(stage, "city", position=0)
    assert await sections() == ["space", "sea"]
    await asked(stage, "PATCH", f"/categories/{sea}", {"homePosition": 0}, version=1)
    assert await sections() == ["sea", "space"]
    gone = await asked(stage, "PATCH", f"/categories/{sea}", {"homePosition": None}, version=2)
    assert gone.json()["homePosition"] is None
    assert await sections() == ["space"]
    bad = await asked(stage, "POST", "/categories", {"slug": "x", "title": "X", "homePosition": -1})
    assert said(bad) == (422, "invalid-input")


async def test_a_group_holds_products_in_order(stage: "Stage") -> None:
    body = {"slug": "editions", "title": "Editions", "coverUrl": "https://pictures.example/e.png"}
    made = (await asked(stage, "POST", "/groups", body)).json()
    path = f"/groups/{made['summary']['id']}"
    first, second = stage.own_product, stage.bought_product
    await asked(stage, "POST", f"{path}/products", {"productId": first, "position": 1}, version=1)
    joined = {"productId": second, "position": 2, "label": "Deluxe"}
    await asked(stage, "POST", f"{path}/products", joined, version=2)
    moved = await asked(stage, "POST", f"{path}/products", {**joined, "position": 0}, version=3)
    members = [(each["productId"], each["label"]) for each in moved.json()["members"]]
    assert members == [(second, "Deluxe"), (first, "")]
    unknown = {"productId": stage.near.new_id()}
    nobody = await asked(stage, "POST", f"{path}/products", unknown, version=4)
    assert said(nobody) == (422, "invalid-input")
    changed = await asked(stage, "PATCH", path, {"title": "All", "coverUrl": None}, version=4)
    assert (changed.json()["summary"]["title"], changed.json()["summary"]["coverUrl"]) == (
        "All",
        None,
    )
    gone = f"{path}/products/{first}"
    assert (await asked(stage, "DELETE", gone, version=5)).status_code == 204
    assert said(await asked(stage, "DELETE", gone, version=6)) == (404, "not-found")
    assert said(await asked(stage, "POST", "/groups", body)) == (422, "invalid-input")
    assert (await asked(stage, "DELETE", path, version=6)).status_code == 204
    assert said(await asked(stage, "GET", path)) == (404, "not-found")
    wrong = {**body, "slug": "other", "coverUrl": "data:text/html,x"}
    assert said(await asked(stage, "POST", "/groups", wrong)) == (422, "invalid-input")


# --- only by who saw it as it is ---------------------------------------------------------------


async def written(stage: "Stage") -> dict[str, tuple[str, str, object]]:
    """Each write of what is sorted and shown: method, path and body. All versions are 1."""
    category = f"/categories/{await shelved(stage, 'space')}"
    made = (await asked(stage, "POST", "/groups", {"slug": "all", "title": "All"})).json()
    group = f"/groups/{made['summary']['id']}"
    media = f"/products/{stage.own_product}/media"
    picture = (await asked(stage, "POST", media, PICTURE)).json()["id"]
    return {
        "a category is changed": ("PATCH", category, {"title": "Else"}),
        "a category is removed": ("DELETE", category, None),
        "a group is changed": ("PATCH", group, {"title": "Else"}),
        "a group is removed": ("DELETE", group, None),
        "a product joins": ("POST", f"{group}/products", {"productId": stage.own_product}),
        "a product leaves": ("DELETE", f"{group}/products/{stage.own_product}", None),
        "media are described": ("PATCH", f"{media}/{picture}", {"alt": "Else"}),
        "media are removed": ("DELETE", f"{media}/{picture}", None),
        "media are ordered": ("PUT", f"{media}/order", {"ids": [picture]}),
    }


WRITES = (
    "a category is changed",
    "a category is removed",
    "a group is changed",
    "a group is removed",
    "a product joins",
    "a product leaves",
    "media are described",
    "media are removed",
    "media are ordered",
)


@pytest.mark.parametrize("name", WRITES)
async def test_it_is_only_changed_by_who_saw_it_as_it_is(stage: "Stage", name: str) -> None:
    writes = await written(stage)
    assert set(writes) == set(WRITES)
    method, path, body = writes[name]
    if name == "a product leaves":
        joining = {"productId": stage.own_product}
        await asked(stage, "POST", path.rpartition("/")[0], joining, version=1)
    before = len(stage.store.audit.lines)
    blind = await asked(stage, method, path, body)
    assert said(blind) == (428, "precondition-required")
    late = await asked(stage, method, path, body, version=7)
    assert said(late) == (412, "version-conflict")
    assert len(stage.store.audit.lines) == before


async def test_what_is_read_tells_the_version_to_write_with(stage: "Stage") -> None:
    category = f"/categories/{await shelved(stage, 'space')}"
    made = await asked(stage, "POST", "/groups", {"slug": "all", "title": "All"})
    group = f"/groups/{made.json()['summary']['id']}"
    for path in (category, group):
        changed = await asked(stage, "PATCH", path, {"title": "Else"}, version=1)
        assert changed.headers["etag"] == '"2"'
        assert (await asked(stage, "GET", path)).headers["etag"] == '"2"'


async def test_words_of_a_category_have_its_products_put_there(stage: "Stage") -> None:
    def asks() -> int:
        return sum(job.kind == "shelve_products" for job in stage.store.jobs.all())

    shelf = f"/categories/{await shelved(stage, 'space', genres=['Sci-fi'])}"
    assert asks() == 1
    await stage.work()
    await asked(stage, "PATCH", shelf, {"title": "Outer space"}, version=1)
    assert asks() == 1
    await asked(stage, "PATCH", shelf, {"genres": ["4X"]}, version=2)
    assert asks() == 2
