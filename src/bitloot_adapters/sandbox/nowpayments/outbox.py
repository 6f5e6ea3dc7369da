"""Delivering callbacks: in order within a lane, retried, given up after the last attempt."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Final

import httpx
from msgspec.structs import replace

from bitloot_adapters.sandbox.nowpayments.records import Attempt, Delivery
from bitloot_adapters.sandbox.nowpayments.world import World

Deliver = Callable[[str, Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]
"""Send one request: url, headers, body → HTTP status and body of the answer."""

LANES_AT_ONCE: Final = 64
_TRANSPORT_SECONDS: Final = 30.0


class HttpSender:
    """The default way out: plain HTTP, no redirects, no proxy from the environment."""

    def __init__(self) -> None:
        self._client: httpx.AsyncClient | None = None

    async def __call__(
        self, url: str, headers: Mapping[str, str], body: bytes
    ) -> tuple[int, bytes]:
        if self._client is None:
            self._client = httpx.AsyncClient(
                trust_env=False, follow_redirects=False, timeout=_TRANSPORT_SECONDS
            )
        answer = await self._client.post(url, headers=dict(headers), content=body)
        return answer.status_code, answer.content

    async def close(self) -> None:
        if self._client is not None:
            await self._client.aclose()
            self._client = None


class Outbox:
    """Sends what is due. Several runs may overlap: a lane belongs to one of them at a time."""

    def __init__(self, world: World, deliver: Deliver) -> None:
        self._world = world
        self._deliver = deliver
        self._busy: set[str] = set()
        self._places = asyncio.Semaphore(LANES_AT_ONCE)

    async def run_due(self) -> int:
        """Try every callback that is due now, once; returns how many were tried."""
        now = self._world.clock.now()
        lanes: dict[str, list[int]] = defaultdict(list)
        pending = self._world.store.pending.values()
        due = [one for one in pending if one.due_at <= now and one.lane not in self._busy]
        for delivery in sorted(due, key=lambda one: (one.due_at, one.order, one.id)):
            lanes[delivery.lane].append(delivery.id)
        return sum(
            await asyncio.gather(*(self._run_lane(lane, ids) for lane, ids in lanes.items()))
        )

    async def _run_lane(self, lane: str, ids: list[int]) -> int:
        async with self._places:
            if lane in self._busy:
                return 0
            self._busy.add(lane)
            try:
                due = [self._world.store.pending.get(number) for number in ids]
                for delivery in due:
                    if delivery is not None:
                        await self._attempt(delivery)
            finally:
                self._busy.discard(lane)
            return len(due)

    async def _attempt(self, delivery: Delivery) -> None:
        world = self._world
        headers = {
            "content-type": "application/json",
            "accept": "application/json",
            "x-nowpayments-sig": delivery.signature,
        }
        body = delivery.body.encode("utf-8", "surrogatepass")
        sending = asyncio.wait_for(
            self._deliver(delivery.url, headers, body), world.config.ipn_deadline_seconds
        )
        # Gathered so that whatever a receiver's code raises becomes a failed attempt.
        (outcome,) = await asyncio.gather(sending, return_exceptions=True)
        now = world.clock.now()
        if isinstance(outcome, BaseException):
            late = isinstance(outcome, TimeoutError)
            attempt = Attempt(at=now, error="no answer in time" if late else type(outcome).__name__)
            answered = False
        else:
            attempt = Attempt(at=now, status=outcome[0])
            answered = 200 <= outcome[0] < 300
        if delivery.id not in world.store.deliveries:
            return  # reset while it was under way
        attempts = (*delivery.attempts, attempt)
        delivery = replace(delivery, attempts=attempts)
        if answered:
            delivery = replace(delivery, state="delivered")
        elif len(attempts) >= world.config.ipn_attempts:
            delivery = replace(delivery, state="gave_up")
        else:
            again = now + timedelta(seconds=world.config.ipn_retry_seconds)
            delivery = replace(delivery, due_at=again)
        world.store.put(delivery)
