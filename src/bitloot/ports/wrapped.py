"""A transaction around another one: reads pass through, the recording is its own."""

from bitloot.domain.decision import Decision
from bitloot.ports.assortment import Assortment
from bitloot.ports.jobs import Lease, Outcome
from bitloot.ports.people import People
from bitloot.ports.unit_of_work import Checkout, Grants, Inbox, Keys, Orders, Transaction


class WrappedTransaction:
    """What is wrapped around a transaction to count, answer or disturb what it records."""

    def __init__(self, inner: Transaction) -> None:
        self.inner = inner

    @property
    def orders(self) -> Orders:
        """Whole orders."""
        return self.inner.orders

    @property
    def checkout(self) -> Checkout:
        """What placing reads."""
        return self.inner.checkout

    @property
    def keys(self) -> Keys:
        """Sealed keys and own stock."""
        return self.inner.keys

    @property
    def grants(self) -> Grants:
        """Permissions to download."""
        return self.inner.grants

    @property
    def inbox(self) -> Inbox:
        """Webhooks and mails."""
        return self.inner.inbox

    @property
    def assortment(self) -> Assortment:
        """What stands around the products."""
        return self.inner.assortment

    @property
    def people(self) -> People:
        """Accounts and what belongs to them."""
        return self.inner.people

    async def record(
        self, decision: Decision, *, lease: Lease | None = None, outcome: Outcome | None = None
    ) -> None:
        """As the port says."""
        await self.inner.record(decision, lease=lease, outcome=outcome)

    async def count_repeat(self, provider: str, dedupe_key: str) -> bool:
        """As the port says."""
        return await self.inner.count_repeat(provider, dedupe_key)
