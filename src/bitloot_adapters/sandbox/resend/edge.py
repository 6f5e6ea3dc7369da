"""What stands in front of every call: agent, key, rate, faults, idempotency, headers."""

import asyncio
from typing import Final

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from bitloot_adapters.sandbox.hanging_up import hang_up
from bitloot_adapters.sandbox.resend.config import ApiKey
from bitloot_adapters.sandbox.resend.connection import (
    Call,
    RequestTooLargeError,
    ask,
    read_call,
    write_reply,
)
from bitloot_adapters.sandbox.resend.errors import WireError, invalid
from bitloot_adapters.sandbox.resend.faults import BEFORE, Fault
from bitloot_adapters.sandbox.resend.idempotency import fingerprint_of
from bitloot_adapters.sandbox.resend.reply import Reply, text_reply
from bitloot_adapters.sandbox.resend.stand_in import StandIn

_SENDING: Final = {"/emails": "emails.send", "/emails/batch": "emails.batch"}
_OPEN_PATHS: Final = ("/_control", "/inbox")
_BLOCKED_AGENTS: Final = ("python-urllib",)
_GARBAGE: Final = "<html><body>upstream connect error or disconnect/reset before headers"


def operation_of(method: str, path: str) -> str:
    """The name under which faults are armed, e.g. ``emails.send`` or ``suppressions.get``."""
    path = path.rstrip("/")
    if method == "POST" and path in _SENDING:
        return _SENDING[path]
    parts = path.strip("/").split("/")
    verbs = {"GET": "get", "PATCH": "update", "DELETE": "delete", "POST": "create"}
    verb = verbs.get(method, method.lower())
    if parts == ["emails"] or (method == "GET" and len(parts) == 1):
        verb = "list" if method == "GET" else verb
    if parts[0] == "emails" and parts[-1] == "cancel":
        verb = "cancel"
    return f"{parts[0]}.{verb}"


class Edge:
    """The outermost application; the control door and the inbox pass untouched."""

    def __init__(self, inner: ASGIApp, stand_in: StandIn) -> None:
        self._inner = inner
        self._stand_in = stand_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or _is_open(scope["path"]):
            await self._inner(scope, receive, send)
            return
        try:
            call = await read_call(scope, receive, self._stand_in.config.max_message_bytes)
            reply = await self._answer(scope, call)
        except RequestTooLargeError:
            reply = self._finished(invalid("The email exceeds the maximum size.").reply(), None)
        self._stand_in.state.commit()
        self._stand_in.schedule.wake()
        if reply is None:
            await hang_up(receive)
        else:
            await write_reply(send, reply)

    async def _answer(self, scope: HTTPScope, call: Call) -> Reply | None:
        """The reply, or None when the connection is to break."""
        key: ApiKey | None = None
        agent = call.headers.get("user-agent", "").strip()
        if not agent or agent.lower().startswith(_BLOCKED_AGENTS):
            return self._finished(text_reply(403, "error code: 1010"), None)
        try:
            key = self._known_key(call)
            if not self._stand_in.rate.take(key.team, self._stand_in.clock.now()):
                return self._too_many(key, retry_after=True)
            return await self._with_faults(scope, call, key)
        except WireError as refusal:
            return self._finished(refusal.reply(), key)

    def _known_key(self, call: Call) -> ApiKey:
        scheme, _, token = call.headers.get("authorization", "").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise WireError("missing_api_key", "Missing API key in the authorization header.")
        key = self._stand_in.key_of(token)
        if key is None:
            raise WireError("invalid_api_key", "API key is invalid")
        if key.suspended:
            raise WireError("suspended_api_key", "This API key is suspended")
        if key.permission == "sending_access" and not _is_sending(call):
            raise WireError("restricted_api_key", "This API key is restricted to only send emails")
        return key

    async def _with_faults(self, scope: HTTPScope, call: Call, key: ApiKey) -> Reply | None:
        fault = self._stand_in.faults.take(operation_of(call.method, call.path))
        if fault is None:
            return self._finished(await self._once(scope, call, key, 0.0), key)
        if fault.fault in BEFORE:
            await asyncio.sleep(fault.seconds)
            return self._failed(fault, key)
        reply = await self._once(scope, call, key, fault.seconds)
        if fault.fault == "slow":
            return self._finished(reply, key)
        if fault.fault == "garbage":
            return self._finished(text_reply(reply.status, _GARBAGE, "text/html"), key)
        return self._failed(fault, key)

    def _failed(self, fault: Fault, key: ApiKey) -> Reply | None:
        if fault.fault in {"drop_before", "drop_after"}:
            return None
        if fault.fault == "429":
            return self._too_many(key, retry_after=fault.retry_after)
        if fault.fault == "error":
            return self._finished(WireError(fault.name, fault.message).reply(), key)
        name = "service_unavailable" if fault.fault.startswith("503") else "internal_server_error"
        return self._finished(WireError(name, fault.message).reply(), key)

    async def _once(self, scope: HTTPScope, call: Call, key: ApiKey, seconds: float) -> Reply:
        """Do the work, behind its idempotency key when it has one."""
        name = call.headers.get("idempotency-key")
        if name is None or not _is_sending(call):
            return await self._work(scope, call, key, seconds)
        stand_in = self._stand_in
        mark = fingerprint_of(call.path.rstrip("/"), call.body, stand_in.config.fingerprint)
        remembered = stand_in.idempotency.begin(key.team, name, mark, stand_in.clock.now())
        if remembered is not None:
            return remembered
        reply: Reply | None = None
        try:
            reply = await self._work(scope, call, key, seconds)
        finally:
            stand_in.idempotency.end(key.team, name, mark, reply, stand_in.clock.now())
        return reply

    async def _work(self, scope: HTTPScope, call: Call, key: ApiKey, seconds: float) -> Reply:
        await asyncio.sleep(seconds)
        scope["auth"] = key
        return await ask(self._inner, scope, call.body)

    def _too_many(self, key: ApiKey, *, retry_after: bool) -> Reply:
        reply = self._finished(self._stand_in.rate.refusal().reply(), key)
        if retry_after:
            reply = reply.with_headers({"retry-after": reply.headers["ratelimit-reset"]})
        return reply

    def _finished(self, reply: Reply, key: ApiKey | None) -> Reply:
        """The reply with the headers that every reply has."""
        at = self._stand_in.clock.now()
        team = None if key is None else key.team
        headers = self._stand_in.rate.headers(team, at)
        if team is not None:
            headers |= self._stand_in.quota.headers(team, at)
        return reply.with_headers(headers)


def _is_open(path: str) -> bool:
    return path.startswith(tuple(f"{root}/" for root in _OPEN_PATHS)) or path in _OPEN_PATHS


def _is_sending(call: Call) -> bool:
    return call.method == "POST" and call.path.rstrip("/") in _SENDING
