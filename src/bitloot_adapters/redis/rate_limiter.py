"""Exact moving windows in Redis, one round trip for each hit.

Why not the library `limits` (5.8), whose moving window is otherwise the same idea:

- it stamps hits with the wall clock of the calling process, so two machines whose clocks differ
  count differently; here the server's clock alone counts, for all;
- its windows are whole seconds;
- what is left, and when to come again, is a second call that sees another moment.

A hit that is refused is not counted. One with a mark leaves a key that lives no longer than the hit
counts: while it is there, the same mark is no further hit. Subjects (addresses, IPs) and marks are
stored as keyed digests only.
"""

from hashlib import blake2b
from typing import Final

from redis.asyncio import Redis

from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.rate_limiter import Quota, Verdict
from bitloot_adapters.redis.connection import CALL_SECONDS, HINT_SECONDS, reached

PREFIX: Final = "bitloot:limit"
DIGEST_BYTES: Final = 16
PEPPER_MAX: Final = 64
_MICRO: Final = 1_000_000

# The list holds the times of the hits that count, oldest first, in microseconds. A time ahead of
# now was written before the server's clock was set back: it would block for too long.
_HIT: Final = """
local moment = redis.call('TIME')
local now = moment[1] * 1000000 + moment[2]
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local oldest = tonumber(redis.call('LINDEX', KEYS[1], 0))
while oldest and (oldest <= now - window or oldest > now) do
  redis.call('LPOP', KEYS[1])
  oldest = tonumber(redis.call('LINDEX', KEYS[1], 0))
end
local count = redis.call('LLEN', KEYS[1])
if KEYS[2] and redis.call('EXISTS', KEYS[2]) == 1 then
  return {1, math.max(0, limit - count), '0', 1}
end
if count >= limit then
  local leaves = tonumber(redis.call('LINDEX', KEYS[1], count - limit))
  return {0, 0, string.format('%.0f', leaves + window - now), 0}
end
redis.call('RPUSH', KEYS[1], string.format('%.0f', now))
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
if KEYS[2] then
  redis.call('SET', KEYS[2], '1', 'PX', math.max(1, math.floor(window / 1000)))
end
return {1, limit - count - 1, '0', 0}
"""


class RedisRateLimiter:
    """Counts for all processes together. `pepper` keys the digests of subjects."""

    def __init__(self, redis: Redis, *, pepper: bytes) -> None:
        self._pepper = pepper[:PEPPER_MAX]
        self._hit = redis.register_script(_HIT)

    async def hit(self, quota: Quota, subject: str, *, mark: str | None = None) -> Verdict:
        """Count one hit. Raises StoreUnavailable, if the quota fails closed; else it is allowed."""
        keys = [self._key(quota.scope, subject)]
        if mark is not None:
            keys.append(self._key(f"{quota.scope}:mark", f"{len(subject)}|{subject}|{mark}"))
        window = round(quota.window.total_seconds() * _MICRO)
        try:
            async with reached(CALL_SECONDS if quota.fails_closed else HINT_SECONDS):
                allowed, remaining, wait, repeated = await self._hit(
                    keys=keys, args=[quota.limit, window]
                )
        except StoreUnavailable:
            if quota.fails_closed:
                raise
            return Verdict(allowed=True, remaining=quota.limit, retry_after=0.0)
        return Verdict(
            allowed=bool(allowed),
            remaining=int(remaining),
            retry_after=int(wait) / _MICRO,
            repeated=bool(repeated),
        )

    def _key(self, scope: str, subject: str) -> str:
        digest = blake2b(subject.encode(), key=self._pepper, digest_size=DIGEST_BYTES)
        return f"{PREFIX}:{scope}:{digest.hexdigest()}"
