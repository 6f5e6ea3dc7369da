"""How many orders are placed (P8): the quote checked, the goods kept, the timeline begun, the jobs
asked for, and the answer kept under its Idempotency-Key.
"""

from itertools import count
from typing import Final
from uuid import uuid4

import msgspec

from bench import quotes
from bench.limits.statements import ORDER
from bench.load import Requests
from bench.report import Findings, Note
from bench.requests import client, post
from bench.rounds import in_turns
from bench.speed import speed
from bench.stage import Stage

FASTEST: Final = 3000
WARM_UP: Final = 0.5
NAME: Final = "order-place"


def measure(stage: Stage) -> Findings:
    """Orders of one line, each of another buyer."""
    database = stage.fresh_database("orders")
    numbers = count()

    def requests(seconds: float) -> Requests:
        made = quotes.freeze(database, int(FASTEST * seconds))
        return Requests(
            stage.folder / "orders.requests", (placing(quote, next(numbers)) for quote in made)
        )

    with stage.serving(database), stage.limit_serving(database):
        ours, limit = stage.ports["shop"], stage.ports["limit"]
        for port in (ours, limit):
            stage.load.run(requests(WARM_UP), port, WARM_UP)
        found = in_turns(
            lambda: stage.load.sample(requests(stage.seconds), ours, stage.seconds),
            lambda: stage.load.sample(requests(stage.seconds), limit, stage.seconds),
            stage.rounds,
        )
    text = "The limit reads the body and runs this one statement, then makes the token:"
    return Findings(
        rows=speed(NAME, "orders/s", found.ours, found.limit, must=0.4, moonshot=0.6),
        notes=(Note(title=f"Limit of `{NAME}`", text=text, statement=ORDER),),
    )


def placing(quote_id: str, number: int) -> bytes:
    """A request that turns the quote into the order of a buyer with that number."""
    body = msgspec.json.encode({"quoteId": quote_id, "email": f"buyer{number}@reader.example"})
    headers = {"X-Forwarded-For": client(number), "Idempotency-Key": uuid4().hex}
    return post("/v1/orders", body, headers)
