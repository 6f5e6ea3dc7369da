"""One seed, one run: a storm in which all may happen, then fair weather until all is quiet."""

import hashlib
import traceback
from contextvars import copy_context
from datetime import timedelta
from itertools import accumulate
from typing import Final

import msgspec
from tests.unit.simulation.backstage import Backstage
from tests.unit.simulation.buyers import Buyer, Shown
from tests.unit.simulation.checks import Broken, Checks, unsettled
from tests.unit.simulation.world import Line, World, at_once

from bitloot.domain.decision import Event
from bitloot.domain.order import Order

# How many moves a storm lasts, drawn from the seed; and of a long one.
SHORT: Final = (20, 40, 70)
LONG: Final = (100, 200, 400)
# What buyers have behind them when the storm begins, and in how many acts at most.
ORDERED: Final = ("quote", "place", "open")
PAID: Final = (*ORDERED, "pay")
HEAD_STARTS: Final = ((), (), (), ORDERED, PAID, PAID)
HEAD_START: Final = 8
# The share of runs that go on after the calm, and over how many moves.
AFTERMATHS: Final = 0.12
AFTERMATH: Final = 25
MOST_PAYMENTS: Final = 12
# Over how many pauses a task goes on at a stretch.
BURSTS: Final = (1, 1, 2, 3, 8)
ENDS: Final = frozenset({"ended", "died"})
# In fair weather everything has to come to its end within this time.
PATIENCE: Final = timedelta(hours=50)
MOST_STEPS: Final = 20_000
STORY_LINES: Final = 80


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a seed in this world. `broken` is None or the invariant that does not hold."""

    seed: int
    steps: int
    deaths: int
    orders: int
    fulfilled: int
    world: World
    broken: str | None = None
    story: str = ""

    @property
    def log(self) -> bytes:
        """Everything that happened, byte for byte."""
        return log_of(self.world)

    @property
    def digest(self) -> str:
        """Of the log."""
        return hashlib.sha256(self.log).hexdigest()


class Simulation:
    """Chooses by the seed whoever goes on next."""

    def __init__(self, seed: int, *, is_long: bool) -> None:
        self.world: Final = World(seed)
        self._moves: Final = self.world.chance.choice(LONG if is_long else SHORT)
        self.backstage: Final = Backstage(self.world)
        self.shown: Final = Shown()
        self.checks: Final = Checks(self.world, self.shown)
        self.steps = 0
        count = self.world.chance.choice((2, 3, 5) if is_long else (1, 1, 2))
        self.buyers: Final = [Buyer(self.world, f"buyer{n}", self.shown) for n in range(count)]

    def run(self) -> Run:
        """The whole run. Never raises for what the shop did."""
        broken: str | None = None
        try:
            self._head_start(*self.world.chance.choice(HEAD_STARTS))
            self._storm(self._moves, desk=self.world.chance.choice((0, 1)))
            self._calm()
            if self.world.chance.random() < AFTERMATHS:
                # Most of what the desk does concerns orders that were paid or delivered.
                self._storm(AFTERMATH, desk=30)
                self._calm()
        except Broken as found:
            broken = f"{found.name} ({found.subject})"
        except Exception as error:  # noqa: BLE001 - a bug of the shop is what is looked for
            broken = f"{type(error).__name__}: {error}\n{traceback.format_exc()}"
        self.world.weather.forget_late()
        orders = self.world.store.rows(Order)
        return Run(
            seed=self.world.seed,
            steps=self.steps,
            deaths=self.world.processes.deaths,
            orders=len(orders),
            fulfilled=sum(order.status == "fulfilled" for order in orders),
            world=self.world,
            broken=broken,
            story=story_of(self.world, broken) if broken else "",
        )

    def _head_start(self, *stages: str) -> None:
        """So far buyers come in fair weather: the storm is to find purchases at every point."""
        for buyer in self.buyers:
            for _ in range(HEAD_START):
                if buyer.stage in stages:
                    self.world.tell(buyer.act())
                while self.world.processes.tasks:
                    self._go_on()
        if "pay" in stages:
            self._settle()

    def _settle(self) -> None:
        """The money is in hand, and of the goods nothing was bought yet."""
        world = self.world
        while any(letter.due <= world.now() for letter in world.letters):
            world.tell(self.backstage.deliver())
            while world.processes.tasks:
                self._go_on()
        for job in list(world.store.jobs.pending()):
            if job.kind == "apply_payment" and job.is_due(world.now()):
                at_once(world.runner.run(job.id))
        world.tell("payments are settled")
        self._after()

    # --- the storm -----------------------------------------------------------------------

    def _storm(self, how_long: int, *, desk: int) -> None:
        world, backstage, chance = self.world, self.backstage, self.world.chance
        world.weather.is_storm = True
        moves = (
            (backstage.claim, 9),
            (backstage.jump, 6),
            (backstage.deliver, 8),
            (self._buyer, 12),
            (backstage.hint, 2),
            (backstage.mail_event, chance.choice((0, 1))),
            (self._come_back, chance.choice((0, 0, 1))),
            (backstage.tick, 1),
            (backstage.change_market, chance.choice((0, 1))),
            (backstage.change_weather, chance.choice((0, 1))),
            (backstage.crash, chance.choice((0, 1))),
            (backstage.decide, desk),
        )
        names = [move for move, _ in moves]
        weights = list(accumulate(weight for _, weight in moves))
        for _ in range(how_long):
            draw = chance.random()
            if world.processes.tasks and draw < 0.65:
                self._go_on()
                continue
            if world.bell and draw < 0.8:
                world.tell(backstage.work())
            else:
                told = chance.choices(names, cum_weights=weights)[0]()
                if told:
                    world.tell(told)
            self._after()

    def _buyer(self) -> str:
        buyer = self.world.chance.choice(self.buyers)
        return buyer.act() if buyer.wants_to_act else ""

    def _come_back(self) -> str:
        return self.world.chance.choice(self.buyers).come_back(self.buyers)

    def _go_on(self) -> None:
        """A task goes on over a few pauses before somebody else may."""
        world = self.world
        tasks = world.processes.tasks
        task = tasks[int(world.chance.random() * len(tasks))]
        for _ in range(BURSTS[int(world.chance.random() * len(BURSTS))]):
            was = task.at
            at = world.processes.step(task)
            world.tell(f"{task.process}: {task.name}: {was} -> {at}")
            self._after()
            if at in ENDS:
                return

    def _after(self) -> None:
        self.steps += 1
        self.checks.after_step()
        if self.steps > MOST_STEPS:
            raise Broken("the run does not end", "")

    # --- fair weather --------------------------------------------------------------------

    def _calm(self) -> None:
        world = self.world
        self.backstage.clear_up()
        world.tell("the weather clears: all faults end")
        until, jumps = world.now() + PATIENCE, 0
        for _ in range(MOST_PAYMENTS):
            paying = [buyer for buyer in self.buyers if buyer.stage == "pay"]
            if not paying:
                break
            world.tell(world.chance.choice(paying).act())
        self._work_off()
        while (open_ends := unsettled(world)) or any(
            job.is_due(world.now()) for job in world.store.jobs.pending()
        ):
            if world.now() >= until:
                raise Broken(f"not settled: {open_ends}", "")
            world.pass_time(self._next_due())
            world.tell("time passes")
            jumps += 1
            if jumps % 4 == 1:
                at_once(world.scheduler().step())
            self._work_off()
        for buyer in self.buyers:
            buyer.reveal_now()
        self._work_off()
        self.checks.at_the_end()

    def _work_off(self) -> None:
        """Everything that is due now, and what comes of it."""
        world, backstage = self.world, self.backstage
        claimed_none = False
        while not claimed_none or world.processes.tasks or world.bell:
            if world.processes.tasks:
                self._go_on()
                continue
            if world.bell:
                world.tell(backstage.work())
            elif any(letter.due <= world.now() for letter in world.letters):
                world.tell(backstage.deliver())
            else:
                world.tell(backstage.claim())
                while world.processes.tasks:
                    self._go_on()
                claimed_none = not world.bell
            self._after()

    def _next_due(self) -> timedelta:
        now = self.world.now()
        moments = [letter.due for letter in self.world.letters]
        moments += [late.due for late in self.world.weather.late]
        for job in self.world.store.jobs.pending():
            if job.lease_until is not None and job.lease_until > now:
                moments.append(job.lease_until)
            else:
                moments.append(job.available_at)
        least = timedelta(seconds=61)
        ahead = min((at - now for at in moments), default=least)
        return min(max(ahead, least), timedelta(hours=1))


def log_of(world: World) -> bytes:
    """All events of all orders, and what the providers hold, as bytes."""
    events: dict[str, list[Event]] = {
        order.number: list(world.store.timeline(order.id)) for order in world.store.rows(Order)
    }
    gateway = [list(world.gateway.of_order(number)) for number in events]
    supplier = [str(order) for order in world.supplier.order_ids]
    mails = [(m.provider_id, m.message.to, m.message.subject) for m in world.around.mailer.mailbox]
    return msgspec.json.encode([world.story, events, gateway, supplier, mails])


def story_of(world: World, broken: str | None) -> str:
    """The last steps with their times, what each order went through, and what is broken."""
    lines = [f"seed {world.seed}: {broken}"]
    for order in world.store.rows(Order):
        lines.append(f"order {order.number}: {order.status} {order.failure_reason or ''}")
        for event in world.store.timeline(order.id):
            facts = " ".join(f"{k}={v}" for k, v in event.facts.items())
            lines.append(f"    {event.at:%d %H:%M:%S} {event.seq:3} {event.kind} {facts}")
    shown = [f"{line.at:%d %H:%M:%S} {line.what}" for line in _short(world.story)[-STORY_LINES:]]
    return "\n".join([*lines, "steps, the last ones:", *shown])


def _short(story: list[Line]) -> list[Line]:
    """Without the steps in which nothing was done, and with the steps of one task in one line."""
    kept: list[Line] = []
    last = ""
    for line in story:
        who, _, step = line.what.rpartition(": ")
        was, arrow, at = step.partition(" -> ")
        if not arrow:
            last = ""
            if not line.what.endswith(("looks for jobs", "time passes", "scheduler ticks")):
                kept.append(line)
        elif "relay" not in who and "scheduler" not in who:
            if who == last and kept:
                kept[-1] = Line(line.at, f"{kept[-1].what} -> {at}")
            elif was != "start" or at != "leases":
                kept.append(line)
            last = who
    return [line for line in kept if not line.what.endswith("leased -> ended")]


def simulate(seed: int, *, is_long: bool = False) -> Run:
    """Run one seed; a long run has more buyers and a longer storm.

    In a context of its own: what a run notes of its transactions ends with it.
    """
    return copy_context().run(lambda: Simulation(seed, is_long=is_long).run())
