"""Mails: rendered once and stored, sent once, and what the provider says of them later.

A mail holds no secret, except a one-time code or a signed link: that is derived anew at sending and
never stored.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from bitloot.domain.account import is_forgotten_address
from bitloot.domain.account_links import AccountLinks
from bitloot.domain.backoff import fraction, outage_pause
from bitloot.domain.decision import Decision, insert, update
from bitloot.domain.delivery import is_delivered
from bitloot.domain.email import CODE_KINDS, LINK_KINDS, Email, EmailKind, Suppression
from bitloot.domain.failpoints import (
    AFTER_SENT_COMMIT,
    MAIL_ACCEPTED_BEFORE_SENT,
)
from bitloot.domain.forgetting import FORGOTTEN_BODY, farewell
from bitloot.domain.limits import Limits
from bitloot.domain.mail_fate import fate
from bitloot.domain.mailing import UNSETTLED, Try, email_kind, next_try, tried
from bitloot.domain.money import CryptoAmount, parse_crypto
from bitloot.domain.order import OrderFile
from bitloot.domain.webhook_intake import Verified, handled
from bitloot.ports.breaker import Breakers
from bitloot.ports.clock import Clock, FailPoint, NewId, RandomBytes
from bitloot.ports.deciding import decide
from bitloot.ports.email_templates import EmailFacts, EmailLine, RenderEmail
from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot.ports.intake import Intake, Taken
from bitloot.ports.jobs import Again, Dead, Done, Jobs, Lease, Outcome
from bitloot.ports.mailer import TOO_OFTEN, Mailer, MailEvent, Message
from bitloot.ports.unit_of_work import Facts, Transaction, UnitOfWork

# The one-time code of a challenge, by its id: the same code each time.
CodeOf: TypeAlias = Callable[[str], str]
_PERMANENT: Final = "/permanent"


@dataclass(frozen=True, kw_only=True)
class Emails:
    """`public_url` is where the links in mails lead; `code_of` derives codes, `links` signs."""

    uow: UnitOfWork
    intake: Intake
    jobs: Jobs
    mailer: Mailer
    breakers: Breakers
    render: RenderEmail
    code_of: CodeOf
    clock: Clock
    new_id: NewId
    random_bytes: RandomBytes
    limits: Limits
    failpoint: FailPoint
    public_url: str
    links: AccountLinks

    async def send(self, lease: Lease) -> None:
        """Job `send_email`, ref `<kind>/<subject id>/<n>`: T11, the mail, T12."""
        attempt = await decide(self.uow, lambda tx: self._intend(tx, lease))
        if attempt is None:
            return
        email = attempt.email
        if not await self.breakers.allows(self.mailer.name):
            after = max(self.limits.breaker_probe, self._pause(email))
            await self._not_taken(lease, attempt, Again(after=after))
            return
        message = await self._message(email)
        if message is None:
            await self._end(lease, email.key, state="refused", refusal="ended")
            return
        try:
            provider_id = await self.mailer.send(message, idempotency_key=email.provider_key)
        except Unavailable as error:
            # Who says that we come too often is there: nobody else has to wait for it.
            if error.reason != TOO_OFTEN:
                await self.breakers.failed(self.mailer.name)
            later = self._later(lease, email, error.reason, error.retry_after)
            await self._not_taken(lease, attempt, later)
        except OutcomeUnknown as error:
            await self.breakers.failed(self.mailer.name)
            later = self._later(lease, email, error.reason or "unknown", None)
            await self.jobs.finish(lease, later)
        except Rejected as error:
            await self._rejected(lease, attempt, error)
        else:
            await self.breakers.succeeded(self.mailer.name)
            self.failpoint(MAIL_ACCEPTED_BEFORE_SENT)
            await self._end(lease, email.key, state="sent", provider_id=provider_id)
            self.failpoint(AFTER_SENT_COMMIT)

    async def accept(self, headers: Mapping[str, str], body: bytes) -> Taken:
        """T4: store a webhook of the mail provider and its job. Raises StoreUnavailable."""
        provider = self.mailer.name
        reading = self.mailer.read_webhook(headers, body, now=self.clock().timestamp())
        if isinstance(reading, MailEvent):
            return await self.intake.take(provider, _verified(provider, reading), body)
        return await self.intake.take(provider, reading, body)

    async def follow_up(self, lease: Lease) -> None:
        """Job `mail_event`: note what became of a mail; a dead address is written to no more."""

        async def attempt(tx: Transaction) -> None:
            webhook = await tx.inbox.webhook(lease.ref)
            if webhook is None or not webhook.signature_ok:
                await tx.record(Decision(), lease=lease, outcome=Dead("no such webhook"))
                return
            email = None
            if webhook.subject is not None:
                email = await tx.inbox.email_by_provider_id(webhook.provider, webhook.subject)
            at = self.clock()
            if email is None:
                young = at - webhook.received_at < self.limits.early_webhook_wait
                if webhook.subject is not None and young:
                    # The mail may have been accepted a moment before its id was stored.
                    wait = Again(after=self.limits.early_webhook_wait / 10)
                    await tx.record(Decision(), lease=lease, outcome=wait)
                    return
                done = handled(webhook, "unmatched", at=at)
                await tx.record(done, lease=lease, outcome=Done())
                return
            word = webhook.status or "other"
            event = word.removesuffix(_PERMANENT)
            changes = [update(email, provider_event=fate(email.provider_event, event))]
            is_nobody = is_forgotten_address(email.to_key)
            dead = (word.endswith(_PERMANENT) or event == "complained") and not is_nobody
            # By the key that the next mail to this address asks for.
            if dead and not await tx.inbox.is_suppressed(email.to_key):
                reason: Literal["bounce", "complaint"] = (
                    "complaint" if event == "complained" else "bounce"
                )
                changes.append(insert(Suppression(id=email.to_key, reason=reason, created_at=at)))
            body = FORGOTTEN_BODY if is_nobody else None
            noted = handled(webhook, "applied", at=at, body=body)
            await tx.record(Decision(save=(*changes, *noted.save)), lease=lease, outcome=Done())

        await decide(self.uow, attempt)

    async def _intend(self, tx: Transaction, lease: Lease) -> Try | None:
        """T11: the mail as it is stored before it is sent; None when the job ended here."""
        known = await tx.inbox.email(lease.ref)
        if known is not None:
            return await self._intend_again(tx, lease, known)
        at = self.clock()
        kind, subject = email_kind(lease.ref)
        file = await tx.orders.file(subject)
        if kind is None or kind == "reentry-code" or file is None:
            await tx.record(Decision(), lease=lease, outcome=Done())
            return None
        key = file.order.email_key
        is_suppressed = is_forgotten_address(key) or await tx.inbox.is_suppressed(key)
        facts = self._facts(kind, file)
        if kind == "order-refunded":
            recorded = await tx.inbox.last_facts(file.order.id, "refund_recorded")
            facts = _with_refund(facts, recorded)
        rendered = None if is_suppressed else self.render(facts)
        row = insert(
            Email(
                id=self.new_id(),
                key=lease.ref,
                kind=kind,
                order_id=file.order.id,
                to=file.order.email,
                to_key=file.order.email_key,
                subject=rendered.subject if rendered else None,
                html=rendered.html if rendered else None,
                text=rendered.text if rendered else None,
                state="suppressed" if rendered is None else "sending",
                provider=self.mailer.name,
                provider_key=lease.ref,
                first_try_at=at,
                doubtful_since=at,
                created_at=at,
            )
        )
        assert isinstance(row.after, Email)
        if rendered is None:
            await tx.record(Decision(save=(row,)), lease=lease, outcome=Done())
            return None
        await tx.record(Decision(save=(row,)), lease=lease)
        return Try(row.after)

    async def _intend_again(self, tx: Transaction, lease: Lease, known: Email) -> Try | None:
        if known.state not in {"sending", "unknown"}:
            await tx.record(Decision(), lease=lease, outcome=Done())
            return None
        if await tx.inbox.is_suppressed(known.to_key):
            # Since it was written: a mail that waits for its provider goes nowhere any more.
            change = update(known, state="suppressed")
            await tx.record(Decision(save=(change,)), lease=lease, outcome=Done())
            return None
        at = self.clock()
        now = next_try(known, at=at, limits=self.limits)
        if now == known:
            return Try(known, in_doubt=True)
        file = await tx.orders.file(known.order_id) if known.order_id is not None else None
        decision = tried(known, now, file, at=at)
        if now.state == "unknown":
            await tx.record(decision, lease=lease, outcome=Dead(UNSETTLED))
            return None
        await tx.record(decision, lease=lease)
        return Try(msgspec.structs.replace(now, version=known.version + 1))

    async def _not_taken(self, lease: Lease, attempt: Try, outcome: Outcome) -> None:
        """Nothing was done at the provider now: only an earlier try can leave a doubt."""
        if attempt.in_doubt:
            await self.jobs.finish(lease, outcome)
            return

        async def clear(tx: Transaction) -> None:
            row = await tx.inbox.email(attempt.email.key)
            assert row is not None
            cleared = update(row, doubtful_since=None)
            await tx.record(Decision(save=(cleared,)), lease=lease, outcome=outcome)

        await decide(self.uow, clear)

    async def _message(self, email: Email) -> Message | None:
        """What is sent; None when it has no use any more."""
        if email.subject is not None and email.html is not None and email.text is not None:
            return Message(
                to=email.to,
                subject=email.subject,
                html=email.html,
                text=email.text,
                kind=email.kind,
            )
        facts = await self._secret_facts(email)
        if facts is None:
            return None
        rendered = self.render(facts)
        return Message(
            to=email.to,
            subject=rendered.subject,
            html=rendered.html,
            text=rendered.text,
            kind=email.kind,
        )

    async def _secret_facts(self, email: Email) -> EmailFacts | None:
        """What a mail with a code or a signed link says; None when that opens nothing any more."""
        _, subject = email_kind(email.key)
        if email.kind in LINK_KINDS:
            return await self._link_facts(email.kind, subject)
        if email.kind not in CODE_KINDS or self.clock() >= email.created_at + self.limits.otp_life:
            return None
        code = self.code_of(subject)
        if email.order_id is None:
            minutes = int(self.limits.otp_life.total_seconds() // 60)
            return EmailFacts(
                kind=email.kind, public_url=self.public_url, code=code, code_minutes=minutes
            )
        async with self.uow.begin() as tx:
            file = await tx.orders.file(email.order_id)
        return None if file is None else self._facts(email.kind, file, code=code)

    async def _link_facts(self, kind: EmailKind, subject: str) -> EmailFacts | None:
        async with self.uow.begin() as tx:
            if kind == "deletion-requested":
                deletion = await tx.people.deletion(subject)
                if deletion is None or deletion.state != "requested":
                    return None
                due, link = deletion.due_at, self.links.to_cancel(deletion)
            else:
                recovery = await tx.people.recovery(subject)
                if recovery is None or recovery.state != "open":
                    return None
                due, link = recovery.ready_at, self.links.to_stop(recovery)
        return EmailFacts(kind=kind, public_url=self.public_url, due=due, action_link=link)

    async def _rejected(self, lease: Lease, attempt: Try, error: Rejected) -> None:
        if error.reason == "credentials":
            await self.breakers.trip(self.mailer.name)
            wait = Again(after=self.limits.blocked_recheck, error=error.reason)
            await self._not_taken(lease, attempt, wait)
            return
        await self._end(lease, attempt.email.key, state="refused", refusal=error.reason)

    async def _end(
        self,
        lease: Lease,
        key: str,
        *,
        state: Literal["sent", "refused"],
        provider_id: str | None = None,
        refusal: str | None = None,
    ) -> None:
        """T12."""

        async def attempt(tx: Transaction) -> None:
            row = await tx.inbox.email(key)
            assert row is not None
            at = self.clock()
            done = update(
                row,
                state=state,
                provider_id=provider_id,
                refusal=refusal,
                sent_at=at if state == "sent" else None,
                **farewell(row, email_kind(row.key)[1]),
            )
            await tx.record(Decision(save=(done,)), lease=lease, outcome=Done())

        await decide(self.uow, attempt)

    def _pause(self, email: Email) -> timedelta:
        """Every mail that waits for the provider is taken up less often the longer it has waited,
        so that an outage of days does not keep the workers busy.
        """
        jitter = fraction(self.random_bytes(4))
        return outage_pause(self.clock() - email.created_at, jitter, self.limits)

    def _later(self, lease: Lease, email: Email, reason: str, retry_after: float | None) -> Outcome:
        """An outage of the provider alone never loses a mail: before the last attempt the count
        starts over.
        """
        after = self._pause(email)
        if retry_after is not None:
            after = max(after, timedelta(seconds=retry_after))
        is_last = lease.attempts >= lease.max_attempts - 1
        return Again(after=after, progressed=is_last, error=reason)

    def _facts(self, kind: EmailKind, file: OrderFile, code: str | None = None) -> EmailFacts:
        order = file.order
        paying = [p for p in file.payments if p.pay_address is not None and not p.is_child]
        payment = max(paying, key=lambda p: p.created_at, default=None)
        page = max(file.invoices, key=lambda i: i.created_at, default=None)
        hold = max((h for h in file.holds), key=lambda h: h.opened_at, default=None)
        asked = received = None
        if payment is not None and payment.pay_amount is not None:
            asked = CryptoAmount(payment.pay_amount, payment.pay_currency)
        if payment is not None and payment.actually_paid is not None:
            received = CryptoAmount(payment.actually_paid, payment.pay_currency)
        return EmailFacts(
            kind=kind,
            order_number=order.number,
            order_ref=order.id,
            public_url=self.public_url,
            lines=tuple(
                EmailLine(
                    title=item.title,
                    quantity=item.quantity,
                    is_ready=is_delivered(item, file.fulfilments),
                )
                for item in file.items
            ),
            total=order.total,
            pay_until=order.window_ends_at,
            pay_address=payment.pay_address if payment else None,
            pay_memo=payment.payin_extra_id if payment else None,
            pay_network=payment.network if payment else None,
            pay_page=page.url if page else None,
            asked=asked,
            received=received,
            tolerance=self.limits.underpayment_tolerance,
            surplus=order.paid_over,
            failure_reason=order.failure_reason,
            hold_reason=hold.reason if hold else None,
            code=code,
            code_minutes=int(self.limits.otp_life.total_seconds() // 60),
        )


def _with_refund(facts: EmailFacts, recorded: Facts | None) -> EmailFacts:
    """What was sent back, and in which transaction; nothing where the gateway did it by itself."""
    if recorded is None:
        return facts
    sent = CryptoAmount(parse_crypto(str(recorded["amount"])), str(recorded["asset"]))
    return msgspec.structs.replace(facts, refund=sent, refund_transaction=str(recorded["tx_id"]))


def _verified(provider: str, event: MailEvent) -> Verified:
    return Verified(
        provider=provider,
        dedupe_key=event.dedupe_key,
        subject=event.provider_id,
        status=f"{event.event}{_PERMANENT}" if event.permanent else event.event,
        order_number=None,
        job="mail_event",
    )
