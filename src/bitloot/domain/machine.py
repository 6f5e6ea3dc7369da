"""A state machine is a table; a step is a look-up in it."""

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

import msgspec

S = TypeVar("S", bound=str)


class Machine(msgspec.Struct, Generic[S], frozen=True, kw_only=True):
    """States, the signals that move them, and the states that are meant to be ends.

    `moves[state][signal]` is the next state. Every state has a row, an empty one if it is an end.
    """

    name: str
    initial: S
    moves: Mapping[S, Mapping[str, S]]
    terminal: frozenset[S]

    def step(self, state: S, signal: str) -> S | None:
        """The next state, or None where the table has no row.

        None is no error: gateways repeat themselves and arrive out of order. The caller leaves
        the row unchanged and records that the signal came.
        """
        return self.moves[state].get(signal)

    def next_states(self, state: S) -> frozenset[S]:
        """Every state that one signal can reach from `state`."""
        return frozenset(self.moves[state].values())

    def edges(self) -> Iterator[tuple[S, str, S]]:
        """Every (state, signal, next state), in the order in which the table is written."""
        for state, row in self.moves.items():
            for signal, following in row.items():
                yield state, signal, following


def faults(machine: Machine[S]) -> list[str]:
    """What is wrong with a table: unknown states, unreachable states, undeclared ends.

    An empty list means that every state has a row, can be reached from the initial one, and has a
    way out unless it is declared terminal.
    """
    found: list[str] = []
    for state, signal, following in machine.edges():
        if following not in machine.moves:
            found.append(f"{machine.name}: {state} --{signal}--> {following}, which has no row")
    reached = {machine.initial}
    frontier = [machine.initial]
    while frontier:
        for following in machine.moves.get(frontier.pop(), {}).values():
            if following not in reached:
                reached.add(following)
                frontier.append(following)
    for state in machine.moves:
        if state not in reached:
            found.append(f"{machine.name}: {state} cannot be reached")
        leaves = any(following != state for following in machine.moves[state].values())
        if not leaves and state not in machine.terminal:
            found.append(f"{machine.name}: {state} is a dead end that is not declared terminal")
    return found
