"""Taking in webhooks (T4): the one way, whoever calls back.

The signature was checked over the raw bytes by the adapter. What is well signed is stored with its
job and answered; what is not is kept for those who look into it, but never more than a few a
minute. Nothing is looked up before the answer.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from bitloot.domain.failpoints import AFTER_SIGNATURE_CHECK, AFTER_WEBHOOK_COMMIT
from bitloot.domain.limits import Limits
from bitloot.domain.webhook_intake import Verified, take_in, turn_away
from bitloot.ports.clock import Clock, FailPoint, NewId
from bitloot.ports.errors import Duplicate, StoreUnavailable
from bitloot.ports.payment_gateway import Forged, Malformed
from bitloot.ports.rate_limiter import Quota, RateLimiter
from bitloot.ports.unit_of_work import UnitOfWork

Taken: TypeAlias = Literal["accepted", "duplicate", "forged", "malformed"]

NOTE_LENGTH: Final = 200


@dataclass(frozen=True, kw_only=True)
class Intake:
    """Stores what providers call back with."""

    uow: UnitOfWork
    rate_limiter: RateLimiter
    limits: Limits
    clock: Clock
    new_id: NewId
    failpoint: FailPoint

    async def take(
        self, provider: str, reading: Verified | Forged | Malformed, body: bytes
    ) -> Taken:
        """Store one delivery; the same body again is only counted. Raises StoreUnavailable."""
        self.failpoint(AFTER_SIGNATURE_CHECK)
        if isinstance(reading, Forged | Malformed):
            return await self.turn_away(provider, reading, body)

        # Nearly every delivery is new, and the unique key knows: asking first would cost a round
        # trip each. Only what it refuses is counted.
        taken: Taken = "accepted"
        try:
            await self._store(reading, body)
        except Duplicate:
            async with self.uow.begin() as tx:
                is_known = await tx.count_repeat(provider, reading.dedupe_key)
            if is_known:
                taken = "duplicate"
            else:
                await self._store(reading, body)  # the first was cleared away between the two
        self.failpoint(AFTER_WEBHOOK_COMMIT)
        return taken

    async def _store(self, reading: Verified, body: bytes) -> None:
        decision = take_in(reading, body, at=self.clock(), new_id=self.new_id)
        async with self.uow.begin() as tx:
            await tx.record(decision)

    async def turn_away(self, provider: str, reading: Forged | Malformed, body: bytes) -> Taken:
        """Keep the head of a bad delivery, while this minute has room for it."""
        is_forged = isinstance(reading, Forged)
        if await self._has_room(provider):
            decision = turn_away(
                provider,
                "invalid_signature" if is_forged else "malformed",
                body,
                reading.reason[:NOTE_LENGTH],
                at=self.clock(),
                new_id=self.new_id,
            )
            async with self.uow.begin() as tx:
                await tx.record(decision)
        return "forged" if is_forged else "malformed"

    async def _has_room(self, provider: str) -> bool:
        quota = Quota(
            scope="forged_webhooks",
            limit=self.limits.forged_webhooks_stored_per_minute,
            window=timedelta(minutes=1),
            fails_closed=True,
        )
        try:
            return (await self.rate_limiter.hit(quota, provider)).allowed
        except StoreUnavailable:
            return False
