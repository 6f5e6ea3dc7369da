"""Taking in what a gateway calls back with: stored before it is acted on (T4), answered at once.

Nothing is looked up here. The dedupe key is the digest of the raw body, among good signatures
only, so a forged message can never hide a good one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from bitloot.domain.decision import AuditEntry, Decision, JobRequest, update
from bitloot.domain.errors import Refused
from bitloot.domain.failpoints import AFTER_SIGNATURE_CHECK, AFTER_WEBHOOK_COMMIT
from bitloot.domain.limits import Limits
from bitloot.domain.webhook_intake import Verified, take_in, turn_away
from bitloot.ports.clock import Clock, FailPoint, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.payment_gateway import Forged, PaymentGateway, VerifiedPayment
from bitloot.ports.rate_limiter import Quota, RateLimiter
from bitloot.ports.unit_of_work import Transaction, UnitOfWork

Intake: TypeAlias = Literal["accepted", "duplicate", "forged", "malformed"]

NOTE_LENGTH: Final = 200
WORD_LENGTH: Final = 64


@dataclass(frozen=True, kw_only=True)
class WebhookIntake:
    """`gateways` by the plugin's name."""

    uow: UnitOfWork
    gateways: Mapping[str, PaymentGateway]
    rate_limiter: RateLimiter
    limits: Limits
    clock: Clock
    new_id: NewId
    failpoint: FailPoint

    async def accept(self, gateway: str, headers: Mapping[str, str], body: bytes) -> Intake:
        """Store one delivery. Raises Refused `not-found` for a gateway that is not live, and
        StoreUnavailable: the gateway repeats what was not acknowledged.
        """
        found = self.gateways.get(gateway)
        if found is None:
            raise Refused("not-found")
        reading = found.read_webhook(headers, body)
        self.failpoint(AFTER_SIGNATURE_CHECK)
        if not isinstance(reading, VerifiedPayment):
            is_forged = isinstance(reading, Forged)
            await self._refuse(gateway, body, is_forged=is_forged, note=reading.reason)
            return "forged" if is_forged else "malformed"
        taken = await self._store(gateway, body, reading)
        self.failpoint(AFTER_WEBHOOK_COMMIT)
        return taken

    async def too_large(self, gateway: str, head: bytes) -> None:
        """Store the head of a body that is larger than the limit."""
        if gateway not in self.gateways:
            raise Refused("not-found")
        await self._refuse(gateway, head, is_forged=False, note="too large")

    async def replay(self, webhook_id: str, *, by: str, reason: str) -> None:
        """Have a stored webhook applied once more; harmless, because reports only ever rise.

        Raises Refused `not-found`, `webhook-not-replayable`.
        """

        async def attempt(tx: Transaction) -> None:
            webhook = await tx.inbox.webhook(webhook_id)
            if webhook is None:
                raise Refused("not-found")
            if not webhook.signature_ok or webhook.provider not in self.gateways:
                raise Refused("webhook-not-replayable")
            at = self.clock()
            decision = Decision(
                save=(update(webhook, classification="received", handled_at=None),),
                jobs=(JobRequest(kind="apply_payment", ref=webhook.id),),
                audit=(
                    AuditEntry(
                        at=at, actor=by, action="webhook.replay", subject=webhook.id, reason=reason
                    ),
                ),
            )
            await tx.record(decision)

        await decide(self.uow, attempt)

    async def _store(self, gateway: str, body: bytes, verified: VerifiedPayment) -> Intake:
        report = verified.report
        hint = Verified(
            provider=gateway,
            dedupe_key=verified.dedupe_key,
            subject=report.gateway_payment_id,
            status=report.status[:WORD_LENGTH],
            order_number=report.order_number,
            job="apply_payment",
        )

        async def attempt(tx: Transaction) -> Intake:
            known = await tx.inbox.webhook_by_key(gateway, verified.dedupe_key)
            await tx.record(take_in(known, hint, body, at=self.clock(), new_id=self.new_id))
            return "accepted" if known is None else "duplicate"

        return await decide(self.uow, attempt)

    async def _refuse(self, gateway: str, body: bytes, *, is_forged: bool, note: str) -> None:
        """Keep a bad delivery for those who look into it, but never more than a few a minute."""
        if not await self._may_store(gateway):
            return
        decision = turn_away(
            gateway,
            "invalid_signature" if is_forged else "malformed",
            body,
            note[:NOTE_LENGTH],
            at=self.clock(),
            new_id=self.new_id,
        )
        async with self.uow.begin() as tx:
            await tx.record(decision)

    async def _may_store(self, gateway: str) -> bool:
        quota = Quota(
            scope="forged_webhooks",
            limit=self.limits.forged_webhooks_stored_per_minute,
            window=timedelta(minutes=1),
            fails_closed=True,
        )
        try:
            return (await self.rate_limiter.hit(quota, gateway)).allowed
        except StoreUnavailable:
            return False
