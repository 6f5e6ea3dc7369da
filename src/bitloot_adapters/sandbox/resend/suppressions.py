"""The suppression list calls. Source: Resend documentation, API reference, "Suppressions"."""

from typing import Final

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from bitloot_adapters.sandbox.resend.clock import fresh_uuid
from bitloot_adapters.sandbox.resend.emails import ApiRequest
from bitloot_adapters.sandbox.resend.errors import WireError, invalid, missing_field
from bitloot_adapters.sandbox.resend.fields import (
    as_array,
    bare_address,
    decode_object,
    text_field,
)
from bitloot_adapters.sandbox.resend.outcomes import find_suppression
from bitloot_adapters.sandbox.resend.paging import page_of
from bitloot_adapters.sandbox.resend.records import Suppression
from bitloot_adapters.sandbox.resend.stand_in import StandIn
from bitloot_adapters.sandbox.resend.webhooks import wire_moment

MAX_BATCH: Final = 100
ORIGINS: Final = frozenset({"bounce", "complaint", "manual"})


def written(row: Suppression) -> dict[str, object]:
    return {
        "object": "suppression",
        "id": row.id,
        "email": row.email,
        "origin": row.origin,
        "source_id": row.source_id,
        "created_at": wire_moment(row.created_at),
    }


def suppress(stand_in: StandIn, team: str, address: str, origin: str = "manual") -> Suppression:
    """The entry of an address, new or as it is already.

    Raises:
        WireError: 422 when it is no address.

    """
    email = bare_address(address)
    if email is None:
        raise invalid("Invalid `email` field.")
    known = find_suppression(stand_in.state, team, email)
    if known is not None:
        return known
    row = Suppression(
        id=fresh_uuid(),
        number=stand_in.state.next_number(),
        team=team,
        email=email.lower(),
        origin=origin,
        source_id=None,
        created_at=stand_in.clock.now(),
    )
    stand_in.state.suppressions.put(row)
    return row


def _found(stand_in: StandIn, team: str, wanted: str) -> Suppression:
    row = stand_in.state.suppressions.get(wanted)
    if row is None or row.team != team:
        row = find_suppression(stand_in.state, team, wanted)
    if row is None:
        raise WireError("not_found", "Suppression not found")
    return row


@get("/suppressions")
async def list_suppressions(
    request: ApiRequest, stand_in: NamedDependency[StandIn]
) -> dict[str, object]:
    query = request.query_params
    origin = query.get("origin")
    if origin is not None and origin not in ORIGINS:
        raise invalid("The `origin` must be `bounce`, `complaint` or `manual`.")
    rows = [
        row
        for row in stand_in.state.suppressions
        if row.team == request.auth.team and origin in {None, row.origin}
    ]
    rows.reverse()
    data, has_more = page_of(
        rows, limit=query.get("limit"), after=query.get("after"), before=query.get("before")
    )
    return {"object": "list", "has_more": has_more, "data": [written(row) for row in data]}


@post("/suppressions", status_code=200)
async def add_suppression(
    request: ApiRequest, stand_in: NamedDependency[StandIn]
) -> dict[str, object]:
    email = text_field(decode_object(await request.body()), "email")
    if not email:
        raise missing_field("email")
    return {"object": "suppression", "id": suppress(stand_in, request.auth.team, email).id}


@post("/suppressions/batch/add", status_code=200)
async def add_suppressions(
    request: ApiRequest, stand_in: NamedDependency[StandIn]
) -> dict[str, object]:
    items = as_array(decode_object(await request.body()).get("emails"))
    if items is None:
        raise missing_field("emails")
    emails = [item for item in items if isinstance(item, str) and bare_address(item)]
    if len(emails) != len(items) or not 1 <= len(emails) <= MAX_BATCH:
        raise invalid(f"The `emails` field must have 1 to {MAX_BATCH} addresses.")
    rows = [suppress(stand_in, request.auth.team, email) for email in emails]
    return {"data": [{"object": "suppression", "id": row.id} for row in rows]}


@get("/suppressions/{wanted:str}")
async def get_suppression(
    request: ApiRequest, stand_in: NamedDependency[StandIn], wanted: FromPath[str]
) -> dict[str, object]:
    return written(_found(stand_in, request.auth.team, wanted))


@delete("/suppressions/{wanted:str}", status_code=200)
async def remove_suppression(
    request: ApiRequest, stand_in: NamedDependency[StandIn], wanted: FromPath[str]
) -> dict[str, object]:
    row = _found(stand_in, request.auth.team, wanted)
    stand_in.state.suppressions.drop(row)
    return {"object": "suppression", "id": row.id, "deleted": True}


ROUTES: Final = (
    list_suppressions,
    add_suppression,
    add_suppressions,
    get_suppression,
    remove_suppression,
)
