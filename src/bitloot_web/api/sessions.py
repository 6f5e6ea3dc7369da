"""Coming back to an order: a code by mail, then a token of one hour."""

from datetime import datetime
from typing import Final
from uuid import UUID

import msgspec
from litestar.params import FromPath, JSONBody

from bitloot_web.api.fields import CaptchaToken, ShortText
from bitloot_web.dependencies import TheShop
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.routes import post
from bitloot_web.security.access import Anyone
from bitloot_web.security.captcha import is_person, no_person
from bitloot_web.security.client_address import client_of, counted
from bitloot_web.security.rate_limits import count, limited


class CodeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`captcha` where the shop asks for one."""

    captcha: CaptchaToken | None = None


NOTHING_MORE: Final = CodeRequest()


class CodeSent(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The same answer for every order id: whether a mail went out is told to its reader only."""

    challenge_id: str
    expires_at: datetime


class CodeAnswer(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The code of the mail, with the challenge that it answers."""

    challenge_id: ShortText
    code: ShortText


class OrderSession(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The token that opens the order."""

    order_session_token: str
    order_session_expires_at: datetime


@post(
    "/v1/orders/{order_id:uuid}/session/code",
    access=Anyone(),
    guards=[limited("codes-by-ip")],
    status_code=202,
    operation_id="requestCode",
)
async def request_code(
    request: EdgeRequest,
    shop: TheShop,
    order_id: FromPath[UUID],
    data: JSONBody[CodeRequest] = NOTHING_MORE,
) -> CodeSent:
    """Mail a code to the order's address. A shop without a captcha needs no body."""
    if not await is_person(request, shop, data.captcha, action="code"):
        raise no_person(data.captcha)
    challenge = await shop.reentry.request(str(order_id))
    return CodeSent(challenge_id=challenge.challenge_id, expires_at=challenge.expires_at)


@post(
    "/v1/orders/{order_id:uuid}/session",
    access=Anyone(),
    guards=[limited("code-tries-by-ip")],
    operation_id="createSession",
)
async def create_session(
    request: EdgeRequest,
    shop: TheShop,
    order_id: FromPath[UUID],
    data: JSONBody[CodeAnswer],
) -> OrderSession:
    """Turn a code into a token."""
    client = counted(client_of(request.scope, shop.edge.trusted_proxies))
    # By order and client together: nobody can lock the buyer out by guessing from elsewhere.
    await count(shop, request.scope, "code-tries-by-order", f"{order_id}/{client}")
    opened = await shop.reentry.verify(str(order_id), data.challenge_id, data.code.strip())
    shop.metrics.otp_verified.inc()
    at = shop.clock()
    return OrderSession(
        order_session_token=shop.sessions.issue(opened, at=at),
        order_session_expires_at=shop.sessions.expires_at(at=at),
    )
