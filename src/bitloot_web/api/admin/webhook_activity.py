"""How webhooks fare: figures for a board, hour by hour, and one after the other."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Annotated, Final, TypeAlias, TypedDict
from uuid import UUID

import msgspec
from litestar.params import FromPath, QueryParameter

from bitloot.domain.webhook import Ending, WebhookClass, ending
from bitloot.ports.views.desk import WebhookCount
from bitloot_web.dependencies import TheShop
from bitloot_web.problems import ProblemError
from bitloot_web.routes import get
from bitloot_web.security.access import Staff

DAY: Final = 24
MOST_HOURS: Final = 720
# So many hours are told one by one.
MOST_TOLD: Final = 72
_HOUR: Final = timedelta(hours=1)
_PLACES: Final = Decimal("0.0001")

Hours: TypeAlias = Annotated[
    int, QueryParameter(ge=1, le=MOST_HOURS, description="How far to look back.")
]
FewHours: TypeAlias = Annotated[
    int, QueryParameter(ge=1, le=MOST_TOLD, description="How far to look back.")
]


class _Figures(TypedDict):
    """How many were taken in, and how they ended."""

    count: int
    succeeded: int
    failed: int
    waiting: int


class ProviderFigures(msgspec.Struct, frozen=True, kw_only=True):
    """What one provider sent."""

    provider: str
    count: int
    succeeded: int
    failed: int
    waiting: int


class WebhookFigures(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was taken in since then. `failed`: forged, unreadable, of nothing known, or of a status
    that nobody knows. `successRate` is a fraction of what is over, null where nothing is.
    """

    since: datetime
    count: int
    succeeded: int
    failed: int
    waiting: int
    success_rate: str | None
    providers: tuple[ProviderFigures, ...]


class WebhookHour(msgspec.Struct, frozen=True, kw_only=True):
    """What was taken in within an hour."""

    at: datetime
    count: int
    succeeded: int
    failed: int
    waiting: int


class WebhookHours(msgspec.Struct, frozen=True):
    """Every hour, also those without any, oldest first; the first and the last are not whole."""

    hours: tuple[WebhookHour, ...]


class Neighbours(msgspec.Struct, frozen=True):
    """Ids in the order of the list, newest first: `previous` is newer, `next` is older."""

    previous: str | None
    next: str | None


@get("/webhooks/stats", access=Staff("webhooks.read"), operation_id="adminGetWebhookStats")
async def stats(shop: TheShop, hours: Hours = DAY) -> WebhookFigures:
    """How webhooks fared lately."""
    since = shop.clock() - hours * _HOUR
    counts = await shop.views.desk.webhook_counts(since=since, hourly=False)
    every = _endings(counts)
    ended = every["succeeded"] + every["failed"]
    rate = (Decimal(every["succeeded"]) / ended).quantize(_PLACES) if ended else None
    names = sorted({each.provider for each in counts})
    by_name = {name: _endings(one for one in counts if one.provider == name) for name in names}
    return WebhookFigures(
        since=since,
        **_figures(every),
        success_rate=None if rate is None else str(rate),
        providers=tuple(
            ProviderFigures(
                provider=name,
                **_figures(found),
            )
            for name, found in by_name.items()
        ),
    )


@get("/webhooks/timeline", access=Staff("webhooks.read"), operation_id="adminGetWebhookTimeline")
async def timeline(shop: TheShop, hours: FewHours = DAY) -> WebhookHours:
    """How webhooks fared hour by hour."""
    now = shop.clock()
    since = now - hours * _HOUR
    counts = await shop.views.desk.webhook_counts(since=since, hourly=True)
    first = since.replace(minute=0, second=0, microsecond=0)
    every = (first + n * _HOUR for n in range(hours + 1))
    return WebhookHours(
        tuple(_hour(at, _endings(one for one in counts if one.at == at)) for at in every)
    )


@get(
    "/webhooks/{webhook_id:uuid}/adjacent",
    access=Staff("webhooks.read"),
    operation_id="adminGetWebhookNeighbours",
)
async def adjacent(
    shop: TheShop,
    webhook_id: FromPath[UUID],
    provider: Annotated[str | None, QueryParameter(max_length=64)] = None,
    classification: Annotated[WebhookClass | None, QueryParameter()] = None,
) -> Neighbours:
    """What stands before and after a webhook in the list of that filter."""
    desk, known = shop.views.desk, str(webhook_id)
    if await desk.webhook(known) is None:
        raise ProblemError("not-found")
    older = await desk.webhooks(
        provider=provider, classification=classification, limit=1, after=known
    )
    return Neighbours(
        previous=await desk.newer_webhook(known, provider=provider, classification=classification),
        next=older.items[0].id if older.items else None,
    )


def _endings(counts: Iterable[WebhookCount]) -> Counter[Ending]:
    found: Counter[Ending] = Counter()
    for each in counts:
        found[ending(each.classification)] += each.count
    return found


def _figures(found: Counter[Ending]) -> _Figures:
    return {
        "count": found.total(),
        "succeeded": found["succeeded"],
        "failed": found["failed"],
        "waiting": found["waiting"],
    }


def _hour(at: datetime, found: Counter[Ending]) -> WebhookHour:
    return WebhookHour(
        at=at,
        **_figures(found),
    )
