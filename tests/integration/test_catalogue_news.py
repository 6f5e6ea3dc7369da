"""Every process that shows the catalogue hears of its changes."""

from datetime import UTC, datetime
from typing import TypeVar

import msgspec
import pytest

from bitloot.domain.decision import Decision, Row, update
from bitloot.domain.limits import Limits
from bitloot.testing.rows import Rows, stocked
from bitloot_adapters.clock import boot_seconds, new_id
from bitloot_adapters.postgres.listener import CATALOGUE, open_listener
from bitloot_adapters.postgres.pool import open_database
from bitloot_adapters.postgres.unit_of_work import PostgresUnitOfWork

R = TypeVar("R", bound=Row)
LIMITS = Limits()
LONG = 30.0
AT_ONCE = 5.0


def stored(row: R) -> R:
    """The row as it is after it was written first."""
    return msgspec.structs.replace(row, version=1)


@pytest.mark.parametrize("changed", ["listing", "product"])
async def test_a_change_of_what_is_shown_is_told_at_once(shop_url: str, changed: str) -> None:
    goods = Rows(clock=lambda: datetime.now(UTC), new_id=new_id).goods()
    async with (
        open_database(shop_url, LIMITS) as database,
        open_listener(shop_url, boot_seconds, CATALOGUE) as heard,
    ):
        uow = PostgresUnitOfWork(database, new_id=new_id, max_attempts=LIMITS.job_attempts)
        async with uow.begin() as tx:
            await tx.record(stocked(goods))
        await heard.wait(LONG)  # connects
        change = (
            update(stored(goods.product), title="Another")
            if changed == "product"
            else update(stored(goods.listing), rank=9)
        )
        began = boot_seconds()
        async with uow.begin() as tx:
            await tx.record(Decision(save=(change,)))
        await heard.wait(LONG)
        assert boot_seconds() - began < AT_ONCE
