"""One's own account: who one is, what one bought, where one is signed in."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec
from litestar import Response
from litestar.params import FromPath, JSONBody

from bitloot.domain.money import eur_text
from bitloot.domain.recovery import Proof
from bitloot.domain.roles import Permission
from bitloot.ports.views.people import ExportedOrder as Sold
from bitloot.ports.views.people import ExportedSession, MailLine, OwnOrder, Profile, UserExport
from bitloot_web.api.fields import Caption, OrderStatusText
from bitloot_web.api.orders import Order, shown
from bitloot_web.dependencies import TheActor, TheShop
from bitloot_web.paging import PageCursor, PageLimit, PageOf, Paging
from bitloot_web.problems import ProblemError
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.routes import delete, get, patch
from bitloot_web.security.access import Signed
from bitloot_web.security.callers import Caller
from bitloot_web.security.cookie_sessions import signed_out
from bitloot_web.shop import Shop

S = TypeVar("S", bound=msgspec.Struct)


class Deletion(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The account ends then, unless that is cancelled before."""

    requested_at: datetime
    due_at: datetime


class Me(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An account as its owner sees it."""

    id: str
    email: str
    name: str | None
    roles: tuple[str, ...]
    has_password: bool
    created_at: datetime
    deletion: Deletion | None


class ChangedMe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name from now on; null or nothing but blanks is none."""

    name: Caption | None


class OwnOrderRow(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An order in its owner's history; EUR."""

    id: str
    number: str
    status: OrderStatusText
    failure_reason: str | None
    total: str
    currency: str
    titles: tuple[str, ...]
    units: int
    created_at: datetime
    paid_at: datetime | None
    fulfilled_at: datetime | None


class OwnSession(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A live session; `isCurrent` is the one that asks."""

    id: str
    is_current: bool
    created_at: datetime
    used_at: datetime
    expires_at: datetime
    user_agent: str
    address: str


class OwnSessions(msgspec.Struct, frozen=True):
    """Where one is signed in, the one used last first."""

    items: tuple[OwnSession, ...]


class OldSession(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A session, live or ended."""

    created_at: datetime
    used_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_by: str | None
    user_agent: str
    address: str


class OwnMail(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """That a mail was written, without what it says."""

    kind: str
    to: str
    state: str
    created_at: datetime
    sent_at: datetime | None


class ExportedOrder(OwnOrderRow, frozen=True, kw_only=True, rename="camel"):
    """An order with the address that it was sold to, and the network that it was placed from."""

    email: str
    placed_from: str


class OldAddressChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """That another address was wanted, and what became of it."""

    new_email: str
    created_at: datetime
    state: str


class OldRecovery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """That support was asked to move the account, and what it was shown."""

    new_email: str
    proofs: tuple[Proof, ...]
    opened_at: datetime
    ready_at: datetime
    state: str


class OldKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A key for machines that one made; never what opens."""

    name: str
    prefix: str
    scopes: tuple[Permission, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class Export(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """All that is kept of a person, newest first, each list up to a thousand."""

    profile: Me
    orders: tuple[ExportedOrder, ...]
    sessions: tuple[OldSession, ...]
    mails: tuple[OwnMail, ...]
    email_changes: tuple[OldAddressChange, ...]
    recoveries: tuple[OldRecovery, ...]
    api_keys: tuple[OldKey, ...]


@get("/v1/me", access=Signed(), operation_id="getMe")
async def me(shop: TheShop, actor: TheActor) -> Me:
    """Who is signed in."""
    return await me_answer(shop, actor)


@patch("/v1/me", access=Signed(), operation_id="changeMe")
async def change_me(shop: TheShop, actor: TheActor, data: JSONBody[ChangedMe]) -> Me:
    """Go by another name."""
    await shop.accounts.rename(user_of(actor), data.name)
    return await me_answer(shop, actor)


@get("/v1/me/orders", access=Signed(), operation_id="listMyOrders")
async def own_orders(
    shop: TheShop, actor: TheActor, limit: PageLimit = None, cursor: PageCursor = None
) -> PageOf[OwnOrderRow]:
    """Orders of one's own, newest first; those of a guest with the same address are among them."""
    user_id = user_of(actor)
    paging = Paging(shop, f"own-orders|{user_id}", limit, cursor)
    page = await shop.views.people.orders(user_id, limit=paging.size, after=paging.after)
    return paging.page(page, _order_row)


@get("/v1/me/orders/{order_id:uuid}", access=Signed(), operation_id="getMyOrder")
async def own_order(shop: TheShop, actor: TheActor, order_id: FromPath[UUID]) -> Order:
    """One order of one's own; nobody else's is there."""
    if await shop.views.people.owner_of(str(order_id)) != user_of(actor):
        raise ProblemError("not-found")
    view = await shop.views.orders.order(str(order_id))
    if view is None:
        raise ProblemError("not-found")
    return shown(view)


@get("/v1/me/sessions", access=Signed(), operation_id="listMySessions")
async def own_sessions(shop: TheShop, actor: TheActor) -> OwnSessions:
    """Where one is signed in."""
    lines = await shop.views.people.sessions(user_of(actor), at=shop.clock())
    return OwnSessions(
        tuple(
            OwnSession(
                id=line.id,
                is_current=line.id == actor.session_id,
                created_at=line.created_at,
                used_at=line.rotated_at,
                expires_at=line.expires_at,
                user_agent=line.user_agent,
                address=line.address,
            )
            for line in lines
        )
    )


@delete("/v1/me/sessions/{session_id:uuid}", access=Signed(), operation_id="endMySession")
async def end_session(shop: TheShop, actor: TheActor, session_id: FromPath[UUID]) -> None:
    """Sign out elsewhere."""
    await shop.identity.end_session(user_of(actor), str(session_id))
    shop.standing.forget(str(session_id))


@delete("/v1/me/sessions", access=Signed(), operation_id="endMySessions")
async def end_sessions(request: EdgeRequest, shop: TheShop, actor: TheActor) -> Response[None]:
    """Sign out everywhere, here too."""
    await shop.identity.end_sessions(user_of(actor))
    shop.standing.forget(str(actor.session_id))
    return signed_out(request, shop)


@get("/v1/me/export", access=Signed(), operation_id="exportMe")
async def export(shop: TheShop, actor: TheActor) -> Response[Export]:
    """All that is kept of oneself, as a JSON file."""
    found = await shop.views.people.export(user_of(actor), limit=shop.limits.count_exact)
    if found is None:
        raise ProblemError("not-found")
    headers = {"content-disposition": 'attachment; filename="bitloot-account.json"'}
    return Response(_export_shown(found), headers=headers)


def user_of(actor: Caller) -> str:
    """The id of who is signed in."""
    assert actor.user_id is not None
    return actor.user_id


async def me_answer(shop: Shop, actor: Caller) -> Me:
    """The account as it stands."""
    profile = await shop.views.people.profile(user_of(actor))
    if profile is None:
        raise ProblemError("not-found")
    return _me_shown(profile)


def _me_shown(profile: Profile) -> Me:
    deletion = None
    if profile.deletion is not None:
        waiting = profile.deletion
        deletion = Deletion(requested_at=waiting.requested_at, due_at=waiting.due_at)
    return Me(
        id=profile.id,
        email=profile.email,
        name=profile.name,
        roles=profile.roles,
        has_password=profile.has_password,
        created_at=profile.created_at,
        deletion=deletion,
    )


def _order_row(order: OwnOrder) -> OwnOrderRow:
    return OwnOrderRow(
        id=order.id,
        number=order.number,
        status=order.status,
        failure_reason=order.failure_reason,
        total=eur_text(order.total),
        currency="EUR",
        titles=order.titles,
        units=order.units,
        created_at=order.created_at,
        paid_at=order.paid_at,
        fulfilled_at=order.fulfilled_at,
    )


def _export_shown(found: UserExport) -> Export:
    return Export(
        profile=_me_shown(found.profile),
        orders=tuple(map(_exported_order, found.orders)),
        sessions=tuple(map(_old_session, found.sessions)),
        mails=tuple(map(_own_mail, found.mails)),
        email_changes=tuple(_same(OldAddressChange, each) for each in found.address_changes),
        recoveries=tuple(_same(OldRecovery, each) for each in found.recoveries),
        api_keys=tuple(_same(OldKey, each) for each in found.api_keys),
    )


def _exported_order(order: Sold) -> ExportedOrder:
    row = msgspec.structs.asdict(_order_row(order))
    return ExportedOrder(**row, email=order.email, placed_from=order.placed_from)


def _same(shape: Callable[..., S], told: msgspec.Struct) -> S:
    """The fields that both have."""
    names: tuple[str, ...] = getattr(shape, "__struct_fields__", ())
    return shape(**{name: getattr(told, name) for name in names})


def _old_session(session: ExportedSession) -> OldSession:
    return OldSession(
        created_at=session.created_at,
        used_at=session.rotated_at,
        expires_at=session.expires_at,
        ended_at=session.revoked_at,
        ended_by=session.revoked_reason,
        user_agent=session.user_agent,
        address=session.address,
    )


def _own_mail(mail: MailLine) -> OwnMail:
    return OwnMail(
        kind=mail.kind,
        to=mail.to,
        state=mail.state,
        created_at=mail.created_at,
        sent_at=mail.sent_at,
    )
