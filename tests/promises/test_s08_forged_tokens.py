"""S8: no token opens anything but what it was made for, and none that was not made by the shop."""

from collections import Counter
from pathlib import Path
from typing import Final

from tests import asgi
from tests.promises.figures import Figures
from tests.promises.forged_tokens import forged, read, signed
from tests.promises.market import SECRET_KEY, Market, Order
from tests.promises.people import UNKNOWN_ID, Person, bearer, code, doors, open_town, sign_in

from bitloot_web import derived_keys as keys
from bitloot_web.application import Application
from bitloot_web.asgi import build_app
from bitloot_web.devservices import ValkeyStore

# Which scheme of the description each kind of token is for; the others are for no header at all.
SCHEMES: Final = {"access": "userToken", "order session": "orderSession", "machine's key": "apiKey"}
# Some of each kind of route, where not all are asked.
CLOSED: Final = "unauthenticated"
FEW: Final = frozenset({"getMe", "getOrder", "placeOrder", "adminListOrders"})


async def kinds(market: Market, who: Person, order: Order) -> dict[str, str]:
    """A good token of every kind that the shop gives out."""
    session_id = str(read(who.access)[1]["sid"])
    await market.shop.accounts.request_deletion(who.user_id)
    async with market.near.uow.begin() as tx:
        deletion = await tx.people.open_deletion(who.user_id)
    assert deletion is not None
    link = market.shop.accounts.links.to_cancel(deletion).rpartition("=")[2]
    page = {"limit": 1}
    await sign_in(market, "another@reader.example")
    listed = await market.client.get("/v1/admin/users", headers=await market.admin(), params=page)
    return {
        "access": who.access,
        "refresh": who.refresh,
        "order session": order.token["authorization"].removeprefix("Bearer "),
        "machine's key": (await market.admin())["authorization"].removeprefix("Bearer "),
        "CSRF": market.shop.tokens.csrf(session_id),
        "link in a mail": link,
        "cursor": str(listed.json()["next"]),
    }


async def followed(app: Application, order: Order, token: str) -> str:
    """What a socket says to the token."""
    socket = asgi.Socket(app, f"/v1/ws{order.path.removeprefix('/v1')}")
    await socket.open()
    await socket.send({"token": token})
    message = await socket.message()
    await socket.leave()
    return str(message.get("code", message))


async def test_s8_a_forged_token_or_one_of_another_kind_opens_nothing(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    valkey_server.flush()
    told, refreshed = Counter[str](), Counter[str]()
    sockets = Counter[str]()
    async with open_town(shop_url, valkey_server.url, tmp_path) as town:
        market, now = town.first, int(town.clock.now().timestamp())
        await market.own("own-game", b"AAAA-1")
        order = await market.order("own-game", email="buyer@reader.example")
        who = await sign_in(market, "buyer@reader.example")
        good = await kinds(market, who, order)
        bad = forged(who.access, SECRET_KEY, keys.ACCESS, now)
        closed = [door for door in doors() if any(door.opens)]
        for number, door in enumerate(closed):
            path = door.filled(order_id=order.id)
            accepted = frozenset().union(*door.opens)
            wrong = [token for kind, token in good.items() if SCHEMES.get(kind) not in accepted]
            tried = bad if figures.full or door.name in FEW else bad[number :: len(closed)]
            shown = wrong if figures.full or door.name in FEW else wrong[number % 3 :: 3]
            for token in (*shown, *tried):
                if not token.isascii() or door.name == "takeWebhook":
                    continue
                answer = await market.client.request(door.method, path, headers=bearer(token))
                told[code(answer)] += 1
        others = [token for kind, token in good.items() if kind != "refresh"]
        for token in (*others, *forged(who.refresh, SECRET_KEY, keys.REFRESH, now)):
            body = {"refreshToken": token}
            refreshed[code(await market.client.post("/v1/auth/refresh", json=body))] += 1
        app = build_app(market.shop)
        wrong = [token for kind, token in good.items() if kind not in {"access", "order session"}]
        for token in (*wrong, *(bad if figures.full else bad[::4])):
            sockets[await followed(app, order, token)] += 1
        # What was forged was refused for what it changes: signed over again it is as good as new.
        header, claims = read(who.access)
        key = keys.derive(SECRET_KEY, keys.ACCESS)
        elsewhere = signed(key, header, {**claims, "sub": UNKNOWN_ID})
        assert code(await market.client.get("/v1/me", headers=bearer(elsewhere))) == CLOSED
        again = signed(key, header, claims)
        assert code(await market.client.get("/v1/me", headers=bearer(again))) == "200"
        last = await market.client.post("/v1/auth/refresh", json={"refreshToken": who.refresh})
        assert code(last) == "200"
    figures.note(
        "S8",
        "a forged token, or one of another kind, opens nothing",
        figure=f"{len(bad)} forged tokens and {len(good)} kinds at {len(closed)} operations:"
        f" {dict(told)}; as refresh tokens {dict(refreshed)}; sockets closed with"
        f" {dict(sockets)}",
        scale="full" if figures.full else "few forged tokens where many operations are alike",
        holds=set(told) == {CLOSED}
        and set(refreshed) <= {"session-ended", "invalid-input"}
        and set(sockets) == {"4401"},
    )
