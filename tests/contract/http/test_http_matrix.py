"""S13: every operation of the description by every kind of caller, own and foreign.

What is expected follows from what the route declares, so that no route is left out: a new one is
asked like all others.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import pytest
from litestar.handlers import HTTPRouteHandler
from tests.contract.http.people import sign_in
from tests.promises.figures import Figures

from bitloot.domain.roles import PERMISSIONS, Actor, Permission, Role, may
from bitloot.domain.session import Client
from bitloot_web.problems import URN
from bitloot_web.routes import access_of
from bitloot_web.security.access import (
    Access,
    Anyone,
    OrderOwner,
    Provider,
    Signed,
    Staff,
    TokenInPath,
)  # fmt: skip

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage, Sweep

Verdict: TypeAlias = Literal["in", "unauthenticated", "forbidden", "not-found"]
CLI: Final = Actor(name="cli", permissions=PERMISSIONS)
SCOPES: Final[tuple[Permission, ...]] = ("orders.read", "catalog.write")
STAFF: Final[Mapping[str, Role]] = {"admin": "admin", "support": "support", "owner": "owner"}
SIGNED_IN: Final = ("customer owner", "customer other", *STAFF)
KINDS: Final = (
    "anonymous", "guest owner", "guest other", *SIGNED_IN, "suspended", "refresh token",
    "owner's key", "key with scopes", "revoked key",
)  # fmt: skip


class Callers:
    """Everybody there is, with tokens that are good now."""

    def __init__(self, stage: "Stage", order_id: str) -> None:
        self._stage = stage
        self._order_id = order_id
        self._users: dict[str, str] = {}
        self._keys: dict[str, str] = {}

    async def come(self) -> None:
        """Make their accounts and keys; the order belongs to `customer owner`."""
        names = {"customer owner": "buyer@shop.example"}
        for name in (*SIGNED_IN, "suspended", "refresh token"):
            email = names.get(name, f"{name.replace(' ', '.')}@people.example")
            self._users[name] = (await sign_in(self._stage, email)).user_id
            self._stage.clock.advance(timedelta(minutes=16))
        shop = self._stage.shop
        for name, role in STAFF.items():
            await shop.user_desk.set_roles(self._users[name], [role], actor=CLI)
        for name in ("key with scopes", "revoked key"):
            made = await shop.api_keys.create(
                name, SCOPES, maker_id=self._users["owner"], actor=CLI
            )
            self._keys[name] = made.text
            if name == "revoked key":
                await shop.api_keys.revoke(made.key.id, actor=CLI)

    async def token(self, kind: str) -> str | None:
        """What this kind of caller shows; None for nothing."""
        shop, at = self._stage.shop, self._stage.clock.now()
        if kind in self._keys:
            return self._keys[kind]
        if kind in self._users:
            user_id = self._users[kind]
            await shop.user_desk.unsuspend(user_id, actor=CLI)
            session = (await shop.identity.sign_in(user_id, Client())).session
            if kind == "suspended":
                await shop.user_desk.suspend(user_id, "fraud", actor=CLI)
            pair = shop.tokens.pair(session)
            return pair.refresh if kind == "refresh token" else pair.access
        other = "01c2ae78-4200-7003-b48f-c209128b2f44"
        return {
            "anonymous": None,
            "guest owner": shop.sessions.issue(self._order_id, at=at),
            "guest other": shop.sessions.issue(other, at=at),
            "owner's key": self._stage.admin["authorization"].removeprefix("Bearer "),
        }[kind]


def of_order(kind: str) -> Verdict:
    if kind in {"guest owner", "customer owner"}:
        return "in"
    return "not-found" if kind == "guest other" or kind in SIGNED_IN else "unauthenticated"


def of_staff(kind: str, permission: Permission) -> Verdict:
    if kind == "owner's key":
        return "in"
    if kind == "key with scopes":
        return "in" if permission in SCOPES else "forbidden"
    if kind not in SIGNED_IN:
        return "unauthenticated"
    roles = [STAFF[kind]] if kind in STAFF else []
    return "in" if may(roles, permission) else "forbidden"


def expected(access: Access, kind: str, path: str) -> Verdict:
    """Whether such a caller is let in, and how it is told if not."""
    match access:
        case Anyone(may_sign_in=True):
            return "in" if kind == "anonymous" or kind in SIGNED_IN else "unauthenticated"
        case Anyone() | Provider() | TokenInPath():
            return "in"
        case OrderOwner():
            return of_order(kind)
        case Signed():
            if kind not in SIGNED_IN:
                return "unauthenticated"
            is_foreign = "{order_id}" in path and kind != "customer owner"
            return "not-found" if is_foreign else "in"
        case Staff(permission):
            return of_staff(kind, permission)
    raise AssertionError(f"nobody says whom {access} lets in")


def accesses(stage: "Stage") -> dict[str, Access]:
    """What each route of the application declares, by the id of its operation."""
    return {
        str(handler.operation_id): access_of(handler)
        for route in stage.app.routes
        for handler in getattr(route, "route_handlers", ())
        if isinstance(handler, HTTPRouteHandler) and isinstance(handler.operation_id, str)
    }


@pytest.mark.parametrize("desk", [False, True], ids=["buyers", "desk"])
async def test_every_operation_lets_in_whom_it_declares_and_nobody_else(
    sweep: "Sweep", figures: Figures, *, desk: bool
) -> None:
    stage, declared = sweep.stage, accesses(sweep.stage)
    callers = Callers(stage, sweep.order_id)
    await callers.come()
    wrong: list[str] = []
    asked = 0
    for method, path, operation in sweep.operations:
        if path.startswith("/v1/admin") is not desk:
            continue
        name = operation["operationId"]
        stage.clock.advance(timedelta(minutes=16))
        for kind in KINDS:
            token = await callers.token(kind)
            headers = {} if token is None else {"authorization": f"Bearer {token}"}
            answer = await stage.client.request(method, sweep.filled(path), headers=headers)
            wanted = expected(declared[name], kind, path)
            kept_out = {f"{URN}unauthenticated", f"{URN}forbidden"}
            told = answer.json().get("type", "") if answer.is_error else ""
            asked += 1
            if wanted == "in" and told in kept_out:
                wrong.append(f"{name}: {kind} is kept out by {told}")
            elif wanted != "in" and told != f"{URN}{wanted}":
                wrong.append(f"{name}: {kind} is told {answer.status_code} {told}, not {wanted}")
    assert not wrong, "\n".join(wrong)
    figures.note(
        "S13",
        f"every operation lets in whom it declares and nobody else: {'desk' if desk else 'buyers'}",
        figure=f"{asked // len(KINDS)} operations, {len(KINDS)} kinds of caller:"
        f" {len(wrong)} of {asked} answers wrong",
        scale="full",
        holds=asked >= len(KINDS) * 40,
    )


def test_the_table_says_no_wherever_a_right_is_taken_away() -> None:
    """The expectation itself: it names every refusal for every kind of route that has one."""
    assert {expected(OrderOwner(), kind, "") for kind in KINDS} == {
        "in", "not-found", "unauthenticated",
    }  # fmt: skip
    told = {expected(Staff("refunds.write"), kind, "") for kind in KINDS}
    assert told == {"in", "forbidden", "unauthenticated"}
    assert expected(Staff("roles.grant"), "admin", "") == "forbidden"
    assert expected(Staff("inventory.export"), "owner", "") == "in"
    assert expected(Signed(), "customer other", "/v1/me/orders/{order_id}") == "not-found"
