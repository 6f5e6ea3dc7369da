"""Moving an account to another address for somebody who lost their mailbox, slowly."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar.params import FromPath, JSONBody

from bitloot.domain.recovery import Proof, ProofKind
from bitloot_web.api.fields import Caption, Mailbox
from bitloot_web.dependencies import TheActor, TheShop
from bitloot_web.routes import delete, get, post
from bitloot_web.security.access import Staff


class ProofGiven(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the person knew, and how it was checked; never a key or a code."""

    kind: ProofKind
    note: Caption = ""


class NewRecovery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address from now on, and two or three proofs, each of another kind."""

    email: Mailbox
    proofs: Annotated[tuple[ProofGiven, ...], msgspec.Meta(max_length=10)]


class RecoveryShown(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A recovery; it can be completed from `readyAt` on."""

    id: str
    user_id: str
    new_email: str
    proofs: tuple[ProofGiven, ...]
    opened_by: str
    opened_at: datetime
    ready_at: datetime
    state: str


class Recoveries(msgspec.Struct, frozen=True):
    """The recoveries of an account, newest first."""

    items: tuple[RecoveryShown, ...]


@get(
    "/users/{user_id:uuid}/recovery",
    access=Staff("recovery.write"),
    operation_id="adminListRecoveries",
)
async def recoveries(shop: TheShop, user_id: FromPath[UUID]) -> Recoveries:
    """What was tried for an account."""
    found = await shop.views.people.recoveries(str(user_id))
    return Recoveries(
        tuple(
            RecoveryShown(
                id=each.id,
                user_id=each.user_id,
                new_email=each.new_email,
                proofs=_proofs(each.proofs),
                opened_by=each.opened_by,
                opened_at=each.opened_at,
                ready_at=each.ready_at,
                state=each.state,
            )
            for each in found
        )
    )


@post(
    "/users/{user_id:uuid}/recovery",
    access=Staff("recovery.write"),
    operation_id="adminStartRecovery",
)
async def start(
    shop: TheShop, actor: TheActor, user_id: FromPath[UUID], data: JSONBody[NewRecovery]
) -> RecoveryShown:
    """Begin the cooling period; the old address is told at once, with a link that stops it."""
    proofs = tuple(Proof(kind=each.kind, note=each.note) for each in data.proofs)
    made = await shop.recoveries.start(str(user_id), data.email, proofs, actor=actor.actor)
    return RecoveryShown(
        id=made.id,
        user_id=made.user_id,
        new_email=made.new_email,
        proofs=_proofs(made.proofs),
        opened_by=made.opened_by,
        opened_at=made.opened_at,
        ready_at=made.ready_at,
        state=made.state,
    )


@post(
    "/recovery/{recovery_id:uuid}/complete",
    access=Staff("users.write"),
    status_code=204,
    operation_id="adminCompleteRecovery",
)
async def complete(shop: TheShop, actor: TheActor, recovery_id: FromPath[UUID]) -> None:
    """Move the account, once it has cooled; its password and every session end."""
    await shop.recoveries.complete(str(recovery_id), actor=actor.actor)


@delete(
    "/recovery/{recovery_id:uuid}",
    access=Staff("recovery.write"),
    operation_id="adminCancelRecovery",
)
async def cancel(shop: TheShop, actor: TheActor, recovery_id: FromPath[UUID]) -> None:
    """Give it up."""
    await shop.recoveries.cancel(str(recovery_id), actor=actor.actor)


def _proofs(proofs: Sequence[Proof]) -> tuple[ProofGiven, ...]:
    return tuple(ProofGiven(kind=each.kind, note=each.note) for each in proofs)
