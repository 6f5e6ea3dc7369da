"""The control door: everything a test or a demonstration can order. JSON in, JSON out.

``GET /_control/health``
    ``{"status": "ok", "now": ISO}``.
``POST /_control/reset``
    Forgets tokens, faults and calls.
``GET /_control/state``
    The time of the stand-in, how many tokens it knows, and the armed faults.
``POST /_control/advance`` ``{"seconds": 301}``
    Moves time on.
``POST /_control/tokens`` ``{"site_key": "...", "action": "order", "cdata": "", "hostname":
"shop.example", "length": 300}``
    What the widget would put into the form, as ``{"token": "..."}``; the test site keys yield the
    published dummy token. What is left out: the first site, no action, no data, its first hostname
    (or ``localhost``).
``POST /_control/faults`` ``{"fault": "internal-error", "times": 1, "skip": 0, "seconds": 0,
"codes": ["internal-error"]}``
    ``fault``: ``internal-error`` (nothing is done; ``codes`` in its place, if given), ``503``,
    ``garbage``, ``drop_before`` and ``refused`` (nothing is done); ``internal-error_after``,
    ``drop_after`` (the token is used up and the answer lost); ``slow`` (``seconds`` before the
    work). ``refused`` is a refused connection where the application is called in-process; behind a
    socket, which has accepted by then, the connection is closed at once.
    ``DELETE /_control/faults`` disarms all.
``GET /_control/calls``
    The newest calls of ``siteverify``: field by field, secrets left out.
"""

import re
from datetime import timedelta
from typing import Final, TypeVar

import msgspec
from litestar import Request, delete, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency

from bitloot_adapters.sandbox.turnstile.faults import Fault
from bitloot_adapters.sandbox.turnstile.stand_in import StandIn
from bitloot_adapters.sandbox.turnstile.tokens import (
    DUMMY,
    MAX_TOKEN,
    MIN_TOKEN,
    TEST_SITE_KEYS,
)

MAX_ADVANCE_SECONDS: Final = 400 * 86400.0
_ACTION: Final = re.compile(r"[A-Za-z0-9_-]{0,32}")
_CDATA: Final = re.compile(r"[A-Za-z0-9_-]{0,255}")

ControlRequest = Request[None, None, State]
T = TypeVar("T")


class ControlError(Exception):
    """A control call that cannot be carried out."""


class Advance(msgspec.Struct):
    seconds: float


class TokenOrder(msgspec.Struct):
    site_key: str | None = None
    action: str = ""
    cdata: str = ""
    hostname: str | None = None
    length: int = 300


async def _order(request: ControlRequest, order_type: type[T]) -> T:
    try:
        return msgspec.json.decode(await request.body() or b"{}", type=order_type)
    except msgspec.DecodeError as unreadable:
        raise ControlError(str(unreadable)) from unreadable


@get("/_control/health")
async def health(stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    return {"status": "ok", "now": stand_in.tokens.now().isoformat()}


@post("/_control/reset", status_code=200)
async def reset(stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    stand_in.reset()
    return {"status": "reset"}


@get("/_control/state")
async def dump_state(stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    return {
        "now": stand_in.tokens.now().isoformat(),
        "tokens": len(stand_in.tokens),
        "faults": msgspec.to_builtins(stand_in.faults.armed),
    }


@post("/_control/advance", status_code=200)
async def advance(request: ControlRequest, stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    order = await _order(request, Advance)
    if not 0 <= order.seconds <= MAX_ADVANCE_SECONDS:
        raise ControlError(f"seconds must be 0 to {MAX_ADVANCE_SECONDS}")
    stand_in.tokens.advance(timedelta(seconds=order.seconds))
    return {"now": stand_in.tokens.now().isoformat()}


@post("/_control/tokens", status_code=200)
async def issue_token(
    request: ControlRequest, stand_in: NamedDependency[StandIn]
) -> dict[str, object]:
    order = await _order(request, TokenOrder)
    if order.site_key in TEST_SITE_KEYS:
        return {"token": DUMMY}
    site = stand_in.tokens.site(order.site_key)
    if site is None:
        raise ControlError("no such site key")
    hostname = order.hostname or next(iter(site.hostnames), "localhost")
    if site.hostnames and hostname not in site.hostnames:
        raise ControlError(f"the widget does not run on {hostname}")
    if not _ACTION.fullmatch(order.action) or not _CDATA.fullmatch(order.cdata):
        raise ControlError("action and cdata are letters, digits, _ and -, up to 32 and 255")
    if not MIN_TOKEN <= order.length <= MAX_TOKEN:
        raise ControlError(f"length must be {MIN_TOKEN} to {MAX_TOKEN}")
    token = stand_in.tokens.issue(
        site, action=order.action, cdata=order.cdata, hostname=hostname, length=order.length
    )
    return {"token": token}


@post("/_control/faults", status_code=200)
async def arm_fault(
    request: ControlRequest, stand_in: NamedDependency[StandIn]
) -> dict[str, object]:
    fault = await _order(request, Fault)
    try:
        stand_in.faults.arm(fault)
    except ValueError as full:
        raise ControlError(str(full)) from full
    return {"armed": len(stand_in.faults.armed)}


@delete("/_control/faults", status_code=200)
async def disarm_faults(stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    stand_in.faults.armed.clear()
    return {"armed": 0}


@get("/_control/calls")
async def list_calls(stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    calls = [
        {name: value for name, value in msgspec.structs.asdict(call).items() if name != "secret"}
        for call in stand_in.calls
    ]
    return {"calls": calls}


ROUTES: Final = (
    health,
    reset,
    dump_state,
    advance,
    issue_token,
    arm_fault,
    disarm_faults,
    list_calls,
)
