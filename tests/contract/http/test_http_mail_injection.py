"""Whatever is written into a field, no mail goes where it was not meant to, or says more than it
should.
"""

from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest
from tests.contract.http.people import BUYER, challenge, code, person, sign_in

from bitloot.domain.session import Client
from bitloot_web.problems import URN

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage
    from tests.contract.http.people import Person

QUARTER: Final = timedelta(minutes=16)
DAY: Final = timedelta(days=1)

# How a recipient, a header or a second message would be added.
BREAKS: Final = ("\r\n", "\n", "\r", "\x0b", "\x0c", "\x85", "\u2028", "\u2029", "%0d%0aX-", "\x00")
ADDED: Final = "Bcc: everybody@evil.example"
SEVERAL: Final = (
    "buyer@shop.example,evil@evil.example", "buyer@shop.example;evil@evil.example",
    "Buyer <buyer@shop.example>", "<buyer@shop.example>", "buyer@shop.example evil@evil.example",
    '"buyer@shop.example\r\nBcc: x"@evil.example', "b@shop.example>\r\nRCPT TO:<evil@evil.example",
    "=?utf-8?q?buyer=0d=0aBcc?=@shop.example, evil@evil.example", "buyer\u202e@shop.example",
    "buyer\u200b@shop.example", "buyer@shop.example@evil.example(", "mailto:b@x.example?bcc=e@x.y",
)  # fmt: skip


def addresses() -> list[str]:
    """Addresses that would be more than one, or bring a header along."""
    broken = [f"buyer@shop.example{each}{ADDED}" for each in BREAKS]
    inside = [f"buyer{each}{ADDED}@shop.example" for each in BREAKS]
    return [*SEVERAL, *broken, *inside]


@pytest.mark.parametrize(
    "path",
    ["/v1/auth/otp/request", "/v1/auth/password/forgot", "/v1/me/email-change", "/v1/orders"],
)
async def test_no_address_is_more_than_one_plain_address(stage: "Stage", path: str) -> None:
    who = await sign_in(stage)
    sent = len(stage.mailer.mailbox)
    for email in addresses():
        stage.clock.advance(QUARTER)
        session = (await stage.shop.identity.sign_in(who.user_id, Client())).session
        token = stage.shop.tokens.pair(session).access
        body = {"email": email}
        if path == "/v1/orders":
            body["quoteId"] = await stage.quote()
        headers = {"authorization": f"Bearer {token}", **stage.once()}
        answer = await stage.client.post(path, json=body, headers=headers)
        assert (answer.status_code, answer.json()["type"]) == (422, f"{URN}invalid-input"), email
        await stage.work()
    assert len(stage.mailer.mailbox) == sent


async def test_no_field_breaks_out_of_its_line_in_a_mail(stage: "Stage") -> None:
    """Names, titles and browsers as their owners write them; what is refused is in no mail."""
    hostile = [f"Ada{each}{ADDED}" for each in BREAKS]
    path = f"/v1/admin/catalog/products/{stage.own_product}"
    for text in hostile:
        who = await sign_in_as(stage, text)
        await stage.client.patch("/v1/me", json={"name": text}, headers=who.headers)
        product = await stage.client.get(path, headers=stage.admin)
        headers = {**stage.admin, **stage.once(), "if-match": product.headers["etag"]}
        await stage.client.patch(path, json={"title": text}, headers=headers)
        stage.clock.advance(DAY)
    await stage.bought(("own-game", 1))
    who = await sign_in(stage)
    await stage.client.post("/v1/me/deletion", headers=who.headers)
    await stage.work()
    kinds = {sent.message.kind for sent in stage.mailer.mailbox}
    assert {"sign-in-code", "order-ready", "deletion-requested"} <= kinds
    for sent in stage.mailer.mailbox:
        message = sent.message
        assert message.to in {BUYER, "owner@shop.example"}
        assert message.subject.isprintable()
        assert all(name.isprintable() and value.isprintable() for name, value in message.headers)
        lines = message.text.splitlines()
        assert not [line for line in lines if line.lower().startswith("bcc:")], message.text


async def sign_in_as(stage: "Stage", browser: str) -> "Person":
    """By a code, from a browser that calls itself so."""
    body = {"email": BUYER, "challengeId": await challenge(stage)}
    body["code"] = code(stage)
    # A header of HTTP holds no line break: servers cut it off before.
    shown = browser.replace("\r", " ").replace("\n", " ").replace("\x00", " ")
    headers = [(b"user-agent", shown.encode())]
    return person(await stage.client.post("/v1/auth/otp/verify", json=body, headers=headers))
