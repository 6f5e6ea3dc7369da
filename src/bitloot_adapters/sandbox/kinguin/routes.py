"""The endpoints under `/esa/api`: products, dictionaries, orders, keys and the balance."""

from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from bitloot_adapters.sandbox.kinguin import queries, words
from bitloot_adapters.sandbox.kinguin.answers import Answers, Call
from bitloot_adapters.sandbox.kinguin.catalogue import Product
from bitloot_adapters.sandbox.kinguin.delivery import DeliveryEngine
from bitloot_adapters.sandbox.kinguin.errors import EsaError
from bitloot_adapters.sandbox.kinguin.order_search import search_orders
from bitloot_adapters.sandbox.kinguin.orders import Order, keys_json, order_json
from bitloot_adapters.sandbox.kinguin.payload import read_request
from bitloot_adapters.sandbox.kinguin.placing import place
from bitloot_adapters.sandbox.kinguin.product_search import search
from bitloot_adapters.sandbox.kinguin.product_wire import product_json
from bitloot_adapters.sandbox.kinguin.state import Store

BASE = "/esa/api"


def product_routes(store: Store, answers: Answers) -> list[HTTPRouteHandler]:
    """Search, and product by either id."""

    def shown(product: Product | None) -> dict[str, object]:
        if product is None or product.total_qty == 0:
            raise EsaError("HttpClient")
        return product_json(
            product,
            offers_visible=store.switches.offers_visible,
            text_qty_visible=store.switches.text_qty_visible,
        )

    @get(f"{BASE}/v1/products")
    async def search_products(request: Call) -> Response[bytes]:
        def work() -> object:
            found, total = search(
                store.catalogue,
                queries.parse(request.scope["query_string"]),
                list_out_of_stock=store.config.search_lists_out_of_stock,
            )
            results = [
                product_json(
                    product,
                    offers_visible=store.switches.offers_visible,
                    text_qty_visible=store.switches.text_qty_visible,
                )
                for product in found
            ]
            return {"results": results, "item_count": total}

        return answers.to(request, work)

    @get(f"{BASE}/v1/products/{{kinguin_id:str}}")
    async def product_by_number(request: Call, kinguin_id: FromPath[str]) -> Response[bytes]:
        def work() -> object:
            if not (kinguin_id.isascii() and kinguin_id.isdigit() and len(kinguin_id) < 12):
                raise EsaError("Http", "No route found.", status=404)
            return shown(store.catalogue.get(int(kinguin_id)))

        return answers.to(request, work)

    @get(f"{BASE}/v2/products/{{product_id:str}}")
    async def product_by_id(request: Call, product_id: FromPath[str]) -> Response[bytes]:
        return answers.to(request, lambda: shown(store.catalogue.by_product_id(product_id)))

    return [search_products, product_by_number, product_by_id]


def dictionary_routes(answers: Answers) -> list[HTTPRouteHandler]:
    """Regions, platforms and genres."""

    @get(f"{BASE}/v1/regions")
    async def regions(request: Call) -> Response[bytes]:
        listed = [{"id": number, "name": name} for number, name in words.REGIONS]
        return answers.to(request, lambda: listed)

    @get(f"{BASE}/v1/platforms")
    async def platforms(request: Call) -> Response[bytes]:
        listed = [*words.GAME_PLATFORMS, *words.SOFTWARE_PLATFORMS, *words.PREPAID_PLATFORMS]
        return answers.to(request, lambda: listed)

    @get(f"{BASE}/v1/genres")
    async def genres(request: Call) -> Response[bytes]:
        return answers.to(request, lambda: list(words.GENRES))

    return [regions, platforms, genres]


def order_routes(store: Store, answers: Answers, engine: DeliveryEngine) -> list[HTTPRouteHandler]:
    """Placing, reading and searching orders."""

    def shown(order: Order, *, with_keys: bool) -> dict[str, object]:
        return order_json(
            order,
            store_id=store.config.store_id,
            user_email=store.config.user_email,
            payment_as_text=store.switches.payment_price_as_text,
            with_keys=with_keys,
        )

    def placed(body: bytes, version: int) -> dict[str, object]:
        order = place(store, engine, read_request(body, version=version))
        return shown(order, with_keys=False)

    @post(f"{BASE}/v1/order")
    async def order_by_number(request: Call) -> Response[bytes]:
        body = await request.body()
        return answers.to(request, lambda: placed(body, 1), status=201, guarded=True)

    @post(f"{BASE}/v2/order")
    async def order_by_product_id(request: Call) -> Response[bytes]:
        body = await request.body()
        return answers.to(request, lambda: placed(body, 2), status=201, guarded=True)

    @get(f"{BASE}/v1/order/{{order_id:str}}")
    async def read_order(request: Call, order_id: FromPath[str]) -> Response[bytes]:
        return answers.to(request, lambda: shown(known_order(store, order_id), with_keys=True))

    @get(f"{BASE}/v1/order")
    async def find_orders(request: Call) -> Response[bytes]:
        def work() -> object:
            found, total = search_orders(store, queries.parse(request.scope["query_string"]))
            return {
                "results": [shown(order, with_keys=True) for order in found],
                "item_count": total,
            }

        return answers.to(request, work)

    return [order_by_number, order_by_product_id, read_order, find_orders]


def key_routes(store: Store, answers: Answers, engine: DeliveryEngine) -> list[HTTPRouteHandler]:
    """Delivered keys, their return, and the balance."""

    @get(f"{BASE}/v2/order/{{order_id:str}}/keys")
    async def read_keys(request: Call, order_id: FromPath[str]) -> Response[bytes]:
        def work() -> object:
            page, limit = queries.paging(queries.parse(request.scope["query_string"]))
            order = known_order(store, order_id)
            return keys_json(order, store.catalogue, (page - 1) * limit, limit)

        return answers.to(request, work, guarded=True)

    @post(f"{BASE}/v2/order/{{order_id:str}}/keys/return")
    async def return_keys(request: Call, order_id: FromPath[str]) -> Response[bytes]:
        def work() -> object:
            units = engine.ask_return(known_order(store, order_id))
            return [{"id": unit.key_id, "status": unit.status} for unit in units]

        return answers.to(request, work)

    @get(f"{BASE}/v1/balance")
    async def balance(request: Call) -> Response[bytes]:
        return answers.to(request, lambda: {"balance": float(store.switches.balance)})

    return [read_keys, return_keys, balance]


def known_order(store: Store, order_id: str) -> Order:
    """:raises EsaError: `OrderNotFound`, or `OrderNotSupported` for ids of the legacy shape."""
    order = store.orders.get(order_id)
    if order is None and order_id.isdigit():
        raise EsaError("OrderNotSupported", f'Order "{order_id}" is not supported.')
    if order is None:
        raise EsaError("OrderNotFound", f'Order "{order_id}" not found.')
    return order
