"""What suppliers tell us unasked: stored, then read anew from the supplier before anything moves.

A supplier's webhook is a hint. Kinguin signs nothing: its secret travels in the clear, so the body
is believed in nothing but where to look.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bitloot.domain import supplier_progress
from bitloot.domain.decision import NOTHING, Decision, JobRequest, also, update
from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.supply import SupplierOrder
from bitloot.domain.unknown_order import unknown_order
from bitloot.domain.webhook import Webhook, WebhookClass
from bitloot.domain.webhook_intake import Verified, handled
from bitloot.ports.breaker import Breakers
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.errors import Rejected, Unavailable
from bitloot.ports.intake import Intake, Taken
from bitloot.ports.jobs import Again, Dead, Done, Jobs, Lease
from bitloot.ports.supplier import Supplier, SupplierHint
from bitloot.ports.unit_of_work import Transaction, UnitOfWork

# The status of a webhook that speaks of a product and not of an order.
PRODUCT_NEWS: Final = "product"

# What a webhook came to, by the reason of the decision; every other one was applied.
_CLASSES: Final[Mapping[str, WebhookClass]] = {"stale": "stale", "foreign": "unmatched"}


@dataclass(frozen=True, kw_only=True)
class SupplierHints:
    """`suppliers` by the plugin's name."""

    uow: UnitOfWork
    intake: Intake
    jobs: Jobs
    suppliers: Mapping[str, Supplier]
    breakers: Breakers
    clock: Clock
    new_id: NewId
    limits: Limits

    async def accept(self, supplier: str, headers: Mapping[str, str], body: bytes) -> Taken:
        """T4: store a webhook and its job; the edge answers 204 with no body, 401 or 400.

        News of a product name no price: the same body may speak of another change within the same
        instant, so the product is read again however often it comes. Raises KeyError for a supplier
        that is not open, StoreUnavailable when nothing was stored.
        """
        reading = self.suppliers[supplier].read_webhook(headers, body)
        if not isinstance(reading, SupplierHint):
            return await self.intake.take(supplier, reading, body)
        hint = _verified(supplier, reading)
        taken = await self.intake.take(supplier, hint, body)
        if taken == "duplicate" and hint.status == PRODUCT_NEWS and hint.subject:
            async with self.uow.begin() as tx:
                await tx.record(Decision(jobs=(_reading(supplier, hint.subject),)))
        return taken

    async def follow_up(self, lease: Lease) -> None:
        """Job `supplier_hint`: read the order that a stored webhook speaks of, and go by that.

        While the supplier is away the job waits for it.
        """
        async with self.uow.begin() as tx:
            webhook = await tx.inbox.webhook(lease.ref)
            found = webhook and await tx.orders.order_of_supplier_order(
                webhook.provider, webhook.subject, webhook.order_number
            )
        if webhook is None or not webhook.signature_ok:
            await self.jobs.finish(lease, Dead("no such webhook"))
            return
        if webhook.status == PRODUCT_NEWS and webhook.subject and not found:
            await self._read_product(lease, webhook, webhook.subject)
            return
        supplier = self.suppliers.get(webhook.provider)
        if not found or supplier is None or webhook.subject is None:
            word: WebhookClass = "unmatched" if webhook.subject else "ignored"
            await self._close(lease, webhook, word, found[0] if found else None)
            return
        order_id, fulfilment_id = found
        try:
            report = await self._read(supplier, webhook.subject)
        except (Unavailable, Rejected) as error:
            await self._wait(lease, webhook, order_id, error)
            return

        async def attempt(tx: Transaction) -> None:
            file = await tx.orders.file(order_id)
            row = await tx.inbox.webhook(webhook.id)
            if file is None or row is None:
                await tx.record(NOTHING, lease=lease, outcome=Done())
                return
            fulfilment = file.fulfilment(fulfilment_id)
            decision = NOTHING
            if report is not None:
                decision = await self._decide(tx, file, fulfilment, report, row.provider)
            at = self.clock()
            noted = handled(row, _CLASSES.get(decision.reason, "applied"), at=at, order_id=order_id)
            awake = Decision(
                save=decision.save,
                events=decision.events,
                jobs=(*decision.jobs, JobRequest(kind="fulfil", ref=fulfilment_id)),
                audit=decision.audit,
                order_id=decision.order_id,
                reason=decision.reason,
            )
            await tx.record(also(awake, *noted.save), lease=lease, outcome=Done())

        await decide(self.uow, attempt)

    async def _read(self, supplier: Supplier, order_id: str) -> SupplierOrder | None:
        """The order as it is now, None for one that is not found: the search of a doubtful attempt,
        or the poll of the fulfilment, decides. Raises Unavailable, Rejected.
        """
        name = supplier.name
        if not await self.breakers.allows(name):
            raise Unavailable(name, "breaker")
        try:
            report = await supplier.order(order_id)
        except Unavailable:
            await self.breakers.failed(name)
            raise
        except Rejected as error:
            if error.reason == "credentials":
                await self.breakers.trip(name)
            if error.reason != "not_found":
                raise
            report = None
        await self.breakers.succeeded(name)
        return report

    async def _decide(
        self,
        tx: Transaction,
        file: OrderFile,
        fulfilment: Fulfilment,
        report: SupplierOrder,
        supplier: str,
    ) -> Decision:
        """Take note of an order that is known; one that is not is adopted or given back.

        Whichever attempt an order belongs to, an older one too, what is told of it is looked at.
        """
        at, new_id = self.clock(), self.new_id
        known = file.attempt_of(supplier, report.supplier_order_id)
        if known is None:
            ours = {
                (a.supplier, a.external_id)
                for a in file.attempts
                if a.fulfilment_id == fulfilment.id
            }
            if (supplier, report.external_id) not in ours:
                return Decision(reason="foreign")
            return unknown_order(
                file,
                fulfilment,
                report,
                supplier=supplier,
                at=at,
                new_id=new_id,
                limits=self.limits,
            )
        fulfilment = file.fulfilment(known.fulfilment_id)
        keys = await tx.keys.sealed_of_fulfilment(fulfilment.id)
        return supplier_progress.observe(
            file, fulfilment, known, report, keys, at=at, new_id=new_id
        )

    async def _wait(
        self, lease: Lease, webhook: Webhook, order_id: str, error: Unavailable | Rejected
    ) -> None:
        """Look again later; which order it is about is kept, for those who search for it."""
        wait = Again(after=self.limits.blocked_recheck, error=error.reason)

        async def attempt(tx: Transaction) -> None:
            row = await tx.inbox.webhook(webhook.id) or webhook
            changes = () if row.order_id else (update(row, order_id=order_id),)
            await tx.record(Decision(save=changes), lease=lease, outcome=wait)

        await decide(self.uow, attempt)

    async def _read_product(self, lease: Lease, webhook: Webhook, product_id: str) -> None:
        """Of a product nothing is believed either: it is read anew, once for many hints."""
        job = _reading(webhook.provider, product_id)

        async def attempt(tx: Transaction) -> None:
            row = await tx.inbox.webhook(webhook.id) or webhook
            noted = handled(row, "applied", at=self.clock(), order_id=None)
            decision = Decision(save=noted.save, jobs=(job,))
            await tx.record(decision, lease=lease, outcome=Done())

        await decide(self.uow, attempt)

    async def _close(
        self, lease: Lease, webhook: Webhook, word: WebhookClass, order_id: str | None
    ) -> None:
        async def attempt(tx: Transaction) -> None:
            row = await tx.inbox.webhook(webhook.id) or webhook
            noted = handled(row, word, at=self.clock(), order_id=order_id)
            await tx.record(noted, lease=lease, outcome=Done())

        await decide(self.uow, attempt)


def _reading(supplier: str, product_id: str) -> JobRequest:
    return JobRequest(kind="read_product", ref=f"{supplier}/{product_id}")


def _verified(supplier: str, hint: SupplierHint) -> Verified:
    is_product = hint.kind == "product" and hint.supplier_product_id is not None
    return Verified(
        provider=supplier,
        dedupe_key=hint.dedupe_key,
        subject=hint.supplier_product_id if is_product else hint.supplier_order_id,
        status=PRODUCT_NEWS if is_product else hint.status or hint.kind,
        order_number=hint.external_id,
        job="supplier_hint",
    )
