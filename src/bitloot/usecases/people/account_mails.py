"""Mails about accounts, as they are written with the decision that they tell of."""

from dataclasses import dataclass
from datetime import datetime

import msgspec

from bitloot.domain.account import User
from bitloot.domain.decision import Change, Decision, JobRequest, insert
from bitloot.domain.email import Email, EmailKind
from bitloot.ports.clock import NewId
from bitloot.ports.email_templates import EmailFacts, RenderEmail
from bitloot.ports.unit_of_work import Transaction


class Recipient(msgspec.Struct, frozen=True):
    """`to` is written to, `key` is what addresses are compared by."""

    to: str
    key: str


class Written(msgspec.Struct, frozen=True):
    """A mail's row, and the job that sends it; none where the address is not written to."""

    change: Change
    job: JobRequest | None


@dataclass(frozen=True, kw_only=True)
class AccountMails:
    """`mailer` is the name of the plugin that will send; links lead to `public_url`."""

    mailer: str
    render: RenderEmail
    public_url: str
    new_id: NewId

    def secret(
        self,
        kind: EmailKind,
        subject_id: str,
        recipient: Recipient,
        *,
        at: datetime,
        order_id: str | None = None,
        is_sent: bool = True,
    ) -> Written:
        """A mail with a code or a signed link: facts only, rendered at sending.

        One that is not sent is written and taken up all the same, so that no time tells of it.
        """
        key = f"{kind}/{subject_id}/1"
        row = msgspec.structs.replace(
            self._row(kind, key, recipient, at),
            order_id=order_id,
            state="sending" if is_sent else "suppressed",
        )
        return Written(insert(row), JobRequest(kind="send_email", ref=key))

    async def told(
        self,
        tx: Transaction,
        kind: EmailKind,
        subject_id: str,
        recipient: Recipient,
        *,
        at: datetime,
        email: str | None = None,
        number: int = 1,
    ) -> Written:
        """A mail without a secret: rendered now and stored, or suppressed."""
        key = f"{kind}/{subject_id}/{number}"
        row = self._row(kind, key, recipient, at)
        if await tx.inbox.is_suppressed(recipient.key):
            return Written(insert(msgspec.structs.replace(row, state="suppressed")), None)
        facts = EmailFacts(kind=kind, public_url=self.public_url, email=email)
        rendered = self.render(facts)
        filled = msgspec.structs.replace(
            row, subject=rendered.subject, html=rendered.html, text=rendered.text
        )
        return Written(insert(filled), JobRequest(kind="send_email", ref=key))

    def _row(self, kind: EmailKind, key: str, recipient: Recipient, at: datetime) -> Email:
        return Email(
            id=self.new_id(),
            key=key,
            kind=kind,
            order_id=None,
            to=recipient.to,
            to_key=recipient.key,
            subject=None,
            html=None,
            text=None,
            provider=self.mailer,
            provider_key=key,
            first_try_at=at,
            created_at=at,
        )


def of_user(user: User) -> Recipient:
    """Where a user is written to."""
    return Recipient(user.email, user.email_key)


def posted(decision: Decision, *mails: Written) -> Decision:
    """The decision with mails that tell of it."""
    return msgspec.structs.replace(
        decision,
        save=(*decision.save, *(mail.change for mail in mails)),
        jobs=(*decision.jobs, *(mail.job for mail in mails if mail.job is not None)),
    )
