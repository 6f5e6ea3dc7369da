"""The links in mails about accounts lead to pages that ask before anything changes."""

import base64
import hashlib
import re
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from tests.contract.http.people import BUYER, sign_in, texts
from tests.contract.http.test_http_people_desk import PROOFS, staff

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage

LINK = re.compile(r"https://\S+\?token=\S+")
SCRIPT = re.compile(r"<script>(.*)</script>", re.DOTALL)
ADDRESS = re.compile(r'data-address="([^"]+)"')


async def page_of(stage: "Stage", link: str) -> str:
    """The page behind a link; gives where its button posts to."""
    page = await stage.client.get(link)
    assert page.status_code == 200, page.text
    assert page.headers["content-type"].startswith("text/html")
    (script,) = SCRIPT.findall(page.text)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}';" in page.headers["content-security-policy"]
    token = link.partition("=")[2]
    assert token not in page.text
    (address,) = ADDRESS.findall(page.text)
    answer = await stage.client.post(urljoin(link, address), json={"token": token})
    assert answer.status_code == 204, answer.text
    return str(urlsplit(urljoin(link, address)).path)


async def test_the_link_in_a_mail_keeps_an_account_once_its_reader_says_so(stage: "Stage") -> None:
    who = await sign_in(stage)
    await stage.client.post("/v1/me/deletion", headers=who.headers)
    await stage.work()
    link = LINK.findall(texts(stage, BUYER)[-1])[0]
    await stage.client.get(link)
    waiting = await stage.client.get("/v1/me/deletion", headers=who.headers)
    assert waiting.status_code == 200
    assert await page_of(stage, link) == "/v1/account-deletion/cancel"


async def test_the_link_in_a_mail_stops_a_recovery_once_its_reader_says_so(stage: "Stage") -> None:
    who, support = await sign_in(stage), await staff(stage, "support")
    body = {"email": "new@shop.example", "proofs": PROOFS}
    path = f"/v1/admin/users/{who.user_id}/recovery"
    await stage.client.post(path, json=body, headers=support.headers)
    await stage.work()
    link = LINK.findall(texts(stage, BUYER)[-1])[0]
    await stage.client.get(link)
    listed = await stage.client.get(path, headers=support.headers)
    assert listed.json()["items"][0]["state"] == "open"
    assert await page_of(stage, link) == "/v1/account-recovery/stop"
