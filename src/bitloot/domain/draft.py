"""The changes of a decision while a rule is still collecting them.

A rule that touches a row twice, or moves it along several states in one commit, writes each step
here; the row is saved once, as it ends. A draft lives inside one call of a rule.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import TypeVar

import msgspec

from bitloot.domain.decision import (
    AuditEntry,
    Change,
    Decision,
    Event,
    JobRequest,
    Row,
    insert,
    update,
)
from bitloot.domain.fulfilment import (
    ATTEMPT,
    FULFILMENT,
    Fulfilment,
    FulfilmentState,
    SupplierAttempt,
)
from bitloot.domain.hold import Hold, HoldReason, HoldSubject
from bitloot.domain.ledger import Account, entry
from bitloot.domain.money import Eur
from bitloot.domain.order import ORDER, Order, OrderFile

R = TypeVar("R", bound=Row)


class IllegalMove(Exception):
    """A rule chose a signal that its machine's table has no cell for: a bug, nothing is written."""


class Draft:
    """Rows, events and jobs of one decision about one order."""

    def __init__(self, file: OrderFile, *, at: datetime, new_id: Callable[[], str]) -> None:
        self.file = file
        self.at = at
        self.new_id = new_id
        self._rows: dict[tuple[str, str], Change] = {}
        self._events: list[Event] = []
        self._jobs: list[JobRequest] = []
        self._audit: list[AuditEntry] = []

    @property
    def order(self) -> Order:
        """The order as it stands in this draft."""
        return self.now(self.file.order)

    def now(self, row: R) -> R:
        """The row as it stands in this draft."""
        change = self._rows.get(_name(row))
        if change is None:
            return row
        after = change.after
        assert isinstance(after, type(row))
        return after

    def put(self, row: R) -> R:
        """Write a new row."""
        change = insert(row)
        self._rows[_name(row)] = change
        return self.now(row)

    def set(self, row: R, **fields: object) -> R:
        """Write fields over the row as it stands in this draft."""
        known = self._rows.get(_name(row))
        if known is None:
            self._rows[_name(row)] = update(row, **fields)
        else:
            after = msgspec.structs.replace(known.after, **fields)
            self._rows[_name(row)] = Change(before=known.before, after=after)
        return self.now(row)

    def event(
        self,
        kind: str,
        subject: str,
        *,
        due: datetime | None = None,
        facts: Mapping[str, str | int | None] | None = None,
    ) -> None:
        """Tell a fact of this order."""
        self._events.append(
            Event(kind=kind, at=self.at, subject=subject, facts=dict(facts or {}), due=due)
        )

    def job(self, kind: str, ref: str, *, due: datetime | None = None) -> None:
        """Ask for work that no event stands for."""
        self._jobs.append(JobRequest(kind=kind, ref=ref, due=due))

    def audit(
        self,
        actor: str,
        action: str,
        subject: str,
        *,
        reason: str = "",
        facts: Mapping[str, str | int | None] | None = None,
    ) -> None:
        """Record what a person did."""
        self._audit.append(
            AuditEntry(
                at=self.at,
                actor=actor,
                action=action,
                subject=subject,
                reason=reason,
                facts=dict(facts or {}),
            )
        )

    def move(self, fulfilment: Fulfilment, *signals: str, **fields: object) -> Fulfilment:
        """Move a fulfilment along its table, each step an event. Raises IllegalMove."""
        row = self.now(fulfilment)
        for signal in signals:
            following = FULFILMENT.step(row.state, signal)
            if following is None:
                raise IllegalMove(f"fulfilment: {row.state} --{signal}-->")
            facts = {"from": row.state, "to": following, "item": row.item_no, "part": row.part}
            row = self.set(row, state=following, updated_at=self.at)
            self.event("fulfilment_moved", row.id, facts=facts)
        return self.set(row, **fields) if fields else row

    def resume(self, fulfilment: Fulfilment) -> Fulfilment:
        """Out of a wait, back into the state that it came from; other states stay as they are."""
        row = self.now(fulfilment)
        if row.state != "retry_wait":
            return row
        return self.move(row, f"resume_{row.waits_in}", waits_in=None)

    def move_attempt(
        self, attempt: SupplierAttempt, *signals: str, **fields: object
    ) -> SupplierAttempt:
        """Move a supplier attempt along its table. Raises IllegalMove."""
        row = self.now(attempt)
        for signal in signals:
            following = ATTEMPT.step(row.state, signal)
            if following is None:
                raise IllegalMove(f"supplier attempt: {row.state} --{signal}-->")
            row = self.set(row, state=following)
            self.event("attempt_resolved", row.id, facts={"to": following, "gen": row.gen})
        return self.set(row, **fields) if fields else row

    def move_order(self, signal: str, **fields: object) -> Order:
        """Move the order along its table. Raises IllegalMove."""
        following = ORDER.step(self.order.status, signal)
        if following is None:
            raise IllegalMove(f"order: {self.order.status} --{signal}-->")
        return self.set(self.file.order, status=following, **fields)

    def hold(self, subject: HoldSubject, subject_id: str, reason: HoldReason) -> None:
        """Open a hold, unless the same one is open already."""
        rows = [*self.file.holds, *(r for r in self.written() if isinstance(r, Hold))]
        if any(h.is_open and h.subject_id == subject_id and h.reason == reason for h in rows):
            return
        opened = Hold(
            id=self.new_id(),
            order_id=self.order.id,
            subject=subject,
            subject_id=subject_id,
            reason=reason,
            opened_at=self.at,
        )
        self.put(opened)
        kind = {"order": "order_held", "item": "item_held", "payment": "payment_held"}[subject]
        # `n` tells the mails of an order's holds apart.
        facts: dict[str, str | int | None] = {
            "reason": reason,
            "on": subject_id,
            "n": len(rows) + 1,
        }
        self.event(kind, opened.id, facts=facts)

    def book(self, name: str, amounts: Mapping[Account, Eur]) -> None:
        """Write a ledger entry that sums to zero."""
        for line in entry(self.order.id, name, amounts, at=self.at, new_id=self.new_id):
            self.put(line)

    def written(self) -> Iterable[Row]:
        """Every row of this draft as it will be written."""
        return tuple(change.after for change in self._rows.values())

    def fulfilments(self) -> tuple[Fulfilment, ...]:
        """All fulfilments of the order as they stand in this draft, new ones last."""
        known = {f.id for f in self.file.fulfilments}
        added = [r for r in self.written() if isinstance(r, Fulfilment) and r.id not in known]
        return (*(self.now(f) for f in self.file.fulfilments), *added)

    def decision(self, reason: str = "") -> Decision:
        """All of it; nothing but the reason where nothing happened."""
        if not self._events:
            return Decision(
                save=tuple(self._rows.values()),
                jobs=tuple(self._jobs),
                audit=tuple(self._audit),
                reason=reason,
            )
        self.set(self.file.order)
        return Decision(
            save=tuple(self._rows.values()),
            events=tuple(self._events),
            jobs=tuple(self._jobs),
            audit=tuple(self._audit),
            order_id=self.order.id,
            reason=reason,
        )


def _name(row: Row) -> tuple[str, str]:
    return type(row).__name__, row.id


def standing(fulfilment: Fulfilment) -> FulfilmentState:
    """The state that counts: where a waiting fulfilment will go on, else its own."""
    if fulfilment.state == "retry_wait" and fulfilment.waits_in is not None:
        return fulfilment.waits_in
    return fulfilment.state
