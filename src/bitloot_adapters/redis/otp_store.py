"""One-time codes in Redis: digests only, for minutes, each question and answer one script.

A script runs alone, so a right code is used up by the first of many who send it at once, and the
tries of all processes are counted together.
"""

from datetime import timedelta
from hashlib import sha256
from typing import Final, Literal, TypeAlias

from redis.asyncio import Redis

from bitloot_adapters.redis.connection import reached

PREFIX: Final = "bitloot:code"
Answer: TypeAlias = Literal["right", "wrong", "gone"]
_ANSWERS: Final[dict[int, Answer]] = {0: "gone", 1: "wrong", 2: "right"}

_OPEN: Final = """
redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'digest', ARGV[1], 'tries', ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
"""

_VERIFY: Final = """
local digest = redis.call('HGET', KEYS[1], 'digest')
if not digest then
  return 0
end
if digest == ARGV[1] then
  redis.call('DEL', KEYS[1])
  return 2
end
if redis.call('HINCRBY', KEYS[1], 'tries', -1) <= 0 then
  redis.call('DEL', KEYS[1])
end
return 1
"""


class RedisOtpStore:
    """Raises StoreUnavailable; a question that ran into its deadline may have used a try."""

    def __init__(self, redis: Redis) -> None:
        self._open = redis.register_script(_OPEN)
        self._verify = redis.register_script(_VERIFY)

    async def open(self, challenge: str, digest: str, *, life: timedelta, tries: int) -> None:
        """Store the digest of a code, replacing an older one of the challenge."""
        milliseconds = max(1, round(life.total_seconds() * 1000))
        async with reached():
            await self._open(keys=[_key(challenge)], args=[digest, tries, milliseconds])

    async def verify(self, challenge: str, digest: str) -> Answer:
        """Compare; the code is gone after a right one and after the last wrong one."""
        async with reached():
            answer = await self._verify(keys=[_key(challenge)], args=[digest])
        return _ANSWERS[int(answer)]


def _key(challenge: str) -> str:
    """Challenges name orders or people, so they are not stored as they are."""
    return f"{PREFIX}:{sha256(challenge.encode()).hexdigest()}"
