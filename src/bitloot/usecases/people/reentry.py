"""Coming back to a guest's order: a code by mail to the order's own address, then a token.

Nobody learns from an answer whether an order exists: an unknown one gets a challenge too, which no
code opens. Nothing here works without the store of codes.
"""

from dataclasses import dataclass

from bitloot.domain.decision import Decision
from bitloot.domain.limits import Limits
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.unit_of_work import UnitOfWork
from bitloot.usecases.people.account_mails import AccountMails, Recipient, posted
from bitloot.usecases.people.mailed_codes import Challenge, MailedCodes


@dataclass(frozen=True, kw_only=True)
class Reentry:
    """Codes bound to one order, mailed to the address that it was bought with."""

    uow: UnitOfWork
    codes: MailedCodes
    mails: AccountMails
    clock: Clock
    new_id: NewId
    limits: Limits

    async def request(self, order_id: str) -> Challenge:
        """Mail a code to the order's address; the answer is the same for an unknown order.

        Raises StoreUnavailable.
        """
        challenge, at = self.new_id(), self.clock()
        async with self.uow.begin() as tx:
            file = await tx.orders.file(order_id)
        known = order_id if file is None else file.order.email_key
        is_mailed = await self.codes.may_mail(known, at) and file is not None
        digest = self.codes.digest_of(challenge, self.codes.code_of(challenge))
        await self.codes.open(_name(order_id, challenge), digest, good=is_mailed)
        if file is not None:
            to = Recipient(file.order.email, file.order.email_key)
            mail = self.mails.secret(
                "reentry-code", challenge, to, at=at, order_id=order_id, is_sent=is_mailed
            )
            async with self.uow.begin() as tx:
                await tx.record(posted(Decision(), mail))
        return Challenge(challenge_id=challenge, expires_at=at + self.limits.otp_life)

    async def verify(self, order_id: str, challenge: str, code: str) -> str:
        """The id of the order that the code opens, once. Raises Refused `code-wrong`.

        Raises StoreUnavailable.
        """
        digest = self.codes.digest_of(challenge, code) if self.codes.is_code(code) else ""
        await self.codes.verify(_name(order_id, challenge), digest)
        return order_id


def _name(order_id: str, challenge: str) -> str:
    return f"reentry/{order_id}/{challenge}"
