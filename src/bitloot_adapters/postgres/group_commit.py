"""New deliveries are written together: one statement and one commit for all that came while the
last one was out.

A flood of callbacks costs the database a few commits and not one each, and the slowest of them
waits for two of those at most. A delivery that is known already is left out by the statement and
told so. Where the database refuses a statement, each delivery is written by itself: nobody is told
of another's fault.
"""

import asyncio
import copy
from collections.abc import Sequence
from typing import Final

import msgspec
from sqlalchemy import Text, cast, select
from sqlalchemy.dialects.postgresql import insert

from bitloot.domain.decision import Decision
from bitloot.domain.webhook import Webhook
from bitloot.ports.clock import NewId
from bitloot.ports.errors import Duplicate, StoreUnavailable
from bitloot_adapters.batching import Answers, Batcher
from bitloot_adapters.postgres.job_statements import asked_for, wishes
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.postgres.record import given_value, recordset
from bitloot_adapters.postgres.statements import Question, Statement, compiled
from bitloot_adapters.postgres.tables import webhook_logs

# More would make one statement long, and a body may have tens of kilobytes.
MAX_TOGETHER: Final = 64
# Four statements: whoever comes behind them is told at once to come again.
MAX_WAITING: Final = 256
_RULE: Final = "webhook_logs_dedupe_key"


class Delivery(msgspec.Struct, frozen=True):
    """A decision that waits for nobody's rows: one new delivery, and wishes for its own jobs."""

    webhook: Webhook
    decision: Decision


def delivery(decision: Decision) -> Delivery | None:
    """The decision as a delivery, None where it is more than that."""
    if len(decision.save) != 1 or decision.remove or decision.events or decision.audit:
        return None
    (change,) = decision.save
    if change.before is not None or not isinstance(change.after, Webhook):
        return None
    if any(job.ref != change.after.id for job in decision.jobs):
        return None
    return Delivery(change.after, decision)


def _taking_in() -> Statement:
    """Gives the ids of those that were not known yet; only they get their jobs."""
    names = list(webhook_logs.c.keys())
    given = recordset(webhook_logs, names, "deliveries")
    rows = select(*(given_value(webhook_logs, given, name) for name in names))
    fresh = (
        insert(webhook_logs)
        .from_select(names, rows, include_defaults=False)
        .on_conflict_do_nothing(
            index_elements=[webhook_logs.c.provider, webhook_logs.c.dedupe_key],
            index_where=webhook_logs.c.signature_ok,
        )
        .returning(webhook_logs.c.id)
        .cte("fresh")
    )
    return compiled(select(cast(fresh.c.id, Text)).add_cte(asked_for(fresh).cte("asked")))


_TAKING_IN: Final = _taking_in()


class GroupCommit:
    """One writer for all tasks of a process. `max_attempts` as in `PostgresUnitOfWork`."""

    def __init__(self, database: Database, *, new_id: NewId, max_attempts: int) -> None:
        self._database = database
        self._new_id = new_id
        self._max_attempts = max_attempts
        self._together = Batcher[Delivery, None](
            self._write, together=MAX_TOGETHER, waiting=MAX_WAITING
        )

    async def write(self, delivery: Delivery) -> None:
        """Committed when this returns. Raises what a transaction of its own would raise, Duplicate
        among it, and StoreUnavailable where too many wait.
        """
        await self._together.ask(delivery)

    async def _write(self, deliveries: Sequence[Delivery]) -> Answers[None]:
        """What became of each: None where it is written."""
        question = self._taking_in(deliveries)
        (found,) = await asyncio.gather(self._database.write(question), return_exceptions=True)
        if not isinstance(found, BaseException):
            fresh = {str(row[0]) for row in found}
            return [None if each.webhook.id in fresh else Duplicate(_RULE) for each in deliveries]
        if isinstance(found, StoreUnavailable) or len(deliveries) == 1:
            return [copy.copy(found) for _ in deliveries]
        alone = await asyncio.gather(*(self._write([each]) for each in deliveries))
        return [answer for answers in alone for answer in answers]

    def _taking_in(self, deliveries: Sequence[Delivery]) -> Question:
        """In one order of keys, so that two processes never wait for each other."""
        webhooks = sorted((each.webhook for each in deliveries), key=_key)
        jobs = [job for each in deliveries for job in each.decision.jobs]
        return Question(
            _TAKING_IN,
            {
                "deliveries": msgspec.json.encode(webhooks).decode(),
                "wishes": wishes(jobs, self._new_id),
                "max_attempts": self._max_attempts,
            },
        )


def _key(webhook: Webhook) -> tuple[str, str]:
    return webhook.provider, webhook.dedupe_key
