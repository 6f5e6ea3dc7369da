"""`GET /v1/order`: the search index over orders, which may lag behind the orders themselves."""

from collections.abc import Callable
from datetime import timedelta

from bitloot_adapters.sandbox.kinguin import queries
from bitloot_adapters.sandbox.kinguin.orders import Order
from bitloot_adapters.sandbox.kinguin.queries import Query
from bitloot_adapters.sandbox.kinguin.state import Store

STATUSES = ("processing", "completed", "canceled", "refunded")


def search_orders(store: Store, query: Query) -> tuple[list[Order], int]:
    """One page of indexed matches, newest first, and the number of all matches.

    :raises EsaError: `ConstraintViolation` for a value outside its documented range.
    """
    page, limit = queries.paging(query)
    tests = _tests(query)
    indexed_until = store.now() - timedelta(seconds=store.switches.search_lag_seconds)
    external_id = query.get("orderExternalId")
    # `orders` keeps the sequence of creation; an external id has an index of its own.
    among = (
        list(store.orders.values())
        if external_id is None
        else (store.with_external_id(external_id))
    )
    matches = [
        order
        for order in reversed(among)
        if order.created_at <= indexed_until and all(test(order) for test in tests)
    ]
    start = (page - 1) * limit
    return matches[start : start + limit], len(matches)


def _tests(query: Query) -> list[Callable[[Order], bool]]:
    tests: list[Callable[[Order], bool]] = []
    since = queries.moment(query, "createdAtFrom")
    if since is not None:
        tests.append(lambda o: o.created_at >= since)
    until = queries.moment(query, "createdAtTo")
    if until is not None:
        tests.append(lambda o: o.created_at <= until)
    kinguin_id = queries.whole(query, "kinguinId")
    if kinguin_id is not None:
        tests.append(lambda o: any(line.kinguin_id == kinguin_id for line in o.lines))
    product_id = query.get("productId")
    if product_id is not None:
        tests.append(lambda o: any(line.product_id == product_id for line in o.lines))
    order_id = query.get("orderId")
    if order_id is not None:
        tests.append(lambda o: o.order_id == order_id)
    status = queries.choice(query, "status", *STATUSES)
    if status is not None:
        tests.append(lambda o: o.status == status)
    preorder = queries.choice(query, "isPreorder", "yes", "no")
    if preorder is not None:
        tests.append(lambda o: o.is_preorder == (preorder == "yes"))
    return tests
