"""What can be made to go wrong with a call, and which calls there are."""

import re
from typing import Literal

import msgspec

FaultName = Literal[
    "500_before",
    "500_after",
    "503_before",
    "503_after",
    "drop_before",
    "drop_after",
    "slow",
    "slow_after",
    "garbage",
    "429",
    "OrderFailed",
    "OrderFailed_after",
    "HttpClient",
    "HttpClient_after",
    "Error",
    "Error_after",
    "ResourceLock",
    "InsufficientBalance",
    "ProductUnavailable",
]
Operation = Literal[
    "*",
    "products.search",
    "product.get",
    "dictionary.get",
    "order.create",
    "order.search",
    "order.get",
    "keys.get",
    "keys.return",
    "balance.get",
]

_ROUTES: tuple[tuple[str, str, Operation], ...] = (
    ("GET", r"/v1/products", "products.search"),
    ("GET", r"/v[12]/products/[^/]+", "product.get"),
    ("GET", r"/v1/(regions|platforms|genres)", "dictionary.get"),
    ("POST", r"/v[12]/order", "order.create"),
    ("GET", r"/v1/order", "order.search"),
    ("GET", r"/v1/order/[^/]+", "order.get"),
    ("GET", r"/v2/order/[^/]+/keys", "keys.get"),
    ("POST", r"/v2/order/[^/]+/keys/return", "keys.return"),
    ("GET", r"/v1/balance", "balance.get"),
)


class Fault(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The next `times` calls of `op` go wrong.

    `_before` means that the work is not done, `_after` that it is done and the answer is lost or
    replaced. `slow` waits `seconds` and then works, `slow_after` works and then waits. `garbage`
    works and answers with an unreadable body. The names of error kinds answer with that kind.
    """

    op: Operation
    fault: FaultName
    times: int = 1
    seconds: float = 1.0
    status: int | None = None


def operation(method: str, path: str) -> Operation | None:
    """The operation of a call, `None` for routes that the API does not have."""
    route = path.removeprefix("/esa/api")
    if route == path:
        return None
    for verb, pattern, name in _ROUTES:
        if verb == method and re.fullmatch(pattern, route.rstrip("/")):
            return name
    return None
