"""The webhook endpoint calls. Source: Resend documentation, API reference, "Webhooks"."""

import base64
from typing import Final

from litestar import delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from bitloot_adapters.sandbox.resend.clock import fresh_token
from bitloot_adapters.sandbox.resend.config import WebhookEndpoint
from bitloot_adapters.sandbox.resend.emails import ApiRequest
from bitloot_adapters.sandbox.resend.errors import WireError, invalid, missing_field
from bitloot_adapters.sandbox.resend.fields import as_array, decode_object, text_field
from bitloot_adapters.sandbox.resend.paging import page_of
from bitloot_adapters.sandbox.resend.records import Endpoint
from bitloot_adapters.sandbox.resend.stand_in import StandIn
from bitloot_adapters.sandbox.resend.webhooks import wire_moment


def fresh_secret() -> str:
    """A new signing secret: ``whsec_`` and 32 bytes in base64."""
    return "whsec_" + base64.b64encode(fresh_token("").encode()).decode()


def written(endpoint: Endpoint) -> dict[str, object]:
    return {
        "object": "webhook",
        "id": endpoint.id,
        "created_at": wire_moment(endpoint.created_at),
        "status": endpoint.status,
        "endpoint": endpoint.url,
        "events": endpoint.events,
    }


def _found(stand_in: StandIn, team: str, endpoint_id: str) -> Endpoint:
    endpoint = stand_in.state.endpoints.get(endpoint_id)
    if endpoint is None or endpoint.team != team:
        raise WireError("not_found", "Webhook not found")
    return endpoint


@post("/webhooks", status_code=201)
async def create_webhook(
    request: ApiRequest, stand_in: NamedDependency[StandIn]
) -> dict[str, object]:
    body = decode_object(await request.body())
    url = text_field(body, "endpoint")
    if not url:
        raise missing_field("endpoint")
    if not url.startswith(("https://", "http://")):
        raise invalid("The `endpoint` field must be a URL.")
    items = as_array(body.get("events"))
    if not items:
        raise missing_field("events")
    events = tuple(item for item in items if isinstance(item, str))
    if len(events) != len(items):
        raise invalid("The `events` field must be an array of strings.")
    endpoint = stand_in.add_endpoint(
        WebhookEndpoint(url=url, secrets=(fresh_secret(),), events=events, team=request.auth.team)
    )
    return {
        "object": "webhook",
        "id": endpoint.id,
        "signing_secret": endpoint.secrets[0],
    }


@get("/webhooks")
async def list_webhooks(
    request: ApiRequest, stand_in: NamedDependency[StandIn]
) -> dict[str, object]:
    rows = [row for row in stand_in.state.endpoints if row.team == request.auth.team]
    rows.reverse()
    query = request.query_params
    data, has_more = page_of(
        rows, limit=query.get("limit"), after=query.get("after"), before=query.get("before")
    )
    return {"object": "list", "has_more": has_more, "data": [written(row) for row in data]}


@get("/webhooks/{endpoint_id:str}")
async def get_webhook(
    request: ApiRequest, stand_in: NamedDependency[StandIn], endpoint_id: FromPath[str]
) -> dict[str, object]:
    endpoint = _found(stand_in, request.auth.team, endpoint_id)
    return {**written(endpoint), "signing_secret": endpoint.secrets[0]}


@delete("/webhooks/{endpoint_id:str}", status_code=200)
async def remove_webhook(
    request: ApiRequest, stand_in: NamedDependency[StandIn], endpoint_id: FromPath[str]
) -> dict[str, object]:
    endpoint = _found(stand_in, request.auth.team, endpoint_id)
    stand_in.state.endpoints.drop(endpoint)
    return {"object": "webhook", "id": endpoint.id, "deleted": True}


ROUTES: Final = (create_webhook, list_webhooks, get_webhook, remove_webhook)
