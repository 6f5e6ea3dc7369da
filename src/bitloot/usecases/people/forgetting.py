"""What became of a person's traces when their account ended: whatever is over loses its address.

An order that is still under way keeps it until it is over, since its buyer is owed an answer.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bitloot.domain.account import User, forgotten_address
from bitloot.domain.decision import Change, Decision
from bitloot.domain.email import Email
from bitloot.domain.forgetting import (
    changes_forgotten,
    is_over,
    mails_about,
    mails_forgotten,
    order_forgotten,
)
from bitloot.domain.limits import Limits
from bitloot.domain.webhook import Webhook
from bitloot.ports.clock import Clock
from bitloot.ports.deciding import decide
from bitloot.ports.jobs import Again, Done, Lease
from bitloot.ports.unit_of_work import Transaction, UnitOfWork

LOOK_AGAIN: Final = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Forgetting:
    """Orders of those who were forgotten."""

    uow: UnitOfWork
    clock: Clock
    limits: Limits

    async def orders(self, lease: Lease) -> None:
        """Job `forget_orders`, ref: the user's id. It ends when none of their orders says who
        bought it.
        """
        user_id, most = lease.ref, self.limits.forgotten_at_once
        nobody = forgotten_address(user_id)
        async with self.uow.begin() as tx:
            ids = await tx.people.orders_to_forget(user_id, nobody=nobody, limit=most)
        waiting = 0
        for order_id in ids:
            waiting += not await self._order(order_id, user_id)
        later = LOOK_AGAIN if waiting else timedelta()
        is_done = not waiting and len(ids) < most
        async with self.uow.begin() as tx:
            outcome = Done() if is_done else Again(after=later)
            await tx.record(Decision(), lease=lease, outcome=outcome)

    async def _order(self, order_id: str, user_id: str) -> bool:
        """Whether it is nobody's now."""
        most = self.limits.forgotten_at_once

        async def attempt(tx: Transaction) -> bool | None:
            file = await tx.orders.file(order_id)
            if file is None or not is_over(file, at=self.clock(), limits=self.limits):
                return False
            key = file.order.email_key
            mails = await tx.inbox.mails_to(key, order_id=order_id, limit=most)
            told = await _told_of(tx, mails, most)
            if len(mails) < most and len(told) < most:
                at = self.clock()
                await tx.record(order_forgotten(file.order, mails, told, user_id=user_id, at=at))
                return True
            await tx.record(Decision(save=_some(mails, told, forgotten_address(user_id), most)))
            return None

        while (done := await decide(self.uow, attempt)) is None:
            continue
        return done


async def traces_of(tx: Transaction, user: User, most: int) -> tuple[Change, ...]:
    """What takes the next traces of a person away, about `most`; nothing when none is left.

    Orders are not among them.
    """
    nobody = forgotten_address(user.id)
    if mails := await tx.inbox.mails_to(user.email_key, limit=most):
        return _some(mails, await _told_of(tx, mails, most), nobody, most)
    changes = await tx.people.changes(user.id, nobody=nobody, limit=most)
    recoveries = await tx.people.recoveries(user.id, nobody=nobody, limit=most)
    named = await tx.inbox.mails_named(mails_about(changes, recoveries))
    if mails := [mail for mail in named if mail.to_key != nobody]:
        return _some(mails, await _told_of(tx, mails, most), nobody, most)
    # Mails to other addresses are found by these, so they go last.
    return changes_forgotten(changes, recoveries, nobody)


async def _told_of(tx: Transaction, mails: Sequence[Email], most: int) -> Sequence[Webhook]:
    """What the provider said of these mails and is still to be read, `most` at a time."""
    known = [mail.provider_id for mail in mails if mail.provider_id is not None]
    return await tx.inbox.mail_events(known, limit=most) if known else ()


def _some(
    mails: Sequence[Email], told: Sequence[Webhook], nobody: str, most: int
) -> tuple[Change, ...]:
    """First all that was told of some mails, then the mails: they are found by them."""
    return mails_forgotten(mails if len(told) < most else (), told, nobody)
