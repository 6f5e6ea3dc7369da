"""One-time codes to an address: who reads the mailbox holds the address.

The same is done for every address, whether somebody has an account under it or not, and whether
its code goes out or not, so that no answer and no delay tells which. A code that is not mailed
opens nothing: asking again and again brings no more guesses than codes. Nothing here works without
the store of codes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, TypeAlias

import msgspec

from bitloot.domain.account import is_forgotten_address
from bitloot.domain.address import Address
from bitloot.domain.decision import Decision
from bitloot.domain.email import EmailKind
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.otp_store import OtpStore
from bitloot.ports.rate_limiter import Quota, RateLimiter
from bitloot.ports.unit_of_work import UnitOfWork
from bitloot.usecases.people.account_mails import AccountMails, Recipient, posted

# The code of a challenge, the same each time; and what is stored of a code.
CodeOf: TypeAlias = Callable[[str], str]
DigestOf: TypeAlias = Callable[[str, str], str]
# A keyed hash of an address's key, so that neither names in a store nor forgotten accounts tell it.
HideAddress: TypeAlias = Callable[[str], str]
# What an account of an address's key may stand under: the key, and what it is hidden as, by the
# secrets of before too.
KnownAs: TypeAlias = Callable[[str], Sequence[str]]
Purpose: TypeAlias = Literal["signin", "reset"]

WINDOW: Final = timedelta(minutes=15)
DAY: Final = timedelta(days=1)
KINDS: Final[Mapping[Purpose, EmailKind]] = {
    "signin": "sign-in-code",
    "reset": "password-reset-code",
}
_LONGEST_CHALLENGE: Final = 64
# In front of a subject that is over a limit already: what it asks for is counted for nobody.
_OVER: Final = "over/"


class Challenge(msgspec.Struct, frozen=True, kw_only=True):
    """What the mailed code has to be sent back with."""

    challenge_id: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class MailedCodes:
    """Codes of one address each, bound to what they are asked for."""

    uow: UnitOfWork
    otp: OtpStore
    rate_limiter: RateLimiter
    mails: AccountMails
    code_of: CodeOf
    digest_of: DigestOf
    hide: HideAddress
    clock: Clock
    new_id: NewId
    limits: Limits

    async def send(self, purpose: Purpose, address: Address) -> Challenge:
        """Mail a code, or do all the same without sending it where too many went there already.

        Raises StoreUnavailable.
        """
        challenge, at = self.new_id(), self.clock()
        is_mailed = await self.may_mail(address.key, at)
        name = self._name(purpose, address, challenge)
        await self.open(name, self.digest_of(challenge, self.code_of(challenge)), good=is_mailed)
        recipient = Recipient(address.typed, address.key)
        mail = self.mails.secret(KINDS[purpose], challenge, recipient, at=at, is_sent=is_mailed)
        async with self.uow.begin() as tx:
            await tx.record(posted(Decision(), mail))
        return Challenge(challenge_id=challenge, expires_at=at + self.limits.otp_life)

    async def check(self, purpose: Purpose, address: Address, challenge: str, code: str) -> None:
        """Use the code up. Raises Refused `code-wrong`, StoreUnavailable."""
        digest = self.digest_of(challenge, code) if self.is_code(code) else ""
        known = challenge if len(challenge) <= _LONGEST_CHALLENGE else ""
        await self.verify(self._name(purpose, address, known), digest)

    async def may_mail(self, address_key: str, at: datetime) -> bool:
        """Count one code to this address; whether it may be mailed. Raises StoreUnavailable.

        The count of a day is kept twice: exactly by the limiter, and by the stored mails, which
        outlive it. Everything is asked for every address.
        """
        limits, is_within = self.limits, True
        quotas = (
            ("otp-address", limits.otp_requests_per_15_minutes, WINDOW),
            ("otp-address-day", limits.otp_codes_per_day, DAY),
        )
        for scope, limit, window in quotas:
            quota = Quota(scope=scope, limit=limit, window=window, fails_closed=True)
            subject = address_key if is_within else f"{_OVER}{address_key}"
            is_within &= (await self.rate_limiter.hit(quota, subject)).allowed
        async with self.uow.begin() as tx:
            is_suppressed = await tx.inbox.is_suppressed(address_key)
            sent = await tx.inbox.codes_sent(address_key, since=at - DAY)
        is_nobody = is_forgotten_address(address_key)
        return is_within and not is_suppressed and not is_nobody and sent < limits.otp_codes_per_day

    async def open(self, name: str, digest: str, *, good: bool) -> None:
        """Store what opens a name; where it is not `good`, nothing does."""
        await self.otp.open(
            name,
            digest if good else self.new_id(),
            life=self.limits.otp_life,
            tries=self.limits.otp_wrong_tries,
        )

    async def verify(self, name: str, digest: str) -> None:
        """Raises Refused `code-wrong`, StoreUnavailable."""
        if await self.otp.verify(name, digest) != "right":
            raise Refused("code-wrong", field="code")

    def is_code(self, text: str) -> bool:
        """Whether it looks like a code."""
        return text.isascii() and text.isdigit() and len(text) == self.limits.otp_digits

    def _name(self, purpose: Purpose, address: Address, challenge: str) -> str:
        return f"{purpose}/{self.hide(address.key)}/{challenge}"
