"""Examples of the assortment: products, their media, their prices, and the rules of pricing."""

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from bitloot.domain.product import SystemRequirements
from bitloot_web.api.admin.pricing_rules import (
    AppliedShown,
    DraftRule,
    NewRule,
    RuleChange,
    RuleShown,
)
from bitloot_web.api.admin.product_media import (
    MediaChange,
    MediaList,
    MediaNew,
    MediaOrder,
    MediaShown,
)
from bitloot_web.api.admin.product_prices import (
    Explained,
    OfferShown,
    PriceShown,
    RepriceAsked,
    RepriceShown,
    TriedRule,
)
from bitloot_web.api.admin.products import (
    BulkAnswer,
    BulkChange,
    BulkOutcome,
    NewProduct,
    ProductChange,
    ProductDetail,
    ProductRow,
)
from bitloot_web.api.examples.names import (
    COVER,
    CURSOR,
    OFFER_ID,
    PRODUCT_ID,
    PRODUCT_UUID,
    SLUG,
    TITLE,
    moment,
)
from bitloot_web.openapi import Example
from bitloot_web.paging import PageOf

_RULE_ID: Final = "01890a5e-4e5f-7a6b-8c7d-8e9f0a1b2c3d"
_RULE: Final = RuleShown(
    id=_RULE_ID,
    version=1,
    scope="category",
    subject="action",
    kind="margin",
    value="0.25",
    cap="59.99",
    rounding="99",
    priority=10,
    is_enabled=True,
    loss_signed_by=None,
    created_at=moment(50),
    updated_at=moment(50),
)
_NEW_RULE: Final = NewRule(
    scope="global", kind="margin", value="0.25", cap="59.99", rounding="99", priority=10
)
_EFFECTS: Final = (
    f'{{"productId":"{PRODUCT_ID}","slug":"{SLUG}","title":"{TITLE}","oldPrice":"12.50",'
    '"newPrice":"12.99","floor":"8.09","decidedBy":"rule","isLossSigned":false,"applied":true}\n'
    '{"done":true,"products":1,"changes":1}\n'
)
_MEDIA_ID: Final = "01890a5e-5f6a-7b7c-8d8e-9f0a1b2c3d4e"
_MEDIA: Final = MediaShown(
    id=_MEDIA_ID,
    kind="screenshot",
    url="https://images.supplier.example/lantern/1.jpg",
    thumbnail_url="https://images.supplier.example/lantern/1s.jpg",
    alt="The lighthouse at night",
    position=0,
    source="custom",
    version=1,
)
_PRICE: Final = PriceShown(
    id="01890a5e-6a7b-7c8d-8e9f-0a1b2c3d4e5f",
    at=moment(60, 8),
    reason="sync",
    price="12.50",
    previous="12.99",
    floor="8.09",
    cost="8.00",
    gateway_fee="0.01",
    offer_row_id=OFFER_ID,
    rule_id=_RULE_ID,
)
_ROW: Final = ProductRow(
    id=PRODUCT_ID,
    slug=SLUG,
    title=TITLE,
    source="kinguin",
    supplier_product_id="5c9b5f6b2539a4e8f172916a",
    category="action",
    platform="Steam",
    region="Europe",
    is_published=True,
    is_listed=True,
    is_available=True,
    price="12.50",
    floor="8.09",
    is_loss_signed=False,
    pinned=("title",),
    version=3,
    updated_at=moment(60, 8),
)
DETAIL: Final = ProductDetail(
    summary=_ROW,
    original_name="Lantern Keeper",
    description="A lighthouse, a storm, and a light that must not go out.",
    genres=("Action",),
    tags=("base",),
    languages=("English", "German"),
    developers=("Nordlys Interactive",),
    publishers=("Lantern & Sons",),
    age_rating="PEGI 12",
    metacritic="81",
    steam_app="1234560",
    system_requirements=(SystemRequirements(system="Windows", requirements=("64 bit",)),),
    excluded_countries=("RU",),
    is_preorder=False,
    release_date="2026-01-31",
    instructions="Open the launcher, choose Redeem, and enter the key.",
    cover_url=COVER,
    low_stock_at=5,
    hides_when_sold_out=False,
    supplier_updated_at=moment(58),
    created_at=moment(0),
)
_WORK: Final = RepriceShown(pending=1, failed=0, oldest=moment(61))

EXAMPLES: Final[Mapping[str, Example]] = {
    "adminListRules": Example(answered=PageOf(items=(_RULE,), next=CURSOR)),
    "adminCreateRule": Example(asked=_NEW_RULE, answered=_RULE),
    "adminGetRule": Example(answered=_RULE),
    "adminChangeRule": Example(asked=RuleChange(value="0.25", priority=10), answered=_RULE),
    "adminSimulateRule": Example(
        asked=DraftRule(rule=_NEW_RULE, only_changes=True), answered=_EFFECTS
    ),
    "adminListMedia": Example(answered=PageOf(items=(_MEDIA,), next=None)),
    "adminAddMedia": Example(
        asked=MediaNew(
            kind="screenshot",
            url=_MEDIA.url,
            thumbnail_url=_MEDIA.thumbnail_url,
            alt=_MEDIA.alt,
        ),
        answered=_MEDIA,
    ),
    "adminChangeMedia": Example(asked=MediaChange(alt=_MEDIA.alt), answered=_MEDIA),
    "adminOrderMedia": Example(
        asked=MediaOrder(ids=(UUID(_MEDIA_ID),)), answered=MediaList((_MEDIA,))
    ),
    "adminListOffers": Example(
        answered=PageOf(
            items=(
                OfferShown(
                    id=OFFER_ID,
                    supplier="kinguin",
                    supplier_product_id="5c9b5f6b2539a4e8f172916a",
                    offer_id="5f7efeb89d54bd0001c7b6e2",
                    cost="8.00",
                    stock=50,
                    held=1,
                    updated_at=moment(60, 8),
                ),
            ),
            next=None,
        )
    ),
    "adminJoinOffer": Example(answered=DETAIL),
    "adminListPrices": Example(answered=PageOf(items=(_PRICE,), next=CURSOR)),
    "adminExplainPrice": Example(
        answered=Explained(
            record=_PRICE,
            rule=AppliedShown(
                id=_RULE_ID,
                version=1,
                scope="category",
                subject="action",
                kind="margin",
                value="0.25",
                cap="59.99",
                rounding="99",
                priority=10,
                loss_signed_by=None,
            ),
            tried=(TriedRule(rule_id=_RULE_ID, outcome="applied"),),
            raw="12.11",
            rounded="12.50",
            capped="12.50",
            floor="8.09",
            price="12.50",
            decided_by="rule",
            is_loss_signed=False,
            agrees=True,
        )
    ),
    "adminRepriceProduct": Example(answered=_WORK),
    "adminReprice": Example(asked=RepriceAsked(product_id=PRODUCT_UUID), answered=_WORK),
    "adminGetRepriceStatus": Example(answered=_WORK),
    "adminListProducts": Example(answered=PageOf(items=(_ROW,), next=CURSOR)),
    "adminCreateProduct": Example(
        asked=NewProduct(
            slug="lantern-keeper-deluxe",
            title="Lantern Keeper: Deluxe Edition",
            price="14.99",
            platform="PC",
            description="A quiet adventure about light, tides and old machines.",
            low_stock_at=5,
            is_published=True,
        ),
        answered=DETAIL,
    ),
    "adminGetProduct": Example(answered=DETAIL),
    "adminChangeProduct": Example(
        asked=ProductChange(title="Lantern Keeper", unpin=("description",)), answered=DETAIL
    ),
    "adminPublishProduct": Example(answered=DETAIL),
    "adminUnpublishProduct": Example(answered=DETAIL),
    "adminBulkProducts": Example(
        asked=BulkChange(action="publish", ids=(PRODUCT_UUID,)),
        answered=BulkAnswer((BulkOutcome(PRODUCT_ID, "done"),)),
    ),
}
