"""The one statement of each limit. They write what the shop writes, and the same bytes come out."""

from typing import Final

# Parameters: id, dedupe key, subject, status, order number, body, id of the job.
CALLBACK: Final = """
WITH taken AS (
    INSERT INTO webhook_logs (id, version, provider, dedupe_key, signature_ok, classification,
        subject, status, order_number, body, attempts, note, received_at)
    VALUES ($1, 1, 'nowpayments', $2, true, 'received', $3, $4, $5, $6, 1, '', now())
    ON CONFLICT (provider, dedupe_key) WHERE signature_ok
        DO UPDATE SET attempts = webhook_logs.attempts + 1
    RETURNING id, attempts
)
INSERT INTO jobs (id, kind, ref, state, fence, attempts, max_attempts, wakes, available_at,
    created_at)
SELECT $7, 'apply_payment', id::text, 'pending', 0, 0, 12, 0, now(), now()
FROM taken WHERE attempts = 1
"""

# Parameters: quote, order, item, reservation, record of the key, two jobs (all ids), order number,
# address, caller, Idempotency-Key, digest of the request.
ORDER: Final = """
WITH quote AS MATERIALIZED (
    SELECT q.id, q.total, q.country, q.gateway_fee, line.*, o.cost
    FROM quotes q,
        jsonb_to_recordset(q.lines) AS line(product_id uuid, title text, source text,
            supplier text, supplier_product_id text, offer_row_id uuid, offer_id text,
            quantity integer, unit_price numeric, unit_floor numeric, is_preorder boolean,
            is_wholesale boolean, instructions text),
        product_offers o, products p
    WHERE q.id = $1 AND q.used_by IS NULL AND q.frozen_until > now()
        AND o.id = line.offer_row_id AND o.stock - o.held >= line.quantity
        AND p.id = line.product_id AND p.is_published
    FOR UPDATE OF q
),
used AS (
    UPDATE quotes SET used_by = $2, version = version + 1 FROM quote WHERE quotes.id = quote.id
),
ordered AS (
    INSERT INTO orders (id, version, number, quote_id, email, email_key, email_person,
        placed_from, country, source, status, remarks, total, gateway_fee, created_at,
        window_ends_at, completion_mailed, event_seq)
    SELECT $2, 1, $8, id, $9, $9, $9, $10, country, source, 'created', '{}', total, gateway_fee,
        now(), now() + interval '30 minutes', false, 1
    FROM quote
    RETURNING *
),
item AS (
    INSERT INTO order_items (id, version, order_id, item_no, product_id, title, source, supplier,
        supplier_product_id, offer_id, quantity, unit_price, unit_cost, unit_floor, is_preorder,
        is_wholesale, instructions)
    SELECT $3, 1, $2, 1, product_id, title, source, supplier, supplier_product_id, offer_id,
        quantity, unit_price, cost, unit_floor, is_preorder, is_wholesale, instructions
    FROM quote
    RETURNING *
),
kept AS (
    INSERT INTO reservations (id, version, order_id, order_item_id, product_id, supplier,
        offer_row_id, quantity, key_ids, state, expires_at, created_at)
    SELECT $4, 1, $2, $3, product_id, supplier, offer_row_id, quantity, '{}', 'held',
        now() + interval '30 minutes', now()
    FROM quote
    RETURNING *
),
told AS (
    INSERT INTO events (order_id, seq, kind, at, subject, facts, due, changes)
    SELECT $2, 1, 'order_placed', now(), $2::text,
        jsonb_build_object('items', 1, 'total', ordered.total::text),
        now() + interval '30 minutes', jsonb_build_object('order/' || $2::text, to_jsonb(ordered),
            'orderitem/' || $3::text, to_jsonb(item),
            'reservation/' || $4::text, to_jsonb(kept))
    FROM ordered, item, kept
),
asked AS (
    INSERT INTO jobs (id, kind, ref, state, fence, attempts, max_attempts, wakes, available_at,
        created_at)
    SELECT job, kind, $2::text, 'pending', 0, 0, 12, 0, due, now()
    FROM quote, (VALUES ($6::uuid, 'expire_order', now() + interval '30 minutes'),
        ($7::uuid, 'push', now())) AS wish(job, kind, due)
),
answer AS (
    SELECT json_build_object('id', $2::text, 'number', $8::text, 'status', 'created',
        'total', total::text, 'currency', 'EUR', 'createdAt', created_at,
        'windowEndsAt', window_ends_at)::text AS document
    FROM ordered
),
remembered AS (
    INSERT INTO idempotency_keys (id, version, route, caller, key, request_hash, state, answer,
        started_at)
    SELECT $5, 1, 'POST /v1/orders', 'guest/' || $10, $11, $12, 'done',
        convert_to(document, 'UTF8'), now()
    FROM answer
)
SELECT document FROM answer
"""

# Parameter: order.
STATUS: Final = """
SELECT json_build_object('id', o.id, 'number', o.number, 'status', o.status,
    'failureReason', o.failure_reason, 'remarks', o.remarks, 'source', o.source,
    'email', o.email, 'country', o.country, 'total', o.total::text, 'currency', 'EUR',
    'paidOver', o.paid_over::text, 'isHeld', EXISTS (SELECT 1 FROM holds h
        WHERE h.order_id = o.id AND h.state = 'open'),
    'items', (SELECT json_agg(json_build_object('id', i.id, 'itemNo', i.item_no,
        'productId', i.product_id, 'title', i.title, 'source', i.source, 'quantity', i.quantity,
        'unitPrice', i.unit_price::text, 'delivered', (SELECT count(*) FROM sealed_keys k
            WHERE k.order_item_id = i.id AND k.state = 'live'), 'state', 'waiting',
        'isPreorder', i.is_preorder, 'instructions', i.instructions) ORDER BY i.item_no)
        FROM order_items i WHERE i.order_id = o.id),
    'payment', (SELECT json_build_object('id', p.id, 'kind', 'address', 'status', p.status,
        'price', null, 'payCurrency', p.pay_currency, 'payAmount', p.pay_amount::text,
        'payAddress', p.pay_address, 'memo', p.payin_extra_id, 'network', p.network,
        'actuallyPaid', p.actually_paid::text, 'url', null, 'quoteEndsAt', p.quote_ends_at,
        'validUntil', p.valid_until)
        FROM payments p WHERE p.order_id = o.id ORDER BY p.id DESC LIMIT 1),
    'createdAt', o.created_at, 'windowEndsAt', o.window_ends_at, 'paidAt', o.paid_at,
    'fulfilledAt', o.fulfilled_at, 'lastEvent', o.event_seq, 'version', o.version)::text
FROM orders o WHERE o.id = $1
"""

# Parameters: session, the version that it has.
REFRESH: Final = """
UPDATE sessions SET generation = generation + 1, version = sessions.version + 1,
    rotated_at = now(), expires_at = now() + interval '7 days'
FROM users
WHERE sessions.id = $1 AND sessions.version = $2 AND sessions.revoked_at IS NULL
    AND sessions.expires_at > now() AND users.id = sessions.user_id AND users.state = 'active'
RETURNING sessions.user_id::text, sessions.generation, sessions.rotated_at, sessions.expires_at
"""

# Parameter: how many.
CLAIM: Final = """
WITH chosen AS MATERIALIZED (
    SELECT id FROM jobs
    WHERE state = 'pending' AND available_at <= now() AND lease_until < now()
        AND published_at IS NULL
    ORDER BY available_at LIMIT $1 FOR UPDATE SKIP LOCKED
)
UPDATE jobs SET published_at = now() FROM chosen WHERE jobs.id = chosen.id RETURNING jobs.id
"""

# Parameter: job.
LEASE: Final = """
UPDATE jobs SET fence = fence + 1, attempts = attempts + 1,
    lease_until = now() + interval '60 seconds'
WHERE id = $1 AND state = 'pending' AND available_at <= now() AND lease_until < now()
RETURNING kind, ref, fence, attempts, max_attempts, wakes, state
"""

# Parameters: job, fence, wakes.
OUTCOME: Final = """
UPDATE jobs SET lease_until = '-infinity', published_at = NULL, last_error = NULL,
    state = CASE WHEN wakes <> $3 THEN 'pending' ELSE 'done' END,
    attempts = CASE WHEN wakes <> $3 THEN 0 ELSE attempts END,
    available_at = CASE WHEN wakes <> $3 THEN now() ELSE available_at END
WHERE id = $1 AND fence = $2 AND state = 'pending' AND lease_until <> '-infinity'
RETURNING id
"""
