"""Support moves an account to another address, for somebody who lost their mailbox."""

from collections.abc import Sequence
from dataclasses import dataclass

from bitloot.domain.account_links import AccountLinks
from bitloot.domain.address import parse_address
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.recovery import Proof, Recovery, completed, ended, started
from bitloot.domain.roles import Actor
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.usecases.people.account_mails import AccountMails, Recipient, of_user, posted
from bitloot.usecases.people.known_users import known_user
from bitloot.usecases.people.mailed_codes import KnownAs


@dataclass(frozen=True, kw_only=True)
class Recoveries:
    """The old address is told at once and can stop it; nothing moves before it has cooled."""

    uow: UnitOfWork
    mails: AccountMails
    links: AccountLinks
    known_as: KnownAs
    clock: Clock
    new_id: NewId
    limits: Limits

    async def start(
        self, user_id: str, new_email: str, proofs: Sequence[Proof], *, actor: Actor
    ) -> Recovery:
        """Raises Refused `not-found`, `recovery-pending`, `beyond-your-rights`,
        `account-suspended`, `account-deleted` or `invalid-input`.
        """
        address = parse_address(new_email)

        async def attempt(tx: Transaction) -> Recovery:
            at, user = self.clock(), await known_user(tx, user_id)
            recovery, decision = started(
                user,
                address,
                proofs,
                await tx.people.open_recovery(user_id),
                recovery_id=self.new_id(),
                actor=actor,
                at=at,
                limits=self.limits,
            )
            mail = self.mails.secret("recovery-started", recovery.id, of_user(user), at=at)
            await tx.record(posted(decision, mail))
            return recovery

        return await decide(self.uow, attempt)

    async def stop_by_link(self, token: str) -> None:
        """Whoever reads the old mailbox stops it; nobody needs to be signed in.

        Raises Refused `not-found` for a token that is none, `recovery-over` for one too late.
        """
        recovery_id = self.links.recovery_of(token)
        if recovery_id is None:
            raise Refused("not-found")

        async def attempt(tx: Transaction) -> None:
            recovery = await _recovery(tx, recovery_id)
            await tx.record(ended(recovery, "stopped", actor="link", at=self.clock()))

        await decide(self.uow, attempt)

    async def cancel(self, recovery_id: str, *, actor: Actor) -> None:
        """Staff give it up. Raises Refused `not-found` or `recovery-over`."""

        async def attempt(tx: Transaction) -> None:
            recovery = await _recovery(tx, recovery_id)
            await tx.record(ended(recovery, "cancelled", actor=actor.name, at=self.clock()))

        await decide(self.uow, attempt)

    async def complete(self, recovery_id: str, *, actor: Actor) -> None:
        """The account moves; its password and sessions end, both addresses are told.

        Raises Refused `not-found`, `recovery-over`, `recovery-not-ready`, `email-taken`,
        `beyond-your-rights`, `account-suspended` or `account-deleted`.
        """

        async def attempt(tx: Transaction) -> None:
            at, recovery = self.clock(), await _recovery(tx, recovery_id)
            user = await known_user(tx, recovery.user_id)
            live = await tx.people.sessions_of(user.id, at=at)
            other = await tx.people.user_by_email(*self.known_as(recovery.new_key))
            is_taken = other is not None and other.id != user.id
            decision = completed(recovery, user, live, is_taken=is_taken, actor=actor, at=at)
            to = Recipient(recovery.new_email, recovery.new_key)
            mails = [
                await self.mails.told(
                    tx, "recovery-done", recovery.id, each, at=at, email=to.to, number=number
                )
                for number, each in enumerate((of_user(user), to), start=1)
            ]
            await tx.record(posted(decision, *mails))

        await decide(self.uow, attempt)


async def _recovery(tx: Transaction, recovery_id: str) -> Recovery:
    recovery = await tx.people.recovery(recovery_id)
    if recovery is None:
        raise Refused("not-found")
    return recovery
