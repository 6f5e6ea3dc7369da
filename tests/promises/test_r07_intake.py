"""R7: the gateway waits three seconds for an answer, and believes a 200 for ever."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from tests.promises.audit import audited, until_quiet
from tests.promises.buyers import Crowd
from tests.promises.callbacks import GATEWAY_WAITS, Answers, Callback, sent, written
from tests.promises.figures import Figures
from tests.promises.stage import Stage

Trouble = Callable[[Stage], AbstractAsyncContextManager[None]]
P99_SECONDS = 0.5
SLOW_DISK_SECONDS = 0.01


@contextlib.asynccontextmanager
async def valkey_down(stage: Stage) -> AsyncIterator[None]:
    stage.own()
    await asyncio.to_thread(stage.town.valkey.stop)
    yield
    await asyncio.to_thread(stage.town.valkey.restart)


@contextlib.asynccontextmanager
async def valkey_stalls(stage: Stage) -> AsyncIterator[None]:
    await asyncio.to_thread(stage.valkey.turn, "stall")
    yield
    await asyncio.to_thread(stage.valkey.turn, "pass")


@contextlib.asynccontextmanager
async def database_slow(stage: Stage) -> AsyncIterator[None]:
    await asyncio.to_thread(stage.database["shop"].turn, "delay", SLOW_DISK_SECONDS)
    yield
    await asyncio.to_thread(stage.database["shop"].turn, "pass")


@contextlib.asynccontextmanager
async def database_down(stage: Stage) -> AsyncIterator[None]:
    stage.own()
    await asyncio.to_thread(stage.town.postgres.stop)
    yield
    await asyncio.to_thread(stage.town.postgres.restart)


@contextlib.asynccontextmanager
async def database_stalls(stage: Stage) -> AsyncIterator[None]:
    await asyncio.to_thread(stage.database["shop"].turn, "stall")
    yield
    await asyncio.to_thread(stage.database["shop"].turn, "cut")
    await asyncio.to_thread(stage.database["shop"].turn, "pass")


async def stored(stage: Stage, callbacks: list[Callback]) -> set[tuple[str, str]]:
    """The payments and statuses that the shop has on record."""
    rows = await stage.sql(
        "SELECT subject, status FROM webhook_logs WHERE subject = ANY(%s)",
        [[one.payment for one in callbacks]],
    )
    return {(str(subject), str(status)) for subject, status in rows}


def is_quick(figures: Figures, answers: Answers) -> bool:
    """At a small scale other work on the machine counts, so only the gateway's patience does."""
    p99 = P99_SECONDS if figures.full else GATEWAY_WAITS
    return answers.share(0.99) < p99 and answers.worst < GATEWAY_WAITS


@pytest.mark.parametrize(
    ("word", "trouble"),
    [
        ("Valkey is down", valkey_down),
        ("Valkey stalls", valkey_stalls),
        ("each round trip to the database takes 20 ms more", database_slow),
    ],
)
async def test_r7_callbacks_are_taken_in_time(
    stage: Stage, crowd: Crowd, figures: Figures, word: str, trouble: Trouble
) -> None:
    payments, rate, seconds = (30, 100.0, 20) if figures.full else (5, 40.0, 2)
    callbacks = await written(crowd, payments)
    async with trouble(stage):
        answers = await sent(
            stage.town.url("shop"), callbacks, per_second=rate, count=int(rate * seconds)
        )
    held = await stored(stage, callbacks)
    false = [one for one in answers.taken if (one.payment, one.status) not in held]
    figures.note(
        "R7",
        f"callbacks are answered in time while {word}",
        figure=f"{rate:.0f} a second: {answers.text()}; {len(false)} false 200",
        scale="none",
        holds=set(answers.statuses) == {"200"} and is_quick(figures, answers) and not false,
    )


@pytest.mark.parametrize(
    ("word", "trouble"), [("is down", database_down), ("stalls", database_stalls)]
)
async def test_r7_without_a_database_no_callback_is_called_taken(
    stage: Stage, crowd: Crowd, figures: Figures, word: str, trouble: Trouble
) -> None:
    payments, rate, seconds = (30, 100.0, 20) if figures.full else (5, 40.0, 2)
    callbacks = await written(crowd, payments)
    before = len(stage.paid) - payments
    url = stage.town.url("shop")
    async with trouble(stage):
        answers = await sent(url, callbacks, per_second=rate, count=int(rate * seconds))
    again = await sent(url, callbacks, per_second=rate, count=len(callbacks) * 2)
    held = await stored(stage, callbacks)
    kept = all((one.payment, one.status) in held for one in again.taken)
    await until_quiet(stage, stage.paid[before:], seconds=60)
    audit = await audited(stage, stage.paid[before:])
    figures.note(
        "R7",
        f"no callback is called taken while the database {word}",
        figure=f"{rate:.0f} a second: {answers.text()}; repeated afterwards: {again.text()};"
        f" {audit.text()}",
        scale="none",
        holds=set(answers.statuses) == {"503"}
        and answers.worst < GATEWAY_WAITS
        and again.taken == set(callbacks)
        and kept
        and audit.is_clean,
    )
