"""Every route says who may call it; one that does not, or would not ask, is no part of a shop."""

from typing import TYPE_CHECKING

import pytest
from litestar import Litestar, websocket
from litestar import get as litestar_get
from litestar.handlers import HTTPRouteHandler
from tests.contract.http.test_http_matrix import accesses

from bitloot_web.api.sockets import EdgeSocket
from bitloot_web.asgi import build_app, check_access
from bitloot_web.routes import Route, get
from bitloot_web.security.access import ACCESS, PAGE, Anyone, Staff
from bitloot_web.security.cookie_sessions import SAFE

if TYPE_CHECKING:
    from litestar.handlers import BaseRouteHandler
    from tests.contract.http.conftest import Stage, Sweep


@get("/declared", access=Staff("orders.read"))
async def declared() -> None:
    """A route as all are."""


@litestar_get("/undeclared")
async def undeclared() -> None:
    """A route that says nothing."""


@litestar_get("/unguarded", opt={ACCESS: Staff("orders.read")})
async def unguarded() -> None:
    """A route that says who may call it, and lets everybody in."""


@litestar_get("/nonsense", opt={ACCESS: "everybody"})
async def nonsense() -> None:
    """A route that says something else."""


@websocket("/undeclared-socket")
async def undeclared_socket(socket: EdgeSocket) -> None:
    """A socket that says nothing."""
    await socket.close()


async def test_a_route_that_says_who_may_call_it_asks_them(stage: "Stage") -> None:
    assert isinstance(declared, Route)
    app = build_app(stage.shop, more=[declared])
    assert "/declared" in {route.path for route in app.routes}


@pytest.mark.parametrize("handler", [undeclared, unguarded, nonsense, undeclared_socket])
async def test_no_shop_opens_with_a_route_that_asks_nobody(
    stage: "Stage", handler: "BaseRouteHandler"
) -> None:
    with pytest.raises(TypeError, match="who may call it"):
        build_app(stage.shop, more=[handler])


async def test_no_route_of_the_shop_is_left_open_where_its_guard_is_taken_away(
    stage: "Stage",
) -> None:
    """Each of them in turn: what it declares is not enough, it has to be asked."""
    handlers = {
        str(handler.operation_id): handler
        for route in stage.app.routes
        for handler in getattr(route, "route_handlers", ())
        if isinstance(handler, Route)
    }
    assert len(handlers) > 90
    for handler in handlers.values():
        bare = HTTPRouteHandler(
            "/bare", http_method=[*handler.http_methods], opt=handler.opt, name="bare"
        )(declared.fn)
        with pytest.raises(TypeError, match="nobody would be asked"):
            check_access(Litestar([bare], openapi_config=None))


async def test_the_description_says_of_every_operation_what_opens_it(sweep: "Sweep") -> None:
    declares = accesses(sweep.stage)
    page: dict[str, list[str]] = {"pageSession": [], "csrfToken": []}
    for method, _, operation in sweep.operations:
        wanted = list(declares[operation["operationId"]].security)
        if method not in SAFE:
            wanted = [page if each == PAGE else each for each in wanted]
        assert operation.get("security", []) == wanted, operation["operationId"]


def test_what_anyone_may_do_asks_for_nothing() -> None:
    assert Anyone().security == ()
