"""The events of an order over a WebSocket, for clients that are no browsers' event sources.

The first message brings the token, so that it stands in no address and no log:
`{"token": "…", "after": 12}`. From then on the shop speaks and the client listens.
"""

import asyncio
from contextlib import aclosing, suppress
from typing import Annotated, Final, TypeAlias
from uuid import UUID

import msgspec
from litestar import WebSocket, websocket
from litestar.datastructures import State
from litestar.exceptions import WebSocketDisconnect
from litestar.params import FromPath

from bitloot.ports.errors import StoreUnavailable
from bitloot_web.api.events import MAX_EVENT_ID
from bitloot_web.api.fields import Token
from bitloot_web.api.orders import event_shown
from bitloot_web.dependencies import TheShop, TheWatchers
from bitloot_web.problems import ProblemError
from bitloot_web.realtime import Watchers
from bitloot_web.security.access import ACCESS, OrderOwner
from bitloot_web.security.callers import Admission, is_still_admitted, opens
from bitloot_web.security.cookie_sessions import own_origin
from bitloot_web.shop import Shop

EdgeSocket: TypeAlias = WebSocket[None, None, State]

GREETING_SECONDS: Final = 10.0
# A client that does not take a message within this time is dropped: it resumes by event id.
SEND_SECONDS: Final = 5.0
CLOSE_SECONDS: Final = 1.0
MAX_GREETING: Final = 8192
MAX_MESSAGES: Final = 20

NORMAL: Final = 1000
GOING_AWAY: Final = 1001
POLICY: Final = 1008
TRY_AGAIN_LATER: Final = 1013
UNAUTHENTICATED: Final = 4401
FORBIDDEN: Final = 4403
NOT_FOUND: Final = 4404
TOO_MANY: Final = 4429
_CODES: Final = {"unauthenticated": UNAUTHENTICATED, "not-found": NOT_FOUND}


class Greeting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The first message. `after` is the id of the last event that the client has."""

    token: Token
    after: Annotated[int, msgspec.Meta(le=MAX_EVENT_ID)] = 0


class Followed(msgspec.Struct, frozen=True):
    """The order, after which event, and what opened it."""

    order_id: str
    after: int
    admission: Admission


@websocket("/v1/ws/orders/{order_id:uuid}", opt={ACCESS: OrderOwner()})
async def order_socket(
    socket: EdgeSocket,
    shop: TheShop,
    watchers: TheWatchers,
    order_id: FromPath[UUID],
) -> None:
    """Follow an order."""
    if not is_known_origin(socket.headers.get("origin"), shop):
        await socket.close(FORBIDDEN, "origin not allowed")
        return
    await socket.accept()
    try:
        async with asyncio.timeout(GREETING_SECONDS):
            first = await socket.receive_data(mode="text")
        greeting = read_greeting(first)
        admission = await opens(shop, greeting.token, str(order_id))
    except ProblemError as error:
        await socket.close(_CODES.get(error.code, POLICY), error.code)
        return
    except StoreUnavailable:
        await socket.close(TRY_AGAIN_LATER, "store-unavailable")
        return
    except TimeoutError:
        await socket.close(POLICY, "no token came")
        return
    except WebSocketDisconnect:
        return
    try:
        with watchers.seat(str(order_id), admission.caller, shop.limits):
            await _serve(socket, shop, watchers, Followed(str(order_id), greeting.after, admission))
    except ProblemError:
        await socket.close(TOO_MANY, "too many sockets")


def is_known_origin(origin: str | None, shop: Shop) -> bool:
    """Whether a page of that origin may open a socket; clients that are no pages send none."""
    if origin is None:
        return True
    return origin == own_origin(shop.edge.public_url) or origin in shop.edge.cors_origins


def read_greeting(text: str | bytes) -> Greeting:
    """The first message. Raises ProblemError `unauthenticated` for anything else."""
    raw = text.encode() if isinstance(text, str) else text
    if len(raw) > MAX_GREETING:
        raise ProblemError("body-too-large")
    try:
        return msgspec.json.decode(raw, type=Greeting)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ProblemError("unauthenticated") from None


async def _serve(socket: EdgeSocket, shop: Shop, watchers: Watchers, followed: Followed) -> None:
    """Until the client leaves, talks too much or listens too slowly, or the server stops."""
    speaking = asyncio.create_task(_speak(socket, shop, watchers, followed))
    listening = asyncio.create_task(_listen(socket))
    try:
        done, _ = await asyncio.wait({speaking, listening}, return_when=asyncio.FIRST_COMPLETED)
        code = next(iter(done)).result()
    finally:
        for task in (speaking, listening):
            task.cancel()
        await asyncio.gather(speaking, listening, return_exceptions=True)
    if code is not None:
        await _close(socket, code)


async def _close(socket: EdgeSocket, code: int) -> None:
    """Who takes no messages may not take this one either: the server cuts them off without it."""
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await socket.close(code)


async def _speak(
    socket: EdgeSocket, shop: Shop, watchers: Watchers, followed: Followed
) -> int | None:
    start = max(0, followed.after)
    following = watchers.follow(shop, followed.order_id, start, followed.admission)
    async with aclosing(following) as entries:
        async for entry in entries:
            message: msgspec.Struct | dict[str, str]
            message = {"kind": "ping"} if entry is None else event_shown(entry)
            try:
                async with asyncio.timeout(SEND_SECONDS):
                    await socket.send_text(msgspec.json.encode(message).decode())
            except TimeoutError:
                return POLICY
    return GOING_AWAY if watchers.stopping.is_set() else await _why(shop, followed.admission)


async def _why(shop: Shop, admission: Admission) -> int:
    """Nobody is signed out because nobody could be asked."""
    try:
        is_admitted = await is_still_admitted(shop, admission)
    except StoreUnavailable:
        return TRY_AGAIN_LATER
    return TRY_AGAIN_LATER if is_admitted else UNAUTHENTICATED


async def _listen(socket: EdgeSocket) -> int | None:
    """None when the client left; a code when it talks more than it should."""
    for _ in range(MAX_MESSAGES):
        try:
            await socket.receive_data(mode="text")
        except WebSocketDisconnect:
            return None
    return POLICY
