"""R21: what is done again by hand, however often, has the effect of one."""

import asyncio
from collections import Counter

from tests.promises.figures import Figures
from tests.promises.market import GATEWAY_HOOK, Market, Seen, good, once

from bitloot.ports.jobs import Lease
from bitloot_web.job_runner import JobRunner

TIMES = 3
POISONED = ("apply_payment", "fulfil", "mail_event", "send_email")


async def dead_letters(market: Market) -> list[str]:
    return [job.id for job in await market.near.jobs.dead(limit=1000, after=None)]


async def broken(lease: Lease) -> None:
    raise RuntimeError(lease.kind)


async def poison(market: Market, kind: str) -> int:
    """Every job of this kind fails until it is a dead letter; gives how many there are."""
    runner = JobRunner(
        market.near.jobs,
        {kind: broken},
        limits=market.near.limits,
        jitter=lambda: 0.0,
        observe=lambda *_: None,
    )
    due = (
        "SELECT id::text FROM jobs WHERE kind = %s AND state = 'pending'"
        " AND available_at <= now() + interval '5 seconds'"
    )
    while rows := await market.sql(due, [kind]):
        await asyncio.gather(*(runner.run(str(job)) for (job,) in rows))
    return len(await dead_letters(market))


async def work_on(market: Market, *kinds: str) -> None:
    """Run what is due, but not the kinds that are poisoned later."""
    runner = market.opened.runner()
    statement = (
        "SELECT id::text FROM jobs WHERE state = 'pending' AND available_at <= now()"
        " AND lease_until < now() AND kind <> ALL (%s)"
    )
    while rows := await market.sql(statement, [list(kinds)]):
        await asyncio.gather(*(runner.run(str(job)) for (job,) in rows))


async def effects(market: Market) -> Seen:
    statements = {
        "fulfilled": "SELECT count(*) FROM orders WHERE status = 'fulfilled'",
        "sales": "SELECT count(DISTINCT entry) FROM ledger_lines WHERE starts_with(entry, 'sale/')",
        "fulfilments": "SELECT count(*) FROM fulfilments",
        "keys": "SELECT count(*) FROM sealed_keys",
        "mails": "SELECT count(*) FROM emails WHERE kind = 'order-ready' AND state = 'sent'",
    }
    found = {name: await market.count(statement) for name, statement in statements.items()}
    found["bought"] = len(await market.sold())
    return found


async def test_r21_dead_jobs_replayed_three_times_have_the_effect_of_one(
    market: Market, figures: Figures
) -> None:
    orders = 25 if figures.full else 3
    slug = (await market.supplied())[0]
    for _ in range(orders):
        await market.paid(slug)
    dead, rearmed = 0, 0
    for place, kind in enumerate(POISONED):
        await work_on(market, *POISONED[place:])
        dead += await poison(market, kind)
        letters = await dead_letters(market)
        for _ in range(TIMES):
            answers = await asyncio.gather(*(market.near.jobs.replay(job) for job in letters))
            rearmed += sum(answers)
        # Again while the first replay is at work.
        await asyncio.gather(market.work_kind(kind), *map(market.near.jobs.replay, letters))
    await market.work()
    found = await effects(market)
    figures.note(
        "R21",
        f"dead jobs replayed {TIMES} times have the effect of one",
        figure=f"{dead} dead jobs of {len(POISONED)} kinds: {found}",
        scale="full" if figures.full else "÷ 8",
        holds=dead >= orders * len(POISONED)
        and rearmed == dead
        and set(found.values()) == {orders}
        and not await dead_letters(market),
    )
    assert await market.breaches() == ()


async def test_r21_stored_callbacks_replayed_three_times_have_the_effect_of_one(
    market: Market, figures: Figures
) -> None:
    orders = 25 if figures.full else 4
    slug = (await market.supplied())[0]
    for _ in range(orders):
        order = await market.payable(slug)
        for sent in await market.pay(order):
            await market.call_back(sent)
    for number in range(orders):
        fake = b'{"payment_id": %d, "payment_status": "finished"}' % number
        await market.client.post(GATEWAY_HOOK, content=fake, headers={"x-nowpayments-sig": "0"})
    await market.work()
    before = await effects(market)
    rows = await market.sql("SELECT id::text, signature_ok FROM webhook_logs ORDER BY id")
    genuine = [str(id_) for id_, is_ours in rows if is_ours]
    forged = [str(id_) for id_, is_ours in rows if not is_ours]
    told: Counter[str] = Counter()
    for _ in range(TIMES):
        for start in range(0, len(rows), 100):
            some = [str(id_) for id_, _ in rows[start : start + 100]]
            body = {"ids": some, "reason": "test"}
            path = "/v1/admin/webhooks/bulk-replay"
            answer = good(
                await market.client.post(path, json=body, headers=once(**await market.admin()))
            )
            told.update(
                f"{one['outcome']} {'forged' if one['id'] in forged else 'genuine'}"
                for one in answer["items"]
            )
        await market.work()
    after = await effects(market)
    figures.note(
        "R21",
        f"stored callbacks replayed {TIMES} times have the effect of one, forged ones are refused",
        figure=f"{len(genuine)} genuine and {len(forged)} forged: {dict(told)}; {after}",
        scale="full" if figures.full else "÷ 6",
        holds=told
        == {
            "queued genuine": TIMES * len(genuine),
            "webhook-not-replayable forged": TIMES * len(forged),
        }
        and before == after
        and set(after.values()) == {orders},
    )
    assert await market.breaches() == ()
