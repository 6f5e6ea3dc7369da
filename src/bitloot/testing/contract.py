"""What all suites share: levers that may be missing, and only when that is said."""

from collections.abc import Callable, Iterator, Mapping
from typing import ClassVar, Final, TypeVar

Test = TypeVar("Test", bound=Callable[..., object])

_LEVERS: Final = "levers_of_the_rig"


class LeverMissing(Exception):
    """Raised by a rig for a lever that its provider does not have."""


def needs(*levers: str) -> Callable[[Test], Test]:
    """Marks a test of a suite that pulls levers which some providers do not have."""

    def mark(test: Test) -> Test:
        setattr(test, _LEVERS, frozenset(levers))
        return test

    return mark


class Contract:
    """`lacks` names levers that the rig does not have, each with the reason.

    Tests that need one of them are left out of the subclass. Naming a lever that no test needs is
    refused, so that a declaration cannot outlive its reason.
    """

    lacks: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        wanted = dict(_wanted(cls))
        known = frozenset[str]().union(*wanted.values())
        for lever, reason in cls.lacks.items():
            if lever not in known or not reason.strip():
                raise TypeError(f"{cls.__name__}: {lever!r} is needed by no test or has no reason")
        for name, levers in wanted.items():
            if levers & cls.lacks.keys():
                setattr(cls, name, None)


def _wanted(suite: type[Contract]) -> Iterator[tuple[str, frozenset[str]]]:
    for name in dir(suite):
        if name.startswith("test_"):
            levers: frozenset[str] = getattr(getattr(suite, name), _LEVERS, frozenset())
            yield name, levers
