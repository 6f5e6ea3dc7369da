"""What providers call back with: the raw bytes are taken in, stored, and answered at once.

Nothing is looked up before the answer. A body is read once, by its adapter, after its signature.
"""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Final

from litestar import Response
from litestar.params import FromPath

from bitloot.ports.intake import Taken
from bitloot_web.alerts import alert
from bitloot_web.dependencies import TheShop
from bitloot_web.problems import ProblemError
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.routes import post
from bitloot_web.security.access import Provider
from bitloot_web.shop import Shop

MAX_DIGITS: Final = 18
HEAD_BYTES: Final = 1024


@post(
    "/v1/webhooks/{provider:str}",
    access=Provider(),
    status_code=200,
    request_max_body_size=None,  # its own limit is kept below, where the head can be stored
    operation_id="takeWebhook",
)
async def take(request: EdgeRequest, shop: TheShop, provider: FromPath[str]) -> Response[bytes]:
    """Store one delivery of a provider: 200 (204 for suppliers), 401, 400, 413 or 503."""
    is_gateway = provider in shop.webhook_intake.gateways
    is_supplier = provider in shop.supplier_hints.suppliers
    if not (is_gateway or is_supplier or provider == shop.emails.mailer.name):
        raise ProblemError("not-found")
    body = await _read(request, shop, provider if is_gateway else None)
    headers = {
        name.decode("latin-1").lower(): value.decode("latin-1")
        for name, value in request.scope["headers"]
    }
    if is_gateway:
        taking = shop.webhook_intake.accept(provider, headers, body)
    elif is_supplier:
        taking = shop.supplier_hints.accept(provider, headers, body)
    else:
        taking = shop.emails.accept(headers, body)
    taken = await _in_time(taking, shop.limits.webhook_answer)
    if taken == "forged":
        shop.metrics.invalid_hmac.labels(provider).inc()
        alert(shop.metrics, "webhook_forged", provider=provider)
        raise ProblemError("invalid-signature")
    if taken == "malformed":
        raise ProblemError("invalid-webhook")
    if taken == "duplicate":
        shop.metrics.duplicate_webhook.labels(provider).inc()
    # Kinguin asks for a 2xx with an empty body.
    return Response(b"", status_code=204 if is_supplier else 200, media_type="text/plain")


async def _in_time(taking: Coroutine[None, None, Taken], limit: timedelta) -> Taken:
    """What came of it. A provider hangs up on whoever answers too late, so it is told to come
    again, and what was begun goes on: cancelling would wait for the store as well.
    """
    task = asyncio.create_task(taking)
    await asyncio.wait({task}, timeout=limit.total_seconds())
    if not task.done():
        task.add_done_callback(_forgotten)
        raise ProblemError("store-unavailable", "It was not stored in time; send it again.")
    return task.result()


def _forgotten(task: asyncio.Task[Taken]) -> None:
    """Its sender was told to send it again, however it ended."""
    if not task.cancelled():
        task.exception()


async def _read(request: EdgeRequest, shop: Shop, gateway: str | None) -> bytes:
    """The whole body; of one that is too large a gateway's head is kept."""
    most = shop.limits.webhook_body_bytes
    told = request.headers.get("content-length", "0")
    is_too_large = told.isdigit() and len(told) < MAX_DIGITS and int(told) > most
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if is_too_large or len(body) > most:
            if gateway is not None:
                await shop.webhook_intake.too_large(gateway, bytes(body[:HEAD_BYTES]))
            raise ProblemError("body-too-large", f"A webhook has at most {most} bytes.")
    return bytes(body)
