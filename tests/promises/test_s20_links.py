"""S20: a link to keys lives for minutes, for some downloads, for one method, and leaves a trace."""

import asyncio
import io
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from tests.promises.figures import Figures
from tests.promises.market import (
    PUBLIC_URL,
    Market,
    Order,
    good,
    once,
    open_doors,
    open_market,
)
from tests.promises.people import Ahead, code

from bitloot_web.devservices import ValkeyStore
from bitloot_web.logs import configure_logs

LIFE = timedelta(minutes=15)
DOWNLOADS = 5


async def link(market: Market, order: Order, **headers: str) -> dict[str, str]:
    item = (await market.see(order))["items"][0]["id"]
    path = f"{order.path}/items/{item}/reveal"
    answer = await market.client.post(path, headers={**once(**order.token), **headers})
    return {str(name): str(value) for name, value in good(answer).items()}


async def revoke(market: Market, order: Order) -> None:
    item = (await market.see(order))["items"][0]["id"]
    path = f"/v1/admin/orders/{order.id}/items/{item}/revoke"
    good(
        await market.client.post(
            path, json={"reason": "test"}, headers=once(**await market.admin())
        )
    )


async def guesses(market: Market, token: str) -> Counter[str]:
    """Lists of links, and tokens that are nearly right."""
    found = Counter[str]()
    for path in ("", "/", "/x", "/" + token[:-1], "/" + token.swapcase()):
        found[code(await market.client.get("/v1/downloads" + path))] += 1
    return found


async def test_s20_a_link_is_short_lived_counted_bound_to_get_and_audited(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    rounds = 50 if figures.full else 5
    logs, clock = io.StringIO(), Ahead()
    configure_logs(level="debug", stream=logs)
    valkey_server.flush()
    lives, late, used, methods = [], Counter[str](), Counter[str](), Counter[str]()
    made, tokens = 0, []
    async with (
        open_doors() as doors,
        open_market(shop_url, valkey_server.url, tmp_path, doors, changed=clock.on) as market,
    ):
        await market.own("own-game", *(f"OWN-{n:03d}".encode() for n in range(rounds)))
        for _ in range(rounds):
            clock.by = timedelta()
            order = await market.bought("own-game")
            first = await link(market, order, host="evil.example")
            assert first["url"].startswith(f"{PUBLIC_URL}/v1/downloads/")
            path = httpx.URL(first["url"]).path
            lives.append(datetime.fromisoformat(first["expiresAt"]) - clock.now())
            for method in ("POST", "PUT", "PATCH", "DELETE"):
                methods[code(await market.client.request(method, path))] += 1
            answers = [market.client.get(path) for _ in range(20)]
            used.update(map(code, await asyncio.gather(*answers)))
            second = await link(market, order)
            path = httpx.URL(second["url"]).path
            tokens += [each["url"].rpartition("/")[2] for each in (first, second)]
            clock.by = LIFE + timedelta(seconds=1)
            late[code(await market.client.get(path))] += 1
            clock.by = timedelta()
            third = await link(market, order)
            await revoke(market, order)
            late[code(await market.client.get(httpx.URL(third["url"]).path))] += 1
            tokens.append(third["url"].rpartition("/")[2])
            made += len({each["url"] for each in (first, second, third)})
        elsewhere = await guesses(market, tokens[0])
        audited = await market.count(
            "SELECT count(*) FROM audit_logs WHERE action LIKE '%%reveal%%'"
        )
        downloaded = await market.count("SELECT coalesce(sum(downloads), 0)::int FROM grants")
        mailbox = (await market.mail.get("/_control/mailbox")).text
    configure_logs()
    told = [token for token in tokens if token in mailbox or token in logs.getvalue()]
    figures.note(
        "S20",
        "a link lives 15 minutes at most, for 5 downloads, for GET alone; each is audited",
        figure=f"{len(tokens)} links: longest {max(lives).total_seconds():.0f} s; 20 downloads"
        f" at once {dict(used)}; other methods {dict(methods)}; later {dict(late)}; guesses and"
        f" listings {dict(elsewhere)}; {audited} audited; {len(told)} in mails or logs",
        scale="full" if figures.full else "÷ 10",
        holds=max(lives) <= LIFE
        and used == {"200": DOWNLOADS * rounds, "link-used-up": (20 - DOWNLOADS) * rounds}
        and downloaded == DOWNLOADS * rounds
        and methods == {"method-not-allowed": 4 * rounds}
        and late == {"link-expired": rounds, "link-revoked": rounds}
        and set(elsewhere) == {"not-found"}
        and audited >= made
        and not told,
    )
