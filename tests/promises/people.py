"""People at a shop on real servers: who signs in over HTTP, and everything that they could ask."""

import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import httpx
import msgspec
from tests import asgi
from tests.promises.market import A_LOT, PUBLIC_URL, Market, good, open_market

from bitloot.domain.account import User, UserState, new_user
from bitloot.domain.address import parse_address
from bitloot.domain.decision import Decision, insert
from bitloot.domain.roles import PERMISSIONS, Actor
from bitloot_adapters.clock import utc_now
from bitloot_web.asgi import build_app, openapi_document
from bitloot_web.composition.neighbours import Neighbours
from bitloot_web.logs import configure_logs
from bitloot_web.problems import URN

CLI: Final = Actor(name="cli", permissions=PERMISSIONS)
UNKNOWN_ID: Final = "01c2ae78-4200-7eee-b48f-c209128b2f33"
# What stands in an address and is no id.
PLACES: Final = {"unit": "1"}
# Nothing here asks a provider.
NO_DOORS: Final = dict.fromkeys(("nowpayments", "kinguin", "resend"), "http://127.0.0.1:9")
# What is counted of people who all live on this machine.
FREE: Final = dict.fromkeys(
    (
        "OTP_CODES_PER_DAY",
        "OTP_VERIFICATIONS_PER_IP_PER_15_MINUTES",
        "SIGN_INS_PER_15_MINUTES",
        "REFRESHES_PER_MINUTE",
    ),
    A_LOT,
)
_INSERTED_AT_ONCE: Final = 500


@dataclass
class Ahead:
    """The real time and what was added to it."""

    by: timedelta = timedelta()

    def now(self) -> datetime:
        return utc_now() + self.by

    def on(self, near: Neighbours) -> Neighbours:
        return replace(near, clock=self.now)


@dataclass(frozen=True)
class Person:
    """Who is signed in, as the answer told it."""

    user_id: str
    email: str
    access: str
    refresh: str

    @property
    def headers(self) -> dict[str, str]:
        return bearer(self.access)


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def person(answer: httpx.Response, email: str) -> Person:
    told = good(answer)
    return Person(told["userId"], email, told["accessToken"], told["refreshToken"])


def code(answer: httpx.Response) -> str:
    """The status of what was done, the type of what was refused."""
    if answer.is_success:
        return str(answer.status_code)
    return str(answer.json()["type"]).removeprefix(URN)


async def challenge(market: Market, email: str, what: str = "otp/request") -> str:
    """Ask for a code; gives what it answers."""
    asked = await market.client.post(f"/v1/auth/{what}", json={"email": email})
    return str(good(asked)["challengeId"])


async def sign_in(market: Market, email: str) -> Person:
    """By the code that the mail would hold."""
    body = {"email": email, "challengeId": await challenge(market, email)}
    body["code"] = market.shop.codes.code_of(body["challengeId"])
    return person(await market.client.post("/v1/auth/otp/verify", json=body), email)


async def inhabited(
    market: Market, *emails: str, hashed: str, state: UserState = "active"
) -> list[User]:
    """Accounts that were made long ago, all with one password."""
    at = market.near.clock() - timedelta(days=100)
    facts = {
        "password_hash": hashed,
        "password_set_at": at,
        "state": state,
        "suspended_reason": "fraud" if state == "suspended" else None,
        "deleted_at": at if state == "deleted" else None,
    }
    users = [
        msgspec.structs.replace(
            new_user(parse_address(email), user_id=market.near.new_id(), at=at), **facts
        )
        for email in emails
    ]
    for start in range(0, len(users), _INSERTED_AT_ONCE):
        some = users[start : start + _INSERTED_AT_ONCE]
        async with market.near.uow.begin() as tx:
            await tx.record(Decision(save=tuple(map(insert, some))))
    return users


@dataclass(frozen=True)
class Door:
    """An operation of the description, and what opens it: nobody has to show anything where
    `opens` is empty or holds nothing.
    """

    name: str
    method: str
    path: str
    opens: Sequence[frozenset[str]]

    @property
    def takes_users(self) -> bool:
        return any("userToken" in each for each in self.opens)

    def filled(self, **ids: str) -> str:
        """The path, with these ids, and unknown ones for all others that are ids."""
        return "".join(
            part if is_text else ids.get(part, PLACES.get(part, UNKNOWN_ID))
            for part, is_text in _parts(self.path)
        )


def _parts(path: str) -> Iterator[tuple[str, bool]]:
    for part in path.split("{"):
        name, closed, rest = part.partition("}")
        if closed:
            yield name, False
        yield (rest if closed else part), True


def doors() -> list[Door]:
    """Every operation of the description."""
    paths: Mapping[str, Mapping[str, Mapping[str, object]]] = msgspec.json.decode(
        openapi_document()
    )["paths"]
    return [
        Door(
            name=str(operation["operationId"]),
            method=method.upper(),
            path=path,
            opens=tuple(
                map(
                    frozenset,
                    msgspec.convert(operation.get("security", []), list[dict[str, list[str]]]),
                )
            ),
        )
        for path, methods in paths.items()
        for method, operation in methods.items()
    ]


@dataclass(frozen=True, kw_only=True)
class Town:
    """Processes of one shop, whose common clock is told to go on."""

    clock: Ahead
    markets: Sequence[Market] = field(default_factory=tuple)

    @property
    def first(self) -> Market:
        return self.markets[0]


@contextlib.asynccontextmanager
async def open_town(
    url: str,
    redis_url: str,
    folder: Path,
    *,
    processes: int = 1,
    limits: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
) -> AsyncIterator[Town]:
    """So many processes over these servers; nothing of theirs has a limit of rate but `limits`."""
    clock = Ahead()
    configure_logs(level="error")
    async with contextlib.AsyncExitStack() as stack:
        markets = [
            await stack.enter_async_context(
                open_market(
                    url, redis_url, folder, NO_DOORS,
                    limits={**FREE, **(limits or {})}, settings=settings, changed=clock.on,
                )
            )
            for _ in range(processes)
        ]  # fmt: skip
        yield Town(clock=clock, markets=markets)


@contextlib.asynccontextmanager
async def caller_from(market: Market, address: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client at another network address."""
    transport = asgi.transport(build_app(market.shop), client=(address, 4711))
    async with httpx.AsyncClient(transport=transport, base_url=PUBLIC_URL) as client:
        yield client
