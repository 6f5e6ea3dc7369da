"""T6: a report and the order that it speaks of become one recorded decision."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from bitloot.domain.adoption import adopt, link, next_look
from bitloot.domain.decision import NOTHING, Decision, also, update
from bitloot.domain.draft import Draft
from bitloot.domain.errors import Refused
from bitloot.domain.failpoints import AFTER_PAID_COMMIT, BEFORE_PAID_COMMIT
from bitloot.domain.goods import Today
from bitloot.domain.key_inventory import InventoryKey
from bitloot.domain.limits import Limits
from bitloot.domain.money import Eur
from bitloot.domain.order import OrderFile
from bitloot.domain.paying import Terms
from bitloot.domain.payment import ASK_FROM_RANK, Payment, PaymentReport
from bitloot.domain.reveal import Grant
from bitloot.domain.settlement import TodayNeeded, settle, settle_in, settle_on_request
from bitloot.domain.webhook import Webhook, WebhookClass
from bitloot.ports.clock import Clock, FailPoint, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.errors import Rejected, Unavailable
from bitloot.ports.jobs import Again, Dead, Done, Lease, Outcome
from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.usecases.payments.gathering import Gathering
from bitloot.usecases.payments.hint import Ended, Hint, Told, payment_of

OPEN_WEBHOOK: Final = frozenset[WebhookClass]({"received", "early"})
_CLASS: Final[dict[str, WebhookClass]] = {
    "applied": "applied",
    "duplicate": "duplicate",
    "stale": "stale",
    "late_sighting": "stale",
    "wrong_asset": "applied",
    "unknown_status": "unknown_status",
    "linked": "linked",
    "unmatched": "unmatched",
    "early": "early",
}


class _Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules get besides the order: read in the same transaction."""

    terms: Terms
    held_keys: Sequence[InventoryKey]
    grants: Sequence[Grant]
    today: Today | None


class _Ruled(msgspec.Struct, frozen=True, kw_only=True):
    """A decision, how its webhook is classified, and how its job ends."""

    decision: Decision
    webhook_class: str
    outcome: Outcome
    order_id: str | None = None


@dataclass(frozen=True, kw_only=True)
class Settling:
    """Reads under the order's lock, asks the rules, records."""

    uow: UnitOfWork
    wholesale_limits: Mapping[str, int]
    limits: Limits
    clock: Clock
    new_id: NewId
    failpoint: FailPoint

    @property
    def gathering(self) -> Gathering:
        """The reader of goods and worth."""
        return Gathering(
            limits=self.limits, new_id=self.new_id, wholesale_limits=self.wholesale_limits
        )

    async def settle(
        self,
        gateway: PaymentGateway,
        hint: Hint,
        told: Told,
        *,
        lease: Lease | None = None,
        ends: bool = True,
    ) -> bool:
        """Decide and record; once more with today's worth where the money turns out to be late.

        Gives whether the order became paid by it.
        `ends`: the job of `lease` ends or is armed again in this transaction. Raises Ended to wait
        for the gateway's estimate.
        """
        try:
            return await self._decide(gateway, hint, told, lease=lease, ends=ends, worth=None)
        except TodayNeeded as late:
            assert isinstance(told, PaymentReport)
            worth = await self._worth(gateway, late.payment, told)
            return await self._decide(gateway, hint, told, lease=lease, ends=ends, worth=worth)

    async def settle_on_request(
        self, gateway: PaymentGateway, hint: Hint, told: PaymentReport, *, actor: str, reason: str
    ) -> bool:
        """Pay an order that somebody asks about by this fresh read of one of its payments.

        Gives whether it became paid by it; nothing is written where the rule refuses. Raises Ended
        to wait for the gateway's estimate.
        """

        async def settled(worth: Eur | None) -> bool:
            async def attempt(tx: Transaction) -> bool:
                at = self.clock()
                file = await tx.orders.file_of_payment(hint.gateway, hint.gateway_payment_id)
                payment = payment_of(file, hint)
                if file is None or payment is None:
                    return False
                facts = await self._facts(tx, gateway, file, worth, at)
                decision = settle_on_request(
                    file,
                    payment,
                    told,
                    actor=actor,
                    reason=reason,
                    at=at,
                    terms=facts.terms,
                    today=facts.today,
                )
                self.failpoint(BEFORE_PAID_COMMIT)
                await tx.record(decision)
                return True

            return await decide(self.uow, attempt)

        try:
            try:
                is_paid = await settled(None)
            except TodayNeeded as late:
                is_paid = await settled(await self._worth(gateway, late.payment, told))
        except Refused:
            return False
        if is_paid:
            self.failpoint(AFTER_PAID_COMMIT)
        return is_paid

    async def _worth(self, gateway: PaymentGateway, payment: Payment, report: PaymentReport) -> Eur:
        try:
            return await self.gathering.worth(gateway, payment, report)
        except (Unavailable, Rejected) as error:
            wait = Again(after=self.limits.breaker_probe, error=error.reason)
            raise Ended(wait) from error

    async def note_deposit(
        self, gateway: PaymentGateway, parent: PaymentReport, child_id: str, *, lease: Lease
    ) -> None:
        """Write down a deposit that is only listed by its parent, if the parent is ours."""

        async def attempt(tx: Transaction) -> None:
            file = await tx.orders.file_of_payment(gateway.name, parent.gateway_payment_id)
            decision = NOTHING
            if file is not None:
                draft = Draft(file, at=self.clock(), new_id=self.new_id)
                listed = PaymentReport(
                    gateway=gateway.name,
                    gateway_payment_id=child_id,
                    status="",
                    parent_payment_id=parent.gateway_payment_id,
                )
                link(draft, listed, payment_id=self.new_id(), limits=self.limits)
                decision = draft.decision()
            await tx.record(decision, lease=lease)

        await decide(self.uow, attempt)

    async def _decide(
        self,
        gateway: PaymentGateway,
        hint: Hint,
        told: Told,
        *,
        lease: Lease | None,
        ends: bool,
        worth: Eur | None,
    ) -> bool:
        async def attempt(tx: Transaction) -> bool:
            webhook = await tx.inbox.webhook(hint.webhook_id) if hint.webhook_id else None
            if webhook is not None and webhook.classification not in OPEN_WEBHOOK:
                ruled = _Ruled(decision=NOTHING, webhook_class="", outcome=Done())
            else:
                ruled = await self._rule(tx, gateway, hint, told, worth)
            decision = self._noted(ruled, webhook)
            is_paid = any(event.kind == "order_paid" for event in decision.events)
            if is_paid:
                self.failpoint(BEFORE_PAID_COMMIT)
            if lease is not None and ends:
                await tx.record(decision, lease=lease, outcome=ruled.outcome)
            else:
                await tx.record(decision, lease=lease)
            return is_paid

        is_paid = await decide(self.uow, attempt)
        if is_paid:
            self.failpoint(AFTER_PAID_COMMIT)
        return is_paid

    def _noted(self, ruled: _Ruled, webhook: Webhook | None) -> Decision:
        if webhook is None or not ruled.webhook_class:
            return ruled.decision
        word = _CLASS[ruled.webhook_class]
        handled_at = None if isinstance(ruled.outcome, Again) else self.clock()
        noted = update(webhook, classification=word, handled_at=handled_at, order_id=ruled.order_id)
        return also(ruled.decision, noted)

    async def _rule(
        self,
        tx: Transaction,
        gateway: PaymentGateway,
        hint: Hint,
        told: Told,
        worth: Eur | None,
    ) -> _Ruled:
        at = self.clock()
        file = await tx.orders.file_of_payment(hint.gateway, hint.gateway_payment_id)
        payment = payment_of(file, hint)
        if isinstance(told, str):
            return self._without_report(told, hint, payment, at)
        if file is None or payment is None:
            return await self._unknown(tx, gateway, told, worth, at)
        lags = hint.rank >= ASK_FROM_RANK and 0 <= told.rank < hint.rank
        if lags and at < hint.since + self.limits.payment_watch:
            return self._later(hint, at)
        facts = await self._facts(tx, gateway, file, worth, at)
        decision = settle(
            file,
            payment,
            told,
            at=at,
            terms=facts.terms,
            held_keys=facts.held_keys,
            grants=facts.grants,
            today=facts.today,
        )
        return _Ruled(
            decision=decision,
            webhook_class=decision.reason,
            outcome=self._next(hint, decision, payment, at),
            order_id=file.order.id,
        )

    async def _facts(
        self,
        tx: Transaction,
        gateway: PaymentGateway,
        file: OrderFile,
        worth: Eur | None,
        at: datetime,
    ) -> _Facts:
        held = await self.gathering.held_keys(tx, file)
        today = None if worth is None else await self.gathering.today(tx, file, worth, at)
        return _Facts(
            terms=self.gathering.terms(gateway),
            held_keys=held,
            grants=await tx.grants.usable(file.order.id, at=at),
            today=today,
        )

    async def _unknown(
        self,
        tx: Transaction,
        gateway: PaymentGateway,
        report: PaymentReport,
        worth: Eur | None,
        at: datetime,
    ) -> _Ruled:
        """A payment without a row: adopted under our page, linked to what is ours, or neither."""
        parent = invoice = None
        if report.parent_payment_id is not None:
            parent = await tx.orders.file_of_payment(gateway.name, report.parent_payment_id)
        elif report.gateway_invoice_id is not None:
            invoice = await tx.orders.file_of_invoice(gateway.name, report.gateway_invoice_id)
        file = parent or invoice
        if file is None and report.order_number is not None:
            file = await tx.orders.file_by_number(report.order_number)
        if file is None:
            return _Ruled(decision=NOTHING, webhook_class="unmatched", outcome=Done())
        draft = Draft(file, at=at, new_id=self.new_id)
        if invoice is not None:
            page = next(
                i for i in file.invoices if i.gateway_invoice_id == report.gateway_invoice_id
            )
            row = adopt(draft, page, report, payment_id=self.new_id(), limits=self.limits)
        else:
            row = link(draft, report, payment_id=self.new_id(), limits=self.limits)
        facts = await self._facts(tx, gateway, file, worth, at)
        seen = settle_in(
            draft,
            row,
            report,
            terms=facts.terms,
            held_keys=facts.held_keys,
            grants=facts.grants,
            today=facts.today,
        )
        return _Ruled(
            decision=draft.decision(),
            webhook_class=seen if invoice is not None else "linked",
            outcome=Done(),
            order_id=file.order.id,
        )

    def _without_report(
        self, told: str, hint: Hint, payment: Payment | None, at: datetime
    ) -> _Ruled:
        if told == "early":
            waiting = self._later(hint, at)
            return msgspec.structs.replace(waiting, webhook_class="early")
        if payment is None:
            return _Ruled(decision=NOTHING, webhook_class="unmatched", outcome=Done())
        # Ours, but the gateway does not show it: the key that made it is not the one we ask with.
        if at < hint.since + self.limits.payment_watch:
            after = self.limits.payment_poll
            wait = Again(after=after, error="not_found")
            return _Ruled(decision=NOTHING, webhook_class="", outcome=wait)
        return _Ruled(decision=NOTHING, webhook_class="", outcome=Dead("gateway_not_found"))

    def _later(self, hint: Hint, at: datetime) -> _Ruled:
        """The gateway's answer is still behind: waits as long again as it has waited already."""
        first, cap = self.limits.job_backoff_first, self.limits.job_backoff_cap
        after: timedelta = min(cap, max(first, at - hint.since))
        return _Ruled(decision=NOTHING, webhook_class="", outcome=Again(after=after))

    def _next(self, hint: Hint, decision: Decision, payment: Payment, at: datetime) -> Outcome:
        if hint.webhook_id is not None:
            return Done()
        written = (c.after for c in decision.save if c.after.id == payment.id)
        row = next(written, payment)
        assert isinstance(row, Payment)
        after = next_look(row, at=at, limits=self.limits)
        return Done() if after is None else Again(after=after)
