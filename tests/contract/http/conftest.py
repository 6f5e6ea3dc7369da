"""A whole shop in memory behind its HTTP application, and a buyer to walk through it."""

import dataclasses
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import count
from typing import TypedDict, Unpack

import httpx
import msgspec
import pytest
from tests import asgi
from tests.described import description

from bitloot.domain.api_key import ApiKey
from bitloot.domain.decision import Decision, insert
from bitloot.domain.money import ZERO
from bitloot.domain.product import Offer, Product, new_listing
from bitloot.domain.session import Client
from bitloot.ports.supplier import SupplierProduct
from bitloot.testing.virtual_time import VirtualClock
from bitloot_adapters.memory.jobs import MemoryJobs
from bitloot_adapters.memory.mailer import MemoryMailer
from bitloot_adapters.memory.otp_store import MemoryOtpStore
from bitloot_adapters.memory.payment_gateway import MemoryPaymentGateway
from bitloot_adapters.memory.rate_limiter import MemoryRateLimiter
from bitloot_adapters.memory.realtime import MemoryRealtime
from bitloot_adapters.memory.supplier import MemorySupplier
from bitloot_adapters.memory.unit_of_work import MemoryStore, MemoryUnitOfWork
from bitloot_web.application import Application
from bitloot_web.asgi import build_app, openapi_document
from bitloot_web.composition.assembly import build_shop, job_handlers
from bitloot_web.composition.memory import memory_neighbours
from bitloot_web.composition.neighbours import Neighbours, unarmed
from bitloot_web.job_runner import JobRunner
from bitloot_web.logs import configure_logs
from bitloot_web.metrics import open_metrics
from bitloot_web.problems import PROBLEMS, URN
from bitloot_web.settings import Settings
from bitloot_web.shop import Shop
from bitloot_web.staffing import owner_key

SETTINGS = Settings(
    database_url="postgresql://unused",
    redis_url="redis://unused",
    public_url="https://shop.example",
    secret_key="a-secret-key-for-these-tests-9876543210",
    trusted_proxies=("10.0.0.0/8",),
    cors_origins=("https://app.example",),
)
DESK_KEY = "the desk"
OWN_KEYS = b"AAAAA-BBBBB-CCCCC\nDDDDD-EEEEE-FFFFF\nGGGGG-HHHHH-IIIII\n"


@dataclass(kw_only=True)
class Stage:
    """The shop with everything around it that a test may turn. `admin` opens the desk."""

    clock: VirtualClock
    store: MemoryStore
    jobs: MemoryJobs
    gateway: MemoryPaymentGateway
    supplier: MemorySupplier
    mailer: MemoryMailer
    rate_limiter: MemoryRateLimiter
    otp: MemoryOtpStore
    realtime: MemoryRealtime
    near: Neighbours
    shop: Shop
    app: Application
    client: httpx.AsyncClient
    own_product: str = ""
    bought_product: str = ""
    admin: Mapping[str, str] = field(default_factory=dict)
    keys: "count[int]" = field(default_factory=lambda: count(1))

    @property
    def admin_name(self) -> str:
        """What the audit log says of who has the key of the desk."""
        (key,) = (row for row in self.store.rows(ApiKey) if row.name == DESK_KEY)
        return f"key/{key.id}"

    def once(self, **more: str) -> dict[str, str]:
        return {"idempotency-key": f"idempotency-key-{next(self.keys):08d}", **more}

    async def work(self) -> None:
        """Every job that is due, until none is."""
        runner = JobRunner(
            self.jobs,
            job_handlers(self.near, self.shop),
            limits=self.shop.limits,
            jitter=lambda: 0.5,
            observe=self.shop.metrics.job_ended,
        )
        for _ in range(200):
            due = await self.jobs.claim_due(100)
            if not due:
                return
            for job_id in due:
                await runner.run(job_id)

    def socket(self, order_id: str, origin: str | None = None) -> asgi.Socket:
        return asgi.Socket(self.app, f"/v1/ws/orders/{order_id}", origin)

    async def quote(self, *lines: tuple[str, int]) -> str:
        wanted = [{"product": p, "quantity": n} for p, n in lines or [("own-game", 1)]]
        answer = await self.client.post("/v1/quotes", json={"lines": wanted})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def order(
        self, *lines: tuple[str, int], email: str = "buyer@shop.example"
    ) -> tuple[str, dict[str, str]]:
        """A placed order: its id, and the headers that open it."""
        quote_id = await self.quote(*lines)
        answer = await self.client.post(
            "/v1/orders", json={"quoteId": quote_id, "email": email}, headers=self.once()
        )
        assert answer.status_code == 201, answer.text
        placed = answer.json()
        return placed["id"], {"authorization": f"Bearer {placed['orderSessionToken']}"}

    async def pay(self, order_id: str, token: dict[str, str], fraction: str = "1") -> str:
        """Open a payment, send money, have the gateway call back; gives its payment id."""
        answer = await self.client.post(
            f"/v1/orders/{order_id}/payments",
            json={"kind": "address", "asset": "btc"},
            headers={**token, **self.once()},
        )
        assert answer.status_code == 201, answer.text
        number = (await self.client.get(f"/v1/orders/{order_id}", headers=token)).json()["number"]
        (report,) = self.gateway.of_order(number)
        self.gateway.pay(report.gateway_payment_id, Decimal(fraction))
        headers, body = self.gateway.webhook(report.gateway_payment_id)
        called = await self.client.post("/v1/webhooks/nowpayments", content=body, headers=headers)
        assert called.status_code == 200, called.text
        await self.work()
        return report.gateway_payment_id

    async def bought(self, *lines: tuple[str, int]) -> tuple[str, dict[str, str]]:
        """An order that is paid and fulfilled."""
        order_id, token = await self.order(*lines)
        await self.pay(order_id, token)
        for _ in range(5):
            self.clock.advance(timedelta(seconds=10))
            await self.work()
        return order_id, token


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    around = memory_neighbours(7, SETTINGS.limits, unarmed)
    clock, now, bytes_of = around.clock, around.clock.now, around.random_bytes
    uow, jobs = around.near.uow, around.near.jobs
    assert isinstance(uow, MemoryUnitOfWork)
    assert isinstance(jobs, MemoryJobs)
    inside = uow.in_transaction
    # Under the names of the real providers: callbacks are told apart by them.
    gateway = MemoryPaymentGateway(
        clock=now, random_bytes=bytes_of, name="nowpayments", in_transaction=inside
    )
    supplier = MemorySupplier(
        clock=now, random_bytes=bytes_of, name="kinguin", in_transaction=inside
    )
    mailer = MemoryMailer(
        clock=now,
        random_bytes=bytes_of,
        limits=SETTINGS.limits,
        name="resend",
        in_transaction=inside,
    )

    async def database() -> None:
        around.store.reach()

    near = dataclasses.replace(
        around.near,
        gateways={"nowpayments": gateway},
        gateway="nowpayments",
        suppliers={**around.near.suppliers, "kinguin": supplier},
        mailer=mailer,
        probes={"database": database},
    )
    shop = build_shop(near, SETTINGS, open_metrics())
    app = build_app(shop)
    async with _client(app) as client:
        stage = Stage(
            clock=clock,
            store=around.store,
            jobs=jobs,
            gateway=gateway,
            supplier=supplier,
            mailer=mailer,
            rate_limiter=around.rate_limiter,
            otp=around.otp,
            realtime=around.realtime,
            near=near,
            shop=shop,
            app=app,
            client=client,
        )
        key = await owner_key(shop, "owner@shop.example", DESK_KEY)
        stage.admin = {"authorization": f"Bearer {key}"}
        await _fill_shelves(stage)
        yield stage


def _client(app: Application) -> httpx.AsyncClient:
    """A client that is answered nothing that the description does not name."""

    async def as_described(answer: httpx.Response) -> None:
        if answer.headers.get("content-type", "").startswith("text/event-stream"):
            return  # which may never end
        await answer.aread()
        description().check(answer.request.method, answer.request.url.path, answer)

    return httpx.AsyncClient(
        transport=asgi.transport(app, client=("203.0.113.7", 4711)),
        base_url="https://shop.example",
        event_hooks={"response": [as_described]},
    )


async def _fill_shelves(stage: Stage) -> None:
    at = stage.clock.now()
    own, bought, offer = stage.near.new_id(), stage.near.new_id(), stage.near.new_id()
    stage.own_product, stage.bought_product = own, bought
    cost = Decimal("8.00")
    ours = Product(
        id=own, slug="own-game", title="Own Game", source="custom", created_at=at, updated_at=at,
    )  # fmt: skip
    theirs = Product(
        id=bought, slug="bought-game", title="Bought Game", source="kinguin",
        supplier_product_id="k-1", excluded_countries=("DE",), created_at=at, updated_at=at,
    )  # fmt: skip
    rows = (
        ours,
        theirs,
        new_listing(ours, price=Decimal("12.50"), floor=ZERO, is_available=False, at=at),
        new_listing(theirs, price=Decimal("10.00"), floor=ZERO, is_available=True, at=at),
        Offer(
            id=offer, product_id=bought, supplier="kinguin", supplier_product_id="k-1",
            offer_id="o-1", cost=cost, stock=50, updated_at=at,
        ),
    )  # fmt: skip
    async with stage.near.uow.begin() as tx:
        await tx.record(Decision(save=tuple(insert(row) for row in rows)))
    stage.supplier.stock(
        SupplierProduct(
            supplier_product_id="k-1", title="Bought Game", description="", platform=None,
            region=None, excluded_countries=("DE",), is_preorder=False, release_date=None,
            instructions=None, cover_url=None, offer_id="o-1", price=cost, stock=50,
            wholesale=(), updated_at=at,
        )
    )  # fmt: skip
    imported = await stage.client.post(
        f"/v1/admin/inventory/{own}/keys/import?batch=first&cost=7.00",
        content=OWN_KEYS,
        headers={**stage.admin, **stage.once(), "content-type": "text/plain"},
    )
    assert imported.status_code == 201, imported.text


# Written thus because `in` is no name of Python.
Parameter = TypedDict(
    "Parameter", {"name": str, "in": str, "required": bool, "schema": dict[str, object]}
)


class Media(TypedDict):
    """What a body of one media type looks like."""

    schema: dict[str, str]


class Body(TypedDict, total=False):
    """The body of a request or an answer, by media type."""

    content: dict[str, Media]
    required: bool


class Operation(TypedDict, total=False):
    """What the description says of an operation, as far as these tests read it."""

    operationId: str
    parameters: list[Parameter]
    responses: dict[str, Body]
    security: list[dict[str, list[str]]]
    requestBody: Body


class Fault(TypedDict):
    """What is wrong with one field."""

    field: str
    message: str


class Problem(TypedDict, total=False):
    """A problem document."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: list[Fault]


class Request(TypedDict, total=False):
    """What a call may bring beside its path."""

    headers: Mapping[str, str]
    params: Mapping[str, str | int]
    json: object
    content: bytes | str | AsyncIterable[bytes]


UNKNOWN_ID = "01c2ae78-4200-7eee-b48f-c209128b2f33"
IDS = (
    "order_id", "item_id", "hold_id", "webhook_id", "payment_id", "product_id", "break_id",
    "rule_id", "media_id", "category_id", "group_id", "key_id", "sync_id",
    "reservation_id", "session_id", "user_id", "recovery_id",
)  # fmt: skip
PLACES = {
    "slug": "own-game", "token": "no.token", "provider": "nowpayments", "external_id": "k-0",
    "unit": "1",
}  # fmt: skip


@dataclass(kw_only=True)
class Sweep:
    """Every operation that the description names, called with what it must refuse."""

    stage: Stage
    order_id: str
    user_id: str
    operations: list[tuple[str, str, Operation]]

    def writes(self) -> list[tuple[str, str, Operation]]:
        """Those whose handlers declare a JSON body."""
        return [
            case
            for case in self.operations
            if "application/json" in case[2].get("requestBody", Body()).get("content", {})
            and case[2]["operationId"] != "takeWebhook"
        ]

    def with_parameter(self, name: str) -> list[tuple[str, str, Operation]]:
        """Those that take a parameter of that name."""
        return [
            case
            for case in self.operations
            if any(p["name"] == name for p in case[2].get("parameters", []))
        ]

    def filled(self, path: str, ids: str | None = None, **given: str) -> str:
        """The path with ids in it: the order's own, others unknown, or `ids` for all."""
        for name in IDS:
            own = self.order_id if name == "order_id" else UNKNOWN_ID
            path = path.replace("{" + name + "}", own if ids is None else ids)
        for name, value in PLACES.items():
            path = path.replace("{" + name + "}", given.get(name, value))
        return path

    async def call(self, method: str, path: str, **request: Unpack[Request]) -> httpx.Response:
        """Ask with every right there is, long enough after the call before."""
        stage = self.stage
        stage.clock.advance(timedelta(minutes=16))
        token = stage.shop.sessions.issue(self.order_id, at=stage.clock.now())
        own = {"authorization": f"Bearer {token}", **stage.once()}
        if path.startswith("/v1/admin"):
            own |= stage.admin
        if path.partition("?")[0] == "/v1/orders":
            del own["authorization"]
        if path.startswith(("/v1/me", "/v1/auth/")):
            who = await stage.shop.identity.sign_in(self.user_id, Client())
            own["authorization"] = f"Bearer {stage.shop.tokens.pair(who.session).access}"
        given = request.get("headers", {})
        return await stage.client.request(
            method,
            path,
            headers={"content-type": "application/json", **own, **given},
            params=request.get("params"),
            json=request.get("json"),
            content=request.get("content"),
        )

    def problem(self, answer: httpx.Response, *statuses: int) -> Problem:
        """The document of a refusal, held to its table."""
        assert answer.status_code < 500, (answer.request.url, answer.text)
        told = f"{answer.request.method} {answer.request.url}: {answer.text[:500]}"
        assert answer.headers["content-type"] == "application/problem+json", told
        document: Problem = answer.json()
        entry = PROBLEMS[document["type"].removeprefix(URN)]
        assert document["status"] == answer.status_code == entry.status, told
        assert document["title"] == entry.title, told
        assert document["detail"], told
        assert document["instance"] == answer.headers["x-request-id"], told
        assert answer.headers["cache-control"] == "no-store", told
        if statuses:
            assert answer.status_code in statuses, told
        return document


@pytest.fixture
async def sweep(stage: Stage) -> Sweep:
    document = msgspec.json.decode(openapi_document())
    order_id, _ = await stage.order()
    email = "member@shop.example"
    challenge = (await stage.shop.identity.request(email)).challenge_id
    code = stage.shop.codes.code_of(challenge)
    member = await stage.shop.identity.verify(email, challenge, code, Client())
    return Sweep(
        stage=stage,
        order_id=order_id,
        user_id=member.user.id,
        operations=[
            (method.upper(), path, operation)
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        ],
    )


@pytest.fixture(autouse=True)
def quiet_logs() -> None:
    """Log lines as the shop writes them, so that a failure is readable."""
    configure_logs(level="warning")
