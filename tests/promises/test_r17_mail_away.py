"""R17: mail is away for longer than a day, and every mail reaches its buyer once."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from tests.promises.figures import Figures
from tests.promises.market import Market, Order, Seen, open_doors, open_market

from bitloot_web.devservices import ValkeyStore

WANTED = "SELECT kind, subject, state FROM emails WHERE order_id = %s"
RENEWED = "SELECT count(*) FROM events WHERE order_id = %s AND kind = 'mail_key_renewed'"
LETTERS = "SELECT count(*) FROM jobs WHERE kind = 'send_email' AND state <> 'done'"
TRIES = "SELECT coalesce(sum(fence), 0) FROM jobs WHERE kind = 'send_email'"
# As long as a mail may still wait when its provider is back: the longest pause, and the tick.
RETURN = timedelta(minutes=11)
# Hours as they are; a mail is taken up less often, and so time passes in fewer steps.
FEWER = {"JOB_BACKOFF_CAP": "3h", "BREAKER_PROBE": "20m"}


@dataclass
class Post:
    """What became of the mails: how often each came, as what it is noted, and what is told."""

    copies: Counter[int] = field(default_factory=Counter)
    noted: Counter[str] = field(default_factory=Counter)
    renewed: int = 0

    async def read(self, market: Market, order: Order) -> None:
        """Every mail to the buyer of one order, by the subject that it was stored with."""
        query = {"to": order.email}
        found = (await market.mail.get("/_control/mailbox", params=query)).raise_for_status()
        came: list[Seen] = found.json()["mails"]
        rows = await market.sql(WANTED, [order.id])
        assert {str(kind) for kind, _, _ in rows} == {"order-created", "order-ready"}
        assert {mail["subject"] for mail in came} <= {subject for _, subject, _ in rows}
        for _, subject, state in rows:
            self.copies[sum(mail["subject"] == subject for mail in came)] += 1
            self.noted[str(state)] += 1
        self.renewed += await market.count(RENEWED, order.id)


@pytest.mark.parametrize(
    ("fault", "hours"),
    [("503_before", 20), ("503_before", 30), ("drop_after", 20), ("drop_after", 30)],
)
async def test_r17_mail_that_is_down_for_hours_brings_each_mail_once(
    shop_url: str,
    valkey_server: ValkeyStore,
    tmp_path: Path,
    fault: str,
    hours: int,
    figures: Figures,
) -> None:
    orders = 20 if figures.full else 1
    span, post = timedelta(hours=hours), Post()
    valkey_server.flush()
    async with (
        open_doors() as doors,
        open_market(
            shop_url, valkey_server.url, tmp_path, doors, limits={} if figures.full else FEWER
        ) as market,
    ):
        await market.own("own-game", *(f"OWN-{n:03d}".encode() for n in range(orders)))
        body = {"op": "emails.send", "fault": fault, "times": 1_000_000}
        (await market.mail.post("/_control/faults", json=body)).raise_for_status()
        placed = [await market.bought("own-game") for _ in range(orders)]
        await market.live(span, stride=span / 400)
        tries = await market.count(TRIES)
        (await market.mail.delete("/_control/faults")).raise_for_status()
        await market.live(RETURN if figures.full else timedelta(hours=4))
        for order in placed:
            await post.read(market, order)
        waiting, breaches = await market.count(LETTERS), await market.breaches()
    is_lost = span > timedelta(hours=23) and fault == "drop_after"
    mails, most = 2 * orders, 2 if is_lost else 1
    figures.note(
        "R17",
        f"mail is away for {hours} h ({fault}): each mail comes once"
        + (", or twice, which the timeline tells" if is_lost else ""),
        figure=f"{mails} mails of {orders} orders: copies of each {dict(post.copies)}, noted"
        f" {dict(post.noted)}, {post.renewed} new keys on timelines, {waiting} left; taken up"
        f" {tries / mails / hours:.1f} times an hour each",
        scale="full" if figures.full else "÷ 20; real hours, pauses up to 3 h",
        holds=set(post.copies) <= set(range(1, most + 1))
        and post.noted == {"sent": mails}
        # A second key is told on the timeline of the order, and there is at most one.
        and post.renewed == (mails if hours > 23 else 0)
        and post.copies[2] <= post.renewed
        and not waiting,
    )
    assert breaches == ()
