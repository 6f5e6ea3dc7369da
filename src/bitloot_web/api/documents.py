"""The description of the API, made from the handlers themselves when it is first asked for."""

from typing import Final

from litestar import MediaType, Response
from litestar.datastructures import State

from bitloot_web.docs_page import POLICY, docs_page
from bitloot_web.openapi import MEDIA_TYPE
from bitloot_web.routes import get
from bitloot_web.security.access import Anyone

_KEPT: Final = {"cache-control": "max-age=300"}


@get("/openapi.json", access=Anyone(), include_in_schema=False)
async def openapi_json(state: State) -> Response[bytes]:
    """The OpenAPI document."""
    document: bytes = state.describe()
    return Response(document, media_type=MEDIA_TYPE, headers=_KEPT)


@get("/docs", access=Anyone(), include_in_schema=False)
async def docs(state: State) -> Response[str]:
    """The same as a page for people."""
    document: bytes = state.describe()
    headers = {**_KEPT, "content-security-policy": POLICY}
    return Response(docs_page(document), media_type=MediaType.HTML, headers=headers)
