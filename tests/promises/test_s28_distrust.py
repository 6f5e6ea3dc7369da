"""S28: what a provider says is doubted: hostile values change nothing, and reach no buyer."""

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from litestar.types import ASGIApp, Message, Receive, Scope, Send
from tests.promises.figures import Figures
from tests.promises.market import (
    GATEWAY_HOOK,
    IPN_SECRET,
    KINGUIN_SECRET,
    Market,
    Order,
    Seen,
    good,
    open_doors,
    open_market,
)

from bitloot.ports.errors import Unavailable
from bitloot_web.devservices import ValkeyStore

HTML = "<script>alert(1)</script><img src=x onerror=alert(1)>"
CONTROL = "a\u0000b\u001b[31m\u202ec\u2066\r\nd\u0085"
HUGE = "9" * 400
SUSPECT = ("\x00", "\x1b", "\u202e", "\u2066")
# What stands in the place of a value, as it is written in the JSON.
NUMBERS = ("NaN", "Infinity", "-1", "1e400", "-0.0", HUGE, '"1e999"', "[]", "{}", "true", '"x"')
TEXTS = (json.dumps(HTML), json.dumps(CONTROL), '"' + "x" * 70_000 + '"', "[]", "7", "null", '""')


class Lying:
    """Stands before a stand-in and changes what it says, when it is told how."""

    def __init__(self) -> None:
        self.change: Callable[[str, str], str] | None = None

    def before(self, app: ASGIApp) -> ASGIApp:
        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if self.change is None or "_control" in scope.get("path", "_control"):
                await app(scope, receive, send)
                return
            change, body = self.change, bytearray()

            async def keep(message: Message) -> None:
                if message["type"] == "http.response.start":
                    plain = [pair for pair in message["headers"] if pair[0] != b"content-length"]
                    await send({**message, "headers": plain})
                elif message["type"] == "http.response.body":
                    body.extend(message["body"])
                    if not message["more_body"]:
                        told = change(scope["path"], body.decode())
                        await send({**message, "body": told.encode("utf-8", "surrogatepass")})

            await app(scope, receive, keep)

        return answer


def replaced(text: str, name: str, value: str) -> str:
    """The document with another value under a name, written as given."""
    mark = "__HERE__"
    document = json.loads(text)
    document[name] = mark
    return json.dumps(document).replace(f'"{mark}"', value)


def signed(body: str) -> dict[str, str]:
    digest = hmac.new(IPN_SECRET.encode(), body.encode("utf-8", "surrogatepass"), hashlib.sha512)
    return {"x-nowpayments-sig": digest.hexdigest()}


async def books(market: Market) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    for statement in (
        "SELECT id::text, status, paid_at::text, settled_by::text FROM orders ORDER BY id",
        "SELECT entry, account, amount FROM ledger_lines ORDER BY entry, account",
        "SELECT id::text, state FROM fulfilments ORDER BY id",
        "SELECT id::text, state FROM sealed_keys ORDER BY id",
    ):
        found += await market.sql(statement)
    return found


async def test_s28_hostile_callbacks_of_gateway_and_supplier_change_nothing(
    market: Market, figures: Figures
) -> None:
    await market.own("own-game", b"AAAA-1", b"AAAA-2")
    mine, other = await market.payable("own-game"), await market.payable("own-game")
    # Nobody paid `other`: whatever is said of it, the gateway itself says that it waits.
    sent = (await market.pay(mine))[-1]
    await market.call_back(sent)
    await market.work()
    document = json.loads(sent["body"])
    before, answers = await books(market), Counter[int]()
    hostile = [
        replaced(sent["body"], name, value)
        for name, known in document.items()
        for value in (NUMBERS if isinstance(known, int | float) else TEXTS)
    ]
    hostile += [
        replaced(replaced(sent["body"], "payment_id", other.payment), "order_id", f'"{number}"')
        for number in (mine.number, other.number, "BL00000000", "1 OR 1=1", "../../x")
    ]
    for body in hostile:
        raw = body.encode("utf-8", "surrogatepass")
        answer = await market.client.post(GATEWAY_HOOK, content=raw, headers=signed(body))
        answers[answer.status_code] += 1
    supplier = {"x-event-secret": KINGUIN_SECRET, "x-event-name": "order.status"}
    for name in ("orderId", "orderExternalId", "status", "updatedAt"):
        for value in (*NUMBERS, *TEXTS):
            body = replaced('{"orderId": "A", "status": "completed"}', name, value)
            answer = await market.client.post(
                "/v1/webhooks/kinguin", content=body.encode(), headers=supplier
            )
            answers[answer.status_code] += 1
    await market.work()
    after = await books(market)
    figures.note(
        "S28",
        "hostile values in signed callbacks change nothing",
        figure=f"{answers.total()} callbacks: answers {dict(answers)}, books unchanged:"
        f" {before == after}",
        scale="full",
        holds=before == after and set(answers) <= {200, 204, 400, 413},
    )
    assert await market.breaches() == ()


async def one_lie(market: Market, lies: Lying, name: str, value: str, order: Order) -> bool:
    """Whether the order got anything while the gateway said so of its payment."""
    sent = (await market.pay(order, fraction="0.5"))[-1]

    def lie(path: str, text: str) -> str:
        if "/payment" not in path:
            return text
        finished = replaced(text, "payment_status", '"finished"')
        return replaced(finished, name, value)

    lies.change = lie
    await market.call_back(sent)
    await market.work()
    lies.change = None
    seen = await market.see(order)
    given = "SELECT count(*) FROM fulfilments WHERE order_id = %s AND state = 'delivered'"
    return seen["status"] in {"paid", "fulfilled"} or await market.count(given, order.id) > 0


async def test_s28_a_payment_that_does_not_fit_its_order_delivers_nothing(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    lies = Lying()
    wrong = [
        ("price_currency", '"usd"'),
        ("price_currency", '""'),
        ("price_amount", "0.01"),
        ("price_amount", "NaN"),
        ("price_amount", "1e400"),
        ("pay_currency", json.dumps(HTML)),
        ("payment_id", "1"),
        ("order_id", '"BL00000000"'),
        ("pay_amount", HUGE),
        ("pay_amount", "-5"),
        ("actually_paid", "NaN"),
        ("actually_paid", "-1"),
        ("payment_status", json.dumps(CONTROL)),
        ("payment_status", "[]"),
    ]
    valkey_server.flush()
    async with (
        open_doors({"nowpayments": lies.before}) as doors,
        open_market(shop_url, valkey_server.url, tmp_path, doors) as market,
    ):
        await market.own("own-game", *(f"OWN-{n:03d}".encode() for n in range(len(wrong))))
        believed = []
        for name, value in wrong:
            order = await market.payable("own-game")
            if await one_lie(market, lies, name, value, order):
                believed.append((name, value[:20]))
        breaches = await market.breaches()
    figures.note(
        "S28",
        "a payment whose currency, amount, order or id does not fit delivers nothing",
        figure=f"{len(wrong)} answers of the gateway: {len(believed)} believed {believed or ''}",
        scale="full",
        holds=not believed,
    )
    assert breaches == ()


async def test_s28_a_hostile_catalogue_is_read_as_plain_text_and_plain_money(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    lies, turns = Lying(), iter(range(1000))
    prices = ["1e400", "-3", "0", HUGE, '"x"', "null"]

    def lie(path: str, text: str) -> str:
        if not path.endswith("/v1/products"):
            return text
        document: Seen = json.loads(text)
        for product in document["results"]:
            turn = next(turns)
            product["name"] = f"Game {turn} {HTML}{CONTROL}"
            product["description"] = f"<p>fine</p>{HTML}{CONTROL}"
            product["platform"] = HTML
            if turn % 2:
                product["price"] = "__PRICE__"
                for offer in product.get("offers", []):
                    offer["price"] = "__PRICE__"
        written = json.dumps(document)
        for n in range(written.count('"__PRICE__"')):
            written = written.replace('"__PRICE__"', prices[n % len(prices)], 1)
        return written

    valkey_server.flush()
    async with (
        open_doors({"kinguin": lies.before}) as doors,
        open_market(shop_url, valkey_server.url, tmp_path, doors) as market,
    ):
        lies.change = lambda path, text: lie(path, text).replace(HUGE, "NaN")
        with pytest.raises(Unavailable, match="unreadable_answer"):
            await market.supplied_as_told()
        lies.change = lie
        await market.supplied_as_told()
        shown = good(await market.client.get("/v1/catalog/products", params={"limit": "100"}))
        text = json.dumps(shown, ensure_ascii=False)
        odd = await market.count(
            "SELECT count(*) FROM product_offers WHERE cost <= 0 OR cost = 'NaN' OR cost > 1e9"
        )
        offers = await market.count("SELECT count(*) FROM product_offers")
        rows = await market.sql("SELECT description FROM products")
        # A title is text, not markup: what it says is escaped where it is shown.
        lies.change = None
        slugs = (one["slug"] for one in shown["items"] if one["available"] > 0)
        await market.bought(next(slugs))
        await market.work()
        mails = (await market.mail.get("/_control/mailbox")).json()["mails"]
    assert [mail for mail in mails if "&lt;script" in str(mail["html"])]
    suspect = [word for word in SUSPECT if word in text]
    suspect += [str(mail["subject"]) for mail in mails if "<script" in str(mail["html"])]
    suspect += ["description" for (told,) in rows if "<" in str(told)]
    figures.note(
        "S28",
        "a hostile catalogue is neutralised",
        figure=f"{len(shown['items'])} products, {offers} offers: {odd} odd prices,"
        f" {len(suspect)} suspect texts {suspect or ''}",
        scale="full",
        holds=odd == 0 and not suspect and len(shown["items"]) > 0,
    )
