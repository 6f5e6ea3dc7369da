"""Signing in, going on being signed in, signing out.

What is given back are stored facts; the edge makes tokens of them, the same ones each time.
"""

from dataclasses import dataclass
from hmac import compare_digest

import msgspec

from bitloot.domain.account import User, actor_name, check_standing, new_user
from bitloot.domain.account_change import signed_in
from bitloot.domain.address import parse_address
from bitloot.domain.decision import AuditEntry, Decision
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.session import (
    Client,
    Repeated,
    Reused,
    Rotated,
    Session,
    SessionEnd,
    open_session,
    revoked,
    rotate,
)
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.usecases.people.mailed_codes import Challenge, KnownAs, MailedCodes


class SignedIn(msgspec.Struct, frozen=True, kw_only=True):
    """Who is signed in, with the session whose tokens they hold."""

    user: User
    session: Session
    is_new: bool = False


@dataclass(frozen=True, kw_only=True)
class Identity:
    """`known_as` tells what an account may stand under: forgotten ones under a keyed hash."""

    uow: UnitOfWork
    codes: MailedCodes
    known_as: KnownAs
    clock: Clock
    new_id: NewId
    limits: Limits

    async def request(self, email: str) -> Challenge:
        """Mail a code to whoever asks; nothing tells whether there is an account.

        Raises Refused `invalid-input` for what is no address, StoreUnavailable.
        """
        return await self.codes.send("signin", parse_address(email))

    async def verify(self, email: str, challenge: str, code: str, client: Client) -> SignedIn:
        """The right code signs in, and makes the account of who has none.

        Guest orders of the address are theirs from now on. Raises Refused `code-wrong`, and only
        after the right code `account-suspended` or `account-deleted`; StoreUnavailable.
        """
        address = parse_address(email)
        await self.codes.check("signin", address, challenge, code)

        async def attempt(tx: Transaction) -> SignedIn:
            known = await tx.people.user_by_email(*self.known_as(address.key))
            user = known or new_user(address, user_id=self.new_id(), at=self.clock())
            return await self._open(tx, user, client, is_new=known is None)

        return await decide(self.uow, attempt)

    async def sign_in(
        self, user_id: str, client: Client, *, password_hash: str | None = None
    ) -> SignedIn:
        """Who showed in another way who they are gets a session: `password_hash` is that of the
        password that they knew.

        Raises Refused `credentials-wrong` where it was changed meanwhile, `account-suspended` or
        `account-deleted`; StoreUnavailable.
        """

        async def attempt(tx: Transaction) -> SignedIn:
            user = await tx.people.user(user_id)
            if user is None:
                raise Refused("account-deleted")
            check_standing(user)
            if password_hash is not None and not compare_digest(
                user.password_hash or "", password_hash
            ):
                raise Refused("credentials-wrong")
            return await self._open(tx, user, client, is_new=False)

        return await decide(self.uow, attempt)

    async def refresh(self, session_id: str, generation: int) -> SignedIn:
        """What the successor of a refresh token is made of.

        Raises Refused `session-ended`; a token that comes back after its successor's first seconds
        ends the session. Raises StoreUnavailable.
        """

        async def attempt(tx: Transaction) -> SignedIn | None:
            found = await tx.people.session(session_id)
            if found is None or found.user.state != "active":
                raise Refused("session-ended")
            verdict = rotate(found.session, generation, at=self.clock(), limits=self.limits)
            match verdict:
                case Rotated(session, change):
                    await tx.record(Decision(save=(change,)))
                    return SignedIn(user=found.user, session=session)
                case Repeated(session):
                    return SignedIn(user=found.user, session=session)
                case Reused(decision):
                    await tx.record(decision)
                    return None

        refreshed = await decide(self.uow, attempt)
        if refreshed is None:
            raise Refused("session-ended")
        return refreshed

    async def logout(self, session_id: str) -> None:
        """End a session; one that ended before stays as it is."""

        async def attempt(tx: Transaction) -> None:
            found = await tx.people.session(session_id)
            if found is not None:
                await self._end(tx, (found.session,), "logout")

        await decide(self.uow, attempt)

    async def end_session(self, user_id: str, session_id: str) -> None:
        """End one session of one's own. Raises Refused `not-found` for anybody else's."""

        async def attempt(tx: Transaction) -> None:
            found = await tx.people.session(session_id)
            if found is None or found.session.user_id != user_id:
                raise Refused("not-found")
            await self._end(tx, (found.session,), "logout")

        await decide(self.uow, attempt)

    async def end_sessions(self, user_id: str, *, keep: str | None = None) -> int:
        """End all sessions of one's own, but the one to keep; gives how many."""

        async def attempt(tx: Transaction) -> int:
            live = await tx.people.sessions_of(user_id, at=self.clock())
            ending = tuple(session for session in live if session.id != keep)
            await self._end(tx, ending, "logout")
            return len(ending)

        return await decide(self.uow, attempt)

    async def _open(self, tx: Transaction, user: User, client: Client, *, is_new: bool) -> SignedIn:
        at, limits = self.clock(), self.limits
        live = () if is_new else await tx.people.sessions_of(user.id, at=at)
        orders = await tx.people.unclaimed_orders(user.email_key, limit=limits.claims_per_sign_in)
        session = open_session(user.id, client, session_id=self.new_id(), at=at, limits=limits)
        await tx.record(signed_in(user, session, live, orders, is_new=is_new, at=at, limits=limits))
        return SignedIn(user=user, session=session, is_new=is_new)

    async def _end(
        self, tx: Transaction, sessions: tuple[Session, ...], reason: SessionEnd
    ) -> None:
        at = self.clock()
        changes = revoked(sessions, reason, at=at)
        if not changes:
            return
        user_id = sessions[0].user_id
        entry = AuditEntry(
            at=at,
            actor=actor_name(user_id),
            action="session.ended",
            subject=user_id,
            facts={"sessions": len(changes)},
        )
        await tx.record(Decision(save=changes, audit=(entry,)))
