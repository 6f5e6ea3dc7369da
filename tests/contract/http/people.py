"""Somebody who signs in over HTTP."""

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import httpx
    from tests.contract.http.conftest import Stage

BUYER = "buyer@shop.example"
WORDS = "a lantern in the rain"
OTHER_WORDS = "two lanterns in the rain"
_CODE = re.compile(r"^\d{6}$", re.MULTILINE)
_LINK = re.compile(r"\?token=(\S+)")


@dataclass(frozen=True)
class Person:
    """Who is signed in, as the answer told it."""

    user_id: str
    access: str
    refresh: str

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.access}"}


def person(answer: "httpx.Response") -> Person:
    assert answer.is_success, answer.text
    told = answer.json()
    return Person(told["userId"], told["accessToken"], told["refreshToken"])


def texts(stage: "Stage", to: str) -> list[str]:
    return [sent.message.text for sent in stage.mailer.mailbox if sent.message.to == to]


def code(stage: "Stage", to: str = BUYER) -> str:
    """The code in the last mail to an address."""
    return str([found for text in texts(stage, to) for found in _CODE.findall(text)][-1])


def link(stage: "Stage", to: str = BUYER) -> str:
    """The token of the link in the last mail that has one."""
    return str([found for text in texts(stage, to) for found in _LINK.findall(text)][-1])


async def challenge(stage: "Stage", email: str = BUYER, what: str = "otp/request") -> str:
    """Ask for a code, and have the mail sent; gives what the code answers."""
    asked = await stage.client.post(f"/v1/auth/{what}", json={"email": email})
    assert asked.status_code == 202, asked.text
    await stage.work()
    return str(asked.json()["challengeId"])


async def sign_in(stage: "Stage", email: str = BUYER) -> Person:
    """By the code of a mail."""
    body = {"email": email, "challengeId": await challenge(stage, email)}
    body["code"] = code(stage, email)
    return person(await stage.client.post("/v1/auth/otp/verify", json=body))
