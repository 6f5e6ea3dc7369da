"""One's own account: its name, and its end."""

from dataclasses import dataclass
from datetime import timedelta

from bitloot.domain.account import actor_name
from bitloot.domain.account_change import renamed
from bitloot.domain.account_deletion import (
    AccountDeletion,
    asked,
    cancelled,
    carried_out,
    is_due,
)
from bitloot.domain.account_links import AccountLinks
from bitloot.domain.decision import Decision
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.jobs import Again, Done, Lease
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.usecases.people.account_mails import AccountMails, of_user, posted
from bitloot.usecases.people.forgetting import traces_of
from bitloot.usecases.people.known_users import known_user, standing_user
from bitloot.usecases.people.mailed_codes import HideAddress

DELETION_SWEEP = "deletions"


@dataclass(frozen=True, kw_only=True)
class Accounts:
    """What people do to their own accounts. `user_id` is that of who is signed in."""

    uow: UnitOfWork
    mails: AccountMails
    links: AccountLinks
    hide: HideAddress
    clock: Clock
    new_id: NewId
    limits: Limits

    async def rename(self, user_id: str, name: str | None) -> None:
        """Another name, or none. Raises Refused `invalid-input`."""

        async def attempt(tx: Transaction) -> None:
            decision = renamed(await standing_user(tx, user_id), name)
            if decision.save:
                await tx.record(decision)

        await decide(self.uow, attempt)

    async def request_deletion(self, user_id: str) -> AccountDeletion:
        """The account is to end; asked again, it stays with the first time.

        A mail tells how to keep it. Raises Refused `last-owner`, `account-suspended` or
        `account-deleted`.
        """

        async def attempt(tx: Transaction) -> AccountDeletion:
            user = await standing_user(tx, user_id)
            known = await tx.people.open_deletion(user_id)
            if known is not None:
                return known
            at = self.clock()
            deletion, decision = asked(
                user,
                has_other_owner=await tx.people.has_other_owner(user_id),
                deletion_id=self.new_id(),
                actor=actor_name(user_id),
                at=at,
                limits=self.limits,
            )
            mail = self.mails.secret("deletion-requested", deletion.id, of_user(user), at=at)
            await tx.record(posted(decision, mail))
            return deletion

        return await decide(self.uow, attempt)

    async def cancel_deletion(self, user_id: str) -> None:
        """The account stays. Raises Refused `deletion-over` where none is under way."""

        async def attempt(tx: Transaction) -> None:
            await standing_user(tx, user_id)
            deletion = await tx.people.open_deletion(user_id)
            if deletion is None:
                raise Refused("deletion-over")
            await tx.record(cancelled(deletion, actor=actor_name(user_id), at=self.clock()))

        await decide(self.uow, attempt)

    async def cancel_by_link(self, token: str) -> None:
        """Whoever reads the mailbox keeps the account; nobody needs to be signed in.

        Raises Refused `not-found` for a token that is none, `deletion-over` for one that came too
        late or was used, and where staff closed the account.
        """
        deletion_id = self.links.deletion_of(token)
        if deletion_id is None:
            raise Refused("not-found")

        async def attempt(tx: Transaction) -> None:
            deletion = await tx.people.deletion(deletion_id)
            if deletion is None or self.clock() >= deletion.due_at:
                raise Refused("deletion-over")
            user = await tx.people.user(deletion.user_id)
            if user is None or user.state == "deleted":
                raise Refused("deletion-over")
            await tx.record(cancelled(deletion, actor="link", at=self.clock()))

        await decide(self.uow, attempt)

    async def run_due(self, lease: Lease) -> None:
        """Sweep `deletions`, daily: forget everybody whose grace is over."""
        most = self.limits.deletions_per_sweep
        async with self.uow.begin() as tx:
            due = await tx.people.due_deletions(at=self.clock(), limit=most)
        for deletion_id in due:
            await self._forget(deletion_id)
        outcome = Again(after=timedelta()) if len(due) == most else Done()
        async with self.uow.begin() as tx:
            await tx.record(Decision(), lease=lease, outcome=outcome)

    async def _forget(self, deletion_id: str) -> None:
        while await self._forget_traces(deletion_id):
            continue

        async def attempt(tx: Transaction) -> None:
            deletion = await tx.people.deletion(deletion_id)
            assert deletion is not None
            user = await known_user(tx, deletion.user_id)
            at = self.clock()
            live = await tx.people.sessions_of(user.id, at=at)
            hidden, most = self.hide(user.email_key), self.limits.claims_per_sign_in
            orders = await tx.people.unclaimed_orders(user.email_key, limit=most)
            decision = carried_out(deletion, user, live, hidden_key=hidden, orders=orders, at=at)
            if not decision.save:
                return
            mail = await self.mails.told(tx, "deletion-done", deletion.id, of_user(user), at=at)
            # A mail that is not sent would only keep the address.
            await tx.record(decision if mail.job is None else posted(decision, mail))

        await decide(self.uow, attempt)

    async def _forget_traces(self, deletion_id: str) -> bool:
        """Some of all that says who somebody was; whether there may be more."""

        async def attempt(tx: Transaction) -> bool:
            deletion = await tx.people.deletion(deletion_id)
            assert deletion is not None
            user = await known_user(tx, deletion.user_id)
            if user.is_forgotten or not is_due(deletion, at=self.clock()):
                return False
            changes = await traces_of(tx, user, self.limits.forgotten_at_once)
            if changes:
                await tx.record(Decision(save=changes))
            return bool(changes)

        return await decide(self.uow, attempt)
