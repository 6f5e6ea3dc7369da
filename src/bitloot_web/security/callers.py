"""Who is asking: the holder of an order's token, somebody who is signed in, staff, a machine."""

from datetime import datetime
from typing import Final

import msgspec

from bitloot.domain.account import actor_name
from bitloot.domain.api_key import digest_of
from bitloot.domain.roles import Actor, Permission, permissions_of
from bitloot_web.problems import ProblemError
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.security.rate_limits import Connection
from bitloot_web.shop import Shop
from bitloot_web.tokens import InvalidToken

ORDER_SESSION: Final = "order_session"
MAX_TOKEN: Final = 4096
_KEY_MARK: Final = "blk_"
_CALLER: Final = "caller"
_ADMISSION: Final = "admission"


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody who showed who they are. `name` is what the audit log says of them.

    `user_id` and `session_id` are of who is signed in; a machine's key has neither.
    """

    name: str
    user_id: str | None = None
    session_id: str | None = None
    permissions: frozenset[Permission] = frozenset()

    @property
    def actor(self) -> Actor:
        """As those who act on others are known to the core."""
        return Actor(name=self.name, permissions=self.permissions)


class Admission(msgspec.Struct, frozen=True, kw_only=True):
    """What lets somebody see an order: who they are, as long as their session goes on, or the
    order's token, as long as that is good.
    """

    caller: Caller | None = None
    until: datetime | None = None


def bearer(connection: Connection) -> str:
    """The token of the request. Raises ProblemError `unauthenticated` without exactly one."""
    given = connection.headers.getall("authorization", [])
    scheme, _, token = given[0].partition(" ") if len(given) == 1 else ("", "", "")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN:
        raise ProblemError("unauthenticated")
    return token


async def signed_in(shop: Shop, token: str) -> Caller:
    """Who holds this access token. Raises ProblemError `unauthenticated`, StoreUnavailable.

    Whose session was ended, or who was suspended or deleted, is asked at most
    `limits.session_cache` ago.
    """
    at = shop.clock()
    try:
        opened = shop.tokens.opened(token, at=at)
    except InvalidToken:
        raise ProblemError("unauthenticated") from None
    state = await shop.standing.session(opened.session_id)
    if state is None or state.user_id != opened.user_id or not state.is_good(at):
        raise ProblemError("unauthenticated")
    return Caller(
        name=actor_name(state.user_id),
        user_id=state.user_id,
        session_id=opened.session_id,
        permissions=permissions_of(state.roles),
    )


async def is_still_admitted(shop: Shop, admission: Admission) -> bool:
    """Whether what let somebody in is good still. Raises StoreUnavailable."""
    caller, at = admission.caller, shop.clock()
    if caller is None:
        return admission.until is None or at <= admission.until
    state = await shop.standing.session(caller.session_id) if caller.session_id else None
    return state is not None and state.is_good(at)


async def opens(shop: Shop, token: str, order_id: str) -> Admission:
    """Who may see an order: nobody in particular by the order's token, or the user whose it is.

    Raises ProblemError `unauthenticated`, or `not-found` for another's order; StoreUnavailable.
    """
    try:
        own, until = shop.sessions.opened(token, at=shop.clock())
    except InvalidToken:
        caller = await signed_in(shop, token)
        await check_owner(shop, caller, order_id)
        return Admission(caller=caller)
    if own != order_id:
        raise ProblemError("not-found")
    return Admission(until=until)


async def check_owner(shop: Shop, caller: Caller, order_id: str) -> None:
    """Raises ProblemError `not-found` for another's order; StoreUnavailable."""
    if await shop.views.people.owner_of(order_id) != caller.user_id:
        raise ProblemError("not-found")


async def staff(shop: Shop, token: str) -> Caller:
    """Who works here, or a machine that does. Raises ProblemError `unauthenticated`."""
    if token.startswith(_KEY_MARK):
        return await _machine(shop, token)
    return await signed_in(shop, token)


async def _machine(shop: Shop, token: str) -> Caller:
    digest = digest_of(token)
    state = None if digest is None else await shop.standing.key(digest)
    at = shop.clock()
    if digest is None or state is None or not (opened := state.permissions(at)):
        raise ProblemError("unauthenticated")
    last = state.last_used_at
    if last is None or at - last >= shop.limits.api_key_use_noted:
        await shop.api_keys.note_use(state.key_id)
        shop.standing.forget_key(digest)
    return Caller(name=f"key/{state.key_id}", permissions=opened)


def remember(connection: Connection, caller: Caller) -> None:
    """Who was let in, for the handler."""
    connection.scope["state"][_CALLER] = caller


def remember_admission(connection: Connection, admission: Admission) -> None:
    """What let somebody see an order, and who that is if they have a name."""
    connection.scope["state"][_ADMISSION] = admission
    if admission.caller is not None:
        remember(connection, admission.caller)


def admission_of(request: EdgeRequest) -> Admission:
    """What let somebody see the order that is asked for."""
    found = request.scope["state"][_ADMISSION]
    assert isinstance(found, Admission)
    return found


def known_caller(connection: Connection | EdgeRequest) -> Caller | None:
    """Who was let in by name; None where nobody had to show who they are."""
    found = connection.scope["state"].get(_CALLER)
    return found if isinstance(found, Caller) else None


def caller_of(request: EdgeRequest) -> Caller:
    """Who was let in. Raises ProblemError `unauthenticated` where nobody had to show it."""
    found = known_caller(request)
    if found is None:
        raise ProblemError("unauthenticated")
    return found
