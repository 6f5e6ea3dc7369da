"""What a person decides about money: holds, and statuses set by hand."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import msgspec

from bitloot.domain.decision import Decision, also
from bitloot.domain.errors import Refused
from bitloot.domain.goods import Today
from bitloot.domain.hold import Hold
from bitloot.domain.hold_decision import (
    asks_for_payment,
    decide_hold,
    evidence,
    latest_finished,
)
from bitloot.domain.idempotency import Once, keep_answer, recall
from bitloot.domain.limits import Limits
from bitloot.domain.money import ZERO, Eur
from bitloot.domain.order import PAID, FailureReason, Order, OrderFile, OrderStatus
from bitloot.domain.override import override
from bitloot.domain.paying import Terms
from bitloot.domain.payment import Payment, PaymentReport
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.errors import Rejected, Unavailable
from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.usecases.payments.gathering import Gathering

RETRY_SOON: Final = 5


class Ruling(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decides, and why. `expected_version` is that of the order they looked at."""

    by: str
    reason: str
    expected_version: int


class RuledOrder(msgspec.Struct, frozen=True, kw_only=True):
    """The order after the decision."""

    order_id: str
    status: str
    failure_reason: str | None
    version: int


@dataclass(frozen=True, kw_only=True)
class MoneyDesk:
    """`gateways` by the plugin's name."""

    uow: UnitOfWork
    gateways: Mapping[str, PaymentGateway]
    wholesale_limits: Mapping[str, int]
    limits: Limits
    clock: Clock
    new_id: NewId

    async def decide_hold(
        self, hold_id: str, ruling: Ruling, *, accept: bool, signed_loss: bool, once: Once
    ) -> RuledOrder:
        """O24 and O25. Raises Refused as the rule, `provider-unavailable` without an estimate."""
        async with self.uow.begin() as tx:
            order_id = await tx.orders.order_of("hold", hold_id)
            file = await tx.orders.file(order_id) if order_id else None
        if file is None or order_id is None:
            raise Refused("not-found")
        hold = _hold(file, hold_id)
        needs_worth = accept and hold.is_open and asks_for_payment(file, hold)
        worth = ZERO
        if needs_worth and not signed_loss:
            worth = await self._worth(evidence(file, hold, self.limits))

        async def attempt(tx: Transaction) -> RuledOrder:
            now = await tx.orders.file(order_id)
            assert now is not None
            record = await tx.checkout.once(once)
            stored = recall(record, once, at=self.clock(), limits=self.limits)
            if stored is not None:
                return msgspec.json.decode(stored, type=RuledOrder)
            decision = decide_hold(
                now,
                hold_id,
                accept=accept,
                by=ruling.by,
                reason=ruling.reason,
                expected_version=ruling.expected_version,
                signed_loss=signed_loss,
                at=self.clock(),
                terms=self._terms(evidence(now, _hold(now, hold_id), self.limits)),
                held_keys=await self._gathering.held_keys(tx, now),
                grants=await tx.grants.usable(order_id, at=self.clock()),
                today=await self._today(tx, now, worth) if needs_worth else None,
            )
            answer = _ruled(decision)
            kept = keep_answer(
                record,
                once,
                msgspec.json.encode(answer),
                at=self.clock(),
                record_id=self.new_id(),
            )
            await tx.record(also(decision, kept))
            return answer

        return await decide(self.uow, attempt)

    async def override(
        self,
        order_id: str,
        to: OrderStatus,
        ruling: Ruling,
        *,
        confirmed: bool,
        failure_reason: FailureReason | None = None,
    ) -> RuledOrder:
        """O22. Raises Refused."""

        async def attempt(tx: Transaction) -> RuledOrder:
            file = await tx.orders.file(order_id)
            if file is None:
                raise Refused("not-found")
            decision = override(
                file,
                to,
                by=ruling.by,
                reason=ruling.reason,
                expected_version=ruling.expected_version,
                confirmed=confirmed,
                failure_reason=failure_reason,
                at=self.clock(),
                terms=self._terms(latest_finished(file, self.limits)),
                held_keys=await self._gathering.held_keys(tx, file),
                grants=await tx.grants.usable(order_id, at=self.clock()),
                today=await self._today(tx, file, ZERO) if to in PAID else None,
            )
            await tx.record(decision)
            return _ruled(decision)

        return await decide(self.uow, attempt)

    @property
    def _gathering(self) -> Gathering:
        return Gathering(
            limits=self.limits, new_id=self.new_id, wholesale_limits=self.wholesale_limits
        )

    def _terms(self, payment: Payment | None) -> Terms:
        gateway = self.gateways.get(payment.gateway) if payment else None
        if gateway is not None:
            return self._gathering.terms(gateway)
        return Terms(limits=self.limits, new_id=self.new_id, wholesale_limits=self.wholesale_limits)

    async def _today(self, tx: Transaction, file: OrderFile, worth: Eur) -> Today:
        return await self._gathering.today(tx, file, worth, self.clock())

    async def _worth(self, payment: Payment | None) -> Eur:
        """What the money behind a hold is worth now; nothing where there is none."""
        gateway = self.gateways.get(payment.gateway) if payment else None
        if payment is None or gateway is None:
            return ZERO
        stored = PaymentReport(
            gateway=payment.gateway,
            gateway_payment_id=payment.gateway_payment_id or "",
            status=payment.status,
            actually_paid=payment.actually_paid,
        )
        try:
            return await self._gathering.worth(gateway, payment, stored)
        except (Unavailable, Rejected) as error:
            raise Refused("provider-unavailable", retry_after=RETRY_SOON) from error


def _hold(file: OrderFile, hold_id: str) -> Hold:
    return next(h for h in file.holds if h.id == hold_id)


def _ruled(decision: Decision) -> RuledOrder:
    order = next(c.after for c in decision.save if isinstance(c.after, Order))
    return RuledOrder(
        order_id=order.id,
        status=order.status,
        failure_reason=order.failure_reason,
        version=order.version,
    )
