"""The description of the API, made from the handlers themselves when it is first asked for."""

from litestar import Response
from litestar.datastructures import State

from bitloot_web.openapi import MEDIA_TYPE
from bitloot_web.routes import get
from bitloot_web.security.access import Anyone


@get("/openapi.json", access=Anyone(), include_in_schema=False)
async def openapi_json(state: State) -> Response[bytes]:
    """The OpenAPI document."""
    document: bytes = state.describe()
    return Response(document, media_type=MEDIA_TYPE, headers={"cache-control": "max-age=300"})
