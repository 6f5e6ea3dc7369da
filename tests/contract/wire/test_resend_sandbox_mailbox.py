"""The Resend stand-in: reading mails back, the mailbox and the inbox page (line 9)."""

import asyncio
import base64
import re
import socket
from pathlib import Path

import httpx
import pytest
import uvicorn

from bitloot_adapters.sandbox.resend.app import build_app
from bitloot_adapters.sandbox.resend.bench import bench
from bitloot_adapters.sandbox.resend.config import (
    DEFAULT_API_KEY,
    ResendSandboxConfig,
    WebhookEndpoint,
)

MAIL = {
    "from": "Shop <orders@shop.example>",
    "to": ["Buyer <buyer@mail.example>"],
    "cc": "second@mail.example",
    "subject": "Your <order>",
    "html": "<h1>Hello</h1><script>alert(1)</script>",
    "text": "Hello <script>alert(1)</script>",
    "headers": {"X-Entity-Ref-ID": "ord_5"},
    "attachments": [
        {"filename": "receipt.txt", "content": base64.b64encode(b"paid").decode()},
        {"filename": "logo.png", "content": base64.b64encode(b"\x89PNG\xff").decode()},
        {"filename": "terms.pdf", "path": "https://shop.example/terms.pdf"},
    ],
}


@pytest.mark.emulator("resend", 9)
async def test_the_mailbox_shows_bodies_headers_and_decoded_attachments() -> None:
    """Line 9: a mailbox view for tests, including attachment decoding and headers."""
    async with bench() as opened:
        sent = await opened.client.post(
            "/emails", json=MAIL, headers={"idempotency-key": "receipt/ord_5"}
        )
        [mail] = (await opened.client.get("/_control/mailbox")).json()["mails"]
        assert mail["id"] == sent.json()["id"]
        assert mail["html"] == MAIL["html"]
        assert mail["text"] == MAIL["text"]
        assert mail["headers"] == {"X-Entity-Ref-ID": "ord_5"}
        assert mail["idempotency_key"] == "receipt/ord_5"
        receipt, logo, terms = mail["attachments"]
        assert (receipt["filename"], receipt["text"], receipt["size"]) == ("receipt.txt", "paid", 4)
        assert (logo["text"], logo["size"]) == (None, 5)
        assert (terms["path"], terms["size"]) == ("https://shop.example/terms.pdf", None)


@pytest.mark.emulator("resend", 9)
async def test_the_mailbox_is_searched_by_any_recipient_and_emptied() -> None:
    """Line 9: captured mails by recipient."""
    async with bench() as opened:
        await opened.client.post("/emails", json=MAIL)
        sent = await opened.client.post("/emails", json={**MAIL, "to": "x@mail.example", "cc": []})

        async def count(to: str) -> int:
            found = await opened.client.get("/_control/mailbox", params={"to": to})
            return len(found.json()["mails"])

        assert await count("BUYER@mail.example") == 1
        assert await count("second@mail.example") == 1
        assert await count("nobody@mail.example") == 0
        removed = await opened.client.delete("/_control/mailbox", params={"to": "x@mail.example"})
        assert removed.json() == {"removed": 1}
        assert await count("x@mail.example") == 0
        assert (await opened.client.delete("/_control/mailbox")).json() == {"removed": 1}
        assert (await opened.client.get(f"/emails/{sent.json()['id']}")).status_code == 200


@pytest.mark.emulator("resend", 9)
async def test_the_inbox_page_shows_the_text_and_escapes_everything() -> None:
    """Line 9: the same mails for people."""
    async with bench() as opened:
        assert "No mail yet" in (await opened.client.get("/inbox")).text
        sent = await opened.client.post("/emails", json=MAIL)
        for path in ("/inbox", f"/inbox/{sent.json()['id']}"):
            page = await opened.client.get(path)
            assert page.status_code == 200
            assert page.headers["content-type"].startswith("text/html")
            assert "Your &lt;order&gt;" in page.text
            assert "Hello &lt;script&gt;alert(1)&lt;/script&gt;" in page.text
            assert "<script>" not in page.text
        assert (await opened.client.get("/inbox/unknown")).status_code == 404


async def test_a_mail_reads_back_with_the_documented_fields() -> None:
    async with bench() as opened:
        sent = await opened.client.post("/emails", json=MAIL)
        mail = (await opened.client.get(f"/emails/{sent.json()['id']}")).json()
        assert set(mail) == {
            "object",
            "id",
            "message_id",
            "to",
            "from",
            "created_at",
            "subject",
            "html",
            "text",
            "cc",
            "bcc",
            "reply_to",
            "last_event",
            "scheduled_at",
        }
        assert mail["object"] == "email"
        assert mail["to"] == MAIL["to"]
        assert mail["cc"] == ["second@mail.example"]
        assert mail["scheduled_at"] is None


async def test_mails_are_listed_newest_first_in_cursor_pages() -> None:
    async with bench() as opened:
        ids = [(await opened.client.post("/emails", json=MAIL)).json()["id"] for _ in range(5)]
        newest = ids[::-1]

        async def page(**query: str) -> tuple[list[str], bool]:
            found = (await opened.client.get("/emails", params=query)).json()
            assert found["object"] == "list"
            return [item["id"] for item in found["data"]], found["has_more"]

        assert await page() == (newest, False)
        assert await page(limit="2") == (newest[:2], True)
        assert await page(limit="2", after=newest[1]) == (newest[2:4], True)
        assert await page(limit="2", after=newest[3]) == (newest[4:], False)
        assert await page(limit="2", before=newest[4]) == (newest[2:4], True)
        for query in ({"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"after": "unknown"}):
            refused = await opened.client.get("/emails", params=query)
            assert (refused.status_code, refused.json()["name"]) == (422, "validation_error")


@pytest.mark.emulator("resend", 8)
async def test_over_a_socket_a_dropped_reply_is_no_reply_and_webhooks_are_sent_in_real_time() -> (
    None
):
    """Line 8: dropped replies after accepting, on a real connection."""
    arrived = asyncio.Event()
    requests: list[bytes] = []

    async def receive(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        arrived.set()

    receiver = await asyncio.start_server(receive, "127.0.0.1", 0)
    port = receiver.sockets[0].getsockname()[1]
    config = ResendSandboxConfig(
        rate_limit=100,
        sent_after_seconds=0.01,
        webhooks=(WebhookEndpoint(url=f"http://127.0.0.1:{port}/hook", events=("email.sent",)),),
    )
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(
        uvicorn.Config(build_app(config), log_config=None, ws="none", lifespan="on")
    )
    serving = asyncio.create_task(server.serve(sockets=[listening]))
    headers = {"authorization": f"Bearer {DEFAULT_API_KEY}", "user-agent": "shop/1"}
    base = f"http://127.0.0.1:{listening.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=base, headers=headers, trust_env=False) as client:
        await client.post("/_control/faults", json={"op": "emails.send", "fault": "drop_after"})
        keyed = {"idempotency-key": "receipt/ord_5"}
        with pytest.raises(httpx.TransportError):
            await client.post("/emails", json=MAIL, headers=keyed)
        again = await client.post("/emails", json=MAIL, headers=keyed)
        assert again.status_code == 200
        assert len((await client.get("/_control/mailbox")).json()["mails"]) == 1
        await asyncio.wait_for(arrived.wait(), timeout=5)
    server.should_exit = True
    await serving
    receiver.close()
    await receiver.wait_closed()
    assert b"svix-signature: v1," in requests[0].lower()


def test_every_line_of_what_the_stand_in_must_do_has_a_test() -> None:
    """Lines 1 to 9 are each named by a mark in these files."""
    covered: set[int] = set()
    for path in Path(__file__).parent.glob("test_resend_sandbox*.py"):
        source = path.read_text(encoding="utf-8")
        covered |= {int(n) for n in re.findall(r'emulator\("resend", (\d+)\)', source)}
    assert covered == set(range(1, 10))
