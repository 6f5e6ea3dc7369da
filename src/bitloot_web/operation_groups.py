"""The groups of operations: tags of the document, for readers and for generated clients."""

from collections.abc import Mapping
from typing import Final

# The group of whatever lies below a place; of two places the longer one decides.
_PLACES: Final[Mapping[str, str]] = {
    "/v1/catalog": "Catalogue",
    "/v1/payments": "Quotes and currencies",
    "/v1/quotes": "Quotes and currencies",
    "/v1/orders": "Orders and their keys",
    "/v1/downloads": "Orders and their keys",
    "/v1/auth": "Signing in",
    "/v1/me": "Own account",
    "/v1/account-deletion": "Own account",
    "/v1/account-recovery": "Own account",
    "/v1/webhooks": "Callbacks and health",
    "/healthz": "Callbacks and health",
    "/readyz": "Callbacks and health",
    "/v1/admin/orders": "Desk: orders",
    "/v1/admin/payments": "Desk: money and callbacks",
    "/v1/admin/reconciliation-breaks": "Desk: money and callbacks",
    "/v1/admin/webhooks": "Desk: money and callbacks",
    "/v1/admin/holds": "Desk: holds and complaints",
    "/v1/admin/unit-reports": "Desk: holds and complaints",
    "/v1/admin/reservations": "Desk: holds and complaints",
    "/v1/admin/catalog/products": "Desk: products",
    "/v1/admin/catalog/categories": "Desk: categories and groups",
    "/v1/admin/catalog/groups": "Desk: categories and groups",
    "/v1/admin/catalog/rules": "Desk: prices",
    "/v1/admin/catalog/reprice": "Desk: prices",
    "/v1/admin/catalog/sync": "Desk: suppliers",
    "/v1/admin/catalog/supplier": "Desk: suppliers",
    "/v1/admin/inventory": "Desk: own stock",
    "/v1/admin/users": "Desk: people",
    "/v1/admin/recovery": "Desk: people",
    "/v1/admin/api-keys": "Desk: API keys and audit",
    "/v1/admin/audit-logs": "Desk: API keys and audit",
}
# Nothing is to be here: a place without a group is one that somebody forgot.
ELSEWHERE: Final = "Everything else"


def group_of(path: str) -> str:
    """The group of an operation at this path."""
    found = [place for place in _PLACES if f"{path}/".startswith(f"{place}/")]
    return _PLACES[max(found, key=len)] if found else ELSEWHERE


def groups() -> tuple[str, ...]:
    """All of them, in the order in which they are shown."""
    return tuple(dict.fromkeys((*_PLACES.values(), ELSEWHERE)))
