"""The job `fulfil`: from a paid unit to a key that can be revealed, from wherever it stands."""

from dataclasses import dataclass
from typing import Final

from bitloot.domain.draft import standing
from bitloot.domain.fulfilment import BEFORE_SEAL, Fulfilment, FulfilmentState
from bitloot.domain.purchase import cancelled, doubtful_attempt, is_to_be_bought, order_standing
from bitloot.ports.jobs import Again, Dead, Done, Lease
from bitloot.ports.unit_of_work import Transaction
from bitloot.usecases.fulfilment.buying import Buying
from bitloot.usecases.fulfilment.collecting import Collecting
from bitloot.usecases.fulfilment.delivering import Delivering
from bitloot.usecases.fulfilment.desk import NOW, Case, Decided, Desk

__all__ = ["Desk", "FulfilmentJob"]

MAX_LEGS: Final = 20
_AT_REST: Final = frozenset[FulfilmentState]({"delivered", "returned", "replaced", "cancelled"})


@dataclass(frozen=True, slots=True)
class FulfilmentJob:
    """Takes a fulfilment leg by leg as far as it goes now; every leg is safe to repeat."""

    desk: Desk

    async def run(self, lease: Lease) -> None:
        """Work on the fulfilment whose id is the job's ref, until the job has its outcome.

        Raises LeaseLost, Conflict and what the store raises: the job is then taken up again from
        what was committed.
        """
        for _ in range(MAX_LEGS):
            case = await self.desk.read(lease.ref)
            if case is None:
                await self.desk.jobs.finish(lease, Dead("no such fulfilment"))
                return
            if not await self._leg(lease, case):
                return
            if self.desk.half_spent(lease):
                break
        await self.desk.jobs.finish(lease, Again(after=NOW))

    async def _leg(self, lease: Lease, case: Case) -> bool:
        """One leg; False when the job has its outcome."""
        fulfilment = case.fulfilment
        state = standing(fulfilment)
        attempt = doubtful_attempt(case.file, fulfilment)
        if state in _AT_REST or state == "failed_terminal":
            return await self._rest(lease, case)
        if attempt is not None:
            return await Buying(self.desk).resolve(lease, attempt)
        if state in BEFORE_SEAL:
            return await Collecting(self.desk).collect(lease, case)
        if is_to_be_bought(fulfilment):
            return await self._obtain(lease, case)
        if order_standing(case.file) == "cancel":
            return await Delivering(self.desk).take_back(lease)
        return await Delivering(self.desk).upload(lease, case)

    async def _obtain(self, lease: Lease, case: Case) -> bool:
        verdict = order_standing(case.file)
        if verdict == "wait":
            await self.desk.jobs.finish(lease, Again(after=self.desk.limits.blocked_recheck))
            return False
        if verdict != "go":
            return await self._rest(lease, case)
        if case.fulfilment.own_stock:
            came_to = await Delivering(self.desk).bind(lease)
            if came_to != "elsewhere":
                return came_to == "bound"
        return await Buying(self.desk).buy(lease, case)

    async def _rest(self, lease: Lease, case: Case) -> bool:
        """Nothing more is bought: end what belongs to a refunded order, else leave it as it is."""
        at_rest = case.fulfilment.state in _AT_REST
        if at_rest or order_standing(case.file) != "cancel":
            await self.desk.jobs.finish(lease, Done())
            return False

        async def decide(tx: Transaction, case: Case) -> Decided:
            del tx
            row: Fulfilment = case.fulfilment
            at, new_id = self.desk.clock(), self.desk.new_id
            return cancelled(case.file, row, at=at, new_id=new_id), Done()

        await self.desk.commit(lease, decide)
        return False
