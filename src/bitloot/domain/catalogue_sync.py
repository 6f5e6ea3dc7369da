"""A run through a supplier's catalogue: how far it is, and what it could not read."""

from datetime import datetime
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from bitloot.domain.decision import AuditEntry, Row

SyncKind: TypeAlias = Literal["full", "incremental"]
SyncState: TypeAlias = Literal["running", "done", "failed"]


class CatalogueSync(Row, frozen=True, kw_only=True):
    """One run. Of a supplier at most one is running.

    All pages before `next_page` are merged: whoever goes on begins there. `updated_since` is None
    for the whole catalogue. The counters say what it read (`pages`, `products`, `refused`) and
    changed. `confirmed_by` is the person who says that what is not listed any more is really gone,
    however much that is.
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
    confirmed_by: str | None = None
    last_error: str | None = None


class Unseen(msgspec.Struct, frozen=True, kw_only=True):
    """What a whole run would take away at its end: of the offers of the supplier that have stock,
    `in_stock`, so many that it did not come across.
    """

    in_stock: int
    unseen: int


class CatalogueRefusal(Row, frozen=True, kw_only=True):
    """A product, or a whole page, that could not be taken over, and why."""

    sync_id: str
    page: int
    supplier_product_id: str | None = None
    reason: str
    at: datetime


def doubt(sync: CatalogueSync, found: Unseen, *, share: Decimal, at_least: int) -> str | None:
    """Why the end of a run is not believed: a supplier that lists nothing, or far less than before,
    is broken more often than it is empty. None where nothing speaks against it.

    More than `share` of what has stock would be gone, and more than `at_least` offers; a person may
    have confirmed it.
    """
    if sync.kind != "full" or sync.confirmed_by is not None or found.unseen <= at_least:
        return None
    if found.unseen <= found.in_stock * share:
        return None
    return f"would take {found.unseen} of {found.in_stock} offers out of stock; confirm it"


def begun(sync: CatalogueSync, *, asked_by: str | None) -> tuple[AuditEntry, ...]:
    """What the audit log keeps of the beginning of a run: who asked for it, if a person did, and
    who confirmed that goods vanished.
    """
    if asked_by is None:
        return confirmations(sync)
    asked = AuditEntry(
        at=sync.started_at,
        actor=asked_by,
        action="catalogue.sync",
        subject=sync.id,
        facts={"supplier": sync.supplier, "kind": sync.kind},
    )
    return asked, *confirmations(sync)


def confirmations(sync: CatalogueSync) -> tuple[AuditEntry, ...]:
    """What the audit log keeps of a run: who confirmed that goods vanished, if anybody did."""
    if sync.confirmed_by is None:
        return ()
    facts = {"supplier": sync.supplier}
    return (
        AuditEntry(
            at=sync.started_at,
            actor=sync.confirmed_by,
            action="catalogue.vanishing-confirmed",
            subject=sync.id,
            facts=facts,
        ),
    )


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
