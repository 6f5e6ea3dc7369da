"""Examples of what a buyer is handed: deliveries, links, the key file, the receipt."""

from collections.abc import Mapping
from typing import Final

from bitloot_web.api.deliveries import (
    Deliveries,
    Delivery,
    Receipt,
    ReceiptLine,
    ReportedUnit,
    RevealedLink,
    UnitComplaint,
)
from bitloot_web.api.downloads import DownloadedKeys, FileKey, FileProof, FileReceipt
from bitloot_web.api.examples.names import (
    EMAIL,
    ITEM_ID,
    ORDER_ID,
    ORDER_NUMBER,
    TITLE,
    TX,
    moment,
)
from bitloot_web.openapi import Example

_DIGEST: Final = "1f3e5c7a9b1d3f5e7c9a0b2d4f6e8a1c3e5f7b9d0c2e4a6f8b1d9f2c4e6a8b0d"

EXAMPLES: Final[Mapping[str, Example]] = {
    "listDeliveries": Example(
        answered=Deliveries(
            (
                Delivery(
                    item_id=ITEM_ID,
                    item_no=1,
                    title=TITLE,
                    quantity=1,
                    delivered=1,
                    state="delivered",
                    is_revealable=True,
                    downloads=1,
                    first_download_at=moment(614),
                    last_download_at=moment(614),
                ),
            )
        )
    ),
    "revealItem": Example(
        answered=RevealedLink(
            url="https://shop.example/v1/downloads/AZiQpdDh-signed-link",
            expires_at=moment(628),
            instructions="Open the launcher, choose Redeem, and enter the key.",
        )
    ),
    "reportUnit": Example(
        asked=UnitComplaint(reason="already-used", note="It says: redeemed in March."),
        answered=ReportedUnit(reported_at=moment(620)),
    ),
    "downloadUnit": Example(answered="7QK2M-9XWPR-4HJTB"),
    "getReceipt": Example(
        answered=Receipt(
            order_id=ORDER_ID,
            number=ORDER_NUMBER,
            status="fulfilled",
            email=EMAIL,
            country="PT",
            created_at=moment(600),
            paid_at=moment(611),
            lines=(
                ReceiptLine(item_no=1, title=TITLE, quantity=1, unit_price="12.50", total="12.50"),
            ),
            total="12.50",
            currency="EUR",
            paid_over=None,
            refunded=None,
            gateway="nowpayments",
            gateway_payment_id="5745459419",
            pay_currency="btc",
            pay_amount="0.00019841",
            actually_paid="0.00019841",
            payin_hash=TX,
        )
    ),
    "downloadKeys": Example(
        answered=DownloadedKeys(
            order=ORDER_NUMBER,
            title=TITLE,
            instructions="Open the launcher, choose Redeem, and enter the key.",
            keys=(
                FileKey(
                    unit=1,
                    content_type="text/plain",
                    encoding="utf-8",
                    key="7QK2M-9XWPR-4HJTB",
                    proof=FileProof(
                        receipt=FileReceipt(
                            order=ORDER_NUMBER,
                            item=1,
                            unit=1,
                            title=TITLE,
                            key_sha256=_DIGEST,
                            handed_over_at=moment(614),
                            client=TX,
                        ),
                        signed_text='{"client":"9f2c","handed_over_at":"2026-03-14T10:14:00Z"}',
                        signature="c2lnbmF0dXJlLW9mLXRoZS1yZWNlaXB0",
                        key_id="4b1d9f2c",
                    ),
                ),
            ),
        )
    ),
}
