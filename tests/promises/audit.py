"""What became of every order of a stage: asked of the database and of the providers' own books."""

import asyncio
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from tests.crash.checking import checking, standing
from tests.crash.children import Inside, Line
from tests.crash.warmth import Warmth
from tests.e2e.programs import until
from tests.promises.stage import Stage

COUNTS: Final = ("lost", "bought_twice", "delivered_twice", "extra_mails", "stuck")
STUCK_AFTER: Final = timedelta(minutes=2)
# A look costs a connection and four queries, which the shop's work would pay for.
LOOK_PAUSE_SECONDS: Final = 0.2


@dataclass
class Audit:
    """What was found, by its name; `faults` are broken invariants, books and timelines."""

    orders: int
    found: dict[str, set[str]] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    human: int = 0

    @property
    def is_clean(self) -> bool:
        return not self.faults and not any(self.found.values())

    def text(self) -> str:
        """For a figure."""
        told = [f"{len(self.found[name])} {name.replace('_', ' ')}" for name in COUNTS]
        return f"{self.orders} paid orders: {', '.join(told)}"

    def explain(self) -> str:
        """For whoever has to find out."""
        return "\n".join([self.text(), *self.faults[:20], repr(self.found)])


def _listening(lines: list[Line]) -> Inside:
    return Inside(lines.append, random.Random(1), None, Warmth())


async def until_quiet(
    stage: Stage, paid: Iterable[str], *, seconds: float, pause: float = LOOK_PAUSE_SECONDS
) -> float:
    """Wait until every paid order is delivered, told of, or with a person; how long that took."""
    wanted = list(paid)
    begun = time.monotonic()
    told: Line = {}

    async def look() -> bool | None:
        await asyncio.sleep(pause)
        lines: list[Line] = []
        await standing(stage.configuration, wanted)(_listening(lines))
        told.update({name: value for line in lines for name, value in line.items()})
        return True if told["orders"] == told["mails"] == told["jobs"] == 0 else None

    try:
        await until("every paid order to be delivered", look, seconds=seconds)
    except AssertionError as waited:
        raise AssertionError(f"{waited}; what stands: {told}") from waited
    return time.monotonic() - begun


async def audited(stage: Stage, paid: Iterable[str]) -> Audit:
    """Everything that is wrong with these orders, or with anything else."""
    wanted = list(paid)
    lines: list[Line] = []
    stuck_after = STUCK_AFTER / stage.factor
    check = checking(stage.configuration, stage.town, wanted, stuck_after)
    await check(_listening(lines))
    audit = Audit(len(wanted), {name: set() for name in COUNTS})
    for line in lines:
        name = str(line.get("found"))
        if name in COUNTS:
            audit.found[name].add(str(line["order"]))
        elif name == "human":
            audit.human += 1
        elif "fault" in line:
            audit.faults.append(str(line["fault"]))
    return audit
