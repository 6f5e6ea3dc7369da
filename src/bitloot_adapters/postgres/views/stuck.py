"""Work that lost its job, as one statement.

What is open and has neither a pending job nor a dead one; a dead job waits for a person.
"""

from collections.abc import Mapping
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Text,
    bindparam,
    column,
    exists,
    not_,
    null,
    select,
    text,
    union_all,
)

from bitloot_adapters.postgres.order_reads import ID
from bitloot_adapters.postgres.statements import compiled
from bitloot_adapters.postgres.tables import jobs
from bitloot_adapters.postgres.views.orders import word

# Kind of work and of job; then which rows wait for work, `ref` being what their job is named by.
_WAITING: Final[Mapping[tuple[str, str | None], str]] = {
    ("fulfilment", "fulfil"): """
        SELECT f.id::text AS ref, f.id AS age, NULL AS provider
        FROM fulfilments f JOIN orders o ON o.id = f.order_id
        WHERE f.state NOT IN ('delivered', 'failed_terminal', 'returned', 'replaced', 'cancelled')
          AND o.status IN ('paid', 'partially_fulfilled', 'fulfilled', 'refunded')
          AND NOT EXISTS (
            SELECT FROM holds h
            WHERE h.order_id = o.id AND h.state = 'open'
              AND (h.subject = 'order' OR h.subject_id = f.order_item_id))
    """,
    # Linked deposits are not watched: their money waits for a person.
    ("payment", "apply_payment"): """
        SELECT p.id::text AS ref, p.id AS age, NULL AS provider
        FROM payments p
        WHERE p.gateway_payment_id IS NOT NULL AND NOT p.is_linked
          AND p.status NOT IN ('rejected', 'finished', 'refunded')
          AND (p.status IN ('confirming', 'confirmed', 'sending')
               OR coalesce(p.valid_until, p.created_at + CAST(:watch AS interval)) > now())
    """,
    # An order that has received something is not ended by its timer.
    ("order", "expire_order"): """
        SELECT o.id::text AS ref, o.id AS age, NULL AS provider
        FROM orders o
        WHERE NOT EXISTS (
            SELECT FROM holds h
            WHERE h.order_id = o.id AND h.state = 'open' AND h.subject = 'order')
          AND CASE o.status
            WHEN 'confirming' THEN EXISTS (
                SELECT FROM reservations r WHERE r.order_id = o.id AND r.state = 'held')
            ELSE o.status IN ('created', 'waiting') AND NOT EXISTS (
                SELECT FROM payments p
                WHERE p.order_id = o.id AND p.status IN
                    ('confirming', 'confirmed', 'sending', 'underpaid', 'finished'))
            END
          AND o.status IN ('created', 'waiting', 'confirming')
    """,
    ("invoice", "adopt_invoice"): """
        SELECT i.order_id::text AS ref, max(i.id::text)::uuid AS age, NULL AS provider
        FROM invoices i
        WHERE i.status = 'open' AND i.created_at + CAST(:watch AS interval) > now()
        GROUP BY i.order_id
    """,
    ("email", "send_email"): """
        SELECT e.key AS ref, e.id AS age, NULL AS provider
        FROM emails e
        WHERE e.state = 'sending' AND e.first_try_at < now() - CAST(:patience AS interval)
    """,
    ("webhook", None): """
        SELECT w.id::text AS ref, w.id AS age, w.provider
        FROM webhook_logs w
        WHERE w.signature_ok AND w.handled_at IS NULL AND w.classification IN ('received', 'early')
    """,
}
_WEBHOOK_JOBS: Final = ("apply_payment", "supplier_hint", "mail_event")


def _without_job(kind: str, job: str | None, waiting: str) -> Select[tuple[object, ...]]:
    found = text(waiting).columns(column("ref", Text), column("age", ID), column("provider", Text))
    rows = found.subquery(f"waiting_{kind}")
    kinds = [word(name) for name in ((job,) if job else _WEBHOOK_JOBS)]

    def has(state: str) -> ColumnElement[bool]:
        named = (jobs.c.kind.in_(kinds), jobs.c.ref == rows.c.ref)
        return exists(select(jobs.c.id).where(jobs.c.state == word(state), *named))

    return (
        select(
            word(kind).label("kind"),
            rows.c.ref,
            (word(job) if job else null()).label("job"),
            rows.c.provider,
        )
        # Asked one by one, so that each has its index.
        .where(not_(has("pending")), not_(has("dead")))
        .order_by(rows.c.age)
        .limit(bindparam("most", type_=Integer))
    )


STUCK: Final = compiled(union_all(*(_without_job(*of, rows) for of, rows in _WAITING.items())))
