"""Callbacks of the gateway, sent at a steady rate whatever becomes of the answers."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from tests.promises.buyers import Crowd
from tests.promises.plain_http import posted

PATH: Final = "/v1/webhooks/nowpayments"
STEPS: Final = ("confirming", "confirmed", "sending", "finished")
GATEWAY_WAITS: Final = 3.0


@dataclass(frozen=True)
class Callback:
    """One callback as the gateway wrote and signed it."""

    payment: str
    status: str
    body: str
    signature: str


@dataclass
class Answers:
    """What came back, and after how many seconds each."""

    statuses: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    taken: set[Callback] = field(default_factory=set)

    def share(self, part: float) -> float:
        """The time within which this part of the answers came."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(part * len(ordered)))]

    @property
    def worst(self) -> float:
        return max(self.seconds)

    def text(self) -> str:
        told = ", ".join(f"{count} of {word}" for word, count in self.statuses.most_common())
        p99, worst = self.share(0.99) * 1000, self.worst * 1000
        return f"{told}; p99 {p99:.0f} ms, slowest {worst:.0f} ms"


async def written(crowd: Crowd, orders: int) -> list[Callback]:
    """The callbacks of so many payments, none of which was delivered."""
    bought = await crowd.many(orders, "custom", ipn="lost", steps=list(STEPS))
    found = []
    for order in bought:
        query = {"payment_id": order.payment}
        sent = await crowd.gateway.get("/_control/ipns", params=query)
        for one in sent.raise_for_status().json()["ipns"]:
            status = json.loads(one["body"])["payment_status"]
            found.append(Callback(order.payment, status, one["body"], one["signature"]))
    return found


async def sent(
    url: str, callbacks: Sequence[Callback], *, per_second: float, count: int
) -> Answers:
    """Send so many of them in turn, each at its time, and gather the answers."""
    answers = Answers()

    async def one(callback: Callback) -> None:
        begun = time.monotonic()
        try:
            signature = {"x-nowpayments-sig": callback.signature}
            word = (await posted(url, PATH, callback.body.encode(), signature)).status
        except OSError as error:
            word = type(error).__name__
        answers.seconds.append(time.monotonic() - begun)
        answers.statuses[word] += 1
        if word == "200":
            answers.taken.add(callback)

    begun = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(0.0, begun + number / per_second - time.monotonic()))
            group.create_task(one(callbacks[number % len(callbacks)]))
    return answers
