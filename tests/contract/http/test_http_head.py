"""HEAD asks what GET would answer, and is answered without the content (RFC 9110, 9.3.2)."""

import asyncio
from typing import TYPE_CHECKING

from bitloot.domain.reveal import Grant

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage, Sweep

DOWNLOADS = "/v1/downloads/"
# Another moment, another id; or how many calls are left.
OWN = {"x-request-id", "date", "ratelimit", "etag"}


# Whoever asks as a user has signed in for it.
GROWING = {"/metrics", "/v1/me/sessions", "/v1/me/export"}


async def test_head_is_answered_like_get_without_the_content_on_every_route(
    sweep: "Sweep",
) -> None:
    for method, path, _ in sweep.operations:
        if method != "GET" or path.startswith(DOWNLOADS):
            continue
        asked = await sweep.call("GET", sweep.filled(path))
        head = await sweep.call("HEAD", sweep.filled(path))
        assert head.content == b"", path
        assert head.status_code == asked.status_code, path
        told = {name: value for name, value in asked.headers.items() if name not in OWN}
        if path not in GROWING:
            assert {n: v for n, v in head.headers.items() if n not in OWN} == told, path


async def test_head_on_what_cannot_be_read_is_refused_like_get(sweep: "Sweep") -> None:
    for path in ("/v1/quotes", "/v1/webhooks/nowpayments"):
        head = await sweep.call("HEAD", path)
        assert (head.status_code, head.content) == (405, b"")
    assert (await sweep.call("HEAD", "/v1/nowhere")).status_code == 404


async def test_head_opens_no_download_and_uses_none_up(stage: "Stage") -> None:
    order_id, token = await stage.bought()
    items = await stage.client.get(f"/v1/orders/{order_id}/deliveries", headers=token)
    (line,) = items.json()["items"]
    link = await stage.client.post(
        f"/v1/orders/{order_id}/items/{line['itemId']}/reveal", headers={**token, **stage.once()}
    )
    (before,) = stage.store.rows(Grant)
    head = await stage.client.head(link.json()["url"])
    assert (head.status_code, head.headers["allow"], head.content) == (405, "GET", b"")
    assert stage.store.rows(Grant) == [before]
    assert (await stage.client.get(link.json()["url"])).status_code == 200


async def test_head_on_a_stream_tells_its_type_and_ends(stage: "Stage") -> None:
    order_id, token = await stage.order()
    asking = stage.client.head(
        f"/v1/orders/{order_id}/events", headers={**token, "accept": "text/event-stream"}
    )
    head = await asyncio.wait_for(asking, 5)
    assert head.headers["content-type"].startswith("text/event-stream")
    assert (head.status_code, head.content) == (200, b"")
