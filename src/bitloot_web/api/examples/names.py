"""The one order, product and moment that all examples speak of."""

from datetime import UTC, datetime
from typing import Final
from uuid import UUID

ORDER_ID: Final = "01890a5d-b3c4-7d10-9f1e-2a4f6b8c0d12"
ORDER_NUMBER: Final = "BL7K3M9Q2X"
ITEM_ID: Final = "01890a5d-b3c4-7d10-9f1e-2a4f6b8c0d13"
PAYMENT_ID: Final = "01890a5d-b9f0-7c22-8a6b-5e0d3c1f2a44"
QUOTE_ID: Final = "01890a5d-ae01-7b5c-9d3e-7f6a5b4c3d21"
HOLD_ID: Final = "01890a5d-c2d1-7e88-b0f4-9a8b7c6d5e4f"
FULFILMENT_ID: Final = "01890a5d-c0a7-7f31-a5c2-6b7d8e9f0a1b"
RESERVATION_ID: Final = "01890a5d-b5d6-7e21-8c7d-3b5a7c9d1e23"
WEBHOOK_ID: Final = "01890a5d-bb12-7a60-8d4e-1f2a3b4c5d6e"
PRODUCT_ID: Final = "01890a5d-ac96-774b-bcce-b302099a8057"
PRODUCT_UUID: Final = UUID(PRODUCT_ID)
OFFER_ID: Final = "01890a5d-ad02-7c19-9b8a-4c5d6e7f8091"
SLUG: Final = "lantern-keeper-steam"
TITLE: Final = "Lantern Keeper Steam CD Key"
EMAIL: Final = "buyer@example.com"
CURSOR: Final = "c2lnbmVkLWFuZC1vcGFxdWU"
COVER: Final = "https://images.supplier.example/lantern/cover.jpg"
TX: Final = "9f2c4e6a8b0d1f3e5c7a9b1d3f5e7c9a0b2d4f6e8a1c3e5f7b9d0c2e4a6f8b1d"


def moment(minute: int, second: int = 0) -> datetime:
    """So many minutes after the day began on which everything happened."""
    return datetime(2026, 3, 14, minute // 60, minute % 60, second, tzinfo=UTC)
