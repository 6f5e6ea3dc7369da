"""A run through a supplier's catalogue: how far it is, and what it could not read."""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

from bitloot.domain.decision import Row

SyncKind: TypeAlias = Literal["full", "incremental"]
SyncState: TypeAlias = Literal["running", "done", "failed"]


class CatalogueSync(Row, frozen=True, kw_only=True):
    """One run. Of a supplier at most one is running.

    All pages before `next_page` are merged: whoever goes on begins there. `updated_since` is None
    for the whole catalogue. The counters say what it read (`pages`, `products`, `refused`) and
    changed.
    """

    supplier: str
    kind: SyncKind
    state: SyncState = "running"
    next_page: int = 1
    updated_since: datetime | None = None
    started_at: datetime
    ended_at: datetime | None = None
    pages: int = 0
    products: int = 0
    refused: int = 0
    products_new: int = 0
    products_changed: int = 0
    offers_new: int = 0
    offers_changed: int = 0
    prices_changed: int = 0
    retired: int = 0
    last_error: str | None = None


class CatalogueRefusal(Row, frozen=True, kw_only=True):
    """A product, or a whole page, that could not be taken over, and why."""

    sync_id: str
    page: int
    supplier_product_id: str | None = None
    reason: str
    at: datetime


def failed(sync: CatalogueSync, *, at: datetime, error: str) -> CatalogueSync:
    """The run given up: what it merged stays, and the next one begins anew."""
    return msgspec.structs.replace(
        sync, version=sync.version + 1, state="failed", ended_at=at, last_error=error
    )


def ended(sync: CatalogueSync, *, at: datetime, retired: int) -> CatalogueSync:
    """The run after its last page: nothing of it is left to do."""
    return msgspec.structs.replace(
        sync,
        version=sync.version + 1,
        state="done",
        ended_at=at,
        retired=sync.retired + retired,
        last_error=None,
    )
