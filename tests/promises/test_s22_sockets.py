"""S22: a socket tells an order's events to whose it is, and holds nobody's place for ever."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Final

from tests import asgi
from tests.promises.figures import Figures
from tests.promises.market import PUBLIC_URL, Market, Order, good, once
from tests.promises.people import CLI, open_town, sign_in

from bitloot_web.api.sockets import CLOSE_SECONDS, SEND_SECONDS
from bitloot_web.application import Application
from bitloot_web.asgi import build_app
from bitloot_web.devservices import ValkeyStore

EVIL: Final = (
    "https://evil.example", "null", f"{PUBLIC_URL}.evil.example", "http://shop.example",
    f"{PUBLIC_URL}:8443", "https://shop.example@evil.example", "",
)  # fmt: skip
FIVE: Final = 5


def socket(app: Application, order: Order, **how: str) -> asgi.Socket:
    return asgi.Socket(
        app,
        f"/v1/ws{order.path.removeprefix('/v1')}",
        how.get("origin"),
        query=how.get("query", ""),
        room=1 if "slow" in how else 0,
    )


async def greeted(app: Application, order: Order, greeting: object, **how: str) -> str:
    """What a socket says to its first message; an event is foreign unless it was to be told."""
    opened = socket(app, order, **how)
    if (await opened.open())["type"] == "websocket.close":
        return "not opened"
    await opened.send(greeting)
    message = await opened.message()
    await opened.leave()
    return str(message.get("code", "told"))


async def strangers(market: Market, app: Application, mine: Order, other: Order) -> Counter[str]:
    """Everybody who may not follow an order, and tokens where they do not belong."""
    found = Counter[str]()
    token = mine.token["authorization"].removeprefix("Bearer ")
    who, stranger = [
        await sign_in(market, email) for email in (mine.email, "stranger@reader.example")
    ]
    await market.shop.user_desk.set_roles(who.user_id, ["admin"], actor=CLI)
    desk = (await market.admin())["authorization"].removeprefix("Bearer ")
    staff = await sign_in(market, mine.email)
    foreign = (other.token["authorization"][7:], stranger.access, stranger.refresh, desk, "x", "")
    for each in foreign:
        found[await greeted(app, mine, {"token": each})] += 1
    # Who works here follows orders at the desk, not by a buyer's socket.
    found[await greeted(app, other, {"token": staff.access})] += 1
    for origin in EVIL:
        found[await greeted(app, mine, {"token": token}, origin=origin)] += 1
    for query in (f"token={token}", f"access_token={token}", f"authorization=Bearer%20{token}"):
        found[await greeted(app, mine, {"after": 0}, query=query)] += 1
        found[await greeted(app, mine, "{}", query=query)] += 1
    return found


async def crowd(app: Application, orders: list[Order], token: str | None) -> Counter[str]:
    """Six at once, each on the next of the orders."""
    found, opened = Counter[str](), []
    for number in range(FIVE + 1):
        order = orders[number % len(orders)]
        one = socket(app, order)
        opened.append(one)
        await one.open()
        await one.send({"token": token or order.token["authorization"][7:]})
        found[str((await one.message()).get("code", "told"))] += 1
    for one in opened[:FIVE]:
        await one.leave()
    return found


async def flooded(app: Application, order: Order) -> int:
    """How many messages a client gets rid of before it is dropped."""
    one = socket(app, order)
    await one.open()
    await one.send({"token": order.token["authorization"][7:]})
    assert (await one.event())["kind"] == "order_placed"
    for _ in range(1_000):
        await one.send("more")
    return await one.closed()


async def deaf(app: Application, order: Order) -> int:
    """How many still follow after a client has read nothing for as long as it may."""
    one = socket(app, order, slow="yes")
    await one.open()
    await one.send({"token": order.token["authorization"][7:]})
    for _ in range(50):
        await asyncio.sleep(0.1)
        if app.watchers.count(order.id):
            break
    assert app.watchers.count(order.id) == 1
    await asyncio.sleep(SEND_SECONDS + CLOSE_SECONDS + 1)
    return app.watchers.count(order.id)


async def test_s22_sockets_tell_nothing_to_strangers_and_keep_no_place_for_who_does_not_listen(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    valkey_server.flush()
    async with open_town(shop_url, valkey_server.url, tmp_path) as town:
        market = town.first
        app = build_app(market.shop)
        await market.own("own-game", *(f"KEY-{n}".encode() for n in range(12)))
        mine, other, slow = [
            await market.order("own-game", email=f"{name}@reader.example")
            for name in ("mine", "other", "slow")
        ]
        good(await market.client.post(f"{slow.path}/cancel", headers=once(**slow.token)))
        waiting = asyncio.create_task(deaf(app, slow))
        told = await strangers(market, app, mine, other)
        by_order = await crowd(app, [mine], None)
        orders = [
            await market.order("own-game", email="many@reader.example") for _ in range(FIVE + 1)
        ]
        who = await sign_in(market, "many@reader.example")
        by_user = await crowd(app, orders, who.access)
        flood = await flooded(app, other)
        left = [app.watchers.count(order.id) for order in (mine, other, *orders)]
        still = await waiting
    figures.note(
        "S22",
        "sockets tell nothing to strangers; 5 for an order or a person; the deaf are dropped",
        figure=f"strangers {dict(told)}; six for an order {dict(by_order)}, for a person"
        f" {dict(by_user)}; 1000 messages: closed with {flood}; {still} follow after"
        f" {SEND_SECONDS + CLOSE_SECONDS:.0f} s without reading",
        scale="full",
        holds=set(told) == {"4401", "4404", "not opened"}
        and told["not opened"] == len(EVIL)
        and by_order == by_user == {"told": FIVE, "4429": 1}
        and flood == 1008
        and not still
        and not any(left),
    )
