"""Another e-mail address for one's account: a code to each of the two, both given back at once.

The two codes are one secret for the store, so that a wrong one uses up a try of both, and no try
tells which of the two was wrong.
"""

from dataclasses import dataclass
from typing import Final

from bitloot.domain.address import parse_address
from bitloot.domain.email_change import EmailChange, check_open, confirmed, opened
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.usecases.people.account_mails import AccountMails, Recipient, of_user, posted
from bitloot.usecases.people.known_users import standing_user
from bitloot.usecases.people.mailed_codes import Challenge, KnownAs, MailedCodes

KIND: Final = "email-change-code"


@dataclass(frozen=True, kw_only=True)
class EmailChanges:
    """`user_id` is that of who is signed in."""

    uow: UnitOfWork
    codes: MailedCodes
    mails: AccountMails
    known_as: KnownAs
    clock: Clock
    new_id: NewId
    limits: Limits

    async def request(self, user_id: str, new_email: str) -> Challenge:
        """Mail a code to each of the two addresses; one asked for before ends.

        Nothing tells whether the new address is somebody's. Raises Refused `invalid-input`,
        `account-suspended` or `account-deleted`; StoreUnavailable.
        """
        address, at = parse_address(new_email), self.clock()
        async with self.uow.begin() as tx:
            user = await standing_user(tx, user_id)
        keys = (user.email_key, address.key)
        allowed = [await self.codes.may_mail(key, at) for key in dict.fromkeys(keys)]
        change_id, challenges = self.new_id(), (self.new_id(), self.new_id())
        both = "".join(map(self.codes.code_of, challenges))
        digest = self.codes.digest_of(change_id, both)
        await self.codes.open(_name(change_id), digest, good=all(allowed))

        async def attempt(tx: Transaction) -> EmailChange:
            current = await standing_user(tx, user_id)
            before = await tx.people.open_change(user_id)
            change, decision = opened(
                current,
                address,
                before,
                change_id=change_id,
                challenges=challenges,
                at=at,
                limits=self.limits,
            )
            ways = zip(
                challenges,
                (of_user(current), Recipient(address.typed, address.key)),
                strict=True,
            )
            mails = [
                self.mails.secret(KIND, each, to, at=at, is_sent=all(allowed)) for each, to in ways
            ]
            await tx.record(posted(decision, *mails))
            return change

        change = await decide(self.uow, attempt)
        return Challenge(challenge_id=change.id, expires_at=change.expires_at)

    async def confirm(
        self, user_id: str, session_id: str | None, current_code: str, new_code: str
    ) -> None:
        """Both codes move the account; every session but this one ends, both addresses are told.

        Raises Refused `code-wrong`, and only after the right codes `email-taken`; StoreUnavailable.
        """
        async with self.uow.begin() as tx:
            change = check_open(await tx.people.open_change(user_id), at=self.clock())
        are_codes = self.codes.is_code(current_code) and self.codes.is_code(new_code)
        digest = self.codes.digest_of(change.id, current_code + new_code) if are_codes else ""
        await self.codes.verify(_name(change.id), digest)

        async def attempt(tx: Transaction) -> None:
            at = self.clock()
            user = await standing_user(tx, user_id)
            still = await tx.people.open_change(user_id)
            if still is None or still.id != change.id:
                raise Refused("code-wrong", field="code")
            live = await tx.people.sessions_of(user_id, at=at)
            other = await tx.people.user_by_email(*self.known_as(still.new_key))
            is_taken = other is not None and other.id != user_id
            decision = confirmed(user, still, live, keep=session_id, is_taken=is_taken, at=at)
            to = Recipient(still.new_email, still.new_key)
            mails = [
                await self.mails.told(
                    tx, "email-changed", still.id, each, at=at, email=to.to, number=number
                )
                for number, each in enumerate((of_user(user), to), start=1)
            ]
            await tx.record(posted(decision, *mails))

        await decide(self.uow, attempt)


def _name(change_id: str) -> str:
    return f"change/{change_id}"
