"""R18: clocks that disagree by minutes, or step back by an hour, end no lease and lose no order."""

from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

import httpx
from tests.promises.figures import Figures
from tests.promises.market import Market, open_doors, open_market

from bitloot.domain.failpoints import AFTER_INTENT_COMMIT
from bitloot_adapters.clock import utc_now
from bitloot_web.composition.neighbours import Neighbours
from bitloot_web.devservices import ValkeyStore

SKEWS = (timedelta(minutes=-5), timedelta(), timedelta(minutes=5))
HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


@dataclass
class Skewed:
    """A process whose wall clock is wrong by so much."""

    by: timedelta

    def now(self) -> datetime:
        return utc_now() + self.by

    def on(self, near: Neighbours) -> Neighbours:
        return replace(near, clock=self.now)

    def step_back(self, point: str) -> None:
        if point == AFTER_INTENT_COMMIT:
            self.by -= HOUR


async def test_r18_leases_hold_by_the_databases_time_whatever_the_clocks_say(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    rounds = 50 if figures.full else 5
    valkey_server.flush()
    early, wrong_ends, taken = 0, 0, 0
    async with open_doors() as doors, AsyncExitStack() as stack:
        shops = [
            await stack.enter_async_context(
                open_market(shop_url, valkey_server.url, tmp_path, doors, changed=Skewed(by).on)
            )
            for by in SKEWS
        ]
        first = shops[0]
        await first.own("own-game", *(f"OWN-{n:03d}".encode() for n in range(rounds)))
        life = first.near.limits.job_lease
        for turn in range(rounds):
            await shops[turn % 3].paid("own-game")
            asked = "SELECT id::text FROM jobs WHERE state = 'pending' AND available_at <= now()"
            job = str((await first.sql(asked))[0][0])
            holder = shops[turn % 3]
            lease = await holder.near.jobs.lease(job)
            assert lease is not None
            left = "SELECT extract(epoch FROM lease_until - now())::float8 FROM jobs WHERE id = %s"
            [(seconds,)] = await first.sql(left, [job])
            wrong_ends += not life.total_seconds() - 5 < seconds <= life.total_seconds()
            others = [shop for shop in shops if shop is not holder]
            early += sum([await shop.near.jobs.lease(job) is not None for shop in others])
            # One second before its end it still stands; after it anybody may go on.
            await first.elapse(timedelta(seconds=seconds) - 2 * SECOND)
            early += sum([await shop.near.jobs.lease(job) is not None for shop in others])
            await first.elapse(3 * SECOND)
            taken += await others[0].near.jobs.lease(job) is not None
            await first.elapse(life + SECOND)
            for shop in shops:
                await shop.work()
        statuses = Counter(str(one) for (one,) in await first.sql("SELECT status FROM orders"))
        breaches = await first.breaches()
    figures.note(
        "R18",
        "leases are the database's: clocks 5 minutes before and behind end none early",
        figure=f"{rounds} leases of 3 processes: {early} ended early, {wrong_ends} with another"
        f" end, {taken} taken over after it; orders {dict(statuses)}",
        scale="full" if figures.full else "÷ 10",
        holds=not early
        and not wrong_ends
        and taken == rounds
        and statuses == {"fulfilled": rounds},
    )
    assert breaches == ()


async def test_r18_a_clock_that_steps_back_an_hour_in_mid_purchase_buys_once(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    orders = 20 if figures.full else 3
    valkey_server.flush()
    clock = Skewed(timedelta())
    async with (
        open_doors() as doors,
        open_market(
            shop_url, valkey_server.url, tmp_path, doors,
            failpoint=clock.step_back,
            changed=lambda near: replace(clock.on(near), failpoint=clock.step_back),
        ) as market,
    ):  # fmt: skip
        slug = (await market.supplied())[0]
        bought = []
        for _ in range(orders):
            clock.by = timedelta()
            order = await market.bought(slug)
            assert clock.by == -HOUR
            await market.live(timedelta(minutes=2))
            bought.append(len(await market.sold(order)))
        clock.by = timedelta()
        await market.live(timedelta(minutes=70))
        statuses = Counter(str(one) for (one,) in await market.sql("SELECT status FROM orders"))
        breaches = await market.breaches()
    figures.note(
        "R18",
        "a clock that steps back an hour in mid-purchase buys once and delivers",
        figure=f"{orders} purchases: supplier orders for each {dict(Counter(bought))};"
        f" orders {dict(statuses)}",
        scale="full" if figures.full else "÷ 7",
        holds=bought == [1] * orders and statuses == {"fulfilled": orders},
    )
    assert breaches == ()


async def opens(market: Market, path: str, token: str) -> bool:
    headers = {"authorization": f"Bearer {token}"}
    answer = await market.client.get(path, headers=headers)
    assert answer.status_code in {httpx.codes.OK, httpx.codes.UNAUTHORIZED}
    return answer.is_success


async def test_r18_tokens_bear_thirty_seconds_of_skew_on_either_side_and_no_more(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    valkey_server.flush()
    clock = Skewed(timedelta())
    inside, outside = (0, 1, 15, 28), (33, 60, 300, 3600)
    accepted, refused = 0, 0
    async with (
        open_doors() as doors,
        open_market(shop_url, valkey_server.url, tmp_path, doors, changed=clock.on) as market,
    ):
        await market.own("own-game", b"OWN-1")
        order = await market.order("own-game")
        issue, life = market.shop.sessions.issue, market.near.limits.order_session_life
        for seconds in (*inside, *outside):
            skew = timedelta(seconds=seconds)
            # Issued by a clock that is ahead, and read by one after the end of the token.
            for token in (
                issue(order.id, at=clock.now() + skew),
                issue(order.id, at=clock.now() - life - skew),
            ):
                is_open = await opens(market, order.path, token)
                accepted += is_open and seconds in inside
                refused += not is_open and seconds in outside
    figures.note(
        "R18",
        "tokens bear 30 s of skew between two clocks, and no more",
        figure=f"{accepted} of {2 * len(inside)} inside accepted, {refused} of {2 * len(outside)}"
        " outside refused",
        scale="full",
        holds=accepted == 2 * len(inside) and refused == 2 * len(outside),
    )
