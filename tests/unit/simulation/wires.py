"""The ports of the memory shop with the weather between: each call is a place to stand or die."""

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from decimal import Decimal
from types import TracebackType

from tests.unit.simulation.weather import Weather

from bitloot.domain.decision import Decision
from bitloot.domain.money import Eur
from bitloot.domain.payment import PaymentReport
from bitloot.ports.errors import Rejected
from bitloot.ports.jobs import JobRow, Jobs, Lease, Outcome
from bitloot.ports.key_vault import StoredObject
from bitloot.ports.mailer import Message
from bitloot.ports.payment_gateway import (
    AssetQuote,
    NewInvoice,
    NewPayment,
    OpenedInvoice,
    OpenedPayment,
    RefreshedQuote,
)
from bitloot.ports.supplier import SuppliedKey, SupplierOffer, SupplierOrder, SupplierRequest
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.ports.wrapped import WrappedTransaction
from bitloot_adapters.memory.key_vault import MemoryKeyVault
from bitloot_adapters.memory.mailer import MemoryMailer
from bitloot_adapters.memory.payment_gateway import MemoryPaymentGateway
from bitloot_adapters.memory.supplier import MemorySupplier, NextOrder

# Told of each decision that was committed.
Watch = Callable[[Decision], None]


class FarGateway(MemoryPaymentGateway):
    """The gateway over the network. `copies` is what it told of each payment, and when."""

    weather: Weather
    copies: dict[str, tuple[datetime, PaymentReport]]

    async def create_payment(self, request: NewPayment) -> OpenedPayment:
        return await self.weather.call(
            "gateway",
            "create",
            super().create_payment(request),
            key=request.order_number,
            may_be_late=True,
        )

    async def create_invoice(self, request: NewInvoice) -> OpenedInvoice:
        return await self.weather.call(
            "gateway", "invoice", super().create_invoice(request), key=request.order_number
        )

    async def payment(self, gateway_payment_id: str) -> PaymentReport:
        return await self.weather.call("gateway", "payment", self._copied(gateway_payment_id))

    async def _copied(self, gateway_payment_id: str) -> PaymentReport:
        """In the storm an answer may come from a copy that is some seconds behind."""
        kept = self.copies.get(gateway_payment_id)
        if kept and self.weather.is_storm and self._clock() - kept[0] < self.weather.read_lag:
            return kept[1]
        report = await super().payment(gateway_payment_id)
        self.copies[gateway_payment_id] = (self._clock(), report)
        return report

    async def payments_of_invoice(self, gateway_invoice_id: str) -> Sequence[PaymentReport]:
        work = super().payments_of_invoice(gateway_invoice_id)
        return await self.weather.call("gateway", "list", work)

    async def refresh_quote(self, gateway_payment_id: str) -> RefreshedQuote:
        work = super().refresh_quote(gateway_payment_id)
        return await self.weather.call("gateway", "requote", work)

    async def asset_quote(self, amount: Eur, asset: str) -> AssetQuote:
        return await self.weather.call("gateway", "estimate", super().asset_quote(amount, asset))

    async def worth(self, amount: Decimal, asset: str) -> Eur:
        return await self.weather.call("gateway", "worth", super().worth(amount, asset))


class FarSupplier(MemorySupplier):
    """The supplier over the network. `returns` counts the requests for a return by order."""

    weather: Weather
    returns: Counter[str]

    async def offers(self, supplier_product_id: str) -> Sequence[SupplierOffer]:
        return await self.weather.call("supplier", "offers", super().offers(supplier_product_id))

    async def place(self, request: SupplierRequest) -> SupplierOrder:
        if request.is_preorder and self.weather.is_storm:
            # The goods come with their release, whenever that is.
            self._script.appendleft(NextOrder(units=0))
        return await self.weather.call(
            "supplier",
            "place",
            super().place(request),
            key=request.external_id,
            sent_at_once=True,
            may_be_late=True,
        )

    async def find(self, external_id: str) -> Sequence[SupplierOrder]:
        return await self.weather.call("supplier", "find", super().find(external_id))

    async def order(self, supplier_order_id: str) -> SupplierOrder:
        return await self.weather.call("supplier", "order", self._replicated(supplier_order_id))

    async def _replicated(self, supplier_order_id: str) -> SupplierOrder:
        """In the storm an order can be read only some seconds after it was placed."""
        known = self._orders.get(supplier_order_id)
        since = self._clock() - known.created_at if known else None
        if since is not None and self.weather.is_storm and since < self.weather.read_lag:
            raise Rejected(self.name, "not_found")
        return await super().order(supplier_order_id)

    async def keys(self, supplier_order_id: str) -> Sequence[SuppliedKey]:
        return await self.weather.call("supplier", "keys", super().keys(supplier_order_id))

    async def give_back(self, supplier_order_id: str) -> None:
        await self.weather.call(
            "supplier",
            "return",
            self._given_back(supplier_order_id),
            key=supplier_order_id,
            may_be_late=True,
        )

    async def _given_back(self, supplier_order_id: str) -> None:
        self.returns[supplier_order_id] += 1
        await super().give_back(supplier_order_id)

    async def balance(self) -> Eur:
        return await self.weather.call("supplier", "balance", super().balance())


class FarVault(MemoryKeyVault):
    """The object store over the network."""

    weather: Weather

    async def put(self, object_name: str, ciphertext: bytes, sha256: str) -> None:
        await self.weather.call("vault", "put", super().put(object_name, ciphertext, sha256))

    async def stat(self, object_name: str) -> StoredObject | None:
        return await self.weather.call("vault", "stat", super().stat(object_name))

    async def get(self, object_name: str, *, size: int) -> bytes:
        return await self.weather.call("vault", "get", super().get(object_name, size=size))

    async def delete(self, object_name: str) -> None:
        await self.weather.call("vault", "delete", super().delete(object_name))


class FarMailer(MemoryMailer):
    """The mail provider over the network."""

    weather: Weather

    async def send(self, message: Message, *, idempotency_key: str) -> str:
        return await self.weather.call(
            "mailer",
            "send",
            super().send(message, idempotency_key=idempotency_key),
            key=idempotency_key,
        )


class FarTransaction(WrappedTransaction):
    """A transaction whose commit can be lost on either way. Reads stand for themselves."""

    def __init__(self, near: Transaction, weather: Weather, watch: Watch) -> None:
        super().__init__(near)
        self._weather = weather
        self._watch = watch

    async def record(
        self, decision: Decision, *, lease: Lease | None = None, outcome: Outcome | None = None
    ) -> None:
        await super().record(decision, lease=lease, outcome=outcome)
        self._watch(decision)
        await self._weather.left_store("committed")

    async def count_repeat(self, provider: str, dedupe_key: str) -> bool:
        is_known = await super().count_repeat(provider, dedupe_key)
        await self._weather.left_store("committed")
        return is_known


class FarStore:
    """The store over the network: whoever begins waits for a turn that another may take first."""

    def __init__(self, near: UnitOfWork, weather: Weather, watch: Watch) -> None:
        self._near = near
        self._weather = weather
        self._watch = watch

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        return _FarBegin(self._near.begin(), self._weather, self._watch)


class _FarBegin(AbstractAsyncContextManager[Transaction]):
    """The way to the store, and the transaction at its end."""

    def __init__(
        self, near: AbstractAsyncContextManager[Transaction], weather: Weather, watch: Watch
    ) -> None:
        self._near = near
        self._weather = weather
        self._watch = watch

    async def __aenter__(self) -> Transaction:
        await self._weather.reach_store("begins")
        return FarTransaction(await self._near.__aenter__(), self._weather, self._watch)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return await self._near.__aexit__(kind, error, trace)


class FarJobs:
    """The jobs table over the network."""

    def __init__(self, near: Jobs, weather: Weather) -> None:
        self._near = near
        self._weather = weather

    async def lease(self, job_id: str) -> Lease | None:
        await self._weather.reach_store("leases")
        lease = await self._near.lease(job_id)
        await self._weather.left_store("leased")
        return lease

    async def finish(self, lease: Lease, outcome: Outcome) -> None:
        await self._weather.reach_store("finishes")
        await self._near.finish(lease, outcome)
        await self._weather.left_store("finished")

    async def claim_due(self, limit: int) -> Sequence[str]:
        await self._weather.reach_store("claims")
        claimed = await self._near.claim_due(limit)
        await self._weather.left_store("claimed")
        return claimed

    async def take_back(self, job_ids: Sequence[str]) -> None:
        await self._weather.reach_store("takes back")
        await self._near.take_back(job_ids)

    async def tick(self, name: str, at: datetime, kind: str, ref: str) -> bool:
        await self._weather.reach_store("ticks")
        return await self._near.tick(name, at, kind, ref)

    async def dead(self, *, limit: int, after: str | None) -> Sequence[JobRow]:
        return await self._near.dead(limit=limit, after=after)

    async def replay(self, job_id: str) -> bool:
        await self._weather.reach_store("replays")
        return await self._near.replay(job_id)
