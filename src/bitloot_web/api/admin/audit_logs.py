"""The audit log: what people did, and whether it still is what was written."""

from typing import Annotated

import msgspec
from litestar.params import QueryParameter

from bitloot.domain.audit_chain import check
from bitloot_web.api.admin.orders import AuditLine, audit_line
from bitloot_web.dependencies import TheShop
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.routes import get
from bitloot_web.security.access import Staff


class CheckedAudit(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`checked` lines hold together up to `last`; `brokenAt` is the first that does not.

    `next` is the `after` to go on with, null when the log was checked to its end.
    """

    checked: int
    last: int
    broken_at: int | None
    next: int | None


@get("/audit-logs", access=Staff("audit.read"), operation_id="adminListAudit")
async def audit_logs(
    shop: TheShop, limit: PageLimit = None, cursor: PageCursor = None
) -> PageOf[AuditLine]:
    """What people did, newest first."""
    paging = Paging(shop, "audit", limit, cursor)
    page = await shop.views.desk.audit(limit=paging.size, after=paging.after)
    return paging.page(page, audit_line)


@get("/audit-logs/verify", access=Staff("audit.read"), operation_id="adminVerifyAudit")
async def verify(
    shop: TheShop, after: Annotated[int, QueryParameter(ge=0, le=2**53)] = 0
) -> CheckedAudit:
    """Check the hash chain behind a line, so many lines at a time."""
    stretch = await shop.views.desk.audit_chain(after=after, limit=shop.limits.count_exact)
    found = check(stretch, after=after)
    more = found.broken_at is None and found.last < stretch.head.seq
    return CheckedAudit(
        checked=found.checked,
        last=found.last,
        broken_at=found.broken_at,
        next=found.last if more else None,
    )
