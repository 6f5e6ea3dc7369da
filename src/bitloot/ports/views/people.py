"""What people see of their accounts, what guards ask about them, and what the desk sees."""

from datetime import datetime
from typing import Protocol

import msgspec

from bitloot.domain.account import UserState
from bitloot.domain.api_key import effective
from bitloot.domain.money import Eur
from bitloot.domain.recovery import Proof
from bitloot.domain.roles import Permission, Role
from bitloot.ports.views.paging import Page


class SessionState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a guard asks of the session that an access token names.

    `password_set_at` None: there is no password.
    """

    user_id: str
    state: UserState
    roles: tuple[Role, ...]
    is_revoked: bool
    expires_at: datetime
    generation: int
    created_at: datetime
    password_set_at: datetime | None

    def is_good(self, at: datetime) -> bool:
        """Whether its tokens are accepted then."""
        return self.state == "active" and not self.is_revoked and at < self.expires_at


class Credentials(msgspec.Struct, frozen=True, kw_only=True):
    """What a password is held against; None: there is none."""

    user_id: str
    state: UserState
    password_hash: str | None

    def __repr__(self) -> str:
        return f"Credentials({self.user_id})"


class ApiKeyState(msgspec.Struct, frozen=True, kw_only=True):
    """All that a guard asks of a key. `maker_*` are those of who made it, today."""

    key_id: str
    scopes: tuple[Permission, ...]
    is_revoked: bool
    expires_at: datetime | None
    maker_id: str
    maker_state: UserState
    maker_roles: tuple[Role, ...]
    last_used_at: datetime | None

    def permissions(self, at: datetime) -> frozenset[Permission]:
        """What it opens then: nothing once it has ended, never more than its maker may do."""
        if self.is_revoked or (self.expires_at is not None and at >= self.expires_at):
            return frozenset()
        return effective(self.scopes, self.maker_roles, self.maker_state)


class DeletionView(msgspec.Struct, frozen=True, kw_only=True):
    """A deletion that is still waiting."""

    id: str
    requested_at: datetime
    due_at: datetime


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """An account as its owner and the desk see it; never the password's hash."""

    id: str
    email: str
    name: str | None
    roles: tuple[Role, ...]
    state: UserState
    suspended_reason: str | None
    has_password: bool
    created_at: datetime
    deleted_at: datetime | None
    deletion: DeletionView | None
    version: int


class SessionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A live session, for its owner to recognise."""

    id: str
    created_at: datetime
    rotated_at: datetime
    expires_at: datetime
    user_agent: str
    address: str


class OwnOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order in its owner's history. `total` in EUR; `units` over all lines."""

    id: str
    number: str
    status: str
    failure_reason: str | None
    total: Eur
    titles: tuple[str, ...]
    units: int
    created_at: datetime
    paid_at: datetime | None
    fulfilled_at: datetime | None


class KeyView(msgspec.Struct, frozen=True, kw_only=True):
    """A machine's key as the desk sees it; never its digest."""

    id: str
    name: str
    prefix: str
    scopes: tuple[Permission, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class RecoveryView(msgspec.Struct, frozen=True, kw_only=True):
    """A recovery as the desk sees it."""

    id: str
    user_id: str
    new_email: str
    proofs: tuple[Proof, ...]
    opened_by: str
    opened_at: datetime
    ready_at: datetime
    state: str


class UserFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which users; each field that is given has to fit. `email_key` as addresses are compared."""

    state: UserState | None = None
    role: Role | None = None
    email_key: str | None = None


class MailLine(msgspec.Struct, frozen=True, kw_only=True):
    """That a mail was written, without what it says."""

    kind: str
    to: str
    state: str
    created_at: datetime
    sent_at: datetime | None


class ExportedSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session, live or not, as the export tells it."""

    created_at: datetime
    rotated_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    revoked_reason: str | None
    user_agent: str
    address: str


class ExportedOrder(OwnOrder, frozen=True, kw_only=True):
    """An order with whom it was sold to, and the network that it was placed from."""

    email: str
    placed_from: str


class AddressChange(msgspec.Struct, frozen=True, kw_only=True):
    """That another address was wanted."""

    new_email: str
    created_at: datetime
    state: str


class UserExport(msgspec.Struct, frozen=True, kw_only=True):
    """All that is kept of a person, newest first, each list at most as long as was asked for."""

    profile: Profile
    orders: tuple[ExportedOrder, ...]
    sessions: tuple[ExportedSession, ...]
    mails: tuple[MailLine, ...]
    address_changes: tuple[AddressChange, ...]
    recoveries: tuple[RecoveryView, ...]
    api_keys: tuple[KeyView, ...]


class PeopleViews(Protocol):
    """Reads without side effects, one round trip each. Raise StoreUnavailable.

    What is told of a user never says whether somebody else's exists: ids come from tokens, or from
    people who may read them all.
    """

    async def session_state(self, session_id: str) -> SessionState | None:
        """What a guard asks; None for a session that never was."""
        ...

    async def api_key_state(self, digest: str) -> ApiKeyState | None:
        """What a guard asks of the key with this digest."""
        ...

    async def credentials(self, email_key: str) -> Credentials | None:
        """The account under an address, the living one first.

        Read without a lock: a lock would tell by its time, and by who waits for it, that there is
        an account.
        """
        ...

    async def owner_of(self, order_id: str) -> str | None:
        """The id of the user who claimed an order; None where nobody did, or there is none."""
        ...

    async def profile(self, user_id: str) -> Profile | None:
        """One account in any state."""
        ...

    async def sessions(self, user_id: str, *, at: datetime) -> tuple[SessionLine, ...]:
        """The sessions of a user that are live then, the one used last first."""
        ...

    async def orders(self, user_id: str, *, limit: int, after: str | None) -> Page[OwnOrder]:
        """The orders of a user, newest first."""
        ...

    async def users(self, only: UserFilter, *, limit: int, after: str | None) -> Page[Profile]:
        """Accounts, newest first."""
        ...

    async def api_keys(self, *, limit: int, after: str | None) -> Page[KeyView]:
        """Keys of machines in any state, newest first."""
        ...

    async def recoveries(self, user_id: str) -> tuple[RecoveryView, ...]:
        """The recoveries of a user, newest first, at most a page."""
        ...

    async def export(self, user_id: str, *, limit: int) -> UserExport | None:
        """All that is kept of a person; up to `limit` of each kind."""
        ...
