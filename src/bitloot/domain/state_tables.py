"""The state tables as Markdown, for people: a table and a Mermaid diagram of each machine."""

from collections.abc import Iterator
from typing import Final, TypeVar

from bitloot.domain.fulfilment import ATTEMPT, FULFILMENT
from bitloot.domain.key_inventory import INVENTORY_KEY
from bitloot.domain.machine import Machine
from bitloot.domain.order import ORDER
from bitloot.domain.payment import GATEWAY_STATUS, PAYMENT
from bitloot.domain.reservation import RESERVATION

S = TypeVar("S", bound=str)

_HEAD: Final = """\
# States

Printed from the tables in `bitloot.domain` by `bitloot states`; a test fails when this page
and the tables differ. A signal without a cell leaves the row as it is and is recorded.
"""


def state_tables() -> str:
    """The whole page."""
    parts = [
        _HEAD,
        *_machine(ORDER, "Automation never leaves the ends; a person's recorded decision may."),
        *_machine(PAYMENT, "The signals are the gateway's own words; the rank decides."),
        *_ranks(),
        *_machine(FULFILMENT, "`retry_wait` goes back to the state that it came from."),
        *_machine(ATTEMPT, "At most one attempt of a fulfilment is not at an end."),
        *_machine(RESERVATION, "A late payment takes ended reservations anew."),
        *_machine(INVENTORY_KEY, "Own stock; the key itself stays sealed."),
    ]
    return "\n".join(parts)


def states_told(machine: Machine[S]) -> str:
    """The states in one sentence, each with those that may follow it."""
    told = (
        f"`{state}` (then {', '.join(f'`{each}`' for each in dict.fromkeys(row.values()))})"
        if row
        else f"`{state}`"
        for state, row in machine.moves.items()
    )
    return f"One of: {'; '.join(told)}."


def _machine(machine: Machine[S], note: str) -> Iterator[str]:
    yield f"## {machine.name.capitalize()}\n\n{note}\n"
    yield "| state | signal → next |\n|---|---|"
    for state, row in machine.moves.items():
        moves = ", ".join(f"{signal} → `{following}`" for signal, following in row.items())
        mark = " (end)" if state in machine.terminal else ""
        yield f"| `{state}`{mark} | {moves or '-'} |"
    yield "\n```mermaid\nstateDiagram-v2"
    yield f"    [*] --> {machine.initial}"
    for state, following, signals in _grouped(machine):
        yield f"    {state} --> {following}: {', '.join(signals)}"
    for state in machine.moves:
        if state in machine.terminal:
            yield f"    {state} --> [*]"
    yield "```\n"


def _grouped(machine: Machine[S]) -> Iterator[tuple[S, S, list[str]]]:
    signals: dict[tuple[S, S], list[str]] = {}
    for state, signal, following in machine.edges():
        signals.setdefault((state, following), []).append(signal)
    for (state, following), names in signals.items():
        yield state, following, names


def _ranks() -> Iterator[str]:
    yield "| gateway status | payment | rank |\n|---|---|---|"
    for word, (status, rank) in GATEWAY_STATUS.items():
        yield f"| `{word}` | `{status}` | {rank} |"
    yield ""
