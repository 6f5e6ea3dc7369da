"""What is true after the last fault: asked of the database and of the providers' own books."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import TypeAlias

import psycopg
from psycopg.rows import TupleRow
from tests.crash.children import Inside, Job
from tests.crash.town import door
from tests.e2e.town import Town

from bitloot.domain.replay import differences
from bitloot.ports.views.invariants import SEVERAL_MAILS
from bitloot_web.composition.opening import OpenShop, open_shop
from bitloot_web.plugins import Configuration

MANY = 10_000

# Whatever a job may be named by, and whose order it is.
REFS = """
    SELECT id::text, id::text FROM orders
    UNION ALL SELECT id::text, order_id::text FROM fulfilments
    UNION ALL SELECT id::text, order_id::text FROM payments
    UNION ALL SELECT id::text, order_id::text FROM webhook_logs WHERE order_id IS NOT NULL
    UNION ALL SELECT key, order_id::text FROM emails WHERE order_id IS NOT NULL
"""
# A person has been told: a hold is open, a job is a dead letter, or money went back.
HUMAN = """
    SELECT order_id::text FROM holds WHERE state = 'open'
    UNION SELECT id::text FROM orders WHERE status = 'refunded'
"""
HOLDS = """
    SELECT reason, count(*)::text FROM holds WHERE state = 'open' GROUP BY reason ORDER BY reason
"""
OVERDUE = """
    SELECT kind, ref FROM jobs
    WHERE state = 'pending' AND greatest(available_at, lease_until) < now() - %s::interval
"""
BUSY = """
    SELECT count(*) FROM jobs WHERE state = 'pending' AND kind <> 'sweep'
      AND (available_at <= now() OR lease_until > now())
"""

WAITING = """
    SELECT j.kind, coalesce(f.state || coalesce('/' || f.blocked_reason, ''), ''),
      coalesce(j.last_error, ''), count(*)::text
    FROM jobs j LEFT JOIN fulfilments f ON f.id::text = j.ref
    WHERE j.state = 'pending' AND j.kind <> 'sweep' GROUP BY 1, 2, 3 ORDER BY count(*) DESC
"""

Rows: TypeAlias = list[TupleRow]


def standing(configuration: Configuration, paid: list[str]) -> Job:
    """A child that tells how much is still under way: orders, mails, jobs."""

    async def look(inside: Inside) -> None:
        async with await connect(configuration) as connection:
            human = {row[0] for row in await rows(connection, HUMAN)} | await dead(connection)
            status: dict[str, str] = dict(
                await rows(connection, "SELECT id::text, status FROM orders")
            )
            sending = await rows(connection, "SELECT key FROM emails WHERE state = 'sending'")
            busy = await rows(connection, BUSY)
            waiting = await rows(connection, WAITING)
        under_way = [one for one in paid if status[one] != "fulfilled" and one not in human]
        told = {f"{kind} {state} {error}": int(count) for kind, state, error, count in waiting}
        inside.tell({"waiting": told})
        inside.tell({"orders": len(under_way), "mails": len(sending), "jobs": int(busy[0][0])})

    return look


def checking(
    configuration: Configuration, town: Town, paid: list[str], stuck_after: timedelta
) -> Job:
    """A child that tells every order that something is wrong with, and every other fault."""

    async def check(inside: Inside) -> None:
        async with (
            open_shop(configuration) as opened,
            await connect(configuration) as connection,
        ):
            check = Check(inside, connection, town)
            await check.refs()
            await check.ends(paid, stuck_after)
            await check.bought()
            await check.keys()
            await check.mails()
            await check.books(opened)

    return check


class Check:
    """The questions, one after the other; each tells what it found."""

    def __init__(
        self, inside: Inside, connection: psycopg.AsyncConnection[TupleRow], town: Town
    ) -> None:
        self._inside = inside
        self._connection = connection
        self._town = town

    def _found(self, what: str, orders: Iterable[str], **facts: object) -> None:
        for order in orders:
            self._inside.tell({"found": what, "order": order, **facts})

    def _fault(self, text: str) -> None:
        self._inside.tell({"fault": text})

    async def refs(self) -> None:
        """Which order each reference of a job belongs to."""
        owner: dict[str, str] = dict(await rows(self._connection, REFS))
        jobs = await rows(self._connection, "SELECT id::text, ref FROM jobs")
        owner |= {job: owner[ref] for job, ref in jobs if ref in owner}
        for ref, order in owner.items():
            self._inside.tell({"ref": ref, "order": order})

    async def ends(self, paid: list[str], stuck_after: timedelta) -> None:
        """Every paid order is delivered or in the hands of a person; what has a job is stuck."""
        human = {row[0] for row in await rows(self._connection, HUMAN)}
        letters = await dead(self._connection)
        status: dict[str, str] = dict(
            await rows(self._connection, "SELECT id::text, status FROM orders")
        )
        owner: dict[str, str] = dict(await rows(self._connection, REFS))
        pending = await rows(self._connection, "SELECT ref FROM jobs WHERE state = 'pending'")
        at_work = {owner[ref] for (ref,) in pending if ref in owner}
        left = [one for one in paid if status.get(one) != "fulfilled"]
        self._found("human", [one for one in left if one in human | letters])
        left = [one for one in left if one not in human | letters]
        self._found("stuck", [one for one in left if one in at_work])
        self._found("lost", [one for one in left if one not in at_work])
        for reason, count in await rows(self._connection, HOLDS):
            self._inside.tell({"hold": f"{reason}: {count}"})
        for kind, ref in await rows(self._connection, OVERDUE, stuck_after):
            self._found("stuck", [owner.get(str(ref), str(ref))], job=kind)
        for kind, ref, error in await rows(
            self._connection, "SELECT kind, ref, last_error FROM jobs WHERE state = 'dead'"
        ):
            self._inside.tell({"letter": f"{kind} {ref}: {error}"})

    async def bought(self) -> None:
        """The supplier's own book: one order for each fulfilment, and none that we do not know."""
        attempts = await rows(
            self._connection,
            "SELECT DISTINCT a.external_id, f.id::text, f.order_id::text, f.state"
            " FROM supplier_attempts a JOIN fulfilments f ON f.id = a.fulfilment_id",
        )
        fulfilment = {external: (row, order, state) for external, row, order, state in attempts}
        async with door(self._town, "kinguin") as kinguin:
            sold = (await kinguin.get("/_control/orders")).raise_for_status().json()
        known = {
            row[0]
            for row in await rows(
                self._connection,
                "SELECT supplier_order_id FROM supplier_attempts"
                " WHERE supplier_order_id IS NOT NULL",
            )
        }
        times = Counter[str]()
        for order in sold:
            if order["external_id"] not in fulfilment:
                self._fault(f"supplier order {order['order_id']} belongs to no attempt")
                continue
            row, owner, state = fulfilment[order["external_id"]]
            times[row] += 1
            if times[row] > 1:
                self._found("bought_twice", [owner])
            if order["order_id"] not in known and state == "delivered":
                self._fault(f"supplier order {order['order_id']} was never adopted")
        self._inside.tell({"sold": len(sold)})

    async def keys(self) -> None:
        """Every live key belongs to one unit of one order, and no serial to two."""
        live = await rows(
            self._connection,
            "SELECT k.order_id::text, k.order_item_id::text, k.slot::text, k.fingerprint,"
            " k.supplier || '/' || coalesce(k.supplier_key_id, k.id::text), k.id::text"
            " FROM sealed_keys k WHERE k.state = 'live' AND k.order_item_id IS NOT NULL",
        )
        for place in (3, 4, 5):
            holders = defaultdict[str, list[str]](list)
            for row in live:
                holders[row[place]].append(row[0])
            for orders in holders.values():
                self._found("delivered_twice", orders if len(orders) > 1 else [])
        quantity: dict[str, str] = dict(
            await rows(self._connection, "SELECT id::text, quantity::text FROM order_items")
        )
        owner = {row[1]: row[0] for row in live}
        for item, count in Counter(row[1] for row in live).items():
            self._found("delivered_twice", [owner[item]] if count > int(quantity[item]) else [])
        self._inside.tell({"keys": len(live)})

    async def mails(self) -> None:
        """One mail of each kind at the provider for each order; every one that we count as sent."""
        async with door(self._town, "resend") as resend:
            box = (await resend.get("/_control/mailbox")).raise_for_status().json()["mails"]
        written = await rows(
            self._connection, "SELECT key, kind, order_id::text, state FROM emails"
        )
        # By address and kind, not by key: a second mail under another key is one too many.
        buyers: dict[str, str] = dict(
            await rows(self._connection, "SELECT lower(email), id::text FROM orders")
        )
        arrived = Counter[tuple[str, str, str]]()
        keys = set[str]()
        for mail in box:
            key, kind = str(mail["idempotency_key"]), str(mail["tags"]["kind"])
            keys.add(key)
            order = buyers.get(str(mail["to"][0]).lower(), "")
            if not order:
                self._fault(f"a mail with the key {key} went to nobody we know")
            # Of some kinds an order may have several, each under a key of its own.
            arrived[(order, kind, key if kind in SEVERAL_MAILS else "")] += 1
        self._found("extra_mails", [order for (order, *_), n in arrived.items() if n > 1])
        for key, _, _, state in written:
            if state == "sent" and key not in keys:
                self._fault(f"the mail {key} is noted as sent and did not arrive")
        ready = {order for _, kind, order, state in written if (kind, state) == READY}
        done = await rows(self._connection, "SELECT id::text FROM orders WHERE status='fulfilled'")
        for (order,) in done:
            if order not in ready:
                self._fault(f"order {order} is fulfilled and its buyer was not told")
        self._inside.tell({"mails": len(box)})

    async def books(self, opened: OpenShop) -> None:
        """The ledger sums to zero, no invariant is broken, and the events give the rows."""
        sums = await rows(
            self._connection,
            "SELECT order_id::text FROM ledger_lines GROUP BY order_id HAVING sum(amount) <> 0",
        )
        for (order,) in sums:
            self._fault(f"the ledger of {order} does not sum to zero")
        desk = opened.shop.views.desk
        for breach in await desk.breaches(limit=MANY):
            self._fault(f"{breach.name}: {breach.subject}")
        orders = await rows(self._connection, "SELECT id::text FROM orders")
        for (order,) in orders:
            file = await desk.file(order)
            assert file is not None
            ledger, events = await desk.ledger(order), await desk.events(order)
            for line in differences(file, ledger, events):
                self._fault(f"order {order}: {line}")
        self._inside.tell({"orders": len(orders)})


READY = ("order-ready", "sent")


async def connect(configuration: Configuration) -> psycopg.AsyncConnection[TupleRow]:
    """A connection of the checker's own."""
    return await psycopg.AsyncConnection.connect(
        configuration.settings.database_url, autocommit=True
    )


async def rows(
    connection: psycopg.AsyncConnection[TupleRow], statement: str, *values: object
) -> Rows:
    """What a fixed statement finds."""
    cursor = await connection.execute(statement.encode(), values or None)
    return await cursor.fetchall()


async def dead(connection: psycopg.AsyncConnection[TupleRow]) -> set[str]:
    """The orders that have a dead letter."""
    owner: Mapping[str, str] = dict(await rows(connection, REFS))
    letters = await rows(connection, "SELECT ref FROM jobs WHERE state = 'dead'")
    return {owner[ref] for (ref,) in letters if ref in owner}
