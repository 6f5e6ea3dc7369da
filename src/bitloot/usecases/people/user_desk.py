"""Staff look after accounts: roles, suspension, sessions, deletion; the first owner is made."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import msgspec

from bitloot.domain.account import User, UserState, new_user
from bitloot.domain.account_change import (
    let_in_again,
    restored,
    signed_out,
    suspended,
    taken_down,
    with_roles,
)
from bitloot.domain.address import parse_address
from bitloot.domain.decision import Decision, insert
from bitloot.domain.limits import Limits
from bitloot.domain.roles import Actor, Role, permissions_of, staff_roles
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.usecases.people.known_users import known_user


class Appointed(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who has a role: those they had `before`, and all that they have now."""

    user_id: str
    state: UserState
    before: tuple[Role, ...]
    roles: tuple[Role, ...]


@dataclass(frozen=True, kw_only=True)
class UserDesk:
    """Nobody acts on somebody who may do more than they: `beyond-your-rights`."""

    uow: UnitOfWork
    clock: Clock
    new_id: NewId
    limits: Limits

    async def set_roles(
        self,
        user_id: str,
        roles: Sequence[Role],
        *,
        actor: Actor,
        expected_version: int | None = None,
    ) -> None:
        """These roles and no others; all sessions end. Raises Refused `not-found`, `last-owner`,
        `account-deleted`, `invalid-input`, and `version-conflict` where a version is expected.
        """

        async def rule(tx: Transaction, user: User) -> Decision:
            live = await tx.people.sessions_of(user.id, at=self.clock())
            return with_roles(
                user,
                roles,
                live,
                has_other_owner=await tx.people.has_other_owner(user.id),
                expected_version=expected_version,
                actor=actor,
                at=self.clock(),
            )

        await self._decide(user_id, rule)

    async def appoint(self, email: str, roles: Sequence[Role], *, actor: Actor) -> Appointed:
        """Roles for whoever reads this mailbox, with or without an account.

        They keep those that they have; who may do all of it already is left alone. For the command
        line: who can run it owns the shop. Raises Refused as `set_roles` does.
        """
        address = parse_address(email)

        async def attempt(tx: Transaction) -> User:
            user = await tx.people.user_by_email(address.key)
            if user is None:
                user = new_user(address, user_id=self.new_id(), at=self.clock())
                await tx.record(Decision(save=(insert(user),)))
            return user

        user = await decide(self.uow, attempt)
        given = user.roles
        if not permissions_of(roles) <= permissions_of(given):
            given = staff_roles((*given, *roles))
            read = max(user.version, 1)  # an account that was made just now is written by now
            await self.set_roles(user.id, given, actor=actor, expected_version=read)
        return Appointed(user_id=user.id, state=user.state, before=user.roles, roles=given)

    async def suspend(self, user_id: str, reason: str, *, actor: Actor) -> None:
        """Nobody signs in any more; all sessions end. Raises Refused `not-found`, `last-owner`,
        `account-deleted`, `invalid-input`.
        """

        async def rule(tx: Transaction, user: User) -> Decision:
            return suspended(
                user,
                await tx.people.sessions_of(user.id, at=self.clock()),
                reason,
                has_other_owner=await tx.people.has_other_owner(user.id),
                actor=actor,
                at=self.clock(),
            )

        await self._decide(user_id, rule)

    async def unsuspend(self, user_id: str, *, actor: Actor) -> None:
        """The account is as good as any other. Raises Refused `not-found`."""

        async def rule(tx: Transaction, user: User) -> Decision:
            del tx
            return let_in_again(user, actor=actor, at=self.clock())

        await self._decide(user_id, rule)

    async def sign_out(self, user_id: str, *, actor: Actor) -> None:
        """All sessions end. Raises Refused `not-found`."""

        async def rule(tx: Transaction, user: User) -> Decision:
            live = await tx.people.sessions_of(user.id, at=self.clock())
            return signed_out(user, live, actor=actor, at=self.clock())

        await self._decide(user_id, rule)

    async def delete(self, user_id: str, *, actor: Actor) -> None:
        """Close the account now, and forget it when the grace is over.

        Raises Refused `not-found`, `last-owner`, `account-deleted`.
        """

        async def rule(tx: Transaction, user: User) -> Decision:
            at = self.clock()
            return taken_down(
                user,
                await tx.people.sessions_of(user.id, at=at),
                await tx.people.open_deletion(user.id),
                has_other_owner=await tx.people.has_other_owner(user.id),
                deletion_id=self.new_id(),
                actor=actor,
                at=at,
                limits=self.limits,
            )

        await self._decide(user_id, rule)

    async def restore(self, user_id: str, *, actor: Actor) -> None:
        """Bring back what staff deleted. Raises Refused `not-found`, `email-taken`, and
        `account-deleted` for what was forgotten.
        """

        async def rule(tx: Transaction, user: User) -> Decision:
            other = await tx.people.user_by_email(user.email_key)
            is_taken = other is not None and other.id != user.id
            deletion = await tx.people.open_deletion(user.id)
            return restored(user, deletion, is_taken=is_taken, actor=actor, at=self.clock())

        await self._decide(user_id, rule)

    async def _decide(
        self, user_id: str, rule: Callable[[Transaction, User], Awaitable[Decision]]
    ) -> None:
        async def attempt(tx: Transaction) -> None:
            decision = await rule(tx, await known_user(tx, user_id))
            if decision.save or decision.audit:
                await tx.record(decision)

        await decide(self.uow, attempt)
