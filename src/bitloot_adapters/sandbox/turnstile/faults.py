"""Faults to order: what the next calls of ``siteverify`` will suffer."""

from typing import Final, Literal

import msgspec

FaultKind = Literal[
    "internal-error",
    "internal-error_after",
    "503",
    "garbage",
    "slow",
    "drop_before",
    "drop_after",
    "refused",
]
AFTER: Final = frozenset({"internal-error_after", "drop_after"})
MAX_FAULTS: Final = 1_000


class Fault(msgspec.Struct, kw_only=True):
    """One fault for the next ``times`` calls after ``skip`` untouched ones.

    ``seconds`` is a delay before the work, with any kind. ``codes`` go with the kind
    ``internal-error`` in place of that code, for any answer that the vendor could give.
    """

    fault: FaultKind
    times: int = 1
    skip: int = 0
    seconds: float = 0.0
    codes: tuple[str, ...] = ("internal-error",)


class Faults:
    """First armed, first taken."""

    def __init__(self) -> None:
        self.armed: list[Fault] = []

    def arm(self, fault: Fault) -> None:
        """Raises:
        ValueError: too many faults are armed already.
        """
        if len(self.armed) >= MAX_FAULTS:
            raise ValueError(f"at most {MAX_FAULTS} faults can be armed")
        self.armed.append(fault)

    def take(self) -> Fault | None:
        for fault in self.armed:
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.times -= 1
            if fault.times <= 0:
                self.armed.remove(fault)
            return fault
        return None
