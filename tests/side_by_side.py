"""Which tests one process runs one after another, where several run side by side.

Those that share something that is slow to make: the town of `tests/e2e`, the full shelves of one
module, what is found in all files of the tree. Every other test goes to whoever is free.
"""

from typing import Final

from xdist.scheduler import LoadScopeScheduling

TOGETHER: Final = (
    "tests/e2e/",
    "tests/integration/test_shelf_plans.py",
    "tests/integration/test_description_kept.py",
    "tests/unit/test_tidy.py",
)


class SideBySide(LoadScopeScheduling):
    """Hands out what belongs together as one, and what does not test by test."""

    def _split_scope(self, nodeid: str) -> str:
        return together(nodeid)


def together(nodeid: str) -> str:
    """What the test belongs to: tests of one name go to one process."""
    return next((place for place in TOGETHER if nodeid.startswith(place)), nodeid)
