"""How a Kinguin stand-in behaves unless a test says otherwise through the control door."""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec

from bitloot_adapters.sandbox.kinguin.faults import Fault

DeliveryMode = Literal["immediate", "delayed", "partial", "canceled", "refunded", "stuck"]
ErrorVariant = Literal["type", "title", "alternate"]
DuplicatePolicy = Literal["refuse", "accept"]

ERROR_STATUSES: dict[str, int] = {
    "ConstraintViolation": 400,
    "Authorization": 401,
    "InsufficientBalance": 400,
    "ProductUnavailable": 422,
    "OrderFailed": 422,
    "Preorder": 400,
    "OrderNotFound": 404,
    "ResourceLock": 409,
    "OrderNotSupported": 400,
    "NoKeysToReturn": 400,
    "HttpClient": 404,
    "Http": 400,
    "Error": 500,
}


class Delivery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What happens to one order after it is placed.

    `seconds` is the wait before the keys (`delayed`), the rest of the keys (`partial`) or the
    end of the order (`canceled`, `refunded`). `first` is the number of keys given at once by
    `partial`, `canceled` and `refunded` (by default 1 for `partial`, otherwise 0);
    `partial` with `rest` false never gives the others. `key_media` and `serial_style` force the
    kind of serial; neither turns a `keyType: text` unit into an image. `duplicate_serial` hands
    out a serial that was delivered before; `wrong_product` labels the keys as another product.
    """

    delivery: DeliveryMode = "immediate"
    seconds: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    first: Annotated[int, msgspec.Meta(ge=0)] | None = None
    rest: bool = True
    key_media: Literal["text/plain", "image/jpeg", "image/png", "image/gif"] | None = None
    serial_style: Literal["dashes", "uuid", "licence", "url"] | None = None
    duplicate_serial: bool = False
    wrong_product: bool = False


class KinguinSandboxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one stand-in store.

    Money is EUR. `state_dir` names a folder whose `kinguin.sqlite3` holds every change, written
    before the answer leaves; `None` keeps it in memory. `allowed_addresses` is the store's IP
    allow-list for ordering and for reading keys (`None`: any). `error_variant` is the name of the
    field that carries the HTTP reason (`alternate`: the two in turn). `error_statuses` replaces
    the HTTP status of an error kind: the vendor documents the kinds, not all of their statuses.
    `webhook_retry_seconds` are the pauses between attempts; when they are used up the webhook is
    dropped. `reads_per_minute` and `writes_per_minute` make the gateway answer 429.
    `faults` wait from the start for the first calls that they are about.
    """

    api_keys: tuple[str, ...] = ("kinguin-sandbox-api-key",)
    store_id: int = 4711
    user_email: str = "orders@shop.example"
    balance: Decimal = Decimal("10000.00")
    billing_address: bool = True
    allowed_addresses: tuple[str, ...] | None = None

    seed: int = 7
    products: int = 600
    offers_visible: bool = True
    text_qty_visible: bool = True
    search_lists_out_of_stock: bool = True

    delivery: Delivery = Delivery()
    late_key_seconds: float = 30.0
    return_seconds: float = 5.0
    search_lag_seconds: float = 0.0
    duplicate_external_id: DuplicatePolicy = "refuse"
    payment_price_as_text: bool = False

    error_variant: ErrorVariant = "type"
    error_statuses: dict[str, int] = {}
    reads_per_minute: int | None = None
    writes_per_minute: int | None = None
    max_body_bytes: int = 256 * 1024
    faults: tuple[Fault, ...] = ()

    webhook_url: str | None = None
    webhook_secret: str = msgspec.field(default="kinguin-sandbox-webhook-secret")
    webhook_content_type: str = "aplication/json"
    webhook_retry_seconds: tuple[float, ...] = (5.0, 30.0, 120.0, 600.0)
    webhook_timeout_seconds: float = 3.0
    webhook_disable_after: int | None = None
    product_webhook_price: bool = False

    state_dir: str | None = None

    def __post_init__(self) -> None:
        if not self.api_keys:
            raise ValueError("a Kinguin sandbox needs at least one API key")
        if not 1 <= self.products <= MAX_PRODUCTS:
            raise ValueError(f"products must be 1 to {MAX_PRODUCTS}, not {self.products}")


MAX_PRODUCTS = 100_000
"""The largest catalogue: products are made when first read, not at the start."""
