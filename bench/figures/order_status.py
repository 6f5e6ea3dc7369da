"""How often an order is looked at by its buyer, with its line and its payment."""

from datetime import UTC, datetime
from typing import Final

import psycopg

from bench import quotes
from bench.figures.order_place import placing
from bench.limits.statements import STATUS
from bench.load import Requests
from bench.report import Findings, Note
from bench.requests import get
from bench.rounds import in_turns
from bench.shop_settings import SECRET_KEY
from bench.speed import speed
from bench.stage import Stage
from bitloot.domain.limits import Limits
from bitloot_web import derived_keys as keys
from bitloot_web.order_session import OrderSessions

ORDERS: Final = 2000
WARM_UP: Final = 0.5
NAME: Final = "order-status"
# An open payment for each order, as the gateway would have made it.
PAYMENTS: Final = """
INSERT INTO payments (id, version, order_id, gateway, gateway_payment_id, status, rank,
    price_amount, price_currency, pay_currency, pay_amount, pay_address, network, is_fixed_rate,
    is_linked, call_answered, quote_ends_at, valid_until, created_at, updated_at)
SELECT gen_random_uuid(), 1, id, 'nowpayments', 'p' || number, 'waiting', 10, total, 'eur', 'ltc',
    0.1234567, 'ltc1q5vf3w8wx6v6z5pnw2xg7d0y5y0t6c5uq0h8lqk', 'ltc', false, false, true,
    now() + interval '20 minutes', now() + interval '7 days', now(), now()
FROM orders
"""


def measure(stage: Stage) -> Findings:
    """Orders in turn, each with the token of its buyer."""
    database = stage.fresh_database("statuses")
    with stage.serving(database), stage.limit_serving(database):
        ours, limit = stage.ports["shop"], stage.ports["limit"]
        made = quotes.freeze(database, ORDERS)
        orders = Requests(
            stage.folder / "statuses.requests",
            (placing(quote, number) for number, quote in enumerate(made)),
        )
        stage.load.run(orders, limit, 60)
        looks = Requests(
            stage.folder / "statuses.requests", _looks(stage, database), is_cycled=True
        )
        for port in (ours, limit):
            stage.load.run(looks, port, WARM_UP)
        found = in_turns(
            lambda: stage.load.sample(looks, ours, stage.seconds),
            lambda: stage.load.sample(looks, limit, stage.seconds),
            stage.rounds,
        )
    text = "The limit neither checks the token nor reads JSON: PostgreSQL writes the answer."
    return Findings(
        rows=speed(NAME, "requests/s", found.ours, found.limit, must=0.5, moonshot=0.75),
        notes=(Note(title=f"Limit of `{NAME}`", text=text, statement=STATUS),),
    )


def _looks(stage: Stage, database: str) -> list[bytes]:
    sessions = OrderSessions(
        [keys.derive(SECRET_KEY, keys.ORDER_SESSION)], issuer=stage.url("shop"), limits=Limits()
    )
    at = datetime.now(UTC)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(PAYMENTS)
        connection.execute("VACUUM ANALYZE")
        found = connection.execute("SELECT id::text FROM orders").fetchall()
    return [
        get(
            f"/v1/orders/{order_id}",
            {"Authorization": f"Bearer {sessions.issue(order_id, at=at)}"},
        )
        for (order_id,) in found
    ]
