"""Planting every bug takes minutes: `make variants` does it."""

from pathlib import Path


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Left out unless it is named on the command line."""
    return True if collection_path.name == "test_each_is_caught.py" else None
