"""Passwords, for those who want one: set, forgotten, and proving who signs in.

The same work is done for every address: what is unknown, or has no password, is hashed against
nobody's. Hashes are made outside of transactions, a bounded number at once.
"""

from dataclasses import dataclass

import msgspec

from bitloot.domain.account import check_state, new_user
from bitloot.domain.address import parse_address
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.password import MAX_PASSWORD, checked_password
from bitloot.domain.password_change import check_unchanged, is_fresh, rehashed, with_password
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.password_hasher import PasswordHasher
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.ports.views.people import PeopleViews
from bitloot.usecases.people.account_mails import AccountMails, of_user, posted
from bitloot.usecases.people.known_users import standing_user
from bitloot.usecases.people.mailed_codes import Challenge, KnownAs, MailedCodes


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """Who knew the password, and its hash at that moment: good as long as it is the same."""

    user_id: str
    password_hash: str

    def __repr__(self) -> str:
        return f"Proven({self.user_id})"


@dataclass(frozen=True, kw_only=True)
class Passwords:
    """Every method raises Busy where as many passwords are hashed as may be at once."""

    uow: UnitOfWork
    people: PeopleViews
    codes: MailedCodes
    mails: AccountMails
    password_hasher: PasswordHasher
    known_as: KnownAs
    clock: Clock
    new_id: NewId
    limits: Limits

    async def set(
        self, user_id: str, session_id: str, password: str, *, current: str | None = None
    ) -> None:
        """A first or another password; every session but this one ends.

        For whoever signed in lately, or knows the password until now. Raises Refused
        `sign-in-too-old`, `credentials-wrong`, `invalid-input`, `password-too-common`,
        `account-suspended` or `account-deleted`.
        """
        async with self.uow.begin() as tx:
            user = await standing_user(tx, user_id)
            found = await tx.people.session(session_id)
        wanted = checked_password(password, user.email)
        before = user.password_hash
        if current is not None:
            if not await self._matches(current, before):
                raise Refused("credentials-wrong", field="currentPassword")
        elif found is None or not is_fresh(
            found.session.created_at, at=self.clock(), limits=self.limits
        ):
            raise Refused("sign-in-too-old")
        hashed = await self.password_hasher.hash(wanted)

        async def attempt(tx: Transaction) -> None:
            at, known = self.clock(), await standing_user(tx, user_id)
            check_unchanged(known, before)
            live = await tx.people.sessions_of(user_id, at=at)
            decision = with_password(known, hashed, live, how="set", keep=session_id, at=at)
            mail = await self.mails.told(
                tx, "password-changed", self.new_id(), of_user(known), at=at
            )
            await tx.record(posted(decision, mail))

        await decide(self.uow, attempt)

    async def forgot(self, email: str) -> Challenge:
        """Mail a code to whoever asks; nothing tells whether there is an account.

        Raises Refused `invalid-input` for what is no address, StoreUnavailable.
        """
        return await self.codes.send("reset", parse_address(email))

    async def reset(self, email: str, challenge: str, code: str, password: str) -> None:
        """The right code sets a password, and makes the account of who has none; all sessions end.

        Raises Refused `code-wrong`, `invalid-input`, `password-too-common`, and only after the
        right code `account-suspended` or `account-deleted`; StoreUnavailable.
        """
        address = parse_address(email)
        wanted = checked_password(password, address.typed)
        # Before the code is used up: whoever is turned away because too many wait keeps it.
        hashed = await self.password_hasher.hash(wanted)
        await self.codes.check("reset", address, challenge, code)

        async def attempt(tx: Transaction) -> None:
            at = self.clock()
            known = await tx.people.user_by_email(*self.known_as(address.key))
            user = known or new_user(address, user_id=self.new_id(), at=at)
            live = () if known is None else await tx.people.sessions_of(user.id, at=at)
            decision = with_password(user, hashed, live, how="reset", is_new=known is None, at=at)
            mail = await self.mails.told(
                tx, "password-changed", self.new_id(), of_user(user), at=at
            )
            await tx.record(posted(decision, mail))

        await decide(self.uow, attempt)

    async def prove(self, email: str, password: str) -> Proven:
        """Who this is; hashed anew where the parameters of the stored hash are not today's.

        Raises Refused `credentials-wrong`, and only after the right password `account-suspended`
        or `account-deleted`; StoreUnavailable.
        """
        address = parse_address(email)
        user = await self.people.credentials(address.key)
        stored = None if user is None else user.password_hash
        is_right = await self._matches(password, stored)
        if user is None or stored is None or not is_right:
            raise Refused("credentials-wrong")
        check_state(user.state)
        if self.password_hasher.is_outdated(stored):
            stored = await self._rehash(user.user_id, stored, password)
        return Proven(user_id=user.user_id, password_hash=stored)

    async def _matches(self, password: str, hashed: str | None) -> bool:
        """No password is longer than one may be; so much of it is hashed all the same."""
        fits = len(password) <= MAX_PASSWORD
        known = await self.password_hasher.verify(password[:MAX_PASSWORD], hashed)
        return known and fits

    async def _rehash(self, user_id: str, before: str, password: str) -> str:
        hashed = await self.password_hasher.hash(password)

        async def attempt(tx: Transaction) -> None:
            await tx.record(rehashed(await standing_user(tx, user_id), before, hashed))

        await decide(self.uow, attempt)
        return hashed
