"""Applying what the gateway says: the jobs `apply_payment` and `adopt_invoice`.

A callback only says "look". From rank 45 on, and for every poll and every payment that is not
known, the gateway is asked first, with no transaction open; its answer is what is applied.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import msgspec

from bitloot.domain.adoption import is_call_unanswered
from bitloot.domain.errors import Refused
from bitloot.domain.failpoints import AFTER_LEASE
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.payment import ASK_FROM_RANK, Invoice, Payment, PaymentReport
from bitloot.ports.breaker import Breakers
from bitloot.ports.clock import Clock, FailPoint, NewId
from bitloot.ports.errors import Rejected, Unavailable
from bitloot.ports.jobs import Again, Dead, Done, Jobs, Lease, Outcome
from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.ports.unit_of_work import UnitOfWork
from bitloot.usecases.payments.hint import Ended, Hint, Told, payment_of
from bitloot.usecases.payments.settling import OPEN_WEBHOOK, Settling


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What listing a hosted page came to: whether it paid, and what of the list was not taken in.

    `are_left`: new ones, for another lease. `are_too_many`: more than the shop takes from a page.
    """

    is_paid: bool = False
    are_left: bool = False
    are_too_many: bool = False


@dataclass(frozen=True, kw_only=True)
class Applying:
    """`gateways` by the plugin's name."""

    uow: UnitOfWork
    jobs: Jobs
    gateways: Mapping[str, PaymentGateway]
    breakers: Breakers
    wholesale_limits: Mapping[str, int]
    limits: Limits
    clock: Clock
    new_id: NewId
    failpoint: FailPoint

    async def apply(self, lease: Lease) -> None:
        """The job `apply_payment`: its ref is a webhook, or a payment that is polled."""
        self.failpoint(AFTER_LEASE)
        try:
            hint, file = await self._hint(lease.ref)
            gateway = self._gateway(hint)
            told = await self._told(gateway, hint, file)
            if isinstance(told, PaymentReport):
                await self._children(lease, gateway, told, file)
            await self._settling.settle(gateway, hint, told, lease=lease)
        except Ended as end:
            await self.jobs.finish(lease, end.outcome)

    async def adopt_invoice(self, lease: Lease) -> None:
        """The job `adopt_invoice`: find the payments of an order's hosted pages by listing them."""
        self.failpoint(AFTER_LEASE)
        async with self.uow.begin() as tx:
            file = await tx.orders.file(lease.ref)
        outcomes: list[Outcome] = []
        for page in file.invoices if file else ():
            gateway = self.gateways.get(page.gateway)
            is_over = self.clock() >= page.created_at + self.limits.payment_watch
            if gateway is None or page.status != "open" or is_over:
                continue
            outcomes.append(await self._listed(lease, gateway, page, file))
        await self.jobs.finish(lease, _first_due(outcomes))

    async def _listed(
        self, lease: Lease, gateway: PaymentGateway, page: Invoice, file: OrderFile | None
    ) -> Outcome:
        """List one page, take in what is new, and say when to look again."""
        if not gateway.capabilities.lists_by_invoice:
            # Nothing can be asked, but the page is watched: nobody takes it for forgotten.
            return Again(after=page.created_at + self.limits.payment_watch - self.clock())
        try:
            found = await self._list(lease, gateway, page, file)
        except (Unavailable, Rejected) as error:
            return Again(after=self.limits.payment_poll, error=error.reason)
        except Ended as end:
            return end.outcome
        if found.are_left:
            return Again(after=timedelta())
        if found.are_too_many:
            return Dead("too_many_payments")
        return Again(after=self.limits.payment_poll)

    async def _list(
        self, lease: Lease | None, gateway: PaymentGateway, page: Invoice, file: OrderFile | None
    ) -> Found:
        """Take in the newest payments of a page that are not known, as many as a lease allows."""
        if page.gateway_invoice_id is None:
            return Found()
        listed = await gateway.payments_of_invoice(page.gateway_invoice_id)
        most = self.limits.payments_per_invoice
        known = {p.gateway_payment_id for p in (file.payments if file else ())}
        ids = (told.gateway_payment_id for told in listed[:most])
        fresh = [each for each in dict.fromkeys(ids) if each not in known]
        is_paid, failed = False, None
        reads = self.limits.payment_reads_per_lease
        for payment_id in fresh[::-1][:reads]:
            try:
                is_paid |= await self._take_in(lease, gateway, payment_id)
            except Ended as end:
                # One that cannot be read does not hide the others.
                failed = end
        if failed is not None and not is_paid:
            raise failed
        return Found(is_paid=is_paid, are_left=len(fresh) > reads, are_too_many=len(listed) > most)

    async def _children(
        self,
        lease: Lease,
        gateway: PaymentGateway,
        report: PaymentReport,
        file: OrderFile | None,
    ) -> None:
        """Deposits that a payment lists and that nobody called back about.

        None of them keeps their parent waiting: one that cannot be read now, or for which there is
        no time in this lease, is written down as it is listed, waits for a person like any other,
        and is read by its own job.
        """
        known = {p.gateway_payment_id for p in (file.payments if file else ())}
        listed = dict.fromkeys(report.child_payment_ids[: self.limits.deposits_per_payment])
        reads = self.limits.payment_reads_per_lease
        for child_id in [each for each in listed if each not in known]:
            reads -= 1
            if reads >= 0:
                try:
                    await self._take_in(lease, gateway, child_id)
                except Ended:
                    reads = 0
                else:
                    continue
            await self._settling.note_deposit(gateway, report, child_id, lease=lease)

    async def _take_in(self, lease: Lease | None, gateway: PaymentGateway, payment_id: str) -> bool:
        """The row of a payment that was seen in a list is made from a fresh read of it."""
        hint = Hint(gateway=gateway.name, gateway_payment_id=payment_id, since=self.clock())
        told = await self._ask(gateway, hint)
        return await self._settling.settle(gateway, hint, told, lease=lease, ends=False)

    async def settle_order(self, order_id: str, *, actor: str, reason: str) -> bool:
        """Ask the gateway about everything of an order now; whether this very asking paid it.

        Of several who ask at once one is told so. Raises Refused `not-found` for an order that
        does not exist, `provider-unavailable` where nothing paid and a gateway gave no answer.
        """
        async with self.uow.begin() as tx:
            file = await tx.orders.file(order_id)
        if file is None:
            raise Refused("not-found")
        known = [p.id for p in file.payments if p.gateway_payment_id is not None]
        asking: list[Callable[[], Awaitable[bool]]] = [
            *(partial(self._settle_now, each, actor=actor, reason=reason) for each in known),
            *(partial(self._list_now, *listed, file) for listed in self._lists(file)),
        ]
        silent: Exception | None = None
        for ask in asking:
            try:
                if await ask():
                    return True
            except (Unavailable, Rejected, Ended) as error:
                silent = error
        if silent is not None:
            raise Refused("provider-unavailable") from silent
        return False

    async def _list_now(self, gateway: PaymentGateway, page: Invoice, file: OrderFile) -> bool:
        return (await self._list(None, gateway, page, file)).is_paid

    def _lists(self, file: OrderFile) -> list[tuple[PaymentGateway, Invoice]]:
        """The hosted pages of an order whose payments can be listed."""
        pages = ((self.gateways.get(page.gateway), page) for page in file.invoices)
        return [(at, page) for at, page in pages if at and at.capabilities.lists_by_invoice]

    async def _settle_now(self, payment_id: str, *, actor: str, reason: str) -> bool:
        """What a fresh read does when somebody asks; news that do not pay are applied as ever."""
        hint, _ = await self._hint(payment_id)
        gateway = self._gateway(hint)
        told = await self._ask(gateway, hint)
        settling = self._settling
        if isinstance(told, PaymentReport) and await settling.settle_on_request(
            gateway, hint, told, actor=actor, reason=reason
        ):
            return True
        return await settling.settle(gateway, hint, told)

    async def refresh(self, payment_id: str) -> Payment:
        """Ask the gateway about a payment now and apply its answer.

        Raises Refused `not-found` or `provider-unavailable`.
        """
        try:
            hint, _ = await self._hint(payment_id)
            gateway = self._gateway(hint)
            told = await self._ask(gateway, hint)
            await self._settling.settle(gateway, hint, told)
        except Ended as end:
            waits = isinstance(end.outcome, Again)
            raise Refused("provider-unavailable" if waits else "not-found") from end
        async with self.uow.begin() as tx:
            file = await tx.orders.file_of_payment(hint.gateway, hint.gateway_payment_id)
        assert file is not None
        return file.payment(payment_id)

    @property
    def _settling(self) -> Settling:
        return Settling(
            uow=self.uow,
            wholesale_limits=self.wholesale_limits,
            limits=self.limits,
            clock=self.clock,
            new_id=self.new_id,
            failpoint=self.failpoint,
        )

    # --- before the transaction ------------------------------------------------------------------

    async def _hint(self, ref: str) -> tuple[Hint, OrderFile | None]:
        async with self.uow.begin() as tx:
            webhook = await tx.inbox.webhook(ref)
            if webhook is not None:
                if not webhook.signature_ok or webhook.classification not in OPEN_WEBHOOK:
                    raise Ended(Done())
                assert webhook.subject is not None
                file = await tx.orders.file_of_payment(webhook.provider, webhook.subject)
                if file is None and webhook.order_number is not None:
                    file = await tx.orders.file_by_number(webhook.order_number)
                hint = Hint(
                    gateway=webhook.provider,
                    gateway_payment_id=webhook.subject,
                    status=webhook.status,
                    order_number=webhook.order_number,
                    webhook_id=webhook.id,
                    since=webhook.received_at,
                )
                return hint, file
            order_id = await tx.orders.order_of("payment", ref)
            file = await tx.orders.file(order_id) if order_id else None
        if file is None:
            raise Ended(Done())
        payment = file.payment(ref)
        if payment.gateway_payment_id is None:
            raise Ended(Done())
        hint = Hint(
            gateway=payment.gateway,
            gateway_payment_id=payment.gateway_payment_id,
            payment_id=payment.id,
            since=payment.created_at,
        )
        return hint, file

    def _gateway(self, hint: Hint) -> PaymentGateway:
        gateway = self.gateways.get(hint.gateway)
        if gateway is None:
            raise Ended(Dead("gateway_not_configured"))
        return gateway

    async def _told(self, gateway: PaymentGateway, hint: Hint, file: OrderFile | None) -> Told:
        """What is applied: the callback's word below rank 45, else a fresh read."""
        known = payment_of(file, hint)
        if hint.webhook_id is not None:
            if known is not None and hint.rank < ASK_FROM_RANK:
                return hint.as_report()
            if known is None and self._is_early(file, hint):
                return "early"
        return await self._ask(gateway, hint)

    def _is_early(self, file: OrderFile | None, hint: Hint) -> bool:
        young = self.clock() < hint.since + self.limits.early_webhook_wait
        return file is not None and young and is_call_unanswered(file)

    async def _ask(self, gateway: PaymentGateway, hint: Hint) -> Told:
        """A fresh read, or that the gateway knows no such payment. Raises Ended to wait."""
        probe = self.limits.breaker_probe
        if not await self.breakers.allows(gateway.name):
            raise Ended(Again(after=probe, error="breaker"))
        try:
            report = await gateway.payment(hint.gateway_payment_id)
        except Unavailable as error:
            await self.breakers.failed(gateway.name)
            # An outage says nothing of this job: it waits as long as the outage lasts.
            if self.clock() >= hint.since + self.limits.payment_watch:
                probe = self.limits.payment_poll_after_expiry
            after = max(probe, timedelta(seconds=error.retry_after or 0))
            raise Ended(Again(after=after, error=error.reason)) from error
        except Rejected as no:
            if no.reason == "credentials":
                await self.breakers.trip(gateway.name)
            else:
                await self.breakers.succeeded(gateway.name)
            if no.reason == "not_found":
                return "not_found"
            is_over = self.clock() >= hint.since + self.limits.payment_watch
            if is_over and no.reason != "credentials":
                raise Ended(Dead(f"gateway_{no.reason}")) from no
            after = self.limits.payment_poll
            raise Ended(Again(after=after, error=no.reason)) from no
        await self.breakers.succeeded(gateway.name)
        return report


def _first_due(outcomes: Sequence[Outcome]) -> Outcome:
    """One job for all pages of an order: looked at again when the first of them wants it.

    A page of which nobody may lose sight without a person ends the job as a dead letter, as soon
    as no other one has work to be done now.
    """
    again = [each for each in outcomes if isinstance(each, Again)]
    dead = next((each for each in outcomes if isinstance(each, Dead)), None)
    soonest = min(again, key=lambda each: each.after, default=Done())
    if dead is not None and not (isinstance(soonest, Again) and not soonest.after):
        return dead
    return soonest
