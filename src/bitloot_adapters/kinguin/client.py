"""The supplier port spoken to Kinguin."""

import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from bitloot.domain.limits import Limits
from bitloot.domain.money import Eur, plain
from bitloot.domain.supply import SuppliedKey, SupplierOffer, SupplierOrder
from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot.ports.payment_gateway import Forged, Malformed
from bitloot.ports.supplier import (
    CataloguePage,
    RefusedProduct,
    SupplierCapabilities,
    SupplierHint,
    SupplierProduct,
    SupplierRequest,
    SupplierWebhook,
)
from bitloot_adapters.http import Ambiguous, Answer, HttpClient, NotSent
from bitloot_adapters.kinguin import catalogue, catalogue_reader, wire
from bitloot_adapters.kinguin.catalogue import KeyType
from bitloot_adapters.kinguin.catalogue_reader import PAGE, TOO_LARGE, CatalogueReader, second
from bitloot_adapters.kinguin.values import (
    Json,
    Unreadable,
    count,
    elements,
    eur,
    fields,
    identifier,
    moment,
    parse,
    word,
)

NAME: Final = "kinguin"
AUTHENTICITY_HEADER: Final = "x-event-secret"
EVENT_HEADER: Final = "x-event-name"
# Images are large: where a page of them is more than an answer may be, fewer are asked for.
KEY_PAGES: Final = (100, 10, 1)
MAX_ORDER_PAGES: Final = 1_000
MAX_SEARCH_PAGES: Final = 20
MAX_KEYS: Final = 10_000
WHOLESALE_UNITS: Final = 1_000
SEARCH_LETTERS: Final = 3
MAX_SEARCH_LETTERS: Final = 200

# What the documented error kinds mean to the port; the HTTP status alone is never enough.
_REJECTIONS: Final = {
    "InsufficientBalance": "balance",
    "Authorization": "credentials",
    "ProductUnavailable": "unavailable",
    "ConstraintViolation": "invalid",
    "OrderNotSupported": "invalid",
    "Preorder": "invalid",
    "Http": "invalid",
    "OrderNotFound": "not_found",
    "NoKeysToReturn": "nothing_to_return",
}
# To a creating call these say for certain that nothing was bought.
_NOTHING_BOUGHT: Final = frozenset(_REJECTIONS) - {"OrderNotFound", "NoKeysToReturn"}
_EXTERNAL_ID: Final = "orderExternalId"
_EVENTS: Final = {"order.status": "order", "order.complete": "order", "product.update": "product"}


class Kinguin:
    """`Supplier` over the ESA REST API. Opened by the plugin; products go by their `productId`."""

    def __init__(
        self,
        http: HttpClient,
        *,
        webhook_secret: str,
        limits: Limits,
        key_type: KeyType = "text",
        preorders: bool = False,
    ) -> None:
        self._http = http
        self._webhook_secret = webhook_secret.encode()
        self._key_type: KeyType = key_type
        self._preorders = preorders
        self._capabilities = SupplierCapabilities(
            returns_keys=True,
            preorders=preorders,
            wholesale_units=min(limits.wholesale_units, WHOLESALE_UNITS),
            search_letters=SEARCH_LETTERS,
        )

    @property
    def name(self) -> str:
        """`kinguin`."""
        return NAME

    @property
    def capabilities(self) -> SupplierCapabilities:
        """Takes keys back; pre-orders by the setting."""
        return self._capabilities

    async def offers(self, supplier_product_id: str) -> Sequence[SupplierOffer]:
        """`GET /v2/products/{productId}`; 404 of kind `HttpClient` means sold out, not deleted."""
        body = await self._product_body(supplier_product_id)
        if body is None:
            return ()
        return catalogue.offers(body, key_type=self._key_type, preorders=self._preorders)

    async def _product_body(self, supplier_product_id: str) -> Json:
        """What is said of a product, None when it cannot be had."""
        answer = await self._send("GET", f"/v2/products/{_id(supplier_product_id)}")
        if answer.status != 200:
            kind = _error(answer).kind
            is_no = answer.status < 500 and kind == "ProductUnavailable"
            if is_no or (answer.status == 404 and kind == "HttpClient"):
                return None
            raise _refusal(answer)
        body = _read(answer, is_prose=True)
        if identifier(fields(body).get("productId")) != supplier_product_id:
            raise Unavailable(NAME, "unreadable_answer")
        return body

    def _cleaned(self, value: Json) -> SupplierProduct | RefusedProduct:
        return catalogue.product(value, key_type=self._key_type, preorders=self._preorders)

    async def place(self, request: SupplierRequest) -> SupplierOrder:
        """`POST /v2/order`. `price` is a ceiling; a pre-order must not name a key type.

        Anything but an order or a documented refusal leaves it unknown. So does the refusal of an
        external id that was used before: it proves that an order carries it.
        """
        line: dict[str, object] = {
            "productId": request.supplier_product_id,
            "qty": request.quantity,
            "price": msgspec.Raw(plain(request.max_price).encode()),
        }
        if self._key_type == "text" and not request.is_preorder:
            line["keyType"] = "text"
        if request.offer_id:
            line["offerId"] = request.offer_id
        key = request.external_id
        body = msgspec.json.encode({"products": [line], _EXTERNAL_ID: key})
        try:
            answer = await self._http.send("POST", "/v2/order", body=body)
        except NotSent as error:
            raise Unavailable(NAME, error.reason) from None
        except Ambiguous as error:
            raise OutcomeUnknown(NAME, key, error.reason) from None
        if answer.status not in {200, 201}:
            raise _create_refusal(answer, key)
        try:
            placed = wire.order(parse(answer.body), quantity=request.quantity)
        except Unreadable:
            placed = None
        if placed is None or placed.external_id not in {None, key}:
            raise OutcomeUnknown(NAME, key, "unreadable_answer")
        return placed if placed.external_id else msgspec.structs.replace(placed, external_id=key)

    async def find(self, external_id: str) -> Sequence[SupplierOrder]:
        """`GET /v1/order?orderExternalId=`, compared again here: the filter is not trusted.

        An answer that is incomplete or hides an order is no answer: not finding one must mean
        that there is none.
        """
        if not external_id:
            return ()
        found: dict[str, SupplierOrder] = {}
        seen, total = 0, None
        for page in range(1, MAX_SEARCH_PAGES + 1):
            query = {_EXTERNAL_ID: external_id, "page": str(page), "limit": str(PAGE)}
            listed, total = await self._page("/v1/order", query)
            seen += len(listed)
            for each in listed:
                order = wire.order(each)
                if order is None:
                    raise Unavailable(NAME, "unreadable_answer")
                if order.external_id == external_id:
                    found[order.supplier_order_id] = order
            if len(listed) < PAGE:
                break
        else:
            raise Unavailable(NAME, "too_many_pages")
        if total is None or seen < total:
            raise Unavailable(NAME, "incomplete_answer")
        return tuple(sorted(found.values(), key=_age))

    async def order(self, supplier_order_id: str) -> SupplierOrder:
        """`GET /v1/order/{orderId}`."""
        answer = await self._get(f"/v1/order/{_id(supplier_order_id)}")
        order = wire.order(_read(answer))
        if order is None or order.supplier_order_id != supplier_order_id:
            raise Unavailable(NAME, "unreadable_answer")
        return order

    async def keys(self, supplier_order_id: str) -> Sequence[SuppliedKey]:
        """`GET /v2/order/{orderId}/keys`, until a page is short: a bare array without a total.

        An entry without an id or a usable serial is left out, so that the order counts as short
        of a key rather than as delivered.
        """
        path = f"/v2/order/{_id(supplier_order_id)}/keys"
        for limit in KEY_PAGES:
            try:
                return await self._keys(path, limit)
            except Unavailable as error:
                if error.reason != TOO_LARGE:
                    raise
        raise Unavailable(NAME, TOO_LARGE)

    async def _keys(self, path: str, limit: int) -> Sequence[SuppliedKey]:
        found: dict[str, SuppliedKey] = {}
        for page in range(1, MAX_KEYS // limit + 1):
            body = _read(await self._get(path, {"page": str(page), "limit": str(limit)}))
            if not isinstance(body, list):
                raise Unavailable(NAME, "unreadable_answer")
            for key in map(wire.key, body):
                if key is not None:
                    found.setdefault(key.key_id, key)
            if len(body) < limit:
                return tuple(found.values())
        raise Unavailable(NAME, "too_many_pages")

    async def give_back(self, supplier_order_id: str) -> None:
        """`POST /v2/order/{orderId}/keys/return`: once for each order, for ever; asynchronous.

        Anything but an acknowledgement or a documented refusal leaves it unknown whether the one
        request was taken.
        """
        path = f"/v2/order/{_id(supplier_order_id)}/keys/return"
        try:
            answer = await self._http.send("POST", path)
        except NotSent as error:
            raise Unavailable(NAME, error.reason) from None
        except Ambiguous as error:
            raise OutcomeUnknown(NAME, supplier_order_id, error.reason) from None
        if answer.status in {200, 201, 202, 204}:
            return
        refusal = _refusal(answer)
        if isinstance(refusal, Unavailable) and answer.status != 429:
            raise OutcomeUnknown(NAME, supplier_order_id, refusal.reason)
        raise refusal

    async def balance(self) -> Eur:
        """`GET /v1/balance`."""
        amount = eur(fields(_read(await self._get("/v1/balance"))).get("balance"))
        if amount is None:
            raise Unavailable(NAME, "unreadable_answer")
        return amount

    def catalogue(
        self, *, updated_since: datetime | None, first_page: int = 1
    ) -> AsyncIterator[CataloguePage]:
        """`GET /v1/products`; how it stays whole while it changes: `CatalogueReader`."""
        reader = CatalogueReader(NAME, self._page, self._cleaned, preorders=self._preorders)
        if updated_since is None:
            return reader.everything(first_page)
        return reader.changes(updated_since, first_page)

    async def product(self, supplier_product_id: str) -> SupplierProduct | None:
        """`GET /v2/products/{productId}`; None for 404 of kind `HttpClient`: no deletion."""
        body = await self._product_body(supplier_product_id)
        if body is None:
            return None
        read = self._cleaned(body)
        if isinstance(read, RefusedProduct):
            raise Rejected(NAME, "unreadable", read.reason)
        return None if read.is_preorder and not self._preorders else read

    async def search(self, name: str, *, limit: int) -> Sequence[SupplierProduct]:
        """`GET /v1/products?name=`, one page. What cannot be read or sold is left out."""
        wanted = " ".join(name.split())
        if not SEARCH_LETTERS <= len(wanted) <= MAX_SEARCH_LETTERS or not wanted.isprintable():
            raise Rejected(NAME, "invalid", "name")
        asked = min(max(limit, 1), PAGE)
        listed, _ = await self._page(catalogue_reader.PATH, {"name": wanted, "limit": str(asked)})
        read = [self._cleaned(each) for each in listed[:asked]]
        found = [each for each in read if isinstance(each, SupplierProduct)]
        return tuple(each for each in found if self._preorders or not each.is_preorder)

    async def orders_since(
        self, since: datetime, *, first_page: int = 1
    ) -> AsyncIterator[Sequence[SupplierOrder]]:
        """`GET /v1/order?createdAtFrom=`. An unreadable order is left out.

        A page that ends before the number of matches is the last one of an answer that hides
        orders: Unavailable.
        """
        query = {"limit": str(PAGE), "createdAtFrom": second(since)}
        for page in range(first_page, MAX_ORDER_PAGES + 1):
            listed, total = await self._page("/v1/order", {**query, "page": str(page)})
            yield tuple(order for each in listed if (order := wire.order(each)) is not None)
            if len(listed) < PAGE:
                if (page - 1) * PAGE + len(listed) < (total or 0):
                    raise Unavailable(NAME, "incomplete_answer")
                return
        raise Unavailable(NAME, "too_many_pages")

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> SupplierWebhook:
        """A secret in clear and no signature: the body is a hint and nothing more.

        The payload of the dashboard's test button is not documented: an event that is not known
        is taken whatever it holds, a known one that names nothing as one that is not.
        """
        given = headers.get(AUTHENTICITY_HEADER, "").encode("utf-8", "replace")
        if not self._webhook_secret or not hmac.compare_digest(given, self._webhook_secret):
            return Forged("secret")
        digest = hashlib.sha256(body).hexdigest()
        event = headers.get(EVENT_HEADER, "").strip().lower()
        if event and event not in _EVENTS:
            return SupplierHint(dedupe_key=digest, kind="other")
        try:
            read = parse(body)
        except Unreadable:
            read = None
        kind = _EVENTS.get(event) or _kind_of(read)
        if kind == "other":
            return SupplierHint(dedupe_key=digest, kind="other")
        if not isinstance(read, dict):
            return Malformed("body")
        return _order_hint(read, digest) if kind == "order" else _product_hint(read, digest)

    async def _page(self, path: str, query: Mapping[str, str]) -> tuple[Sequence[Json], int | None]:
        answer = await self._get(path, query)
        body = fields(_read(answer, is_prose=True))
        listed = body.get("results")
        if not isinstance(listed, list):
            raise Unavailable(NAME, "unreadable_answer")
        return elements(listed), count(body.get("item_count"))

    async def _get(self, path: str, query: Mapping[str, str] | None = None) -> Answer:
        answer = await self._send("GET", path, query=query)
        if answer.status != 200:
            raise _refusal(answer)
        return answer

    async def _send(
        self, method: str, path: str, *, query: Mapping[str, str] | None = None
    ) -> Answer:
        """A call that is safe to repeat: whatever goes wrong on the way is a time of absence."""
        try:
            return await self._http.send(method, path, query=query)
        except (NotSent, Ambiguous) as error:
            raise Unavailable(NAME, error.reason) from None


def _kind_of(body: Json) -> str:
    """An event without a name is told by what it names."""
    named = fields(body)
    if "orderId" in named or _EXTERNAL_ID in named:
        return "order"
    return "product" if "productId" in named or "kinguinId" in named else "other"


def _order_hint(read: Mapping[str, Json], digest: str) -> SupplierHint:
    order_id, external_id = identifier(read.get("orderId")), word(read.get(_EXTERNAL_ID))
    if order_id is None and external_id is None:
        return SupplierHint(dedupe_key=digest, kind="other")
    status = word(read.get("status"))
    return SupplierHint(
        dedupe_key=digest,
        kind="order",
        supplier_order_id=order_id,
        external_id=external_id,
        status=status.lower() if status else None,
        updated_at=moment(read.get("updatedAt")),
    )


def _product_hint(read: Mapping[str, Json], digest: str) -> SupplierHint:
    product_id = identifier(read.get("productId"))
    if product_id is None:
        return SupplierHint(dedupe_key=digest, kind="other")
    return SupplierHint(
        dedupe_key=digest,
        kind="product",
        supplier_product_id=product_id,
        updated_at=moment(read.get("updatedAt")),
    )


def _id(identity: str) -> str:
    """An id that goes into a path."""
    if identifier(identity) != identity:
        raise Rejected(NAME, "not_found", "not an id of this supplier")
    return identity


def _age(order: SupplierOrder) -> tuple[datetime, str]:
    return order.created_at or datetime.max.replace(tzinfo=UTC), order.supplier_order_id


def _read(answer: Answer, *, is_prose: bool = False) -> Json:
    try:
        return parse(answer.body, is_prose=is_prose)
    except Unreadable:
        raise Unavailable(NAME, "unreadable_answer") from None


def _error(answer: Answer) -> wire.WireError:
    try:
        return wire.error(parse(answer.body, is_prose=True))
    except Unreadable:
        return wire.error(None)


def _limited(answer: Answer) -> Unavailable | None:
    if answer.status != 429:
        return None
    return Unavailable(NAME, "rate_limited", retry_after=answer.retry_after())


def _refusal(answer: Answer) -> Rejected | Unavailable:
    """A documented no, or a time of absence: internal failures, locks, kinds nobody knows."""
    if (limited := _limited(answer)) is not None:
        return limited
    error = _error(answer)
    if answer.status < 500 and (reason := _REJECTIONS.get(error.kind or "")):
        return Rejected(NAME, reason, error.detail)
    if answer.status == 401:
        return Rejected(NAME, "credentials", error.detail)
    return Unavailable(NAME, f"http_{answer.status}", retry_after=answer.retry_after())


def _create_refusal(answer: Answer, key: str) -> Rejected | Unavailable | OutcomeUnknown:
    if (limited := _limited(answer)) is not None:
        return limited
    error = _error(answer)
    if 400 <= answer.status < 500 and error.kind in _NOTHING_BOUGHT:
        if error.kind == "ConstraintViolation" and _names_our_id(error, key):
            return OutcomeUnknown(NAME, key, "external_id_taken")
        return Rejected(NAME, _REJECTIONS[error.kind], error.detail)
    return OutcomeUnknown(NAME, key, error.kind or f"http_{answer.status}")


def _names_our_id(error: wire.WireError, key: str) -> bool:
    """Whether a violation is about the external id, by its field, its value or its words."""
    said = f"{error.field} {error.detail}".casefold()
    return error.value == key or _EXTERNAL_ID.casefold() in said or key.casefold() in said
