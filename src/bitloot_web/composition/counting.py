"""Counting what happens where all of it passes: at the recording of decisions.

A decision that was refused, or whose transaction was rolled back, is not counted.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Final, TypeAlias

from bitloot.domain.decision import Change, Decision
from bitloot.domain.email import CODE_KINDS, Email
from bitloot.domain.order import Order
from bitloot.ports.jobs import Lease, Outcome
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.ports.wrapped import WrappedTransaction
from bitloot_web.alerts import alert_of
from bitloot_web.metrics import Metrics

Recorded: TypeAlias = Callable[[Decision], None]

# Words of the mail provider for a mail that did not arrive.
_NOT_ARRIVED: Final = frozenset({"bounced", "complained", "failed"})


class CountedTransaction(WrappedTransaction):
    """A transaction whose decision is told to `recorded` after its commit."""

    def __init__(self, transaction: Transaction, recorded: Recorded) -> None:
        super().__init__(transaction)
        self._recorded = recorded

    async def record(
        self, decision: Decision, *, lease: Lease | None = None, outcome: Outcome | None = None
    ) -> None:
        """As the port says; then counted."""
        await super().record(decision, lease=lease, outcome=outcome)
        self._recorded(decision)


class CountedUnitOfWork:
    """A unit of work whose recorded decisions are told to `recorded`."""

    def __init__(self, uow: UnitOfWork, recorded: Recorded) -> None:
        self._uow = uow
        self._recorded = recorded

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction of the store behind."""
        return _CountedBegin(self._uow.begin(), self._recorded)


class _CountedBegin(AbstractAsyncContextManager[Transaction]):
    """A transaction of the store behind, once it is open."""

    def __init__(self, own: AbstractAsyncContextManager[Transaction], recorded: Recorded) -> None:
        self._own = own
        self._recorded = recorded

    async def __aenter__(self) -> Transaction:
        return CountedTransaction(await self._own.__aenter__(), self._recorded)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._own.__aexit__(kind, error, trace)


class DecisionCounter:
    """What a recorded decision adds to the metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def __call__(self, decision: Decision) -> None:
        """Events of orders, what became of mails, and what somebody has to look at."""
        alert_of(self._metrics, decision)
        for event in decision.events:
            if event.kind == "order_underpaid":
                self._metrics.underpaid_orders.inc()
            elif event.kind == "order_fulfilled":
                self._time_to_key(decision)
        for change in decision.save:
            if isinstance(change.after, Email):
                self._mail(change, change.after)

    def _time_to_key(self, decision: Decision) -> None:
        for change in decision.save:
            order = change.after
            if isinstance(order, Order) and order.paid_at and order.fulfilled_at:
                waited = order.fulfilled_at - order.paid_at
                self._metrics.time_to_key.observe(waited.total_seconds())

    def _mail(self, change: Change, mail: Email) -> None:
        before = change.before if isinstance(change.before, Email) else None
        if before is None and mail.kind in CODE_KINDS and mail.state == "sending":
            self._metrics.otp_issued.inc()
        if before is not None and before.state == "sending" and mail.state == "sent":
            self._metrics.email_success.labels(mail.kind).inc()
            if mail.sent_at is not None:
                waited = mail.sent_at - mail.created_at
                self._metrics.email_seconds.labels(mail.kind).observe(waited.total_seconds())
        if (
            before is not None
            and before.state == "sending"
            and mail.state in {"refused", "unknown"}
        ):
            self._metrics.email_failure.labels(mail.kind).inc()
        told = before.provider_event if before else None
        if mail.provider_event != told and mail.provider_event in _NOT_ARRIVED:
            self._metrics.email_failure.labels(mail.kind).inc()
