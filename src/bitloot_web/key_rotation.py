"""Every data key under the present key-encryption key, while the shop sells."""

import asyncio
from typing import Final

import msgspec

from bitloot.domain.errors import Refused
from bitloot.usecases.inventory import Inventory
from bitloot_web.composition.opening import open_shop
from bitloot_web.plugins import Configuration

# How often keys that are in use are waited for, and for how many seconds each time.
MOST_PAUSES: Final = 100
PAUSE: Final = 0.2


class Rotation(msgspec.Struct, frozen=True):
    """How many data keys were wrapped anew, and the ids of the sealed keys that do not open."""

    rotated: int
    unreadable: tuple[str, ...] = ()


async def rotate_keys(configuration: Configuration) -> Rotation:
    """Re-wrap every data key that is not under the present key-encryption key.

    What was done stays done when it is broken off: run it again for the rest. Raises
    Refused(`invalid-input`) when keys stay in use for too long to be sure of all of them.
    """
    async with open_shop(configuration) as opened:
        return await rotate_all(opened.shop.inventory)


async def rotate_all(inventory: Inventory) -> Rotation:
    """Batch after batch until no data key is left but those that do not open.

    Keys that are in use are waited for, and each round begins with the first key again.
    """
    rotated = 0
    for _ in range(MOST_PAUSES):
        batch = await inventory.rotate()
        done, unreadable = batch.count, list(batch.unreadable)
        while batch.last is not None:
            batch = await inventory.rotate(batch.last)
            done += batch.count
            unreadable += batch.unreadable
        rotated += done
        if await inventory.not_rotated() == len(unreadable):
            return Rotation(rotated, tuple(unreadable))
        await asyncio.sleep(PAUSE)
    raise Refused("invalid-input", "Some keys are in use all the time; run it again.")
