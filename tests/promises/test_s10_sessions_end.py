"""S10: whoever was signed out, suspended, deleted or given other roles is out within a minute."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeAlias

import httpx
from tests import asgi
from tests.promises.figures import Figures
from tests.promises.market import PUBLIC_URL, Market, Order, good
from tests.promises.people import CLI, Person, bearer, challenge, code, doors, open_town, sign_in

from bitloot_web.application import Application
from bitloot_web.asgi import build_app
from bitloot_web.devservices import ValkeyStore

End: TypeAlias = Callable[[Market, Person], Awaitable[object]]

MINUTE: Final = timedelta(seconds=60)
WORDS: Final = "a lantern in the rain"
FEW: Final = frozenset({"getMe", "getOrder", "placeOrder", "adminListOrders", "exportMe"})


async def logout(market: Market, who: Person) -> None:
    good(await market.client.post("/v1/auth/logout", headers=who.headers))


async def from_elsewhere(market: Market, who: Person) -> None:
    other = await sign_in(market, who.email)
    listed = good(await market.client.get("/v1/me/sessions", headers=other.headers))["items"]
    for each in listed:
        if not each["isCurrent"]:
            path = f"/v1/me/sessions/{each['id']}"
            good(await market.client.delete(path, headers=other.headers))


async def everywhere(market: Market, who: Person) -> None:
    good(await market.client.delete("/v1/me/sessions", headers=who.headers))


async def password(market: Market, who: Person) -> None:
    other = await sign_in(market, who.email)
    good(
        await market.client.post(
            "/v1/auth/password", json={"password": WORDS}, headers=other.headers
        )
    )


async def reset(market: Market, who: Person) -> None:
    body = {
        "email": who.email,
        "challengeId": await challenge(market, who.email, "password/forgot"),
    }
    body |= {"code": market.shop.codes.code_of(body["challengeId"]), "password": WORDS}
    good(await market.client.post("/v1/auth/password/reset", json=body))


async def moved(market: Market, who: Person) -> None:
    other = await sign_in(market, who.email)
    path = "/v1/me/email-change"
    body = {"email": f"new.{who.email}"}
    good(await market.client.post(path, json=body, headers=other.headers))
    async with market.near.uow.begin() as tx:
        change = await tx.people.open_change(who.user_id)
    assert change is not None
    code_of = market.shop.codes.code_of
    both = {
        "currentCode": code_of(change.current_challenge),
        "newCode": code_of(change.new_challenge),
    }
    good(await market.client.post(f"{path}/confirm", json=both, headers=other.headers))


async def copied(market: Market, who: Person) -> None:
    """A refresh token of two generations ago."""
    token = who.refresh
    for _ in range(2):
        answer = await market.client.post("/v1/auth/refresh", json={"refreshToken": token})
        token = good(answer)["refreshToken"]
    await market.client.post("/v1/auth/refresh", json={"refreshToken": who.refresh})


ENDS: Final[Mapping[str, End]] = {
    "suspended": lambda at, who: at.shop.user_desk.suspend(who.user_id, "fraud", actor=CLI),
    "deleted": lambda at, who: at.shop.user_desk.delete(who.user_id, actor=CLI),
    "role changed": lambda at, who: at.shop.user_desk.set_roles(who.user_id, [], actor=CLI),
    "signed out by the desk": lambda at, who: at.shop.user_desk.sign_out(who.user_id, actor=CLI),
    "logout": logout,
    "ended from elsewhere": from_elsewhere,
    "ended everywhere": everywhere,
    "password set elsewhere": password,
    "password reset": reset,
    "moved to another address": moved,
    "token copied": copied,
}  # fmt: skip


class Followers:
    """A socket and a stream of the order, held open by who is signed in."""

    def __init__(self, app: Application, order: Order, who: Person) -> None:
        self._app, self._order, self._who = app, order, who
        self._socket = asgi.Socket(app, f"/v1/ws{order.path.removeprefix('/v1')}")
        self._stream: asyncio.Task[httpx.Response] | None = None

    async def begin(self) -> None:
        await self._socket.open()
        await self._socket.send({"token": self._who.access})
        assert (await self._socket.event())["kind"] == "order_placed"
        self._stream = asyncio.create_task(self._streamed())
        for _ in range(500):
            if self._app.watchers.count(self._order.id) == 2:
                return
            await asyncio.sleep(0.01)
        raise AssertionError("the stream did not begin")

    async def _streamed(self) -> httpx.Response:
        headers = {**self._who.headers, "accept": "text/event-stream"}
        transport = asgi.transport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:
            return await client.get(f"{self._order.path}/events", headers=headers)

    async def ended(self, market: Market) -> list[str]:
        """How both ended, once they were woken."""
        assert self._stream is not None
        await market.near.realtime.publish(self._order.id, 2)
        closed = await self._socket.closed()
        answer = await asyncio.wait_for(self._stream, 10)
        return [str(closed), "ended" if "order_placed" in answer.text else answer.text]


async def worker(market: Market, number: int) -> tuple[Person, Order]:
    """Somebody who may do everything, with an order of their own."""
    email = f"worker{number}@reader.example"
    order = await market.order("own-game", email=email)
    first = await sign_in(market, email)
    await market.shop.user_desk.set_roles(first.user_id, ["owner"], actor=CLI)
    return await sign_in(market, email), order


async def test_s10_whoever_is_signed_out_is_out_everywhere_within_a_minute(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    """What ended in one process is over in another one, which had just let them in."""
    valkey_server.flush()
    told, refreshed, followed = Counter[str](), Counter[str](), Counter[str]()
    asked = [door for door in doors() if door.takes_users]
    async with open_town(shop_url, valkey_server.url, tmp_path, processes=2) as town:
        here, there = town.markets
        app = build_app(there.shop)
        await here.own("own-game", *(f"KEY-{n}".encode() for n in range(len(ENDS) + 1)))
        await worker(here, 0)
        for number, (name, end) in enumerate(ENDS.items(), 1):
            who, order = await worker(here, number)
            followers = Followers(app, order, who)
            await followers.begin()
            for path in ("/v1/me", "/v1/admin/orders", order.path):
                good(await there.client.get(path, headers=who.headers))
            await end(here, who)
            # Asked here: there it would have the session looked up anew.
            body = {"refreshToken": who.refresh}
            refreshed[code(await here.client.post("/v1/auth/refresh", json=body))] += 1
            town.clock.by += MINUTE
            followed.update(await followers.ended(here))
            for door in asked:
                if not figures.full and name != "suspended" and door.name not in FEW:
                    continue
                answer = await there.client.request(
                    door.method, door.filled(order_id=order.id), headers=bearer(who.access)
                )
                told[code(answer)] += 1
    figures.note(
        "S10",
        "whoever is signed out in one process is out of all of them within 60 s",
        figure=f"{len(ENDS)} ways to end a session, {len(asked)} operations: {dict(told)}; a"
        f" refresh at once {dict(refreshed)}; sockets and streams {dict(followed)}",
        scale="full" if figures.full else "all operations for one of the ways",
        holds=set(told) == {"unauthenticated"}
        and refreshed == {"session-ended": len(ENDS)}
        and followed == {"4401": len(ENDS), "ended": len(ENDS)},
    )
