"""Does what is due: releases scheduled mails, lets events happen, attempts notices."""

import asyncio
from datetime import datetime, timedelta
from typing import Final

from bitloot_adapters.sandbox.resend.clock import VirtualClock
from bitloot_adapters.sandbox.resend.config import ResendSandboxConfig
from bitloot_adapters.sandbox.resend.outcomes import learn_suppression, plan_events
from bitloot_adapters.sandbox.resend.records import Mail, Notice, PlannedEvent
from bitloot_adapters.sandbox.resend.state import State
from bitloot_adapters.sandbox.resend.webhooks import Postman

_LONGEST_SLEEP_SECONDS: Final = 60.0

Due = Mail | PlannedEvent | Notice


class Schedule:
    """One queue in the order of time, driven by real time or by the control door."""

    def __init__(
        self, config: ResendSandboxConfig, clock: VirtualClock, state: State, postman: Postman
    ) -> None:
        self._config = config
        self._clock = clock
        self._state = state
        self._postman = postman
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    def wake(self) -> None:
        """Say that something new may be due."""
        self._changed.set()

    async def advance(self, seconds: float) -> int:
        """Move time forward, doing everything at its own moment; gives the count of steps."""
        target = self._clock.now() + timedelta(seconds=seconds)
        steps = 0
        async with self._turn:
            while (following := self._next()) is not None and following[0] <= target:
                self._clock.advance_to(following[0])
                await self._do(following[1])
                steps += 1
            self._clock.advance_to(target)
        self.wake()
        return steps

    async def run_due(self) -> int:
        """Do all that is due now; gives the count of steps."""
        steps = 0
        async with self._turn:
            while (following := self._next()) is not None and following[0] <= self._clock.now():
                await self._do(following[1])
                steps += 1
        return steps

    async def run_forever(self) -> None:
        """Keep real time: sleep until the next thing is due or something changes."""
        while True:
            self._changed.clear()
            await self.run_due()
            following = self._next()
            pause = _LONGEST_SLEEP_SECONDS
            if following is not None:
                left = (following[0] - self._clock.now()).total_seconds()
                pause = min(pause, max(0.0, left))
            try:
                await asyncio.wait_for(self._changed.wait(), timeout=pause)
            except TimeoutError:
                continue

    def _next(self) -> tuple[datetime, Due] | None:
        waiting: list[tuple[datetime, int, Due]] = [
            (event.due, event.number, event) for event in self._state.planned
        ]
        waiting += [
            (mail.scheduled_at, mail.number, mail)
            for mail in self._state.mails.waiting
            if mail.scheduled_at is not None
        ]
        if not self._state.mode.paused:
            waiting += [
                (notice.next_at, notice.number, notice)
                for notice in self._state.notices.waiting
                if notice.next_at is not None
            ]
        if not waiting:
            return None
        moment, _, due = min(waiting, key=lambda item: (item[0], item[1]))
        return moment, due

    async def _do(self, due: Due) -> None:
        if isinstance(due, Notice):
            await self._postman.attempt(due)
        elif isinstance(due, Mail):
            release(self._state, due, self._config, self._clock.now())
        else:
            self._happen(due)
        self._state.commit()

    def _happen(self, event: PlannedEvent) -> None:
        self._state.planned.drop(event)
        mail = self._state.mails.get(event.mail_id)
        if mail is None:
            return
        if event.sets_last_event:
            mail.last_event = event.type.removeprefix("email.")
            self._state.mails.put(mail)
        learn_suppression(self._state, mail, event, self._clock.now())
        self._postman.announce(mail, event)


def release(state: State, mail: Mail, config: ResendSandboxConfig, at: datetime) -> None:
    """Give a mail to the mail world: from here on it cannot be called back."""
    mail.released = True
    mail.last_event = "queued"
    state.mails.put(mail)
    plan_events(state, mail, config, at)
