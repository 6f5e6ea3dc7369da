"""What must hold after every step, and what must have come of everything in the end."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from operator import attrgetter
from typing import Final

from tests.unit.simulation.buyers import Shown
from tests.unit.simulation.wires import FarSupplier
from tests.unit.simulation.world import LIMITS, World, at_once

from bitloot.domain.decision import JsonValue, Row, row_name
from bitloot.domain.email import Email
from bitloot.domain.forbidden import forbidden_pairs
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.hold import Hold
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.order import Order, OrderFile
from bitloot.domain.payment import Payment
from bitloot.domain.replay import differences, rebuilt
from bitloot.domain.reveal import Grant
from bitloot.ports.views.invariants import SEVERAL_MAILS
from bitloot_adapters.memory.questions import MemoryOrders
from bitloot_adapters.memory.views.invariants import BREACHES
from bitloot_adapters.memory.views.snapshot import Snapshot

# True only once time has passed without faults: a lease may well be left behind in the storm.
IN_THE_END: Final = frozenset({"lease_forgotten", "paid_but_idle"})

# Queries over the whole store are asked after each so many steps that wrote something.
WHOLE_LOOK: Final = 4


class Broken(AssertionError):
    """An invariant does not hold. `name` is that of the invariant, `subject` the id of what."""

    def __init__(self, name: str, subject: str) -> None:
        super().__init__(name, subject)
        self.name = name
        self.subject = subject


class Checks:
    """Looks at what was committed since the last look."""

    def __init__(self, world: World, shown: Shown) -> None:
        self._world: Final = world
        self._shown: Final = shown
        self._folded: Final[dict[str, dict[str, dict[str, JsonValue]]]] = defaultdict(dict)
        self._seen: Final[Counter[str]] = Counter()
        self._snapshot: Final = Snapshot(world.store, LIMITS)
        self._looks = 0
        self._orders: Final = MemoryOrders(world.store.tables)

    def after_step(self) -> None:
        """Look at the orders that the step changed. Raises Broken."""
        if self._world.bugs:
            raise Broken(f"an error that nobody expects: {self._world.bugs[0]}", "")
        committed = self._world.committed
        if not committed:
            return
        dirty = {d.order_id: None for d in committed if d.order_id is not None}
        committed.clear()
        for order_id in dirty:
            self._fold_on(order_id)
            file = at_once(self._orders.file(order_id))
            assert file is not None
            self._pairs(file)
            self._bought_once(file)
        self._looks += bool(dirty)
        if dirty and self._looks % WHOLE_LOOK == 0:
            self._queries(skip=IN_THE_END)

    def at_the_end(self) -> None:
        """Look at everything, whole. Raises Broken."""
        self.after_step()
        store = self._world.store
        for order in store.rows(Order):
            file = at_once(self._orders.file(order.id))
            assert file is not None
            ledger = list(store.tables.of_order(LedgerLine, order.id))
            found = differences(file, ledger, store.timeline(order.id))
            if found:
                raise Broken(f"the events give other rows: {found[0]}", order.id)
            self._pairs(file)
            self._bought_once(file)
        self._queries(skip=frozenset())
        self._mailed_once()
        supplier = self._world.around.supplier
        assert isinstance(supplier, FarSupplier)
        for order_id, asked in supplier.returns.items():
            if asked > 1:
                raise Broken("the return of an order was asked for twice", order_id)
        for serial in self._shown.twice():
            raise Broken("a key was shown for two units", serial)

    # --- pieces --------------------------------------------------------------------------

    def _queries(self, skip: Iterable[str]) -> None:
        for name, query in BREACHES.items():
            if name not in skip:
                for subject in query(self._snapshot):
                    raise Broken(name, subject)

    def _pairs(self, file: OrderFile) -> None:
        tables, order_id = self._world.store.tables, file.order.id
        found = forbidden_pairs(
            file,
            at=self._world.now(),
            grants=tables.of_order(Grant, order_id),
            keys=list(tables.of_order(SealedKey, order_id)),
        )
        if found:
            raise Broken(found[0], order_id)

    def _fold_on(self, order_id: str) -> None:
        """The new events, folded, give the rows that they name."""
        rows = self._folded[order_id]
        timeline = self._world.store.timeline(order_id)
        touched: dict[str, None] = {}
        for event in timeline[self._seen[order_id] :]:
            self._seen[order_id] += 1
            if event.seq != self._seen[order_id]:
                raise Broken(f"event {self._seen[order_id]} is missing", order_id)
            for name, fields in event.changes.items():
                rows.setdefault(name, {}).update(fields)
                touched[name] = None
        for row in self._stored(order_id):
            name = row_name(row)
            if name in touched and not _is_like(row, rows[name]):
                raise Broken(f"the events give another {name}", order_id)
            if name in rows and rows[name]["version"] != row.version:
                raise Broken(f"a row changed without an event: {name}", order_id)

    def _stored(self, order_id: str) -> Iterator[Row]:
        tables = self._world.store.tables
        order = tables.get(Order, order_id)
        assert order is not None
        yield order
        for row_type in (Payment, Fulfilment, SupplierAttempt, Hold, LedgerLine):
            yield from tables.of_order(row_type, order_id)

    def _bought_once(self, file: OrderFile) -> None:
        """Of the orders at the supplier, counted there, each id of ours has one at most."""
        supplier = self._world.supplier
        for attempt in file.attempts:
            if len(supplier.placed(attempt.external_id)) > 1:
                raise Broken("bought twice", attempt.external_id)

    def _mailed_once(self) -> None:
        """Each mail arrives once; that none is written twice is asked of the invariants."""
        written = Counter(
            (mail.to, mail.subject, mail.text) for mail in self._world.store.rows(Email)
        )
        sent = Counter(
            (mail.message.to, mail.message.subject, mail.message.text)
            for mail in self._world.around.mailer.mailbox
            if mail.message.subject.split()[0] not in SEVERAL_MAILS
        )
        for mail, count in sent.items():
            if count > max(1, written[mail]):
                to, subject, _ = mail
                raise Broken(f"mailed {count} times: {subject}", to)


def unsettled(world: World) -> list[str]:
    """What still has to come of the paid orders and of the finished payments."""
    found = []
    tables = world.store.tables
    for order in world.store.rows(Order):
        holds = list(tables.of_order(Hold, order.id))
        if order.status in {"paid", "partially_fulfilled"} and not any(h.is_open for h in holds):
            found.append(f"order {order.number} is {order.status}")
        payments = {p.gateway_payment_id: p for p in tables.of_order(Payment, order.id)}
        for report in world.gateway.of_order(order.number):
            if report.status != "finished" or not report.actually_paid:
                continue
            row = payments.get(report.gateway_payment_id)
            if row is None or row.status != "finished":
                found.append(f"payment {report.gateway_payment_id} of {order.number} is not seen")
            elif order.settled_by != row.id and not any(
                h.subject_id in {order.id, row.id} for h in holds
            ):
                found.append(f"payment {report.gateway_payment_id} of {order.number} is lost")
    return found


def _is_like(row: Row, fields: dict[str, JsonValue]) -> bool:
    told = _told_of(type(row))
    return told(row) == told(rebuilt(row, fields))


@cache
def _told_of(row: type[Row]) -> Callable[[Row], object]:
    """The fields of a row that its events tell of."""
    return attrgetter(*(name for name in row.__struct_fields__ if name not in row.unlogged))
