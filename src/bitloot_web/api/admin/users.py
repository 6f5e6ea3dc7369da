"""Accounts as the desk looks after them; nobody acts on somebody who may do more than they."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import FromPath, JSONBody, QueryParameter

from bitloot.domain.account import UserState
from bitloot.domain.address import parse_address
from bitloot.domain.roles import Role
from bitloot.ports.views.people import Profile, UserFilter
from bitloot_web.api.fields import Mailbox, Reason
from bitloot_web.api.me import Deletion
from bitloot_web.dependencies import TheActor, TheShop
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.problems import ProblemError
from bitloot_web.routes import delete, get, patch, post
from bitloot_web.security.access import Staff
from bitloot_web.shop import Shop
from bitloot_web.versions import IfMatch, expected_version, versioned


class Account(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An account as the desk sees it; never the password's hash. `version` goes into
    `If-Match`.
    """

    id: str
    email: str
    name: str | None
    roles: tuple[Role, ...]
    state: UserState
    suspended_reason: str | None
    has_password: bool
    created_at: datetime
    deleted_at: datetime | None
    deletion: Deletion | None
    version: int


class NewRoles(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """These roles and no others; none is a customer."""

    roles: Annotated[tuple[Role, ...], msgspec.Meta(max_length=4)]


class WhySuspended(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`reason` of at most 200 letters, for the audit log."""

    reason: Reason


@get("/users", access=Staff("users.read"), operation_id="adminListUsers")
async def users(
    *,
    shop: TheShop,
    limit: PageLimit = None,
    cursor: PageCursor = None,
    user_state: Annotated[UserState | None, QueryParameter(name="state")] = None,
    role: Annotated[Role | None, QueryParameter()] = None,
    email: Annotated[Mailbox | None, QueryParameter()] = None,
) -> PageOf[Account]:
    """Accounts, newest first."""
    key = None if email is None else parse_address(email).key
    paging = Paging(shop, f"users|{user_state}|{role}|{key}", limit, cursor)
    page = await shop.views.people.users(
        UserFilter(state=user_state, role=role, email_key=key),
        limit=paging.size,
        after=paging.after,
    )
    return paging.page(page, account_shown)


@get("/users/{user_id:uuid}", access=Staff("users.read"), operation_id="adminGetUser")
async def user(shop: TheShop, user_id: FromPath[UUID]) -> Response[Account]:
    """One account in any state."""
    return await _answer(shop, user_id)


@patch("/users/{user_id:uuid}", access=Staff("roles.grant"), operation_id="adminSetRoles")
async def set_roles(
    *,
    shop: TheShop,
    actor: TheActor,
    user_id: FromPath[UUID],
    data: JSONBody[NewRoles],
    if_match: IfMatch = None,
) -> Response[Account]:
    """Give roles; every session ends, so that none keeps the old ones."""
    await shop.user_desk.set_roles(
        str(user_id), data.roles, actor=actor.actor, expected_version=expected_version(if_match)
    )
    return await _answer(shop, user_id)


@post(
    "/users/{user_id:uuid}/suspend",
    access=Staff("users.write"),
    status_code=200,
    operation_id="adminSuspendUser",
)
async def suspend(
    shop: TheShop, actor: TheActor, user_id: FromPath[UUID], data: JSONBody[WhySuspended]
) -> Response[Account]:
    """Nobody signs in any more, and every session ends."""
    await shop.user_desk.suspend(str(user_id), data.reason, actor=actor.actor)
    return await _answer(shop, user_id)


@post(
    "/users/{user_id:uuid}/unsuspend",
    access=Staff("users.write"),
    status_code=200,
    operation_id="adminUnsuspendUser",
)
async def unsuspend(shop: TheShop, actor: TheActor, user_id: FromPath[UUID]) -> Response[Account]:
    """The account is as good as any other."""
    await shop.user_desk.unsuspend(str(user_id), actor=actor.actor)
    return await _answer(shop, user_id)


@post(
    "/users/{user_id:uuid}/force-logout",
    access=Staff("users.write"),
    status_code=200,
    operation_id="adminSignOutUser",
)
async def force_logout(
    shop: TheShop, actor: TheActor, user_id: FromPath[UUID]
) -> Response[Account]:
    """Every session ends; whoever can, signs in again."""
    await shop.user_desk.sign_out(str(user_id), actor=actor.actor)
    return await _answer(shop, user_id)


@post(
    "/users/{user_id:uuid}/restore",
    access=Staff("users.write"),
    status_code=200,
    operation_id="adminRestoreUser",
)
async def restore(shop: TheShop, actor: TheActor, user_id: FromPath[UUID]) -> Response[Account]:
    """Bring back what staff deleted, unless it was forgotten."""
    await shop.user_desk.restore(str(user_id), actor=actor.actor)
    return await _answer(shop, user_id)


@delete("/users/{user_id:uuid}", access=Staff("users.write"), operation_id="adminDeleteUser")
async def delete_user(shop: TheShop, actor: TheActor, user_id: FromPath[UUID]) -> None:
    """Close the account now; it is forgotten when the grace is over."""
    await shop.user_desk.delete(str(user_id), actor=actor.actor)


async def _answer(shop: Shop, user_id: UUID) -> Response[Account]:
    profile = await shop.views.people.profile(str(user_id))
    if profile is None:
        raise ProblemError("not-found")
    return versioned(account_shown(profile), profile.version)


def account_shown(profile: Profile) -> Account:
    """The account as it is answered."""
    deletion = None
    if profile.deletion is not None:
        waiting = profile.deletion
        deletion = Deletion(requested_at=waiting.requested_at, due_at=waiting.due_at)
    return Account(
        id=profile.id,
        email=profile.email,
        name=profile.name,
        roles=profile.roles,
        state=profile.state,
        suspended_reason=profile.suspended_reason,
        has_password=profile.has_password,
        created_at=profile.created_at,
        deleted_at=profile.deleted_at,
        deletion=deletion,
        version=profile.version,
    )
