"""The captcha port spoken to Cloudflare Turnstile. Everything that is not a clear yes is a no."""

import asyncio
import hashlib
from ipaddress import ip_address
from typing import Final
from uuid import UUID

import msgspec

from bitloot.domain.limits import Limits
from bitloot.ports.clock import NewId
from bitloot.ports.errors import Rejected, Unavailable
from bitloot_adapters.http import Ambiguous, HttpClient, NotSent
from bitloot_adapters.turnstile import wire

NAME: Final = "turnstile"
PATH: Final = "/turnstile/v0/siteverify"
# The first call, and one more under the same key: the token counts once.
TRIES: Final = 2
# No widget makes such a token; only the secret is tried with it.
PROBE: Final = "bitloot-probe"
# Published for testing; production never sees them. Source: Cloudflare Turnstile, "Testing".
TEST_SECRETS: Final = frozenset(f"{n}x0000000000000000000000000000000AA" for n in (1, 2, 3))
TEST_SITE_KEYS: Final = frozenset(
    {
        "1x00000000000000000000AA",
        "2x00000000000000000000AB",
        "1x00000000000000000000BB",
        "2x00000000000000000000BB",
        "3x00000000000000000000FF",
    }
)


class Turnstile:
    """`hostnames` are those of pages that may show the widget, in lower case.

    With a test secret neither the host nor the action is compared: the one dummy token that such a
    secret takes was made for neither.
    """

    name: str = NAME

    def __init__(
        self,
        http: HttpClient,
        *,
        secret: str,
        site_key: str,
        hostnames: frozenset[str],
        limits: Limits,
        new_id: NewId,
    ) -> None:
        self._http = http
        self._secret = secret
        self._hostnames = hostnames
        self._is_test = secret in TEST_SECRETS
        self._patience = limits.captcha_answer.total_seconds()
        self._new_id = new_id
        self.site_key: str | None = site_key

    async def passes(
        self, token: str | None, *, action: str, remote_ip: str, mark: str | None = None
    ) -> bool:
        """`POST siteverify`; no call for what can be no token. Raises Unavailable, Rejected."""
        if not token or len(token) > wire.MAX_TOKEN or not _is_plain(token):
            return False
        call = {
            "secret": self._secret,
            "response": token,
            "idempotency_key": self._key(token, action, mark),
        }
        if _is_address(remote_ip):
            call["remoteip"] = remote_ip
        reply = await self._asked(call)
        return reply.ending == "passed" and (self._is_test or self._is_ours(reply, action))

    async def check(self) -> None:
        """A token of nobody is refused; what matters is that the secret is not."""
        await self._asked({"secret": self._secret, "response": PROBE})

    def _is_ours(self, reply: wire.Reply, action: str) -> bool:
        return reply.hostname.lower() in self._hostnames and reply.action == action

    def _key(self, token: str, action: str, mark: str | None) -> str:
        """A UUID: the same for calls with one mark about one token."""
        if mark is None:
            return str(UUID(self._new_id()))
        told = msgspec.json.encode([token, action, mark])
        return str(UUID(bytes=hashlib.sha256(told).digest()[:16], version=4))

    async def _asked(self, call: dict[str, str]) -> wire.Reply:
        """A reply that is about the token. Raises Unavailable, Rejected."""
        body = msgspec.json.encode(call)
        reason = "deadline"
        try:
            async with asyncio.timeout(self._patience):
                for _ in range(TRIES):
                    reply, reason = await self._tried(body)
                    if reply.ending != "in_trouble":
                        return _about_the_token(reply)
        except TimeoutError:
            reason = "deadline"
        raise Unavailable(NAME, reason)

    async def _tried(self, body: bytes) -> tuple[wire.Reply, str]:
        """One exchange, with a word for what is wrong with it."""
        try:
            answer = await self._http.send("POST", PATH, body=body)
        except (NotSent, Ambiguous) as error:
            return wire.IN_TROUBLE, error.reason
        reply = wire.read(answer.body)
        reason = "internal_error" if reply.codes else f"http_{answer.status}"
        return reply, reason


def _about_the_token(reply: wire.Reply) -> wire.Reply:
    """Raises Rejected for a reply that is about ourselves."""
    if reply.ending in {"credentials", "invalid"}:
        raise Rejected(NAME, reply.ending, ", ".join(reply.codes)[:200])
    return reply


def _is_plain(token: str) -> bool:
    """Tokens are opaque, but no widget makes blanks or letters beyond ASCII."""
    return token.isascii() and token.isprintable() and " " not in token


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
