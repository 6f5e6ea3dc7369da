"""What goes wrong on the way to a provider or to the store, drawn from the seed."""

from collections.abc import Callable, Coroutine
from datetime import datetime, timedelta
from random import Random
from typing import Final, TypeVar

import msgspec
from tests.unit.simulation.processes import ProcessDied, Processes, pause

from bitloot.ports.errors import OutcomeUnknown, StoreUnavailable, Unavailable

T = TypeVar("T")

# How much more often something goes wrong with requests that leave something behind.
DOUBTS: Final = 4
STORE: Final = "store"
# How many seconds after its caller gave up a request is carried out after all: with the slowest
# search still inside the settle window.
LATE: Final = (1.0, 20.0, 60.0, 240.0)


class Late(msgspec.Struct, frozen=True):
    """A request that its caller gave up, on its way all the same."""

    due: datetime
    name: str
    work: Coroutine[object, object, object]


class Weather:
    """Fair until the storm is let loose, fair again after `clear`.

    `down` names what is away now. `rough` is how many calls of a thousand go wrong by themselves,
    `deadly` how many fail-points of a thousand a process dies at.
    """

    def __init__(
        self,
        chance: Random,
        processes: Processes,
        now: Callable[[], datetime],
        *,
        rough: int,
        deadly: int,
    ) -> None:
        self._chance: Final = chance
        self._now: Final = now
        self._processes: Final = processes
        self._rough = rough
        self._deadly = deadly
        self.is_storm = False
        self.read_lag = timedelta(seconds=chance.choice((0, 0, 3, 30)))
        self.down: Final[set[str]] = set()
        self.told: Final[list[str]] = []
        self.late: Final[list[Late]] = []

    def clear(self) -> None:
        """From now on nothing fails."""
        self.is_storm = False
        self.down.clear()

    def _strikes(self, of_thousand: int) -> bool:
        return self.is_storm and self._chance.random() * 1000 < of_thousand

    def failpoint(self, name: str) -> None:
        """A named boundary of the selling path: the process may die here."""
        if self._processes.current is not None and self._strikes(self._deadly):
            self.told.append(f"dies {name}")
            raise ProcessDied

    async def call(
        self,
        provider: str,
        name: str,
        work: Coroutine[object, object, T],
        *,
        key: str | None = None,
        sent_at_once: bool = False,
        may_be_late: bool = False,
    ) -> T:
        """One call over the network. With `key` its outcome can be in doubt.

        `sent_at_once`: nothing comes between the caller's last check and the work, as when the
        send follows the check directly. `may_be_late`: who gives it up may be wrong about it.
        """
        if not sent_at_once:
            try:
                await pause(f"before {provider}.{name}")
            except ProcessDied:
                work.close()
                raise
        if provider in self.down:
            work.close()
            raise Unavailable(provider, "down")
        if self._strikes(self._rough * (DOUBTS if may_be_late else 1)):
            if key is not None and self._chance.random() < 0.7:
                if may_be_late and self._chance.random() < 0.6:
                    self._put_off(f"{provider}.{name}", work)
                else:
                    work.close()
                    self.told.append(f"{provider}.{name} is not carried out")
                raise OutcomeUnknown(provider, key, "timeout")
            work.close()
            self.told.append(f"{provider}.{name} is not carried out")
            raise Unavailable(provider, "timeout")
        answer = await work
        await pause(f"after {provider}.{name}")
        if self._strikes(self._rough):
            self.told.append(f"{provider}.{name} is carried out, its answer lost")
            if key is not None:
                raise OutcomeUnknown(provider, key, "reply_lost")
            raise Unavailable(provider, "timeout")
        return answer

    def _put_off(self, name: str, work: Coroutine[object, object, object]) -> None:
        seconds = self._chance.choice(LATE)
        self.told.append(f"{name} will be carried out {seconds} s after it was given up")
        self.late.append(Late(self._now() + timedelta(seconds=seconds), name, work))

    def next_late(self, until: datetime) -> Late | None:
        """The next request that arrives by then, taken out."""
        first = min(self.late, key=lambda late: late.due, default=None)
        if first is None or first.due > until:
            return None
        self.late.remove(first)
        return first

    def forget_late(self) -> None:
        """The run is over: nothing arrives any more."""
        for late in self.late:
            late.work.close()
        self.late.clear()

    async def reach_store(self, what: str) -> None:
        """Before a statement: it may come too early, or not arrive."""
        await pause(what)
        if STORE in self.down:
            raise StoreUnavailable
        if self._strikes(self._rough // 4):
            self.told.append(f"{what}: connection lost before")
            raise StoreUnavailable

    async def left_store(self, what: str) -> None:
        """After a commit: its reply may be lost, which leaves the caller in doubt."""
        await pause(what)
        if self._strikes(self._rough // 4):
            self.told.append(f"{what}: reply of the commit lost")
            raise StoreUnavailable
