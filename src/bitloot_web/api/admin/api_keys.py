"""Keys for machines: made, shown once, taken back."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar.params import FromPath, JSONBody

from bitloot.domain.roles import Permission
from bitloot.ports.views.people import KeyView
from bitloot_web.api.fields import Caption
from bitloot_web.dependencies import TheActor, TheShop
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.problems import FieldError, ProblemError
from bitloot_web.routes import delete, get, post
from bitloot_web.security.access import Staff


class MachineKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A key as the desk sees it; `lastUsedAt` is right to a few minutes."""

    id: str
    name: str
    prefix: str
    scopes: tuple[Permission, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class NewMachineKey(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`scopes` are permissions, none of which its maker lacks. Without `expiresAt` the key ends
    after a year; it lives for ten at most.
    """

    name: Caption
    scopes: Annotated[tuple[Permission, ...], msgspec.Meta(max_length=100)]
    expires_at: datetime | None = None


class MadeMachineKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`key` is told this once: asking again makes another one. Its repr does not tell it."""

    id: str
    key: str
    name: str
    prefix: str
    scopes: tuple[Permission, ...]
    expires_at: datetime | None

    def __repr__(self) -> str:
        return f"MadeMachineKey({self.prefix})"


@get("/api-keys", access=Staff("apikeys.read"), operation_id="adminListApiKeys")
async def api_keys(
    shop: TheShop, limit: PageLimit = None, cursor: PageCursor = None
) -> PageOf[MachineKey]:
    """Keys in any state, newest first."""
    paging = Paging(shop, "api-keys", limit, cursor)
    page = await shop.views.people.api_keys(limit=paging.size, after=paging.after)
    return paging.page(page, key_shown)


@post("/api-keys", access=Staff("apikeys.write"), operation_id="adminCreateApiKey")
async def create_api_key(
    shop: TheShop, actor: TheActor, data: JSONBody[NewMachineKey]
) -> MadeMachineKey:
    """Make a key of whoever is signed in: it opens no more than they may do, today or later."""
    if actor.user_id is None:
        raise ProblemError("forbidden", "A key is made by a person who is signed in.")
    if data.expires_at is not None and data.expires_at.tzinfo is None:
        fault = FieldError(
            "expiresAt", "Write the time with its zone, such as 2030-01-31T12:00:00Z."
        )
        raise ProblemError("invalid-input", errors=(fault,))
    new = await shop.api_keys.create(
        data.name,
        data.scopes,
        maker_id=actor.user_id,
        actor=actor.actor,
        expires_at=data.expires_at,
    )
    return MadeMachineKey(
        id=new.key.id,
        key=new.text,
        name=new.key.name,
        prefix=new.key.prefix,
        scopes=new.key.scopes,
        expires_at=new.key.expires_at,
    )


@delete("/api-keys/{key_id:uuid}", access=Staff("apikeys.write"), operation_id="adminRevokeApiKey")
async def revoke_api_key(shop: TheShop, actor: TheActor, key_id: FromPath[UUID]) -> None:
    """It opens nothing any more."""
    await shop.api_keys.revoke(str(key_id), actor=actor.actor)


def key_shown(key: KeyView) -> MachineKey:
    """The key as it is answered."""
    return MachineKey(
        id=key.id,
        name=key.name,
        prefix=key.prefix,
        scopes=key.scopes,
        created_by=key.created_by,
        created_at=key.created_at,
        expires_at=key.expires_at,
        last_used_at=key.last_used_at,
        revoked_at=key.revoked_at,
    )
