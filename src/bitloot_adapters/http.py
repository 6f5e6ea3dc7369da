"""The one HTTP client factory, and the only module that imports httpx outside the sandboxes.

What it guarantees to every caller:

- it refuses to run while the calling task holds a database transaction open;
- a total deadline, an answer that is never read past its limit, no proxies, no redirects;
- a failure says whether the request can have reached the provider (`NotSent` or `Ambiguous`);
- cancelling a caller never reaches the connection pool. A cancelled exchange inside httpx can keep
  its slot for good, so callers are shielded, and a client whose exchange had to be cut off at the
  deadline is retired: new calls get a new generation, the old one closes when its last call ends;
- callers wait for a connection in front of the pool, not in it: who is cancelled while waiting has
  sent nothing and leaves nothing behind, and no more exchanges run than there are connections.
"""

import asyncio
import contextlib
import functools
import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from email.utils import parsedate_to_datetime
from typing import Final

import httpx
import msgspec

from bitloot.domain.limits import Limits

# Seconds. A provider that asks for more is asked again after a day.
MAX_HINT: Final = 86_400.0
# The reason of what waited for its turn here and was never tried: no fault of the provider.
QUEUE_FULL: Final = "queue_full"
_HINTS: Final = ("retry-after", "ratelimit-reset")
_SECONDS: Final = re.compile(r"[0-9]+(\.[0-9]+)?")
_NEVER_SENT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


class NotSent(Exception):
    """The request cannot have reached the provider. `reason` is a short stable word."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Ambiguous(Exception):
    """The request may have been carried out: time-out, cut connection, unreadable answer."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A complete answer. Header names are lower-case; `body` is at most the limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def retry_after(self) -> float | None:
        """The provider's own hint in seconds, a day at most: a plain number or a date.

        A date counts from the `date` of the answer, so that no clock of ours comes in; without
        that one, and for anything else, it is left to `ratelimit-reset` (RFC 9110, 10.2.3).
        """
        sent = self.headers.get("date", "")
        told = (_seconds(self.headers.get(name, "").strip(), sent) for name in _HINTS)
        hint = next((seconds for seconds in told if seconds is not None), None)
        return None if hint is None else min(hint, MAX_HINT)


class Pace:
    """At most `per_second` starts a second in this process; callers queue up to `patience`."""

    def __init__(self, per_second: int, *, patience: float) -> None:
        self._gap = 1 / per_second
        self._patience = patience
        self._next = 0.0

    async def turn(self) -> None:
        """Wait for a turn. Raises NotSent when the queue is longer than the patience."""
        now = asyncio.get_running_loop().time()
        starts = max(now, self._next)
        if starts - now > self._patience:
            raise NotSent(QUEUE_FULL)
        self._next = starts + self._gap
        await asyncio.sleep(starts - now)


@functools.cache
def trusted() -> ssl.SSLContext:
    """The authorities that every client trusts, read once a process.

    Reading them takes tens of milliseconds in which nothing else runs, and a client that met a
    deadline is replaced by a new one.
    """
    return httpx.create_ssl_context(trust_env=False)


class _Generation:
    """One httpx client and the number of exchanges that still use it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.in_flight = 0
        self.retired = False


class HttpClient:
    """Requests to one provider under `base_url` (which includes the version path)."""

    def __init__(
        self,
        base_url: str,
        *,
        limits: Limits,
        in_transaction: Callable[[], bool],
        headers: Mapping[str, str],
        transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._limits = limits
        self._in_transaction = in_transaction
        self._headers = dict(headers)
        self._transport = transport
        self._generation: _Generation | None = None
        self._running: set[asyncio.Task[Answer]] = set()
        self._places = asyncio.Semaphore(limits.http_connections)

    async def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """One exchange. Raises NotSent or Ambiguous; every status is an answer.

        Cancelling the caller leaves the exchange to end by itself, within its deadline.
        """
        if self._in_transaction():
            raise RuntimeError("a network call inside a database transaction")
        await self._take_place()
        try:
            generation = self._current()
            request = _request(
                generation.client,
                method,
                self._base_url + path,
                query=query,
                body=body,
                headers=headers,
            )
        except BaseException:
            self._places.release()
            raise
        task = asyncio.ensure_future(self._exchange(generation, request))
        self._running.add(task)
        task.add_done_callback(self._ended)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            # Its outcome is nobody's any more; taking it keeps the loop from complaining.
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            raise

    async def _take_place(self) -> None:
        try:
            async with asyncio.timeout(self._limits.http_pool.total_seconds()):
                await self._places.acquire()
        except TimeoutError:
            raise NotSent("pool_timeout") from None

    def _ended(self, task: asyncio.Task[Answer]) -> None:
        self._running.discard(task)
        self._places.release()

    def _current(self) -> _Generation:
        if self._generation is None or self._generation.retired:
            limits = self._limits
            self._generation = _Generation(
                httpx.AsyncClient(
                    headers=self._headers,
                    timeout=httpx.Timeout(
                        connect=limits.http_connect.total_seconds(),
                        read=limits.http_read.total_seconds(),
                        write=limits.http_write.total_seconds(),
                        pool=limits.http_pool.total_seconds(),
                    ),
                    limits=httpx.Limits(
                        max_connections=limits.http_connections,
                        max_keepalive_connections=limits.http_connections,
                    ),
                    transport=self._transport() if self._transport else None,
                    verify=trusted(),
                    trust_env=False,
                    follow_redirects=False,
                )
            )
        return self._generation

    async def _exchange(self, generation: _Generation, request: httpx.Request) -> Answer:
        generation.in_flight += 1
        try:
            async with asyncio.timeout(self._limits.http_total.total_seconds()):
                return await self._read(generation.client, request)
        except TimeoutError:
            generation.retired = True
            raise Ambiguous("deadline") from None
        except _NEVER_SENT as error:
            raise NotSent(_word(error)) from None
        except (httpx.HTTPError, httpx.StreamError) as error:
            raise Ambiguous(_word(error)) from None
        finally:
            generation.in_flight -= 1
            if generation.retired and generation.in_flight == 0:
                await generation.client.aclose()

    async def _read(self, client: httpx.AsyncClient, request: httpx.Request) -> Answer:
        response = await client.send(request, stream=True)
        try:
            received = bytearray()
            async for piece in response.aiter_bytes():
                received += piece
                if len(received) > self._limits.http_answer_bytes:
                    raise Ambiguous("answer_too_large")
        finally:
            await response.aclose()
        return Answer(
            status=response.status_code,
            headers={name.lower(): value for name, value in response.headers.items()},
            body=bytes(received),
        )

    async def close(self) -> None:
        """Let running exchanges end by their deadlines, then close the pool."""
        if self._running:
            await asyncio.wait(self._running, timeout=self._limits.http_total.total_seconds())
        if self._generation is not None and not self._generation.client.is_closed:
            await self._generation.client.aclose()


def _seconds(hint: str, sent: str) -> float | None:
    """How long a hint says to wait, None where it says nothing that can be understood."""
    if _SECONDS.fullmatch(hint):
        return float(hint)
    try:
        until, since = parsedate_to_datetime(hint), parsedate_to_datetime(sent)
        return max((until - since).total_seconds(), 0.0)
    except (ValueError, TypeError, OverflowError):
        return None


def _request(
    client: httpx.AsyncClient,
    method: str,
    url: str,
    *,
    query: Mapping[str, str] | None,
    body: bytes | None,
    headers: Mapping[str, str] | None,
) -> httpx.Request:
    content_type = {} if body is None else {"content-type": "application/json"}
    return client.build_request(
        method,
        url,
        params=dict(query) if query else None,
        content=body,
        headers={**content_type, **(headers or {})},
    )


def _word(error: Exception) -> str:
    """`ReadTimeout` → `read_timeout`: a stable word that carries no address."""
    name = type(error).__name__
    return "".join(f"_{c.lower()}" if c.isupper() and i else c.lower() for i, c in enumerate(name))


@contextlib.asynccontextmanager
async def open_client(
    base_url: str,
    *,
    limits: Limits,
    in_transaction: Callable[[], bool],
    headers: Mapping[str, str],
    transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
) -> AsyncIterator[HttpClient]:
    """A client for one provider, closed when the block is left."""
    client = HttpClient(
        base_url,
        limits=limits,
        in_transaction=in_transaction,
        headers=headers,
        transport=transport,
    )
    try:
        yield client
    finally:
        await client.close()
