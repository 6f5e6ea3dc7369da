"""`python -m bench.twins`: `bitloot serve` with one read more, under two addresses.

Under one everybody may read, under the other whoever is signed in. Nothing else sets them apart:
the same handler stands behind both, and the same checks, limits and lines of the log before it.
"""

import asyncio
import signal
from typing import Final
from uuid import UUID

import uvloop
from litestar.params import FromPath

from bitloot.ports.views.people import Profile
from bitloot_web.cli.running import configured
from bitloot_web.composition.opening import open_shop
from bitloot_web.dependencies import TheShop
from bitloot_web.problems import ProblemError
from bitloot_web.process_roles import web
from bitloot_web.routes import get
from bitloot_web.security.access import Anyone, Signed

OPEN: Final = "/bench/open"
SIGNED: Final = "/bench/signed"


async def profile(shop: TheShop, user_id: FromPath[UUID]) -> Profile:
    """An account: one question of the database, and a short answer."""
    found = await shop.views.people.profile(str(user_id))
    if found is None:
        raise ProblemError("not-found")
    return found


TWINS: Final = (
    get(f"{OPEN}/{{user_id:uuid}}", access=Anyone())(profile),
    get(f"{SIGNED}/{{user_id:uuid}}", access=Signed())(profile),
)


async def serve() -> None:
    """Until SIGTERM or SIGINT."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with open_shop(configured()) as opened:
        await web(opened, stop, more=TWINS)


if __name__ == "__main__":
    uvloop.run(serve())
