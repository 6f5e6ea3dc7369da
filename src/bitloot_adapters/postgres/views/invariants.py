"""The invariants as queries that must return nothing, all asked in one statement.

Each is written as plain SQL, so that it can be read beside the sentence that it stands for and run
by hand. `subject` is the id of what was found.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Integer, Text, bindparam, column, select, text, union_all

from bitloot_adapters.postgres.statements import Statement, compiled
from bitloot_adapters.postgres.views.orders import word

_BOOKS: Final[Mapping[str, str]] = {
    "ledger_unbalanced": """
        SELECT DISTINCT order_id AS subject FROM ledger_lines
        GROUP BY order_id, entry HAVING sum(amount) <> 0
    """,
    "sale_of_unpaid_order": """
        SELECT DISTINCT o.id AS subject
        FROM ledger_lines l JOIN orders o ON o.id = l.order_id
        WHERE starts_with(l.entry, 'sale/') AND (o.paid_at IS NULL OR l.entry <> 'sale/' || o.id)
    """,
    "paid_without_sale": """
        SELECT o.id AS subject FROM orders o
        WHERE o.paid_at IS NOT NULL AND o.total > 0 AND NOT EXISTS (
            SELECT FROM ledger_lines l WHERE l.order_id = o.id AND l.entry = 'sale/' || o.id)
    """,
    "refund_above_price": """
        SELECT o.id AS subject
        FROM orders o JOIN ledger_lines l ON l.order_id = o.id AND l.account = 'refund'
        GROUP BY o.id HAVING sum(l.amount) > o.total + coalesce(o.paid_over, 0)
    """,
    "cost_above_ceiling": """
        SELECT a.id AS subject
        FROM supplier_attempts a JOIN fulfilments f ON f.id = a.fulfilment_id
        WHERE a.cost > f.max_unit_price * a.quantity
    """,
}

_GOODS: Final[Mapping[str, str]] = {
    "fulfilled_without_keys": """
        SELECT i.id AS subject FROM order_items i JOIN orders o ON o.id = i.order_id
        WHERE o.status = 'fulfilled' AND i.quantity > (
            SELECT count(DISTINCT k.slot)
            FROM sealed_keys k JOIN fulfilments f ON f.id = k.fulfilment_id
            WHERE k.order_item_id = i.id AND k.state IN ('live', 'replaced')
              AND f.state IN ('delivered', 'replaced'))
    """,
    "two_supplier_orders": """
        SELECT fulfilment_id AS subject FROM supplier_attempts
        WHERE state IN ('created', 'completed')
        GROUP BY fulfilment_id HAVING count(*) > 1
    """,
    "supplier_order_unknown": """
        SELECT f.id AS subject FROM fulfilments f
        WHERE NOT f.own_stock
          AND CASE f.state WHEN 'retry_wait' THEN f.waits_in ELSE f.state END IN
            ('reserved', 'awaiting_release', 'keys_ready', 'sealed', 'vaulted', 'delivered')
          AND NOT EXISTS (
            SELECT FROM supplier_attempts a
            WHERE a.fulfilment_id = f.id AND a.supplier_order_id IS NOT NULL)
    """,
    "supplier_key_twice": """
        SELECT max(id::text) AS subject FROM sealed_keys WHERE supplier_key_id IS NOT NULL
        GROUP BY supplier, supplier_key_id HAVING count(*) > 1
    """,
    "fingerprint_twice": """
        SELECT max(id::text) AS subject FROM sealed_keys WHERE state <> 'quarantined'
        GROUP BY fingerprint HAVING count(*) > 1
    """,
    "unit_with_two_attempts": """
        SELECT DISTINCT f.order_item_id AS subject
        FROM fulfilments f
        JOIN supplier_attempts a ON a.fulfilment_id = f.id
        JOIN fulfilments other ON other.order_item_id = f.order_item_id AND other.slots && f.slots
        JOIN supplier_attempts b ON b.fulfilment_id = other.id AND b.id > a.id
        WHERE a.state IN ('intent', 'unknown', 'created')
          AND b.state IN ('intent', 'unknown', 'created')
          AND f.state NOT IN ('replaced', 'returned')
          AND other.state NOT IN ('replaced', 'returned')
    """,
    "unit_with_two_keys": """
        SELECT DISTINCT order_item_id AS subject FROM sealed_keys
        WHERE order_item_id IS NOT NULL AND state IN ('live', 'shredded')
        GROUP BY order_item_id, slot HAVING count(*) > 1
    """,
    "reservation_left": """
        SELECT r.id AS subject FROM reservations r JOIN orders o ON o.id = r.order_id
        WHERE r.state = 'held' AND o.status NOT IN ('created', 'waiting', 'confirming')
    """,
}

_ORDERS: Final[Mapping[str, str]] = {
    "fulfilled_undelivered": """
        SELECT i.id AS subject FROM order_items i JOIN orders o ON o.id = i.order_id
        WHERE o.status = 'fulfilled' AND i.quantity > (
            SELECT count(DISTINCT slot) FROM fulfilments f, unnest(f.slots) AS slot
            WHERE f.order_item_id = i.id AND f.state IN ('delivered', 'replaced'))
    """,
    "delivered_unfulfilled": """
        SELECT o.id AS subject FROM orders o
        WHERE o.status IN ('paid', 'partially_fulfilled') AND NOT EXISTS (
            SELECT FROM order_items i
            WHERE i.order_id = o.id AND i.quantity > (
                SELECT count(DISTINCT slot) FROM fulfilments f, unnest(f.slots) AS slot
                WHERE f.order_item_id = i.id AND f.state IN ('delivered', 'replaced')))
    """,
    # Within a tolerance an underpaid one pays; and a refunded one did, before the hold on it.
    "paid_without_payment": """
        SELECT o.id AS subject FROM orders o
        WHERE o.status IN ('paid', 'partially_fulfilled', 'fulfilled')
          AND NOT 'manual' = ANY (o.remarks)
          AND NOT EXISTS (
            SELECT FROM payments p
            WHERE p.order_id = o.id AND (p.status = 'finished'
                OR p.id = o.settled_by AND p.status IN ('underpaid', 'refunded')))
    """,
    "fulfilment_of_unpaid_order": """
        SELECT f.id AS subject FROM fulfilments f JOIN orders o ON o.id = f.order_id
        WHERE o.paid_at IS NULL
    """,
    "finished_payment_unnoticed": """
        SELECT p.id AS subject FROM payments p JOIN orders o ON o.id = p.order_id
        WHERE p.status = 'finished' AND o.status IN ('created', 'waiting', 'confirming')
          AND NOT EXISTS (SELECT FROM holds h WHERE h.order_id = o.id AND h.state = 'open')
    """,
    # Money that is first seen after the end is late, and no breach.
    "expired_with_money_on_its_way": """
        SELECT DISTINCT o.id AS subject
        FROM orders o
        JOIN payments p ON p.order_id = o.id AND p.status IN ('confirming', 'confirmed', 'sending')
        JOIN events ended ON ended.order_id = o.id AND ended.kind = 'order_expired'
            AND ended.facts ->> 'by' = 'timer'
        JOIN events seen ON seen.order_id = o.id AND seen.kind = 'payment_moved'
            AND seen.subject = p.id::text AND seen.seq < ended.seq
            AND seen.facts ->> 'to' IN ('confirming', 'confirmed', 'sending')
        WHERE o.status = 'expired'
    """,
    "usable_grant": """
        SELECT g.id AS subject FROM grants g JOIN orders o ON o.id = g.order_id
        WHERE g.revoked_at IS NULL AND g.expires_at > now()
          AND g.downloads < CAST(:downloads AS integer)
          AND (NOT (o.status IN ('partially_fulfilled', 'fulfilled') OR o.status = 'failed'
                    AND o.failure_reason IS NOT DISTINCT FROM 'fulfilment_failed')
               OR EXISTS (SELECT FROM holds h WHERE h.order_id = o.id AND h.subject = 'order'
                          AND h.state = 'open'))
    """,
}

_WORK: Final[Mapping[str, str]] = {
    # A hold or a dead job is a person's to look at, and was told of. A held payment stops no work.
    "paid_but_idle": """
        SELECT o.id AS subject FROM orders o
        WHERE o.status IN ('paid', 'partially_fulfilled')
          AND NOT EXISTS (SELECT FROM holds h WHERE h.order_id = o.id AND h.state = 'open'
                          AND h.subject <> 'payment')
          AND NOT EXISTS (
            SELECT FROM fulfilments f JOIN jobs j ON j.kind = 'fulfil' AND j.ref = f.id::text
            WHERE f.order_id = o.id AND j.state = 'pending'
              AND j.available_at <= now() + CAST(:soon AS interval))
          AND NOT EXISTS (
            SELECT FROM fulfilments f JOIN jobs j ON j.kind = 'fulfil' AND j.ref = f.id::text
            WHERE f.order_id = o.id AND j.state = 'dead')
    """,
    "mail_twice": """
        SELECT DISTINCT m.order_id AS subject FROM emails m
        WHERE m.order_id IS NOT NULL AND m.kind <> ALL (CAST(:several AS text[]))
        GROUP BY m.order_id, m.kind HAVING count(*) > 1 AND count(*) > CASE m.kind
            WHEN 'order-ready' THEN 1 + (SELECT count(*) FROM events e
                WHERE e.order_id = m.order_id AND e.kind = 'keys_resent')
            WHEN 'order-failed' THEN (SELECT count(*) FROM events e
                WHERE e.order_id = m.order_id AND e.kind IN ('order_failed', 'given_up'))
            ELSE 1 END
    """,
    "lease_forgotten": """
        SELECT id AS subject FROM jobs
        WHERE state = 'pending' AND lease_until > '-infinity'
          AND lease_until < now() - CAST(:lease AS interval)
    """,
    "transaction_too_old": """
        SELECT pid AS subject FROM pg_stat_activity
        WHERE datname = current_database() AND usename = current_user
          AND backend_type = 'client backend' AND pid <> pg_backend_pid()
          AND xact_start < clock_timestamp() - CAST(:transaction AS interval)
    """,
}

QUERIES: Final[Mapping[str, str]] = {**_BOOKS, **_GOODS, **_ORDERS, **_WORK}


def _all() -> Statement:
    """Every breach as (name of the invariant, subject), at most `most` of each."""
    found = []
    for name, query in QUERIES.items():
        rows = text(query).columns(column("subject")).subquery(name)
        subject = rows.c.subject.cast(Text).label("subject")
        most = bindparam("most", type_=Integer)
        found.append(select(word(name).label("name"), subject).order_by(subject).limit(most))
    return compiled(union_all(*found))


BREACHES: Final = _all()
