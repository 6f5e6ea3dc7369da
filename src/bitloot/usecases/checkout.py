"""From a basket to an order: quoting, placing, cancelling, and the order's own timer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec

from bitloot.domain.account import OrderClaim
from bitloot.domain.address import parse_address
from bitloot.domain.decision import NOTHING, Decision, also, insert
from bitloot.domain.errors import Refused
from bitloot.domain.failpoints import AFTER_LEASE
from bitloot.domain.idempotency import Once, keep_answer, recall
from bitloot.domain.key_inventory import InventoryKey
from bitloot.domain.limits import Limits
from bitloot.domain.money import Eur
from bitloot.domain.order import Order, OrderFile
from bitloot.domain.order_end import cancel, expire
from bitloot.domain.order_number import NUMBER_BYTES, order_number
from bitloot.domain.payment_opening import PAYABLE
from bitloot.domain.placing import Buyer, Pressure, admit, place
from bitloot.domain.quote import UNDERPAYMENT_POLICY, Quote, Wanted, merged, price_basket
from bitloot.ports.clock import Clock, FailPoint, NewId, RandomBytes
from bitloot.ports.deciding import decide
from bitloot.ports.errors import NoStockLeft, Rejected, Unavailable
from bitloot.ports.jobs import Again, Done, Lease, Outcome
from bitloot.ports.payment_gateway import AssetQuote, PaymentGateway
from bitloot.ports.unit_of_work import Placing, Transaction, UnitOfWork

MAX_REFERENCE: Final = 200


class Quoted(msgspec.Struct, frozen=True, kw_only=True):
    """A frozen quote; `estimate` in the asset asked for, None without one or without an answer."""

    quote: Quote
    estimate: AssetQuote | None
    underpayment_policy: str


class OrderFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered about an order, and stored as the answer: never a token."""

    order_id: str
    number: str
    status: str
    total: Eur
    created_at: datetime
    window_ends_at: datetime


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """`gateway` names the one whose assets are estimated."""

    uow: UnitOfWork
    gateways: Mapping[str, PaymentGateway]
    gateway: str
    limits: Limits
    clock: Clock
    new_id: NewId
    random_bytes: RandomBytes
    failpoint: FailPoint

    async def quote(
        self, wanted: Sequence[Wanted], *, country: str | None, asset: str | None
    ) -> Quoted:
        """Price a basket and freeze it. Raises Refused as the rule, and for the asset."""
        quote = await self._priced(wanted, country=country, asset=asset)
        estimate = await self._estimate(quote)
        await self._keep(quote)
        return Quoted(quote=quote, estimate=estimate, underpayment_policy=UNDERPAYMENT_POLICY)

    async def _priced(
        self, wanted: Sequence[Wanted], *, country: str | None, asset: str | None
    ) -> Quote:
        lines = merged(wanted, self.limits)
        names = [line.product for line in lines if len(line.product) <= MAX_REFERENCE]
        async with self.uow.begin() as tx:
            sellables = tuple(await tx.checkout.sellables(names))
        return price_basket(
            lines,
            sellables,
            quote_id=self.new_id(),
            country=country,
            asset=asset,
            at=self.clock(),
            limits=self.limits,
        )

    async def _keep(self, quote: Quote) -> None:
        async with self.uow.begin() as tx:
            await tx.record(Decision(save=(insert(quote),)))

    async def _estimate(self, quote: Quote) -> AssetQuote | None:
        if quote.asset is None:
            return None
        try:
            found = await self.gateways[self.gateway].asset_quote(quote.total, quote.asset)
        except Unavailable:
            # A quote is worth having without an estimate; paying asks again.
            return None
        except Rejected as no:
            if no.reason == "credentials":
                # Nothing is wrong with the asset; whoever pays will be told by then.
                return None
            below = no.reason == "below_minimum"
            raise Refused(
                "amount-below-minimum" if below else "asset-unavailable", field="asset"
            ) from no
        if found.amount < found.minimum:
            raise Refused(
                "amount-below-minimum", field="asset", facts={"minimum": str(found.minimum)}
            )
        return found

    async def place(
        self,
        quote_id: str,
        *,
        email: str,
        placed_from: str,
        once: Once,
        user_id: str | None = None,
    ) -> OrderFacts:
        """T1: the quote becomes an order, once for each key, and that of the user who is signed in.

        Raises Refused; for `price-changed` with a fresh quote of the same basket to confirm.
        """
        buyer = Buyer(address=parse_address(email), placed_from=placed_from)
        asked: list[Quote] = []
        try:
            return await self._place(quote_id, buyer, once, user_id, asked)
        except NoStockLeft:
            raise Refused("out-of-stock") from None
        except Refused as no:
            if no.code != "price-changed":
                raise
            raise await self._to_confirm(no, asked[-1]) from no

    async def _place(
        self, quote_id: str, buyer: Buyer, once: Once, user_id: str | None, asked: list[Quote]
    ) -> OrderFacts:
        """`asked` gets the quote that was read, for what follows a refusal."""

        async def attempt(tx: Transaction) -> OrderFacts:
            at = self.clock()
            # The quote's lock first: of two requests with one key the second sees the answer.
            facts, record = await tx.checkout.placing_once(
                quote_id,
                once,
                email_person=buyer.address.person,
                placed_from=buyer.placed_from,
            )
            stored = recall(record, once, at=at, limits=self.limits)
            if stored is not None:
                return msgspec.json.decode(stored, type=OrderFacts)
            if facts is None:
                raise Refused("not-found", field="quoteId")
            asked.append(facts.quote)
            placed = place(
                facts.quote,
                facts.sellables,
                await self._pick(tx, facts, at),
                buyer,
                # Drawn for each try: one that another order has is drawn anew.
                number=order_number(self.random_bytes(NUMBER_BYTES)),
                at=at,
                new_id=self.new_id,
                limits=self.limits,
            )
            admit(
                Pressure(
                    open_by_address=facts.open_by_address,
                    open_by_ip=facts.open_by_ip,
                    backlog_seconds=facts.backlog_seconds,
                ),
                self.limits,
            )
            answer = _facts(placed.order)
            kept = keep_answer(
                record, once, msgspec.json.encode(answer), at=at, record_id=self.new_id()
            )
            claim = OrderClaim(id=placed.order.id, user_id=user_id, at=at) if user_id else None
            claims = () if claim is None else (insert(claim),)
            await tx.record(also(placed.decision, kept, *claims))
            return answer

        return await decide(self.uow, attempt)

    async def _to_confirm(self, no: Refused, old: Quote) -> Refused:
        """The refusal with a fresh quote of the same basket, where there can be one."""
        basket = [Wanted(product=line.product_id, quantity=line.quantity) for line in old.lines]
        try:
            fresh = await self._priced(basket, country=old.country, asset=old.asset)
        except Refused:
            return no
        await self._keep(fresh)
        facts = {**no.facts, "quote": fresh.id, "total": str(fresh.total)}
        return Refused(no.code, facts=facts)

    async def answered(self, once: Once) -> OrderFacts | None:
        """What this very request was answered when it came before; None if it was not.

        Raises Refused `idempotency-key-reused` or `idempotency-in-progress`.
        """
        async with self.uow.begin() as tx:
            record = await tx.checkout.once(once)
        stored = recall(record, once, at=self.clock(), limits=self.limits)
        return None if stored is None else msgspec.json.decode(stored, type=OrderFacts)

    async def _pick(
        self, tx: Transaction, facts: Placing, at: datetime
    ) -> dict[str, Sequence[InventoryKey]]:
        own = [line for line in facts.quote.lines if line.offer_row_id is None]
        # In one order of products, so that two baskets never wait for each other.
        return {
            line.product_id: await tx.keys.pick(line.product_id, line.quantity, at=at)
            for line in sorted(own, key=lambda line: line.product_id)
        }

    async def cancel(self, order_id: str, *, once: Once) -> OrderFacts:
        """O3. Raises Refused `not-found` or `order-not-cancellable`."""

        async def attempt(tx: Transaction) -> OrderFacts:
            at = self.clock()
            file = await tx.orders.file(order_id)
            record = await tx.checkout.once(once)
            stored = recall(record, once, at=at, limits=self.limits)
            if stored is not None:
                return msgspec.json.decode(stored, type=OrderFacts)
            if file is None:
                raise Refused("not-found")
            decision = cancel(
                file, at=at, new_id=self.new_id, held_keys=await self._held_keys(tx, file)
            )
            answer = msgspec.structs.replace(_facts(file.order), status="cancelled")
            kept = keep_answer(
                record, once, msgspec.json.encode(answer), at=at, record_id=self.new_id()
            )
            await tx.record(also(decision, kept))
            return answer

        return await decide(self.uow, attempt)

    async def expire(self, lease: Lease) -> None:
        """The job `expire_order`: O4 when the window is over, else armed again for its end."""
        self.failpoint(AFTER_LEASE)

        async def attempt(tx: Transaction) -> None:
            at = self.clock()
            file = await tx.orders.file(lease.ref)
            if file is None:
                await tx.record(NOTHING, lease=lease, outcome=Done())
                return
            decision = expire(
                file, at=at, new_id=self.new_id, held_keys=await self._held_keys(tx, file)
            )
            still = file.order.window_ends_at - at
            again: Outcome = Done()
            if still.total_seconds() > 0:
                again = Again(after=still)
            elif decision == NOTHING and file.order.status in PAYABLE:
                # A hold or money on its way stands against it; what follows may call no timer.
                again = Again(after=self.limits.payment_poll_after_expiry)
            await tx.record(decision, lease=lease, outcome=again)

        await decide(self.uow, attempt)

    async def _held_keys(self, tx: Transaction, file: OrderFile) -> Sequence[InventoryKey]:
        ids = [key for r in file.reservations if r.state == "held" for key in r.key_ids]
        return await tx.keys.inventory(ids) if ids else ()


def _facts(order: Order) -> OrderFacts:
    return OrderFacts(
        order_id=order.id,
        number=order.number,
        status=order.status,
        total=order.total,
        created_at=order.created_at,
        window_ends_at=order.window_ends_at,
    )
