"""One shop's application: what surrounds the routes, and what they find in the scope.

The routes themselves are made once in a process: to read what a hundred handlers take is most of
the time that an application takes to start, and tests and workshops open many shops.
"""

from collections.abc import Sequence

from litestar import Litestar
from litestar.routes import BaseRoute
from litestar.types import LifeSpanScope, Receive, Scope, Send

from bitloot_web.answers import Answers
from bitloot_web.dependencies import carried
from bitloot_web.envelope import Envelope
from bitloot_web.realtime import Watchers
from bitloot_web.security.rate_limits import RateName
from bitloot_web.shop import Shop
from bitloot_web.shortcut import Shortcut


class Application:
    """An ASGI application over an open shop; `framework` holds the routes, `kept` is the limit that
    counts requests for answers that are kept.

    `watchers.stop()` ends every event stream: servers wait for open streams, so it is called when
    the process is told to stop, before the server closes its connections.
    """

    def __init__(self, framework: Litestar, shop: Shop, *, kept: RateName) -> None:
        self.watchers = Watchers()
        answers = Answers(size=shop.limits.answers_bytes, life=shop.limits.answer_life)
        inside = Shortcut(
            framework, shop, answers, limit=kept, version=lambda: shop.views.catalog.version
        )
        self._framework = framework
        self._outside = Envelope(inside, shop)
        self._carried = carried(shop, self.watchers, answers)

    @property
    def routes(self) -> Sequence[BaseRoute]:
        """Every route there is."""
        return self._framework.routes

    async def __call__(self, scope: Scope | LifeSpanScope, receive: Receive, send: Send) -> None:
        """Answer a request, hold a socket, or start and end with the server."""
        if scope["type"] == "lifespan":
            try:
                await self._framework(scope, receive, send)
            finally:
                self.watchers.stop()
        else:
            scope.setdefault("state", {}).update(self._carried)
            await self._outside(scope, receive, send)
