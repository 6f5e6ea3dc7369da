"""Placing a supplier order: offer, intent, the call, and finding out when its answer was lost."""

from collections.abc import Sequence
from dataclasses import dataclass

from bitloot.domain import own_stock, purchase, resolution, routing
from bitloot.domain.balance_guard import BalanceReading, Purchases, looked_at_since
from bitloot.domain.decision import NOTHING, Decision, also
from bitloot.domain.failpoints import (
    AFTER_INTENT_COMMIT,
    AFTER_OUTCOME_COMMIT,
    REPLY_BEFORE_OUTCOME,
    SUPPLIER_DONE_NO_REPLY,
)
from bitloot.domain.fulfilment import BlockedReason, SupplierAttempt
from bitloot.domain.key_inventory import InventoryKey
from bitloot.domain.routing import Found
from bitloot.domain.supply import SupplierOrder
from bitloot.domain.unknown_order import unknown_order
from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot.ports.jobs import Again, Done, Lease, Outcome
from bitloot.ports.supplier import Supplier, SupplierRequest
from bitloot.ports.unit_of_work import Transaction
from bitloot.usecases.fulfilment.desk import NOW, Case, Decided, Desk, after, written_attempt
from bitloot.usecases.fulfilment.market import Market, ask_market


@dataclass(frozen=True, slots=True)
class Buying:
    """Each method does one leg; True means that the job goes on, False that it has its outcome."""

    desk: Desk

    async def buy(self, lease: Lease, case: Case) -> bool:
        """Ask the market, write down the attempt, place the order, write down what came of it."""
        desk, fulfilment = self.desk, case.fulfilment
        market = await ask_market(desk, lease, case)
        choice = self._choice(case, market, market.found)
        if choice == "own":
            await self._turn_to_own_stock(lease)
            return True
        if isinstance(choice, str):
            await self._nothing(lease, case, market, choice)
            return False
        supplier = desk.suppliers[choice.supplier]
        balance = market.balances.get(choice.supplier)
        attempt = await self._intend(lease, choice, balance)
        desk.failpoint(AFTER_INTENT_COMMIT)
        if attempt is None:
            return True
        others = tuple(each for each in market.found if each.supplier != choice.supplier)
        is_elsewhere = not isinstance(self._choice(case, market, others), str)
        is_preorder = case.file.item(fulfilment.order_item_id).is_preorder
        return await self._place(
            lease, supplier, attempt, is_preorder=is_preorder, is_elsewhere=is_elsewhere
        )

    async def resolve(self, lease: Lease, attempt: SupplierAttempt) -> bool:
        """Search for an order of which nobody knows whether it was placed."""
        desk = self.desk
        at = desk.clock()
        due = resolution.search_due(attempt, desk.limits)
        supplier = desk.suppliers.get(attempt.supplier)
        if at < due:
            await desk.jobs.finish(lease, Again(after=due - at))
            return False
        if supplier is None or not await desk.breakers.allows(attempt.supplier):
            await desk.jobs.finish(lease, Again(after=desk.limits.breaker_probe))
            return False
        try:
            found = await supplier.find(attempt.external_id)
            balance = None
            if not found and self._is_settled(attempt):
                balance = await self._balance(supplier)
        except Unavailable as error:
            await desk.unavailable(lease, error)
            return False
        except Rejected as error:
            await desk.refused(attempt.supplier, error.reason)
            pause = desk.limits.search_interval
            await desk.jobs.finish(lease, Again(after=pause, error=error.reason))
            return False
        await desk.breakers.succeeded(attempt.supplier)
        return await self._searched(lease, attempt.supplier, found, balance)

    def _choice(self, case: Case, market: Market, found: Sequence[Found]) -> routing.Choice:
        return routing.choose(
            case.fulfilment,
            found,
            shelf=market.shelf,
            prefer=routing.supplier_in_doubt(case.file.attempts_of(case.fulfilment.id)),
            lost=routing.lost_offers(case.file, case.fulfilment),
            limits=self.desk.limits,
        )

    async def _balance(self, supplier: Supplier) -> BalanceReading:
        at = self.desk.clock()
        return BalanceReading(amount=await supplier.balance(), at=at)

    def _is_settled(self, attempt: SupplierAttempt) -> bool:
        """Whether this search, coming back empty, leaves only the balance to be asked."""
        at, limits = self.desk.clock(), self.desk.limits
        return resolution.is_settled(attempt, checks=attempt.checks + 1, at=at, limits=limits)

    async def _nothing(self, lease: Lease, case: Case, market: Market, word: BlockedReason) -> None:
        """No source will do now. One that could not be asked may do later; else it is as they say;
        where all that was said is that we ask wrongly, somebody has to look.
        """
        attempts = case.file.attempts_of(case.fulfilment.id)
        reason = routing.reason_of_nothing(case.fulfilment, attempts, word)
        if market.unavailable is not None:
            await self.desk.wait(lease, market.unavailable)
        elif market.silent:
            await self._block(lease, market.silent[0])
        elif market.refused is not None and not market.answered:
            await self._unread(lease, market.refused.reason)
        else:
            await self._block(lease, reason, asked=market.answered)

    async def _unread(self, lease: Lease, reason: str) -> None:
        """Every source refused to tell its offers, for a cause that is our mistake."""
        desk = self.desk

        async def decide(tx: Transaction, case: Case) -> Decided:
            del tx
            is_wanted = purchase.is_to_be_bought(case.fulfilment)
            if purchase.order_standing(case.file) != "go" or not is_wanted:
                return NOTHING, Again(after=NOW)
            at, new_id = desk.clock(), desk.new_id
            return purchase.unread(case.file, case.fulfilment, reason, at=at, new_id=new_id), Done()

        await desk.commit(lease, decide)

    async def _block(
        self, lease: Lease, reason: BlockedReason, asked: frozenset[str] = frozenset()
    ) -> None:
        desk = self.desk
        pause = desk.limits.breaker_probe if reason == "breaker" else desk.limits.blocked_recheck

        async def decide(tx: Transaction, case: Case) -> Decided:
            if purchase.order_standing(case.file) != "go":
                return NOTHING, Again(after=NOW)
            decision = purchase.blocked(
                case.file,
                case.fulfilment,
                reason,
                at=desk.clock(),
                new_id=desk.new_id,
                limits=desk.limits,
            )
            gave_up = after(decision, case.fulfilment).state == "failed_terminal"
            if reason == "stock" and decision.save:
                item = case.file.item(case.fulfilment.order_item_id)
                shelf = await tx.checkout.shelf(item.product_id)
                decision = also(decision, *purchase.sold_out(shelf.offers, asked, at=desk.clock()))
            return decision, Done() if gave_up else Again(after=pause, error=reason)

        await desk.commit(lease, decide)

    async def _intend(
        self, lease: Lease, found: Found, balance: BalanceReading | None
    ) -> SupplierAttempt | None:
        desk = self.desk

        async def decide(tx: Transaction, case: Case) -> Decided:
            file, fulfilment = case.file, case.fulfilment
            is_wanted = purchase.is_to_be_bought(fulfilment)
            if purchase.order_standing(file) != "go" or not is_wanted:
                return NOTHING, None
            kept: Sequence[InventoryKey] = ()
            at, limits = desk.clock(), desk.limits
            if fulfilment.own_stock:
                rows = await tx.keys.inventory(own_stock.reserved_ids(file, fulfilment))
                kept = own_stock.kept(file, fulfilment, rows)
            return (
                purchase.intend(
                    file,
                    fulfilment,
                    found,
                    balance=balance,
                    kept=kept,
                    at=at,
                    new_id=desk.new_id,
                    limits=limits,
                ),
                None,
            )

        return written_attempt(await desk.commit(lease, decide))

    async def _turn_to_own_stock(self, lease: Lease) -> None:
        desk = self.desk

        async def decide(tx: Transaction, case: Case) -> Decided:
            del tx
            is_wanted = purchase.is_to_be_bought(case.fulfilment)
            if purchase.order_standing(case.file) != "go" or not is_wanted:
                return NOTHING, None
            at, new_id = desk.clock(), desk.new_id
            return purchase.turned_to_own_stock(
                case.file, case.fulfilment, at=at, new_id=new_id
            ), None

        await desk.commit(lease, decide)

    async def _place(
        self,
        lease: Lease,
        supplier: Supplier,
        attempt: SupplierAttempt,
        *,
        is_preorder: bool,
        is_elsewhere: bool,
    ) -> bool:
        desk = self.desk
        request = SupplierRequest(
            external_id=attempt.external_id,
            supplier_product_id=attempt.supplier_product_id,
            offer_id=attempt.offer_id,
            quantity=attempt.quantity,
            max_price=attempt.max_price,
            is_preorder=is_preorder,
        )
        # Nothing may come between this check and the call: a worker that was frozen here could
        # otherwise buy what its successor buys too.
        if desk.half_spent(lease):
            await self._unsent(lease, "lease", Again(after=NOW))
            return False
        try:
            order = await supplier.place(request)
        except Unavailable as error:
            await desk.breakers.failed(error.provider)
            await self._unsent(lease, error.reason, desk.back_off(lease, error))
            return False
        except OutcomeUnknown:
            await desk.breakers.failed(attempt.supplier)
            await self._doubted(lease)
            return False
        except Rejected as error:
            await desk.refused(attempt.supplier, error.reason)
            desk.failpoint(REPLY_BEFORE_OUTCOME)
            return await self._refused(lease, error.reason, is_elsewhere=is_elsewhere)
        desk.failpoint(SUPPLIER_DONE_NO_REPLY)
        await desk.breakers.succeeded(attempt.supplier)
        desk.failpoint(REPLY_BEFORE_OUTCOME)
        await self._placed(lease, attempt.supplier, order)
        desk.failpoint(AFTER_OUTCOME_COMMIT)
        return True

    async def _placed(self, lease: Lease, supplier: str, order: SupplierOrder) -> None:
        desk = self.desk

        async def decide(tx: Transaction, case: Case) -> Decided:
            del tx
            file, row, at, new_id = case.file, case.fulfilment, desk.clock(), desk.new_id
            attempt = purchase.called_attempt(file, row)
            if attempt is not None:
                return purchase.placed(file, row, attempt, order, at=at, new_id=new_id), None
            # Known by now, or one too many beside an older order that turned up meanwhile.
            return unknown_order(
                file,
                row,
                order,
                supplier=supplier,
                at=at,
                new_id=new_id,
                limits=desk.limits,
            ), None

        await desk.commit(lease, decide)

    async def _unsent(self, lease: Lease, reason: str, outcome: Outcome) -> None:
        desk = self.desk

        async def decide(tx: Transaction, case: Case) -> Decided:
            del tx
            attempt = purchase.called_attempt(case.file, case.fulfilment)
            if attempt is None:
                return NOTHING, outcome
            at, new_id = desk.clock(), desk.new_id
            return (
                purchase.unsent(case.file, case.fulfilment, attempt, reason, at=at, new_id=new_id),
                outcome,
            )

        await desk.commit(lease, decide)

    async def _doubted(self, lease: Lease) -> None:
        desk = self.desk

        async def decide(tx: Transaction, case: Case) -> Decided:
            del tx
            outcome = Again(after=desk.limits.search_delays[0], error="outcome unknown")
            attempt = purchase.called_attempt(case.file, case.fulfilment)
            if attempt is None:
                return NOTHING, outcome
            decision = purchase.doubted(
                case.file, attempt, at=desk.clock(), new_id=desk.new_id, limits=desk.limits
            )
            return decision, outcome

        await desk.commit(lease, decide)

    async def _refused(self, lease: Lease, reason: str, *, is_elsewhere: bool) -> bool:
        desk = self.desk
        outcomes: list[Outcome | None] = []

        async def decide(tx: Transaction, case: Case) -> Decided:
            del tx
            attempt = purchase.called_attempt(case.file, case.fulfilment)
            if attempt is None:
                return NOTHING, Again(after=NOW)
            decision = purchase.refused(
                case.file,
                case.fulfilment,
                attempt,
                reason,
                is_elsewhere=is_elsewhere,
                at=desk.clock(),
                new_id=desk.new_id,
                limits=desk.limits,
            )
            outcome: Outcome | None = None
            state = after(decision, case.fulfilment).state
            if state == "blocked":
                outcome = Again(after=desk.limits.blocked_recheck, error=reason)
            outcomes.append(outcome)
            return decision, outcome

        await desk.commit(lease, decide)
        desk.failpoint(AFTER_OUTCOME_COMMIT)
        return bool(outcomes) and outcomes[-1] is None

    async def _searched(
        self,
        lease: Lease,
        supplier: str,
        found: Sequence[SupplierOrder],
        balance: BalanceReading | None,
    ) -> bool:
        desk = self.desk

        async def decide(tx: Transaction, case: Case) -> Decided:
            attempt = purchase.doubtful_attempt(case.file, case.fulfilment)
            if attempt is None:
                # Somebody told of its order meanwhile; what was found beside that one goes back.
                return self._beside(case, supplier, found), None
            purchases = await self._purchases(tx, attempt) if balance else None
            is_hinted = await tx.inbox.was_hinted(
                case.file.order.id, attempt.supplier, attempt.external_id
            )
            at = desk.clock()
            decision = resolution.searched(
                case.file,
                case.fulfilment,
                attempt,
                found,
                balance=balance,
                purchases=purchases,
                is_hinted=is_hinted,
                at=at,
                new_id=desk.new_id,
                limits=desk.limits,
            )
            if decision.reason != "not found yet":
                return decision, None
            checked = written_attempt(decision) or attempt
            return decision, Again(after=resolution.search_due(checked, desk.limits) - at)

        decision = await desk.commit(lease, decide)
        return decision.reason != "not found yet"

    def _beside(self, case: Case, supplier: str, found: Sequence[SupplierOrder]) -> Decision:
        at, new_id, limits = self.desk.clock(), self.desk.new_id, self.desk.limits
        known = {a.supplier_order_id for a in case.file.attempts if a.supplier == supplier}
        extra = next((order for order in found if order.supplier_order_id not in known), None)
        if extra is None:
            return Decision(reason="adopted")
        return unknown_order(
            case.file,
            case.fulfilment,
            extra,
            supplier=supplier,
            at=at,
            new_id=new_id,
            limits=limits,
        )

    async def _purchases(self, tx: Transaction, attempt: SupplierAttempt) -> Purchases:
        most = self.desk.limits.balance_purchases
        since = looked_at_since(attempt, self.desk.limits)
        rows = await tx.orders.purchases_at(attempt.supplier, since=since, limit=most)
        is_cut = len(rows) == most
        return Purchases(
            since=since, attempts=rows, known_until=rows[-1].intent_at if is_cut else None
        )
