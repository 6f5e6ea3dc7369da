"""Examples of own stock: keys counted in, listed, corrected, compared and exported."""

from collections.abc import Mapping
from typing import Final

import msgspec

from bitloot_web.api.admin.inventory import Imported, RefusedLine, Stock
from bitloot_web.api.admin.own_keys import (
    Counted,
    CountedLine,
    KeyChange,
    KeyInstead,
    KeyShown,
    LowStockShown,
    NewKeys,
    WhyExport,
)
from bitloot_web.api.admin.stock_items import NewCode
from bitloot_web.api.admin.unit_reports import UnitReportShown
from bitloot_web.api.examples.names import (
    CURSOR,
    ITEM_ID,
    ORDER_ID,
    ORDER_NUMBER,
    PRODUCT_ID,
    moment,
)
from bitloot_web.openapi import Example
from bitloot_web.paging import PageOf

_FILES: Final = {
    "text/plain": "7QK2M-9XWPR-4HJTB\nH4TBX-2MPLK-8RWQ9\n",
    "text/csv": "key,cost\n7QK2M-9XWPR-4HJTC,\nH4TBX-2MPLK-8RWQ8,6.50\n",
}
_KEY_ID: Final = "01890a5d-f0a1-7c2b-8d3e-4f5a6b7c8d9e"
_KEY: Final = KeyShown(
    id=_KEY_ID,
    kind="key",
    preview="••••HJTB",
    sold_for=None,
    profit=None,
    reported_at=None,
    batch="spring",
    cost="7.00",
    state="available",
    expires_at=None,
    order_item_id=None,
    created_at=moment(30),
    version=1,
)
_IMPORTED: Final = Imported(imported=2, refused=(RefusedLine(line=3, outcome="known_already"),))

EXAMPLES: Final[Mapping[str, Example]] = {
    "adminImportKeys": Example(files=_FILES, answered=_IMPORTED),
    "adminImportFile": Example(
        files={"application/octet-stream": "the bytes of the file"},
        answered=Imported(imported=1, refused=()),
    ),
    "adminGetKey": Example(
        answered=msgspec.structs.replace(
            _KEY,
            kind="account",
            preview="player@••••",
            state="sold",
            sold_for="9.99",
            profit="2.99",
            order_item_id=ITEM_ID,
        )
    ),
    "adminGetStock": Example(
        answered=Stock(
            product_id=PRODUCT_ID,
            available=7,
            highest_cost="7.00",
            reserved=1,
            sold=40,
            burned=2,
            expired=0,
            value="49.00",
            sold_for="399.60",
            sold_cost="280.00",
            profit="119.60",
        )
    ),
    "adminListKeys": Example(answered=PageOf(items=(_KEY,), next=CURSOR)),
    "adminAddKeys": Example(
        asked=NewKeys(
            codes_with_pin=(NewCode(code="GIFT-7QK2M-9XWPR", pin="4711"),),
            batch="spring",
            cost="7.00",
        ),
        answered=Imported(imported=1, refused=()),
    ),
    "adminChangeKey": Example(
        asked=KeyChange(reason="The invoice said otherwise.", cost="7.00"), answered=_KEY
    ),
    "adminReplaceStockKey": Example(
        asked=KeyInstead(key="H4TBX-2MPLK-8RWQ9", reason="It was mistyped."),
        answered=Imported(imported=1, refused=()),
    ),
    "adminRecountKeys": Example(
        files=_FILES,
        answered=Counted(
            expected=3,
            found=1,
            missing=(_KEY_ID,),
            surplus=(CountedLine(line=2, outcome="unknown"),),
        ),
    ),
    "adminExportKeys": Example(
        asked=WhyExport(reason="Moved to another shop."),
        answered=f"key,batch,cost,expiresAt,id\r\n7QK2M-9XWPR-4HJTB,spring,7.00,,{_KEY_ID}\r\n",
    ),
    "adminListUnitReports": Example(
        answered=PageOf(
            items=(
                UnitReportShown(
                    key_id=_KEY_ID,
                    order_id=ORDER_ID,
                    order_number=ORDER_NUMBER,
                    item_id=ITEM_ID,
                    product_id=PRODUCT_ID,
                    title="Lantern Keeper: Deluxe Edition",
                    unit=1,
                    supplier="custom",
                    kind="key",
                    key_state="live",
                    reason="already-used",
                    note="It says: redeemed in March.",
                    first_download_at=moment(614),
                    reported_at=moment(620),
                ),
            ),
            next=None,
        )
    ),
    "adminListLowStock": Example(
        answered=PageOf(
            items=(
                LowStockShown(
                    product_id=PRODUCT_ID,
                    slug="lantern-keeper-deluxe",
                    title="Lantern Keeper: Deluxe Edition",
                    source="custom",
                    available=3,
                    low_stock_at=5,
                ),
            ),
            next=None,
        )
    ),
}
