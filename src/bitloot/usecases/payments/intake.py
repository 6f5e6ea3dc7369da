"""Taking in what a gateway calls back with: stored before it is acted on (T4), answered at once.

Nothing is looked up here. The dedupe key is the digest of the raw body, among good signatures
only, so a forged message can never hide a good one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bitloot.domain.errors import Refused
from bitloot.domain.webhook_intake import Verified
from bitloot.ports.intake import Intake, Taken
from bitloot.ports.payment_gateway import Malformed, PaymentGateway, VerifiedPayment

WORD_LENGTH: Final = 64


@dataclass(frozen=True, kw_only=True)
class WebhookIntake:
    """`gateways` by the plugin's name."""

    intake: Intake
    gateways: Mapping[str, PaymentGateway]

    async def accept(self, gateway: str, headers: Mapping[str, str], body: bytes) -> Taken:
        """Store one delivery. Raises Refused `not-found` for a gateway that is not live, and
        StoreUnavailable: the gateway repeats what was not acknowledged.
        """
        found = self.gateways.get(gateway)
        if found is None:
            raise Refused("not-found")
        reading = found.read_webhook(headers, body)
        if isinstance(reading, VerifiedPayment):
            return await self.intake.take(gateway, _hint(gateway, reading), body)
        return await self.intake.take(gateway, reading, body)

    async def too_large(self, gateway: str, head: bytes) -> None:
        """Store the head of a body that is larger than the limit."""
        if gateway not in self.gateways:
            raise Refused("not-found")
        await self.intake.turn_away(gateway, Malformed("too large"), head)


def _hint(gateway: str, verified: VerifiedPayment) -> Verified:
    report = verified.report
    return Verified(
        provider=gateway,
        dedupe_key=verified.dedupe_key,
        subject=report.gateway_payment_id,
        status=report.status[:WORD_LENGTH],
        order_number=report.order_number,
        job="apply_payment",
    )
