"""Reading, deciding and recording again when somebody else was faster."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from bitloot.ports.errors import Conflict, Duplicate, NoStockLeft
from bitloot.ports.unit_of_work import Transaction, UnitOfWork

T = TypeVar("T")

MAX_TRIES: Final = 3


async def decide(uow: UnitOfWork, attempt: Callable[[Transaction], Awaitable[T]]) -> T:
    """Run `attempt` in a transaction of its own, at most three times.

    It reads, asks a rule and records. When a row moved on meanwhile, a unique rule refused an
    insert, or the last unit was taken, it reads again and decides again: what it finds then is
    usually a definite answer. Raises what the last try raised.
    """
    for _ in range(MAX_TRIES - 1):
        try:
            async with uow.begin() as tx:
                return await attempt(tx)
        except (Conflict, Duplicate, NoStockLeft):
            continue
    async with uow.begin() as tx:
        return await attempt(tx)
