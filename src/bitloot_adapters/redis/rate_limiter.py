"""Exact moving windows in Redis, one round trip for all hits that come at once.

While a question is out, the hits that come meanwhile wait for each other and go together as the
next: asking costs several times more than counting. Limits that fail closed are asked for alone.

Why not the library `limits` (5.8), whose moving window is otherwise the same idea:

- it stamps hits with the wall clock of the calling process, so two machines whose clocks differ
  count differently; here the server's clock alone counts, for all;
- its windows are whole seconds;
- what is left, and when to come again, is a second call that sees another moment.

A hit that is refused is not counted. One with a mark leaves a key that lives no longer than the hit
counts: while it is there, the same mark is no further hit. Subjects (addresses, IPs) and marks are
stored as keyed digests only.
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec
from redis.asyncio import Redis

from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.rate_limiter import Quota, Taken, Verdict
from bitloot_adapters.batching import Batcher
from bitloot_adapters.redis.connection import CALL_SECONDS, HINT_SECONDS, reached

PREFIX: Final = "bitloot:limit"
DIGEST_BYTES: Final = 16
PEPPER_MAX: Final = 64
_MICRO: Final = 1_000_000
# A script runs alone: everybody else's calls wait for the end of it.
MAX_TOGETHER: Final = 64
MAX_WAITING: Final = 1_024

# Two keys and three numbers for each hit; no mark is an empty key, and up to `most` are counted at
# once. A list holds the times of the hits that count, oldest first, in microseconds. A time ahead
# of now was written before the server's clock was set back: it would block for too long.
_HITS: Final = """
local moment = redis.call('TIME')
local now = moment[1] * 1000000 + moment[2]
local stamp = string.format('%.0f', now)

local function hit(hits, mark, limit, window, most)
  local oldest = tonumber(redis.call('LINDEX', hits, 0))
  while oldest and (oldest <= now - window or oldest > now) do
    redis.call('LPOP', hits)
    oldest = tonumber(redis.call('LINDEX', hits, 0))
  end
  local count = redis.call('LLEN', hits)
  if mark ~= '' and redis.call('EXISTS', mark) == 1 then
    return 1, math.max(0, limit - count), 0, 1
  end
  if count >= limit then
    local leaves = tonumber(redis.call('LINDEX', hits, count - limit))
    return 0, 0, leaves + window - now, 0
  end
  local granted = math.min(most, limit - count)
  for _ = 1, granted do
    redis.call('RPUSH', hits, stamp)
  end
  redis.call('PEXPIRE', hits, math.ceil(window / 1000))
  if mark ~= '' then
    redis.call('SET', mark, '1', 'PX', math.max(1, math.floor(window / 1000)))
  end
  return granted, limit - count - granted, 0, 0
end

local answers = {}
for each = 0, #KEYS / 2 - 1 do
  local hits, mark = KEYS[2 * each + 1], KEYS[2 * each + 2]
  local limit, window = tonumber(ARGV[3 * each + 1]), tonumber(ARGV[3 * each + 2])
  for _, number in ipairs({hit(hits, mark, limit, window, tonumber(ARGV[3 * each + 3]))}) do
    answers[#answers + 1] = number
  end
end
return answers
"""


class _Hit(msgspec.Struct, frozen=True):
    """What the script is told of one hit. `window` in microseconds."""

    key: str
    mark: str
    limit: int
    window: int
    most: int = 1


class _Counted(msgspec.Struct, frozen=True, array_like=True):
    """What the script says of one hit. `wait` in microseconds."""

    granted: int
    remaining: int
    wait: int
    repeated: bool


class RedisRateLimiter:
    """Counts for all processes together. `pepper` keys the digests of subjects."""

    def __init__(self, redis: Redis, *, pepper: bytes) -> None:
        self._pepper = pepper[:PEPPER_MAX]
        self._hits = redis.register_script(_HITS)
        self._together = Batcher[_Hit, _Counted](
            self._count, together=MAX_TOGETHER, waiting=MAX_WAITING
        )

    async def hit(self, quota: Quota, subject: str, *, mark: str | None = None) -> Verdict:
        """Count one hit. Raises StoreUnavailable, if the quota fails closed; else it is allowed."""
        key = "" if mark is None else f"{len(subject)}|{subject}|{mark}"
        own = self._hit(quota, subject, mark=key and self._key(f"{quota.scope}:mark", key))
        if quota.fails_closed:
            async with reached(CALL_SECONDS):
                return _verdict((await self._ask([own]))[0])
        try:
            async with reached(HINT_SECONDS):
                return _verdict(await self._together.ask(own))
        except StoreUnavailable:
            return Verdict(allowed=True, remaining=quota.limit, retry_after=0.0)

    async def take(self, quota: Quota, subject: str, *, most: int) -> Taken:
        """Count some hits ahead. Raises StoreUnavailable."""
        async with reached(HINT_SECONDS):
            counted = await self._together.ask(self._hit(quota, subject, most=most))
        return Taken(
            granted=counted.granted,
            remaining=counted.remaining,
            retry_after=counted.wait / _MICRO,
        )

    def _hit(self, quota: Quota, subject: str, *, mark: str = "", most: int = 1) -> _Hit:
        return _Hit(
            key=self._key(quota.scope, subject),
            mark=mark,
            limit=quota.limit,
            window=round(quota.window.total_seconds() * _MICRO),
            most=most,
        )

    async def _count(self, hits: Sequence[_Hit]) -> list[_Counted]:
        async with reached(HINT_SECONDS):
            return await self._ask(hits)

    async def _ask(self, hits: Sequence[_Hit]) -> list[_Counted]:
        """One round trip. Raises what redis-py raises."""
        keys = [key for hit in hits for key in (hit.key, hit.mark)]
        numbers = [number for hit in hits for number in (hit.limit, hit.window, hit.most)]
        told = iter(await self._hits(keys=keys, args=numbers))
        return [
            _Counted(granted, remaining, wait, bool(repeated))
            for granted, remaining, wait, repeated in zip(told, told, told, told, strict=True)
        ]

    def _key(self, scope: str, subject: str) -> str:
        digest = blake2b(subject.encode(), key=self._pepper, digest_size=DIGEST_BYTES)
        return f"{PREFIX}:{scope}:{digest.hexdigest()}"


def _verdict(counted: _Counted) -> Verdict:
    return Verdict(
        allowed=bool(counted.granted),
        remaining=counted.remaining,
        retry_after=counted.wait / _MICRO,
        repeated=counted.repeated,
    )
