"""A stand-in of Tillgate's REST API: it keeps tills and pages, and shares no code with the client.

A request is method, path, query, headers and body; an answer is a status and a JSON object. The
levers of payers, merchant and weather are plain methods.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import ROUND_UP, Decimal, localcontext
from typing import TypeAlias

Json: TypeAlias = dict[str, object]

RATE_LIFE = timedelta(minutes=20)
TILL_LIFE = timedelta(days=7)
ZERO = Decimal(0)


@dataclass(frozen=True)
class Coin:
    """`eur` is what one of it is worth; `least` the smallest till."""

    code: str
    name: str
    eur: Decimal
    least: Decimal
    digits: int
    tag: bool = False


COINS = (
    Coin("BTC", "Bitcoin", Decimal(60000), Decimal("0.00002"), 8),
    Coin("LTC", "Litecoin", Decimal(80), Decimal("0.005"), 8),
    Coin("XRP", "XRP", Decimal("0.5"), Decimal(1), 6, tag=True),
)


class FaultError(Exception):
    """A documented no."""

    def __init__(self, status: int, fault: str) -> None:
        super().__init__(fault)
        self.status = status
        self.fault = fault


@dataclass
class Till:
    """`due` and `received` are amounts of the coin."""

    till: str
    reference: str
    eur: Decimal
    coin: Coin
    due: Decimal
    rate_until: datetime
    closes_at: datetime
    page: str | None = None
    follows: str | None = None
    state: str = "open"
    received: Decimal = ZERO
    further: list[str] = field(default_factory=list)

    def shown(self) -> Json:
        """As it goes over the wire: amounts are texts."""
        return {
            "till": self.till,
            "state": self.state,
            "reference": self.reference,
            "page": self.page,
            "follows": self.follows,
            "price": {"eur": str(self.eur)},
            "due": format(self.due, "f"),
            "coin": self.coin.code,
            "received": format(self.received, "f"),
            "address": f"{self.coin.code.lower()}1{self.till.lower()}",
            "tag": self.till.removeprefix("T") if self.coin.tag else None,
            "rate_until": self.rate_until.isoformat(),
            "closes_at": self.closes_at.isoformat(),
            "further": self.further,
        }


class TillgateApi:
    """Everything that one merchant has at Tillgate."""

    def __init__(self, *, api_key: str, seal_secret: str, clock: Callable[[], datetime]) -> None:
        self.api_key = api_key
        self._seal_secret = seal_secret
        self._clock = clock
        self._coins = {coin.code: coin for coin in COINS}
        self.tills: dict[str, Till] = {}
        self.pages: dict[str, Json] = {}
        self._last = 1000

    # --- the API -------------------------------------------------------------------------

    def answer(
        self,
        method: str,
        path: str,
        query: Mapping[str, str],
        headers: Mapping[str, str],
        body: bytes,
    ) -> tuple[int, Json]:
        """One exchange."""
        parts = tuple(path.strip("/").split("/"))
        try:
            self._let_in(headers)
            return self._post(parts, body) if method == "POST" else (200, self._get(parts, query))
        except FaultError as error:
            return error.status, {"fault": error.fault, "says": f"{error.fault}, said Tillgate"}

    def _let_in(self, headers: Mapping[str, str]) -> None:
        if headers.get("authorization") != f"Bearer {self.api_key}":
            raise FaultError(401, "bad_key")

    def _post(self, parts: tuple[str, ...], body: bytes) -> tuple[int, Json]:
        match parts:
            case ("tills",):
                return 201, self._open(json.loads(body)).shown()
            case ("pages",):
                return 201, self._page(json.loads(body))
            case ("tills", till, "rate"):
                return 200, self._rated(till).shown()
        raise FaultError(404, "no_such_path")

    def _get(self, parts: tuple[str, ...], query: Mapping[str, str]) -> Json:
        match parts:
            case ("me",):
                return {"merchant": "shop"}
            case ("coins",):
                return {"coins": [_coin(coin) for coin in COINS]}
            case ("rate" | "worth",):
                return self._rate(query)
            case ("tills", till):
                return self._till(till).shown()
            case ("pages", page, "tills"):
                return self._tills_of(page)
        raise FaultError(404, "no_such_path")

    def _rate(self, query: Mapping[str, str]) -> Json:
        coin = self._coin(query["coin"])
        if "eur" in query:
            due = _converted(Decimal(query["eur"]), coin)
            return {"due": format(due, "f"), "least": format(coin.least, "f")}
        worth = Decimal(query["amount"]) * coin.eur
        return {"eur": format(worth.quantize(Decimal("0.01")), "f")}

    def _coin(self, code: object) -> Coin:
        coin = self._coins.get(str(code))
        if coin is None:
            raise FaultError(422, "no_such_coin")
        return coin

    def _open(self, fields: Json, page: str | None = None) -> Till:
        price, coin = fields["price"], self._coin(fields["coin"])
        assert isinstance(price, dict)
        eur = Decimal(str(price["eur"]))
        due = _converted(eur, coin)
        if due < coin.least:
            raise FaultError(422, "too_small")
        now = self._clock()
        till = Till(
            till=self._next("T"),
            reference=str(fields["reference"]),
            eur=eur,
            coin=coin,
            due=due,
            rate_until=now + RATE_LIFE,
            closes_at=now + TILL_LIFE,
            page=page,
        )
        self.tills[till.till] = till
        return till

    def _till(self, name: str) -> Till:
        till = self.tills.get(name)
        if till is None:
            raise FaultError(404, "no_such_till")
        if till.state == "open" and till.closes_at <= self._clock():
            till.state = "lapsed"
        return till

    def _rated(self, name: str) -> Till:
        till = self._till(name)
        if till.state == "open" and till.rate_until <= self._clock():
            till.due = _converted(till.eur, till.coin)
            till.rate_until = self._clock() + RATE_LIFE
        return till

    def _page(self, fields: Json) -> Json:
        if fields["coin"] is not None:
            self._coin(fields["coin"])
        page = self._next("P")
        self.pages[page] = fields
        return {"page": page, "link": f"https://pay.tillgate.example/{page}"}

    def _tills_of(self, page: str) -> Json:
        if page not in self.pages:
            raise FaultError(404, "no_such_page")
        return {"tills": [t.shown() for t in self.tills.values() if t.page == page]}

    def _next(self, letter: str) -> str:
        self._last += 1
        return f"{letter}{self._last}"

    # --- the levers ----------------------------------------------------------------------

    def pay(self, name: str, fraction: Decimal) -> None:
        """A part of what is due arrives."""
        till = self._till(name)
        with localcontext(prec=60):
            till.received += till.due * fraction
        till.state = "settled" if till.received >= till.due else "short"

    def pay_page(self, page: str, coin: str) -> None:
        """Somebody chooses a coin on a page and pays in full."""
        self.pay(self._open({**self.pages[page], "coin": coin}, page).till, Decimal(1))

    def pay_again(self, name: str, fraction: Decimal) -> None:
        """A further deposit to the address of a till: a till of its own that follows it."""
        first = self._till(name)
        price: Json = {"eur": str(first.eur)}
        fields: Json = {"price": price, "coin": first.coin.code, "reference": first.reference}
        second = self._open(fields)
        second.follows = first.till
        second.due = first.due * fraction
        first.further.append(second.till)
        self.pay(second.till, Decimal(1))

    def opened(self, reference: str) -> int:
        """How many tills and pages were opened for a reference."""
        tills = sum(till.reference == reference for till in self.tills.values())
        return tills + sum(page["reference"] == reference for page in self.pages.values())

    def callback(self, name: str, received: str | None = None) -> bytes:
        """The body of a callback; `received` is a JSON text in the place of that amount."""
        body = json.dumps({**self._till(name).shown(), "received": "@"}, separators=(",", ":"))
        written = received or json.dumps(format(self._till(name).received, "f"))
        return body.replace('"@"', written).encode()

    def seal(self, body: bytes) -> str:
        """The value of the header `tillgate-seal`."""
        digest = hmac.new(self._seal_secret.encode(), body, hashlib.sha256).digest()
        return base64.b64encode(digest).decode()


def _converted(eur: Decimal, coin: Coin) -> Decimal:
    return (eur / coin.eur).quantize(Decimal(1).scaleb(-coin.digits), rounding=ROUND_UP)


def _coin(coin: Coin) -> Json:
    return {"coin": coin.code, "name": coin.name, "digits": coin.digits, "tag": coin.tag}
