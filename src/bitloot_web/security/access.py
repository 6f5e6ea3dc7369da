"""Who may call a route: declared by each of them, once, as a guard and as its description.

What is somebody's own is asked where it is read: foreign things are not there.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias
from uuid import UUID

import msgspec

from bitloot.domain.roles import Permission
from bitloot_web.problems import ProblemError
from bitloot_web.security.callers import (
    Admission,
    bearer,
    check_owner,
    opens,
    remember,
    remember_admission,
    signed_in,
    staff,
)
from bitloot_web.security.client_address import client_of, counted, is_within
from bitloot_web.security.cookie_sessions import by_cookie
from bitloot_web.security.rate_limits import Connection, count, shop_of

Security: TypeAlias = Sequence[dict[str, list[str]]]

# In the options of a route: its access.
ACCESS: Final = "access"
_NOBODY: Final[dict[str, list[str]]] = {}
_USER: Final[dict[str, list[str]]] = {"userToken": []}
PAGE: Final[dict[str, list[str]]] = {"pageSession": []}
CSRF: Final[dict[str, list[str]]] = {"csrfToken": []}
_ORDER: Final[dict[str, list[str]]] = {"orderSession": []}
_KEY: Final[dict[str, list[str]]] = {"apiKey": []}
_PROVIDER: Final[dict[str, list[str]]] = {"providerSignature": []}


class Anyone(msgspec.Struct, frozen=True):
    """Everybody. `may_sign_in`: who shows an access token is known by it, and has to show a good
    one.
    """

    may_sign_in: bool = False

    @property
    def security(self) -> Security:
        """Nothing is asked for."""
        return (_NOBODY, _USER, PAGE) if self.may_sign_in else ()

    async def admit(self, connection: Connection) -> None:
        """Raises ProblemError `unauthenticated` for a token that is none, `csrf-failed`."""
        if not self.may_sign_in:
            return
        caller = await by_cookie(connection)
        if caller is None and "authorization" in connection.headers:
            caller = await signed_in(shop_of(connection), bearer(connection))
        if caller is not None:
            remember(connection, caller)


class OrderOwner(msgspec.Struct, frozen=True):
    """The holder of the token of the order in the path, or the signed-in user whose it is."""

    @property
    def security(self) -> Security:
        """The order's token, or the user's."""
        return (_ORDER, _USER, PAGE)

    async def admit(self, connection: Connection) -> None:
        """Raises ProblemError `unauthenticated`, `csrf-failed`, `not-found`."""
        order_id: UUID = connection.path_params["order_id"]
        shop, caller = shop_of(connection), await by_cookie(connection)
        if caller is None:
            admission = await opens(shop, bearer(connection), str(order_id))
        else:
            await check_owner(shop, caller, str(order_id))
            admission = Admission(caller=caller)
        remember_admission(connection, admission)


class Signed(msgspec.Struct, frozen=True):
    """Whoever is signed in, for what is their own."""

    @property
    def security(self) -> Security:
        """The user's token."""
        return (_USER, PAGE)

    async def admit(self, connection: Connection) -> None:
        """Raises ProblemError `unauthenticated`, `csrf-failed`."""
        caller = await by_cookie(connection)
        remember(connection, caller or await signed_in(shop_of(connection), bearer(connection)))


class Leaving(Signed, frozen=True):
    """Whoever ends a session, also one of which only the refresh token is good still: a page's
    cookie, or the token in the body, which the handler reads.
    """

    @property
    def security(self) -> Security:
        """The user's token, or nothing where the body brings one."""
        return (_USER, PAGE, _NOBODY)

    async def admit(self, connection: Connection) -> None:
        """Raises ProblemError `unauthenticated` for an access token that is none, `csrf-failed`."""
        try:
            caller = await by_cookie(connection)
        except ProblemError as error:
            if error.code != "unauthenticated":
                raise
            return
        if caller is not None:
            remember(connection, caller)
        elif "authorization" in connection.headers:
            remember(connection, await signed_in(shop_of(connection), bearer(connection)))


class Staff(msgspec.Struct, frozen=True):
    """Who has the permission by a role, or a machine by the scope of its key."""

    permission: Permission

    @property
    def security(self) -> Security:
        """The user's token, a page's session, or a machine's key."""
        return (_USER, PAGE, _KEY)

    async def admit(self, connection: Connection) -> None:
        """Raises ProblemError `unauthenticated`, `csrf-failed`, `forbidden`, `rate-limited`."""
        shop = shop_of(connection)
        address = client_of(connection.scope, shop.edge.trusted_proxies)
        await count(shop, connection.scope, "admin", counted(address))
        caller = await by_cookie(connection) or await staff(shop, bearer(connection))
        if self.permission not in caller.permissions:
            raise ProblemError("forbidden", facts={"permission": self.permission})
        remember(connection, caller)


class Provider(msgspec.Struct, frozen=True):
    """A provider that signs what it sends: the handler checks it, over the bytes of the body."""

    @property
    def security(self) -> Security:
        """The provider's signature."""
        return (_PROVIDER,)

    async def admit(self, connection: Connection) -> None:
        """Lets the handler see the body."""


class TokenInPath(msgspec.Struct, frozen=True):
    """Whoever holds the link: its token stands in the path, and the handler checks it."""

    @property
    def security(self) -> Security:
        """Nothing besides the path."""
        return ()

    async def admit(self, connection: Connection) -> None:
        """Lets the handler see the path."""


class Trusted(msgspec.Struct, frozen=True):
    """Addresses that the settings name; for all others there is nothing."""

    @property
    def security(self) -> Security:
        """Nothing that a caller could show."""
        return ()

    async def admit(self, connection: Connection) -> None:
        """Raises ProblemError `not-found`."""
        shop = shop_of(connection)
        client = client_of(connection.scope, shop.edge.trusted_proxies)
        if not is_within(client, shop.edge.metrics_from):
            raise ProblemError("not-found")


# Each lets callers of a route in, or raises ProblemError; its `security` is what the description of
# the API says of it: any one of these opens. There are no others.
Access: TypeAlias = Anyone | OrderOwner | Signed | Staff | Provider | TokenInPath | Trusted
