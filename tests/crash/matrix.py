"""Driving orders through processes that die, until each boundary has seen its share of deaths."""

import random
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import cast

from tests.crash.buying import TRIES, Purchase, buying
from tests.crash.checking import checking, standing
from tests.crash.children import Child, Job, Line, finish, fork
from tests.crash.scale import STUCK_AFTER
from tests.crash.town import log_of, turning
from tests.crash.working import working
from tests.e2e.town import Town

from bitloot.domain.failpoints import (
    AFTER_SIGNATURE_CHECK,
    AFTER_WEBHOOK_COMMIT,
    FAIL_POINTS,
    GATEWAY_DONE_NO_REPLY,
    PAYMENT_ROW_BEFORE_CALL,
)
from bitloot_web.plugins import Configuration

AT_THE_EDGE = (
    PAYMENT_ROW_BEFORE_CALL,
    GATEWAY_DONE_NO_REPLY,
    AFTER_SIGNATURE_CHECK,
    AFTER_WEBHOOK_COMMIT,
)
IN_THE_WORKER = tuple(name for name in FAIL_POINTS if name not in AT_THE_EDGE)
WORKERS = 3
BUYERS = 1
BATCH = 4
WORK_SECONDS = 4.0
LOOK_EVERY = 1.5
# Jobs that could run now: more of them would only wait for each other.
DUE_JOBS = 20
PAUSE = 0.01
SAY_EVERY = 5.0
QUIET_LOOKS = 2


@dataclass
class Matrix:
    """One run. `kills` and `killed` (what was being worked on) are by boundary."""

    town: Town
    configuration: Configuration
    seed: int
    goal: int
    factor: float
    say: Callable[[str], None]
    kills: Counter[str] = field(default_factory=Counter)
    killed: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    counted: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    weather: list[Line] = field(default_factory=list)
    purchases: list[Purchase] = field(default_factory=list)
    running: dict[int, Child] = field(default_factory=dict)
    held: dict[int, list[Purchase]] = field(default_factory=dict)
    under_way: int = 0
    due_jobs: int = 0
    waiting: dict[str, int] = field(default_factory=dict)
    looked_at: float = 0.0
    recovery_seconds: float = 0.0
    is_quiet: bool = False

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._forks = 0

    # --- the run ----------------------------------------------------------------------------------

    def drive(self, seconds: float) -> None:
        """Until each boundary has its kills. Raises TimeoutError when that takes too long."""
        said = time.monotonic()
        end = said + seconds
        self._once("rough", turning(self.town, "rough"))
        while not self._is_done:
            self._fill()
            self._look()
            if time.monotonic() > said + SAY_EVERY:
                said = time.monotonic()
                self.say(self.progress())
            if time.monotonic() > end:
                raise TimeoutError(f"{self.missing()}; jobs that wait: {self.waiting}")
            time.sleep(PAUSE)

    def recover(self, limits_seconds: float) -> None:
        """No more faults: work until nothing is under way, or until that took too long."""
        while self.running:
            self._look()
            time.sleep(PAUSE)
        self.weather = self._once("calm", turning(self.town, "calm"))
        begun = time.monotonic()
        quiet = 0
        while quiet < QUIET_LOOKS and time.monotonic() - begun < limits_seconds:
            self._fill(armed=False)
            self._look()
            if self._standing() == 0 and not self._open_purchases():
                quiet += 1
                self.looked_at = 0.0
            time.sleep(PAUSE * 10)
        self.is_quiet = quiet >= QUIET_LOOKS
        self.recovery_seconds = time.monotonic() - begun
        while self.running:
            self._look()
            time.sleep(PAUSE)

    def check(self) -> list[Line]:
        """Everything that the checker tells."""
        stuck_after: timedelta = STUCK_AFTER / self.factor
        return self._once(
            "check",
            checking(self.configuration, self.town, self.paid, stuck_after),
            patience=600.0,
        )

    @property
    def paid(self) -> list[str]:
        """The orders for which the full amount was sent."""
        return [one.order_id for one in self.purchases if one.is_paid and one.order_id]

    def progress(self) -> str:
        """Where the run is, in one line."""
        over = sum(one.is_over for one in self.purchases)
        return (
            f"{self.kills.total()} kills, {len(self.paid)} orders paid, {over} told,"
            f" {self.under_way} under way, {self._forks} children"
        )

    def stop(self) -> None:
        """End what still runs, by its own pid."""
        for child in self.running.values():
            child.end()
        self.running.clear()

    def missing(self) -> str:
        """What is still to be killed."""
        left = {name: self.goal - self.kills[name] for name in FAIL_POINTS}
        return ", ".join(f"{name}: {count} to go" for name, count in left.items() if count > 0)

    # --- children ---------------------------------------------------------------------------------

    @property
    def _is_done(self) -> bool:
        return all(self.kills[name] >= self.goal for name in FAIL_POINTS)

    def _fill(self, *, armed: bool = True) -> None:
        """Keep so many workers and buyers going."""
        names = [child.name for child in self.running.values()]
        for _ in range(WORKERS - names.count("worker")):
            boundary = self._choose(IN_THE_WORKER) if armed else None
            self._start("worker", working(self.configuration, WORK_SECONDS), boundary)
        if armed:
            self._standing()
        for _ in range(BUYERS - names.count("buyer")):
            if batch := self._batch(new=armed and self.due_jobs < DUE_JOBS):
                boundary = self._choose(AT_THE_EDGE) if armed else None
                child = self._start("buyer", buying(self.configuration, self.town, batch), boundary)
                self.held[child.pid] = batch

    def _choose(self, boundaries: Iterable[str]) -> str | None:
        """The boundary that has the most deaths to come, those under way counted."""
        armed = Counter(child.boundary for child in self.running.values())
        left = {name: self.goal - self.kills[name] - armed[name] for name in boundaries}
        most = max(left.values())
        if most <= 0:
            return None
        return self._chance.choice([name for name, count in left.items() if count == most])

    def _batch(self, *, new: bool) -> list[Purchase]:
        """Purchases to go on with; new ones when there are too few."""
        now = time.monotonic()
        found = [one for one in self._open_purchases() if one.not_before <= now][:BATCH]
        while new and len(found) < BATCH:
            purchase = Purchase(len(self.purchases) + 1)
            self.purchases.append(purchase)
            found.append(purchase)
        return found

    def _open_purchases(self) -> list[Purchase]:
        busy = {one.number for batch in self.held.values() for one in batch}
        return [
            one
            for one in self.purchases
            if not one.is_over and one.tries < TRIES and one.number not in busy
        ]

    def _standing(self) -> int:
        """How much is under way, asked again when the last answer is old."""
        if time.monotonic() - self.looked_at > LOOK_EVERY:
            waiting, told = self._once("standing", standing(self.configuration, self.paid))
            self.waiting = cast("dict[str, int]", waiting["waiting"])
            self.under_way = cast("int", told["orders"])
            self.due_jobs = cast("int", told["jobs"])
            self.counted["left"] = sum(
                cast("int", told[name]) for name in ("orders", "mails", "jobs")
            )
            self.looked_at = time.monotonic()
        return self.counted["left"]

    def _start(self, name: str, job: Job, boundary: str | None) -> Child:
        child = fork(name, job, seed=self._seed(), log=log_of(self.town), boundary=boundary)
        self.running[child.pid] = child
        return child

    def _once(self, name: str, job: Job, *, patience: float = 60.0) -> list[Line]:
        child = fork(name, job, seed=self._seed(), log=log_of(self.town), patience=patience)
        return finish(child)

    def _seed(self) -> str:
        self._forks += 1
        return f"{self.seed}/{self._forks}"

    # --- what they tell ---------------------------------------------------------------------------

    def _look(self) -> None:
        for child in list(self.running.values()):
            for line in child.look():
                self._heard(child, line)
            if child.status is None:
                continue
            del self.running[child.pid]
            if child.failed or (child.was_killed and not child.was_at_boundary):
                raise RuntimeError(f"a {child.name} failed: see {log_of(self.town)}")
            self._ended(child)

    def _heard(self, child: Child, line: Line) -> None:
        if "died" in line:
            boundary = str(line["died"])
            self.kills[boundary] += 1
            refs = cast("list[object]", line["refs"])
            self.killed[boundary] |= {str(ref) for ref in refs if ref is not None}
        elif "rung" in line:
            self.counted["rung"] += cast("int", line["rung"])
            self.counted["rung again"] += cast("int", line["again"])
        elif "purchase" in line:
            if "refused" in line:
                self.refused[str(line["refused"])] += 1
            self.purchases[cast("int", line["purchase"]) - 1].learn(line)

    def _ended(self, child: Child) -> None:
        """Purchases that are not over are gone on with a little later."""
        pause = self.configuration.settings.limits.idempotency_running.total_seconds() / 2
        for purchase in self.held.pop(child.pid, []):
            purchase.tries += 1
            purchase.not_before = time.monotonic() + pause
