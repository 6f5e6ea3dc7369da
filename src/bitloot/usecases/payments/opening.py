"""Opening a payment: its row first, then the gateway's call, then the answer (T2, T3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from bitloot.domain.decision import Change, Decision, also
from bitloot.domain.errors import Refused
from bitloot.domain.failpoints import GATEWAY_DONE_NO_REPLY, PAYMENT_ROW_BEFORE_CALL
from bitloot.domain.idempotency import (
    IdempotencyRecord,
    Once,
    keep_answer,
    keep_running,
    let_go,
    recall,
)
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile
from bitloot.domain.payment import Invoice, Payment
from bitloot.domain.payment_opening import PAYABLE, needs_requote, requote
from bitloot.domain.quote import checked_asset
from bitloot.ports.breaker import Breakers
from bitloot.ports.cache import Cache, remembered
from bitloot.ports.clock import Clock, FailPoint, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot.ports.payment_gateway import Asset, AssetQuote, PaymentGateway
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.usecases.payments.facts import Answer, PaymentFacts, facts_of
from bitloot.usecases.payments.ways import Way, by_address, by_page

# A create call whose answer is lost is followed by one more, with a row of its own.
CREATE_CALLS: Final = 2
RETRY_SOON: Final = 5

C = TypeVar("C")

_REFUSALS: Final = {
    "below_minimum": "amount-below-minimum",
    "asset_unavailable": "asset-unavailable",
}


class _Call(msgspec.Struct, frozen=True, kw_only=True):
    """A create call announced by its row; `record` is the running record of its request."""

    order_id: str
    row_id: str
    order_number: str
    price: Decimal
    record: IdempotencyRecord


@dataclass(frozen=True, kw_only=True)
class Opening:
    """`gateway` names the one that new payments are opened at; `gateways` are all that live."""

    uow: UnitOfWork
    gateways: Mapping[str, PaymentGateway]
    gateway: str
    breakers: Breakers
    cache: Cache
    limits: Limits
    clock: Clock
    new_id: NewId
    failpoint: FailPoint

    async def currencies(self) -> Sequence[Asset]:
        """What can be paid with now. Raises Refused `provider-unavailable`."""
        gateway = self.gateways[self.gateway]

        async def read() -> tuple[Asset, ...]:
            return tuple(await gateway.assets())

        key, life = f"assets/{gateway.name}", self.limits.assets_cached
        try:
            return await remembered(self.cache, key, tuple[Asset, ...], read, life=life)
        except (Unavailable, Rejected) as error:
            raise _unavailable(error) from error

    async def estimate(self, amount: Decimal, asset: str) -> AssetQuote:
        """What an EUR amount comes to, and the least of the asset. Raises Refused."""
        gateway, ticker = self.gateways[self.gateway], checked_asset(asset)

        async def read() -> AssetQuote:
            return await gateway.asset_quote(amount, ticker)

        key, life = f"estimate/{gateway.name}/{ticker}/{amount}", self.limits.estimate_cached
        try:
            return await remembered(self.cache, key, AssetQuote, read, life=life)
        except Unavailable as error:
            raise _unavailable(error) from error
        except Rejected as no:
            if no.reason == "credentials":
                # Nothing is wrong with the asset: for now nobody can be told an amount.
                raise _unavailable(no) from no
            raise Refused(_REFUSALS.get(no.reason, "asset-unavailable"), field="asset") from no

    async def pay(self, order_id: str, *, asset: str, once: Once) -> PaymentFacts:
        """An address to pay to. Raises Refused."""
        gateway = self.gateways[self.gateway]
        way = by_address(gateway, checked_asset(asset), new_id=self.new_id, limits=self.limits)
        return await self._open(order_id, once, way)

    async def pay_hosted(
        self, order_id: str, *, asset: str | None, return_url: str | None, once: Once
    ) -> PaymentFacts:
        """A page of the gateway where the payer chooses. Raises Refused."""
        gateway = self.gateways[self.gateway]
        if not gateway.capabilities.hosted_page:
            raise Refused("hosted-page-unavailable")
        ticker = checked_asset(asset) if asset else None
        way = by_page(gateway, ticker, return_url, new_id=self.new_id, limits=self.limits)
        return await self._open(order_id, once, way)

    async def current(self, order_id: str) -> PaymentFacts | None:
        """The newest payment shown to the buyer; its amount is quoted anew if its quote ended.

        Raises Refused `not-found`. Without the gateway the stored amount is shown.
        """
        async with self.uow.begin() as tx:
            file = await tx.orders.file(order_id)
        if file is None:
            raise Refused("not-found")
        shown: list[Payment | Invoice] = [
            *(p for p in file.payments if p.pay_address and not p.is_child),
            *(i for i in file.invoices if i.status == "open"),
        ]
        if not shown:
            return None
        newest = max(shown, key=lambda row: (row.created_at, row.id))
        if isinstance(newest, Payment) and needs_requote(newest, at=self.clock()):
            newest = await self._requoted(file, newest)
        return facts_of(newest)

    async def _requoted(self, file: OrderFile, payment: Payment) -> Payment:
        assert payment.gateway_payment_id is not None
        try:
            fresh = await self.gateways[payment.gateway].refresh_quote(payment.gateway_payment_id)
        except (Unavailable, Rejected):
            return payment

        async def attempt(tx: Transaction) -> Payment:
            now = await tx.orders.file(file.order.id)
            assert now is not None
            decision = requote(
                now,
                payment.id,
                fresh.pay_amount,
                fresh.quote_ends_at,
                at=self.clock(),
                new_id=self.new_id,
                limits=self.limits,
            )
            await tx.record(decision)
            written = (c.after for c in decision.save if c.after.id == payment.id)
            row = next(written, now.payment(payment.id))
            assert isinstance(row, Payment)
            return row

        return await decide(self.uow, attempt)

    # --- announce, call, answer --------------------------------------------------------------

    async def _open(self, order_id: str, once: Once, way: Way[C]) -> PaymentFacts:
        if not await self.breakers.allows(self.gateway):
            seconds = int(self.limits.breaker_probe.total_seconds())
            raise Refused("provider-unavailable", retry_after=seconds)
        mine: IdempotencyRecord | None = None
        for _ in range(CREATE_CALLS):
            begun = await self._announce(order_id, once, way, mine)
            if isinstance(begun, Answer):
                return begun.given()
            mine = begun.record
            self.failpoint(PAYMENT_ROW_BEFORE_CALL)
            try:
                opened = await way.create(begun.order_number, begun.price)
            except OutcomeUnknown:
                await self.breakers.failed(self.gateway)
                continue
            except Unavailable as error:
                await self.breakers.failed(self.gateway)
                await self._refuse(begun, way, error.reason, code=None)
                raise _unavailable(error) from error
            except Rejected as no:
                if no.reason == "credentials":
                    # Nothing that the buyer chose is wrong: for now nobody can pay here.
                    await self.breakers.trip(self.gateway)
                    await self._refuse(begun, way, no.reason, code=None)
                    raise _unavailable(no) from no
                code = _REFUSALS.get(no.reason, "payment-rejected")
                await self._refuse(begun, way, no.reason, code=code)
                raise Refused(code) from no
            self.failpoint(GATEWAY_DONE_NO_REPLY)
            await self.breakers.succeeded(self.gateway)
            return await self._answer(begun, way, opened)
        if mine is not None:
            await self._let_go(mine)
        raise Refused("provider-unavailable", retry_after=RETRY_SOON)

    async def _announce(
        self, order_id: str, once: Once, way: Way[C], mine: IdempotencyRecord | None
    ) -> Answer | _Call:
        """T2. `mine` is the running record of this very request when it calls a second time."""

        async def attempt(tx: Transaction) -> Answer | _Call:
            at = self.clock()
            file = await tx.orders.file(order_id)
            record = await tx.checkout.once(once)
            if mine is None:
                stored = recall(record, once, at=at, limits=self.limits)
                if stored is not None:
                    return msgspec.json.decode(stored, type=Answer)
            if file is None:
                raise Refused("not-found")
            row_id = self.new_id()
            kept = keep_running(record, once, at=at, record_id=self.new_id())
            await tx.record(also(way.announce(file, row_id, at), kept))
            assert isinstance(kept.after, IdempotencyRecord)
            return _Call(
                order_id=order_id,
                row_id=row_id,
                order_number=file.order.number,
                price=file.order.total,
                record=kept.after,
            )

        try:
            return await decide(self.uow, attempt)
        except Refused:
            if mine is not None:
                await self._let_go(mine)
            raise

    async def _answer(self, call: _Call, way: Way[C], opened: C) -> PaymentFacts:
        """T3, answered. An order that ended meanwhile does not get its address shown."""

        async def attempt(tx: Transaction) -> Answer:
            file = await tx.orders.file(call.order_id)
            assert file is not None
            decision = way.store(file, call.row_id, opened, self.clock())
            row = next(c.after for c in decision.save if c.after.id == call.row_id)
            assert isinstance(row, Payment | Invoice)
            answer = Answer(facts=facts_of(row))
            if file.order.status not in PAYABLE:
                answer = Answer(refused="order-not-payable")
            await tx.record(also(decision, self._kept(call, answer)))
            return answer

        return (await decide(self.uow, attempt)).given()

    async def _refuse(self, call: _Call, way: Way[C], reason: str, *, code: str | None) -> None:
        """T3, refused. Without a code to keep as the answer, the same key may try again."""

        async def attempt(tx: Transaction) -> None:
            file = await tx.orders.file(call.order_id)
            assert file is not None
            decision = way.refuse(file, call.row_id, reason, self.clock())
            change = (
                self._kept(call, Answer(refused=code))
                if code
                else let_go(call.record, limits=self.limits)
            )
            await tx.record(also(decision, change))

        await decide(self.uow, attempt)

    async def _let_go(self, record: IdempotencyRecord) -> None:
        async with self.uow.begin() as tx:
            await tx.record(Decision(save=(let_go(record, limits=self.limits),)))

    def _kept(self, call: _Call, answer: Answer) -> Change:
        body = msgspec.json.encode(answer)
        return keep_answer(
            call.record,
            Once(
                route=call.record.route,
                caller=call.record.caller,
                key=call.record.key,
                request_hash=call.record.request_hash,
            ),
            body,
            at=self.clock(),
            record_id=call.record.id,
        )


def _unavailable(error: Unavailable | Rejected) -> Refused:
    hint = error.retry_after if isinstance(error, Unavailable) else None
    return Refused("provider-unavailable", retry_after=int(hint) if hint else RETRY_SOON)
