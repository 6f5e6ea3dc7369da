"""The whole shop in its roles, a process each, with the stand-ins of its providers."""

import contextlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

import psycopg

from bench.programs import BITLOOT, Program, running
from bench.shop_settings import (
    GATEWAY_KEY,
    IPN_SECRET,
    MAIL_KEY,
    MAIL_SECRET,
    SUPPLIER_KEY,
    SUPPLIER_SECRET,
)
from bench.stage import Stage

ROLES: Final[Mapping[str, str]] = {"web": "serve", "worker": "worker", "scheduler": "scheduler"}
STAND_INS: Final = ("nowpayments", "kinguin", "resend")
SUPPLIER_PRODUCTS: Final = 200


@dataclass(frozen=True)
class Town:
    """What runs."""

    stage: Stage
    database: str
    roles: Mapping[str, Program]


@contextlib.contextmanager
def open_town(stage: Stage, own_keys: int) -> Iterator[Town]:
    """Open for business: a supplier with no delay, and so many own keys of each own product."""
    _keep_commit_times(stage)
    stage.valkey.flush()
    database = stage.fresh_database("town")
    variables = stage.variables(database)
    with contextlib.ExitStack() as stack:
        for name, config in _stand_ins(stage).items():
            port = str(stage.ports[name])
            arguments = (*BITLOOT, "sandbox", name, "--port", port, "--config", json.dumps(config))
            stand_in = stack.enter_context(running(name, arguments, {}, stage.folder))
            stand_in.wait_until_listening(stage.ports[name])
        # The supplier lists nothing of what was invented for the other figures.
        sync = ("sync", "kinguin", "--confirm-vanished")
        for command in (sync, ("seed", "--keys", str(own_keys))):
            Program(command[0], (*BITLOOT, *command), variables, stage.folder).finish()
        roles = {
            role: stack.enter_context(
                running(f"town-{role}", (*BITLOOT, command), variables, stage.folder)
            )
            for role, command in ROLES.items()
        }
        roles["web"].wait_for(stage.url("shop") + "/readyz")
        yield Town(stage, database, roles)


def _keep_commit_times(stage: Stage) -> None:
    """Have PostgreSQL remember when each transaction was committed, for the stages of an order."""
    with psycopg.connect(stage.postgres.url("postgres"), autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET track_commit_timestamp = on")
    stage.postgres.restart()


def _stand_ins(stage: Stage) -> dict[str, dict[str, object]]:
    hooks = stage.url("shop") + "/v1/webhooks"
    return {
        "nowpayments": {
            "api_keys": [GATEWAY_KEY],
            "ipn_secret": IPN_SECRET,
            "public_url": stage.url("nowpayments"),
        },
        "kinguin": {
            "api_keys": [SUPPLIER_KEY],
            "products": SUPPLIER_PRODUCTS,
            "balance": "10000000.00",
            "webhook_url": f"{hooks}/kinguin",
            "webhook_secret": SUPPLIER_SECRET,
        },
        "resend": {
            "api_keys": [{"token": MAIL_KEY}],
            "webhooks": [{"url": f"{hooks}/resend", "secrets": [MAIL_SECRET]}],
            "rate_limit": 1_000_000,
        },
    }
