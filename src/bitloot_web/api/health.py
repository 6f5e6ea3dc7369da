"""Whether the process is there, whether it can sell, and its numbers."""

import asyncio
from typing import Final

import msgspec
from litestar import Response

from bitloot.ports.errors import Rejected, StoreUnavailable, Unavailable
from bitloot_web.dependencies import TheShop
from bitloot_web.metrics import CONTENT_TYPE
from bitloot_web.problems import ProblemError
from bitloot_web.routes import get
from bitloot_web.security.access import Anyone, Trusted
from bitloot_web.shop import Probe

PROBE_SECONDS: Final = 3.0
NEEDED: Final = frozenset({"database"})


class Health(msgspec.Struct, frozen=True):
    """`ok` while the process answers."""

    status: str


class Readiness(msgspec.Struct, frozen=True):
    """`ready` while what selling needs is there; `parts` says `ok` or `away` of each part."""

    status: str
    parts: dict[str, str]


@get("/healthz", access=Anyone(), operation_id="health")
async def healthz() -> Health:
    """The process is there."""
    return Health("ok")


@get("/readyz", access=Anyone(), operation_id="readiness")
async def readyz(shop: TheShop) -> Response[Readiness]:
    """200 while the database answers; the other parts are reported."""
    answers = await asyncio.gather(*(_ask(probe) for probe in shop.probes.values()))
    parts = dict(zip(shop.probes, answers, strict=True))
    is_ready = all(state == "ok" for part, state in parts.items() if part in NEEDED)
    status = "ready" if is_ready else "not ready"
    if not is_ready:
        facts: dict[str, str | int | None] = dict(parts)
        raise ProblemError("store-unavailable", facts=facts)
    return Response(Readiness(status, parts))


async def _ask(probe: Probe) -> str:
    try:
        async with asyncio.timeout(PROBE_SECONDS):
            await probe()
    except (StoreUnavailable, Unavailable, Rejected, TimeoutError):
        return "away"
    return "ok"


@get("/metrics", access=Trusted(), include_in_schema=False)
async def metrics(shop: TheShop) -> Response[bytes]:
    """Prometheus text, for addresses that the settings name; for all others there is nothing."""
    return Response(shop.metrics.page(), media_type=CONTENT_TYPE)
