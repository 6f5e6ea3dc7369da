"""Waking those who watch an order."""

from dataclasses import dataclass

from bitloot.ports.jobs import Done, Jobs, Lease
from bitloot.ports.realtime import Realtime
from bitloot.ports.views.orders import OrderViews


@dataclass(frozen=True, kw_only=True)
class Push:
    """The job `push`; its ref is an order's id."""

    orders: OrderViews
    realtime: Realtime
    jobs: Jobs

    async def run(self, lease: Lease) -> None:
        """Say how far the order's timeline goes now. Watchers read the events themselves."""
        order = await self.orders.order(lease.ref)
        if order is not None:
            await self.realtime.publish(order.id, order.last_seq)
        await self.jobs.finish(lease, Done())
