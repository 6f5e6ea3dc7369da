"""Having a stored webhook applied once more, whoever sent it.

Harmless however often it is done: a report only raises the state of a payment, a supplier's hint
only says where to look, and what became of a mail never goes back.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bitloot.domain.errors import Refused
from bitloot.domain.reactions import JobKind
from bitloot.domain.webhook_intake import replayed
from bitloot.ports.clock import Clock
from bitloot.ports.deciding import decide
from bitloot.ports.unit_of_work import Transaction, UnitOfWork


@dataclass(frozen=True, kw_only=True)
class WebhookReplay:
    """`followers`: by the provider's name, the job that follows up its webhooks."""

    uow: UnitOfWork
    followers: Mapping[str, JobKind]
    clock: Clock

    async def replay(self, webhook_id: str, *, by: str, reason: str) -> None:
        """Queue the job of a webhook that was well signed.

        Raises Refused `not-found`, `webhook-not-replayable`.
        """

        async def attempt(tx: Transaction) -> None:
            webhook = await tx.inbox.webhook(webhook_id)
            if webhook is None:
                raise Refused("not-found")
            job = self.followers.get(webhook.provider)
            await tx.record(replayed(webhook, job, at=self.clock(), by=by, reason=reason))

        await decide(self.uow, attempt)
