"""One rig for every test: the client over the stand-in, and its levers."""

from collections.abc import AsyncIterator

import pytest

from rig import TillgateRig


@pytest.fixture
async def rig() -> AsyncIterator[TillgateRig]:
    """A gateway of its own for each test."""
    rig = TillgateRig()
    yield rig
    await rig.close()
