"""Faults to order: what the next calls of an operation will suffer."""

import hashlib
from typing import Final, Literal

import msgspec

from bitloot_adapters.sandbox.resend.config import ResendSandboxConfig

FaultKind = Literal[
    "500_before",
    "503_before",
    "drop_before",
    "429",
    "error",
    "500_after",
    "503_after",
    "drop_after",
    "garbage",
    "slow",
]
BEFORE: Final = frozenset({"500_before", "503_before", "drop_before", "429", "error"})
MAX_FAULTS: Final = 1_000
_FRACTION_SPAN: Final = 2.0**64


class Fault(msgspec.Struct, kw_only=True):
    """One fault for the next ``times`` calls of ``op`` after ``skip`` untouched ones.

    ``seconds`` is a delay before the work, with any kind. ``name`` is the error of kind
    ``error``; ``retry_after`` says whether a 429 carries that header.
    """

    op: str = "*"
    fault: FaultKind
    times: int = 1
    skip: int = 0
    seconds: float = 0.0
    name: str = "application_error"
    message: str = "Something went wrong."
    retry_after: bool = True


class Faults:
    """First armed, first taken; then chance, when the configuration gives it a share."""

    def __init__(self, config: ResendSandboxConfig) -> None:
        self._config = config
        self._armed: list[Fault] = []
        self._rolls = 0
        self._random = [msgspec.convert({"fault": kind}, Fault) for kind in config.random_faults]

    def arm(self, fault: Fault) -> None:
        """Raises:
        ValueError: too many faults are armed already.
        """
        if len(self._armed) >= MAX_FAULTS:
            raise ValueError(f"at most {MAX_FAULTS} faults can be armed")
        self._armed.append(fault)

    def clear(self) -> None:
        self._armed.clear()

    @property
    def armed(self) -> list[Fault]:
        return list(self._armed)

    def take(self, op: str) -> Fault | None:
        for fault in self._armed:
            if fault.op not in {"*", op}:
                continue
            if fault.skip > 0:
                fault.skip -= 1
                continue
            fault.times -= 1
            if fault.times <= 0:
                self._armed.remove(fault)
            return fault
        return self._by_chance()

    def _by_chance(self) -> Fault | None:
        if self._config.random_fault_rate <= 0 or not self._random:
            return None
        self._rolls += 1
        seed = f"{self._config.random_seed}/{self._rolls}".encode()
        digest = hashlib.sha256(seed).digest()
        if int.from_bytes(digest[:8]) / _FRACTION_SPAN >= self._config.random_fault_rate:
            return None
        return self._random[int.from_bytes(digest[8:16]) % len(self._random)]
