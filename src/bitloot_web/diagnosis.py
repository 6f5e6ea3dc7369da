"""What is wrong with a shop, told in words that name the part and the remedy."""

from collections.abc import Mapping
from typing import Final, Literal

import msgspec

from bitloot.domain.reconciliation import BREAKS
from bitloot.ports.errors import Rejected, StoreUnavailable, Unavailable
from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.usecases.invariants import Findings
from bitloot_web.shop import Probe

BREAKS_SHOWN: Final = 20

_REMEDIES: Final[Mapping[str, str]] = {
    "database": "start PostgreSQL, or mend BITLOOT_DATABASE_URL",
    "redis": "start Valkey or Redis, or mend BITLOOT_REDIS_URL",
}


class Finding(msgspec.Struct, frozen=True):
    """One part of the shop. `warning` does not make the shop unfit."""

    part: str
    state: Literal["ok", "warning", "broken"]
    detail: str = ""


async def examine(probes: Mapping[str, Probe]) -> list[Finding]:
    """Every part, reached one after another."""
    return [await _try(part, probe) for part, probe in probes.items()]


async def _try(part: str, probe: Probe) -> Finding:
    variables = f"BITLOOT_{part.upper()}_*"
    try:
        await probe()
    except StoreUnavailable:
        remedy = _REMEDIES.get(part, f"look at {variables}")
        return Finding(part, "broken", f"not reachable: {remedy}")
    except Unavailable as error:
        return Finding(part, "broken", f"does not answer ({error.reason}): look at {variables}")
    except Rejected as error:
        if error.reason == "credentials":
            return Finding(part, "broken", f"refuses the credentials: mend {variables}")
        return Finding(part, "broken", f"says no ({error.reason}): look at {variables}")
    return Finding(part, "ok")


def schema_finding(current: str | None, newest: str) -> Finding:
    """Whether the database is at the schema that this release needs."""
    if current == newest:
        return Finding("schema", "ok", newest)
    return Finding("schema", "broken", f"at {current or 'nothing'}: run bitloot migrate")


def gateway_findings(gateways: Mapping[str, PaymentGateway]) -> list[Finding]:
    """What a gateway cannot do, and what it says itself would help."""
    return [
        Finding(
            name,
            "warning",
            "a lost callback of a hosted page is found by hand only: "
            + (can.listing_needs or "this gateway does not list the payments of a page"),
        )
        for name, gateway in gateways.items()
        if (can := gateway.capabilities).hosted_page and not can.lists_by_invoice
    ]


def invariant_findings(found: Findings) -> list[Finding]:
    """What must never be and is, and what waits for a person."""
    broken = [
        Finding("invariants", "broken", f"{each.name}: {each.subject}") for each in found.breaches
    ]
    breaks = [
        Finding("reconciliation", "warning", f"{BREAKS[row.kind]} {row.subject}")
        for row in found.breaks[:BREAKS_SHOWN]
    ]
    dead = Finding("jobs", "warning", f"{found.dead_jobs} dead: see `bitloot jobs dead`")
    return [
        *(broken or [Finding("invariants", "ok")]),
        *(breaks or [Finding("reconciliation", "ok")]),
        dead if found.dead_jobs else Finding("jobs", "ok"),
    ]
