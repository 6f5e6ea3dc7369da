"""Every route says who may call it; one that does not, or would not ask, is no part of a shop."""

from typing import TYPE_CHECKING

import pytest
from litestar import get as litestar_get
from litestar import websocket

from bitloot_web.api.sockets import EdgeSocket
from bitloot_web.asgi import build_app
from bitloot_web.routes import Route, get
from bitloot_web.security.access import ACCESS, Anyone, Staff

if TYPE_CHECKING:
    from litestar.handlers import BaseRouteHandler
    from tests.contract.http.conftest import Stage


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


def test_what_anyone_may_do_asks_for_nothing() -> None:
    assert Anyone().security == ()
