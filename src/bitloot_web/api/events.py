"""The events of an order, as a page of JSON or as a stream (Server-Sent Events), by `Accept`."""

from collections.abc import AsyncIterator
from contextlib import ExitStack, aclosing
from typing import Annotated, Final
from uuid import UUID

import msgspec
from litestar import MediaType, Response
from litestar.params import FromPath, HeaderParameter
from litestar.response import Stream

from bitloot.ports.views.orders import TimelineEntry
from bitloot_web.api.orders import After, Timeline, event_shown, timeline_shown
from bitloot_web.dependencies import TheShop, TheWatchers
from bitloot_web.paging import PageLimit, page_size
from bitloot_web.problems import FieldError, ProblemError
from bitloot_web.realtime import Watchers
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.routes import get
from bitloot_web.security.access import OrderOwner
from bitloot_web.security.callers import Admission, admission_of
from bitloot_web.shop import Shop

EVENT_STREAM: Final = "text/event-stream"
RETRY_MS: Final = 3000
MAX_EVENT_ID: Final = 2**31 - 1


@get(
    "/v1/orders/{order_id:uuid}/events",
    access=OrderOwner(),
    operation_id="followOrder",
)
async def events(
    *,
    request: EdgeRequest,
    shop: TheShop,
    watchers: TheWatchers,
    order_id: FromPath[UUID],
    after: After = 0,
    limit: PageLimit = None,
    last_event_id: Annotated[str | None, HeaderParameter(name="Last-Event-ID")] = None,
) -> Response[Timeline] | Stream:
    """What happened after an event: now as JSON, or from now on as a stream."""
    wanted = request.accept.best_match([MediaType.JSON, EVENT_STREAM])
    if wanted is None:
        raise ProblemError("not-acceptable")
    size = page_size(limit, shop.limits)
    if wanted != EVENT_STREAM:
        entries = await shop.views.orders.buyer_timeline(str(order_id), after=after, limit=size)
        return Response(timeline_shown(entries, size))
    start = max(after, _event_id(last_event_id))
    admission = admission_of(request)
    watchers.check_room(str(order_id), admission.caller, shop.limits)
    return Stream(
        _stream(shop, watchers, str(order_id), start, admission),
        media_type=EVENT_STREAM,
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


def _event_id(text: str | None) -> int:
    if text is None or text == "":
        return 0
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > MAX_EVENT_ID:
        fault = FieldError("Last-Event-ID", "Send the id of the last event that arrived.")
        raise ProblemError("invalid-request", errors=(fault,))
    return int(text)


async def _stream(
    shop: Shop, watchers: Watchers, order_id: str, after: int, admission: Admission
) -> AsyncIterator[bytes]:
    yield f"retry: {RETRY_MS}\n\n".encode()
    with ExitStack() as seats:
        try:
            seats.enter_context(watchers.seat(order_id, admission.caller, shop.limits))
        except ProblemError:
            return
        async with aclosing(watchers.follow(shop, order_id, after, admission)) as entries:
            async for entry in entries:
                yield _told(entry)


def _told(entry: TimelineEntry | None) -> bytes:
    """An event as it stands in the stream; a comment as a sign of life."""
    if entry is None:
        return b": still here\n\n"
    data = msgspec.json.encode(event_shown(entry)).decode()
    return f"id: {entry.seq}\nevent: {entry.kind}\ndata: {data}\n\n".encode()
