"""The only door to Tillgate: one exchange, bounded in time and size, and what its failure means."""

import asyncio
from collections.abc import Callable, Mapping

import httpx
import msgspec

from bitloot.domain.limits import Limits

# The request has not left us: whatever it asked for was not done.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class Unreached(Exception):
    """No answer. `is_sent` says whether the request may have been carried out all the same."""

    def __init__(self, reason: str, *, is_sent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.is_sent = is_sent


class Answer(msgspec.Struct, frozen=True):
    """A complete answer; `retry_after` in seconds."""

    status: int
    body: bytes
    retry_after: float | None


class Door:
    """Requests under `base_url` with the merchant's key. `transport` is for tests."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        limits: Limits,
        in_transaction: Callable[[], bool],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._limits = limits
        self._in_transaction = in_transaction
        self._client = httpx.AsyncClient(
            headers={"authorization": f"Bearer {api_key}", "accept": "application/json"},
            timeout=httpx.Timeout(
                connect=limits.http_connect.total_seconds(),
                read=limits.http_read.total_seconds(),
                write=limits.http_write.total_seconds(),
                pool=limits.http_pool.total_seconds(),
            ),
            limits=httpx.Limits(max_connections=limits.http_connections),
            transport=transport,
            trust_env=False,
            follow_redirects=False,
        )

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        fields: Mapping[str, object] | None = None,
    ) -> Answer:
        """One exchange, never repeated. Every status is an answer. Raises Unreached."""
        if self._in_transaction():
            raise RuntimeError("a network call inside a database transaction")
        request = self._client.build_request(
            method,
            self._base_url + path,
            params=query,
            content=None if fields is None else msgspec.json.encode(fields),
            headers=None if fields is None else {"content-type": "application/json"},
        )
        # A cancelled caller leaves the exchange to end by itself, within its deadline: cutting it
        # off inside of httpx could keep a place of the pool for good.
        return await asyncio.shield(asyncio.ensure_future(self._exchange(request)))

    async def _exchange(self, request: httpx.Request) -> Answer:
        try:
            async with asyncio.timeout(self._limits.http_total.total_seconds()):
                return await self._read(request)
        except TimeoutError:
            raise Unreached("deadline", is_sent=True) from None
        except _NEVER_SENT:
            raise Unreached("unreached", is_sent=False) from None
        except (httpx.HTTPError, httpx.StreamError):
            raise Unreached("cut_off", is_sent=True) from None

    async def _read(self, request: httpx.Request) -> Answer:
        response = await self._client.send(request, stream=True)
        try:
            received = bytearray()
            async for piece in response.aiter_bytes():
                received += piece
                if len(received) > self._limits.http_answer_bytes:
                    raise Unreached("answer_too_large", is_sent=True)
        finally:
            await response.aclose()
        wait = response.headers.get("retry-after", "")
        seconds = float(wait) if wait.isascii() and wait.isdigit() else None
        return Answer(response.status_code, bytes(received), seconds)

    async def close(self) -> None:
        """Close the pool."""
        await self._client.aclose()
