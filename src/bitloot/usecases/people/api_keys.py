"""Keys for machines: made, shown once, taken back."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bitloot.domain.api_key import (
    PREFIX_BYTES,
    SECRET_BYTES,
    NewKey,
    key_name,
    made,
    seen,
    taken_back,
)
from bitloot.domain.decision import Decision
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.roles import Actor, Permission
from bitloot.ports.clock import Clock, NewId, RandomBytes
from bitloot.ports.deciding import decide
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.usecases.people.known_users import standing_user


@dataclass(frozen=True, kw_only=True)
class ApiKeys:
    """The text of a key is never stored: a repetition of the request cannot show it again."""

    uow: UnitOfWork
    clock: Clock
    new_id: NewId
    random_bytes: RandomBytes
    limits: Limits

    async def create(
        self,
        name: str,
        scopes: Sequence[Permission],
        *,
        maker_id: str,
        actor: Actor,
        expires_at: datetime | None = None,
    ) -> NewKey:
        """A key of the signed-in user `maker_id`; it never opens more than they may do, and ends
        after `limits.api_key_life` unless told otherwise.

        Raises Refused `beyond-your-rights`, `too-many-api-keys`, `invalid-input`, or
        `api-key-name-taken` where they have another of this name, ended or not, that was not taken
        back.
        """
        title = key_name(name)

        async def attempt(tx: Transaction) -> NewKey:
            at = self.clock()
            await standing_user(tx, maker_id)
            new, decision = made(
                title,
                scopes,
                actor,
                maker_id,
                await tx.people.living_keys(maker_id, at=at),
                same=await tx.people.key_named(maker_id, title),
                expires_at=expires_at,
                key_id=self.new_id(),
                random=self.random_bytes(SECRET_BYTES + PREFIX_BYTES),
                at=at,
                limits=self.limits,
            )
            await tx.record(decision)
            return new

        return await decide(self.uow, attempt)

    async def revoke(self, key_id: str, *, actor: Actor) -> None:
        """It opens nothing any more. Raises Refused `not-found`."""

        async def attempt(tx: Transaction) -> None:
            key = await tx.people.api_key(key_id)
            if key is None:
                raise Refused("not-found")
            decision = taken_back(key, actor=actor, at=self.clock())
            if decision.save:
                await tx.record(decision)

        await decide(self.uow, attempt)

    async def note_use(self, key_id: str) -> None:
        """That it was used, once in a while: `limits.api_key_use_noted`."""

        async def attempt(tx: Transaction) -> None:
            key = await tx.people.api_key(key_id)
            change = None if key is None else seen(key, at=self.clock(), limits=self.limits)
            if change is not None:
                await tx.record(Decision(save=(change,)))

        await decide(self.uow, attempt)
