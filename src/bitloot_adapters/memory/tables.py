"""What the memory store holds: rows and their unique keys, checked and written in one go."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TypeVar, cast

import msgspec

from bitloot.domain.decision import Change, Row, changed_fields
from bitloot.domain.fulfilment import SupplierAttempt
from bitloot.domain.order import Order
from bitloot.domain.product import Listing, Offer
from bitloot.domain.reservation import stock_move
from bitloot.ports.errors import Conflict, Duplicate, NoStockLeft
from bitloot_adapters.memory.listing_copies import out_of_step
from bitloot_adapters.memory.unique_rules import TABLES, UNIQUE_RULES, AnyRule, UniqueKey

R = TypeVar("R", bound=Row)
RowName = tuple[type[Row], str]


class _Draft(msgspec.Struct, frozen=True):
    """What a set of changes comes to, before any of it is seen."""

    rows: dict[RowName, Row]
    freed: dict[tuple[str, UniqueKey], str]
    taken: dict[tuple[str, UniqueKey], str]


class Held(msgspec.Struct, frozen=True):
    """What tables hold: rows, which of them belong to an order, and who has which unique key."""

    rows: dict[type[Row], dict[str, Row]]
    of_order: dict[tuple[type[Row], str], dict[str, None]]
    unique: dict[tuple[str, UniqueKey], str]


class Tables:
    """Rows by type and id. A row is written whole or not at all, under its version."""

    def __init__(self) -> None:
        self._rows: dict[type[Row], dict[str, Row]] = {row: {} for row in TABLES}
        self._of_order: dict[tuple[type[Row], str], dict[str, None]] = defaultdict(dict)
        self._unique: dict[tuple[str, UniqueKey], str] = {}
        self.writes = 0

    def get(self, row: type[R], row_id: str) -> R | None:
        """One row by id."""
        return self._table(row).get(row_id)

    def all(self, row: type[R]) -> Iterator[R]:
        """Every row of a table, in the order of insertion."""
        return iter(self._table(row).values())

    def of_order(self, row: type[R], order_id: str) -> Iterator[R]:
        """The rows of one order, in the order of insertion."""
        ids = self._of_order.get((row, order_id))
        if ids is None:
            return iter(())
        table = self._table(row)
        return iter([table[row_id] for row_id in ids if row_id in table])

    def by_key(self, row: type[R], rule: str, *key: str) -> R | None:
        """The row that holds this key of a unique rule."""
        row_id = self._unique.get((rule, key))
        return None if row_id is None else self.get(row, row_id)

    def _table(self, row: type[R]) -> dict[str, R]:
        # Rows stand under their own type, which the type of the whole cannot say.
        return cast("dict[str, R]", self._rows[row])

    def write(self, changes: Sequence[Change], remove: Sequence[Row] = ()) -> None:
        """Write all changes and forget what is to be removed, or raise Conflict, Duplicate or
        NoStockLeft and do neither.
        """
        if any(self._moved_on(row) for row in remove):
            raise Conflict
        draft = _Draft({}, {}, {})
        for change in changes:
            self._draft(draft, change)
        for change in changes:
            self._count(draft, change)
        for (rule, key), row_id in draft.taken.items():
            holder = self._unique.get((rule, key))
            if holder not in {None, row_id} and draft.freed.get((rule, key)) != holder:
                raise Duplicate(rule)
        for freed in draft.freed:
            del self._unique[freed]
        self._unique.update(draft.taken)
        written = [
            (self._rows[kind].get(row_id), row) for (kind, row_id), row in draft.rows.items()
        ]
        for (row_type, row_id), row in draft.rows.items():
            self._keep(row_type, row_id, row)
        self.writes += 1
        for listing in out_of_step(written, self):
            self._rows[Listing][listing.id] = listing
        for gone in remove:
            self.drop(gone)

    def _keep(self, row_type: type[Row], row_id: str, row: Row) -> None:
        """The row by its id and, where it belongs to an order, among those of the order."""
        was = getattr(self._rows[row_type].get(row_id), "order_id", None)
        self._rows[row_type][row_id] = row
        order_id = getattr(row, "order_id", None)
        if was not in {None, order_id}:
            del self._of_order[row_type, was][row_id]
        if order_id is not None:
            self._of_order[row_type, order_id][row_id] = None

    def _moved_on(self, row: Row) -> bool:
        stored = self.get(type(row), row.id)
        return stored is None or stored.version != row.version

    def held(self) -> Held:
        """All that is held now, for tables that begin with as much; rows never change."""
        rows = {row: dict(rows) for row, rows in self._rows.items()}
        of_order = {at: dict(ids) for at, ids in self._of_order.items()}
        return Held(rows, of_order, dict(self._unique))

    def begin_with(self, held: Held) -> None:
        """Hold what other tables held."""
        self._rows, self._unique = held.rows, held.unique
        self._of_order = defaultdict(dict, held.of_order)

    def drop(self, row: Row) -> None:
        """Forget a row and its unique keys: for records whose time is over."""
        self._rows[type(row)].pop(row.id, None)
        for rule in _rules_of(type(row)):
            key = rule.key_of(row)
            if key is not None:
                self._unique.pop((rule.name, key), None)

    def _draft(self, draft: _Draft, change: Change) -> None:
        name = (type(change.after), change.after.id)
        stored = draft.rows.get(name) or self.get(*name)
        if change.before is None:
            if stored is not None:
                raise Duplicate(id_rule(name[0]))
            after = change.after
        else:
            if stored is None or stored.version != change.before.version:
                raise Conflict
            # Only what the change names: a row may have been read without its bytes.
            after = msgspec.structs.replace(stored, **changed_fields(change))
        if isinstance(after, Offer):
            held = stored.held if isinstance(stored, Offer) else 0
            after = msgspec.structs.replace(after, held=held)
        draft.rows[name] = after
        self._move_keys(draft, stored, after)

    def _move_keys(self, draft: _Draft, stored: Row | None, after: Row) -> None:
        for rule in _rules_of(type(after)):
            was = rule.key_of(stored) if stored is not None else None
            now = rule.key_of(after)
            if was == now:
                continue
            if was is not None:
                if draft.taken.get((rule.name, was)) == after.id:
                    del draft.taken[rule.name, was]
                else:
                    draft.freed[rule.name, was] = after.id
            if now is not None:
                if draft.taken.get((rule.name, now), after.id) != after.id:
                    raise Duplicate(rule.name)
                draft.taken[rule.name, now] = after.id

    def _count(self, draft: _Draft, change: Change) -> None:
        """Move the counters of the offer whose units a reservation keeps, takes or gives back."""
        move = stock_move(change)
        if move is None:
            return
        name: RowName = (Offer, move.offer_row_id)
        offer = draft.rows.get(name) or self.get(*name)
        if not isinstance(offer, Offer):
            raise NoStockLeft
        held, stock = offer.held + move.held, offer.stock + move.stock
        if move.guarded and stock < held:
            raise NoStockLeft
        draft.rows[name] = msgspec.structs.replace(offer, held=max(0, held), stock=max(0, stock))


@cache
def _rules_of(row: type[Row]) -> tuple[AnyRule, ...]:
    """The rules that speak of a table."""
    return tuple(rule for rule in UNIQUE_RULES if issubclass(row, rule.row))


def id_rule(row: type[Row]) -> str:
    """The name of the rule that an id stands in a table once."""
    return "supplier_attempts_id" if row is SupplierAttempt else f"{TABLES[row]}_pkey"


def order_by_number(tables: Tables, number: str) -> Order | None:
    """The order that people know by this number."""
    return tables.by_key(Order, "orders_number", number)
