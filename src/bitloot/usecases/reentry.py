"""Coming back to a guest's order: a code by mail to the order's own address, then a token.

Nobody learns from an answer whether an order exists: an unknown one gets a challenge too, which no
code opens. Nothing here works without the store of codes.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

import msgspec

from bitloot.domain.decision import Decision, JobRequest, insert
from bitloot.domain.email import Email
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.order import Order
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.otp_store import OtpStore
from bitloot.ports.rate_limiter import Quota, RateLimiter
from bitloot.ports.unit_of_work import UnitOfWork

# The code of a challenge, the same each time; and what is stored of a code.
CodeOf: TypeAlias = Callable[[str], str]
DigestOf: TypeAlias = Callable[[str, str], str]

WINDOW: Final = timedelta(minutes=15)
DAY: Final = timedelta(days=1)


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """What the mailed code has to be sent back with."""

    challenge_id: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Reentry:
    """`mailer` is the name of the plugin that will send the code."""

    uow: UnitOfWork
    otp: OtpStore
    rate_limiter: RateLimiter
    mailer: str
    code_of: CodeOf
    digest_of: DigestOf
    clock: Clock
    new_id: NewId
    limits: Limits

    async def request(self, order_id: str) -> Challenge:
        """Mail a code to the order's address; the answer is the same for an unknown order.

        Raises StoreUnavailable.
        """
        challenge = self.new_id()
        async with self.uow.begin() as tx:
            file = await tx.orders.file(order_id)
        at = self.clock()
        digest = self.digest_of(challenge, self.code_of(challenge))
        # What is not mailed opens nothing: asking again brings no more guesses than codes.
        is_mailed = file is not None and await self._may_mail(file.order, at)
        await self.otp.open(
            _name(order_id, challenge),
            digest if is_mailed else self.new_id(),
            life=self.limits.otp_life,
            tries=self.limits.otp_wrong_tries,
        )
        if file is not None and is_mailed:
            await self._mail(file.order, challenge, at)
        return Challenge(challenge_id=challenge, expires_at=at + self.limits.otp_life)

    async def verify(self, order_id: str, challenge: str, code: str) -> str:
        """The id of the order that the code opens, once. Raises Refused `code-wrong`.

        Raises StoreUnavailable.
        """
        is_code = code.isascii() and code.isdigit() and len(code) == self.limits.otp_digits
        digest = self.digest_of(challenge, code) if is_code else ""
        verdict = await self.otp.verify(_name(order_id, challenge), digest)
        if verdict != "right":
            raise Refused("code-wrong", field="code")
        return order_id

    async def _may_mail(self, order: Order, at: datetime) -> bool:
        quota = Quota(
            scope="otp-address",
            limit=self.limits.otp_requests_per_15_minutes,
            window=WINDOW,
            fails_closed=True,
        )
        verdict = await self.rate_limiter.hit(quota, order.email_key)
        if not verdict.allowed:
            return False
        async with self.uow.begin() as tx:
            is_suppressed = await tx.inbox.is_suppressed(order.email_key)
            sent = await tx.inbox.codes_sent(order.email_key, since=at - DAY)
        return not is_suppressed and sent < self.limits.otp_codes_per_day

    async def _mail(self, order: Order, challenge: str, at: datetime) -> None:
        """The mail's row holds facts only: its text is made at sending, and never stored."""
        key = f"reentry-code/{challenge}/1"
        row = insert(
            Email(
                id=self.new_id(),
                key=key,
                kind="reentry-code",
                order_id=order.id,
                to=order.email,
                to_key=order.email_key,
                subject=None,
                html=None,
                text=None,
                provider=self.mailer,
                provider_key=key,
                first_try_at=at,
                created_at=at,
            )
        )
        async with self.uow.begin() as tx:
            await tx.record(Decision(save=(row,), jobs=(JobRequest(kind="send_email", ref=key),)))


def _name(order_id: str, challenge: str) -> str:
    return f"reentry/{order_id}/{challenge}"
