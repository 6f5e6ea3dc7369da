"""Differences to providers that no machine could put right."""

from dataclasses import replace
from datetime import datetime
from uuid import UUID

import msgspec
from litestar.params import FromPath, JSONBody

from bitloot.domain.decision import Decision
from bitloot.domain.reconciliation import BREAKS, ReconciliationBreak
from bitloot.ports.unit_of_work import UnitOfWork
from bitloot.ports.views.paging import page_of
from bitloot_web.api.fields import Reason
from bitloot_web.dependencies import TheActor, TheRepeatable, TheShop
from bitloot_web.once import decide_once
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.routes import get, post
from bitloot_web.security.access import Staff


class BreakShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A difference: `subject` is `<supplier>/<order id>` or a sealed key's id."""

    id: str
    kind: str
    meaning: str
    subject: str
    ours: str
    theirs: str
    state: str
    note: str
    found_at: datetime
    settled_at: datetime | None


class Explanation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the difference is, for the record; it is not told again."""

    reason: Reason


def break_shown(row: ReconciliationBreak) -> BreakShown:
    """The difference as it is answered."""
    return BreakShown(
        id=row.id,
        kind=row.kind,
        meaning=BREAKS[row.kind],
        subject=row.subject,
        ours=row.ours,
        theirs=row.theirs,
        state=row.state,
        note=row.note,
        found_at=row.found_at,
        settled_at=row.settled_at,
    )


@get(
    "/reconciliation-breaks",
    access=Staff("reconciliation.read"),
    operation_id="adminListReconciliationBreaks",
)
async def breaks(
    *, shop: TheShop, limit: PageLimit = None, cursor: PageCursor = None
) -> PageOf[BreakShown]:
    """Differences that are not explained yet, oldest first."""
    paging = Paging(shop, "reconciliation-breaks", limit, cursor)
    rows = await shop.views.desk.open_breaks(limit=paging.size + 1, after=paging.after)
    return paging.page(page_of(rows, paging.size, lambda row: row.id), break_shown)


@post(
    "/reconciliation-breaks/{break_id:uuid}/explanation",
    access=Staff("reconciliation.write"),
    status_code=200,
    operation_id="adminExplainReconciliationBreak",
)
async def explain(
    *,
    shop: TheShop,
    actor: TheActor,
    break_id: FromPath[UUID],
    data: JSONBody[Explanation],
    repeatable: TheRepeatable,
) -> BreakShown:
    """Close a difference whose cause is known."""
    once = await repeatable.once(actor.name)

    async def act(uow: UnitOfWork) -> ReconciliationBreak:
        reconciliation = replace(shop.reconciliation, uow=uow)
        return await reconciliation.explain(str(break_id), actor=actor.name, reason=data.reason)

    return await decide_once(shop, once, BreakShown, _explained, act)


def _explained(decision: Decision) -> BreakShown:
    rows = (change.after for change in decision.save)
    return next(break_shown(row) for row in rows if isinstance(row, ReconciliationBreak))
