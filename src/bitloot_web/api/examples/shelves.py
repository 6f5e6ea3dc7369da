"""Examples of how the shop is sorted and of how suppliers are read."""

from collections.abc import Mapping
from typing import Final

from bitloot_web.api.admin.catalogue_syncs import (
    Found,
    FoundShown,
    RefusalShown,
    RunShown,
    RunsNow,
    SyncWanted,
)
from bitloot_web.api.admin.shelves import (
    CategoryChange,
    CategoryNew,
    CategoryShown,
    GroupChange,
    GroupDetail,
    GroupNew,
    GroupRow,
    Joining,
    MemberShown,
)
from bitloot_web.api.examples.assortment import DETAIL
from bitloot_web.api.examples.names import COVER, CURSOR, PRODUCT_ID, PRODUCT_UUID, TITLE, moment
from bitloot_web.openapi import Example
from bitloot_web.paging import PageOf

_SYNC_ID: Final = "01890a5e-0a1b-7c2d-8e3f-4a5b6c7d8e9f"
_CATEGORY: Final = CategoryShown(
    id="01890a5e-1b2c-7d3e-8f4a-5b6c7d8e9f0a",
    slug="action",
    title="Action",
    position=10,
    home_position=1,
    genres=("Action", "Shooter"),
    is_shown=True,
    version=1,
    updated_at=moment(40),
)
_ROW: Final = GroupRow(
    id="01890a5e-2c3d-7e4f-8a5b-6c7d8e9f0a1b",
    slug="lantern-keeper",
    title="Lantern Keeper",
    description="All editions.",
    cover_url=COVER,
    is_shown=True,
    version=1,
    updated_at=moment(41),
)
_GROUP: Final = GroupDetail(
    summary=_ROW,
    members=(MemberShown(product_id=PRODUCT_ID, position=0, label="Standard"),),
)
_RUN: Final = RunShown(
    id=_SYNC_ID,
    supplier="kinguin",
    kind="incremental",
    state="running",
    next_page=4,
    updated_since=moment(0),
    started_at=moment(60),
    ended_at=None,
    pages=3,
    products=300,
    refused=1,
    products_new=2,
    products_changed=41,
    offers_new=2,
    offers_changed=188,
    prices_changed=173,
    retired=0,
    last_error=None,
    confirmed_by=None,
)

EXAMPLES: Final[Mapping[str, Example]] = {
    "adminListCategories": Example(answered=PageOf(items=(_CATEGORY,), next=None)),
    "adminCreateCategory": Example(
        asked=CategoryNew(slug="action", title="Action", position=10, genres=("Action", "Shooter")),
        answered=_CATEGORY,
    ),
    "adminGetCategory": Example(answered=_CATEGORY),
    "adminChangeCategory": Example(
        asked=CategoryChange(genres=("Action", "Shooter")), answered=_CATEGORY
    ),
    "adminListGroups": Example(answered=PageOf(items=(_ROW,), next=CURSOR)),
    "adminCreateGroup": Example(
        asked=GroupNew(
            slug="lantern-keeper",
            title="Lantern Keeper",
            description="All editions.",
            cover_url=COVER,
        ),
        answered=GroupDetail(summary=_ROW, members=()),
    ),
    "adminGetGroup": Example(answered=_GROUP),
    "adminChangeGroup": Example(asked=GroupChange(is_shown=True), answered=_GROUP),
    "adminJoinGroup": Example(
        asked=Joining(product_id=PRODUCT_UUID, label="Standard"), answered=_GROUP
    ),
    "adminStartSync": Example(
        asked=SyncWanted(supplier="kinguin", kind="incremental"), answered=_RUN
    ),
    "adminGetSyncStatus": Example(answered=RunsNow((_RUN,))),
    "adminListSyncs": Example(answered=PageOf(items=(_RUN,), next=CURSOR)),
    "adminListSyncRefusals": Example(
        answered=PageOf(
            items=(
                RefusalShown(
                    id="01890a5e-3d4e-7f5a-8b6c-7d8e9f0a1b2c",
                    page=3,
                    supplier_product_id="5c9b5f6b2539a4e8f172916a",
                    reason="price: Expected a number, got str",
                    at=moment(60, 9),
                ),
            ),
            next=None,
        )
    ),
    "adminSearchSupplier": Example(
        answered=Found(
            (
                FoundShown(
                    supplier_product_id="5c9b5f6b2539a4e8f172916a",
                    title=TITLE,
                    platform="Steam",
                    region="Europe",
                    cost="8.00",
                    stock=50,
                    is_preorder=False,
                    updated_at=moment(20),
                ),
            )
        )
    ),
    "adminImportProduct": Example(answered=DETAIL),
}
