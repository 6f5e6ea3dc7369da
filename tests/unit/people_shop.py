"""Somebody who signs in at a shop in memory, and reads the mails of it."""

import re

from bitloot.domain.decision import Decision
from bitloot.domain.order import Order
from bitloot.domain.roles import PERMISSIONS, Actor, Role
from bitloot.domain.session import Client
from bitloot.testing.people_rows import PeopleRows
from bitloot.testing.rows import stocked
from bitloot.usecases.people.identity import SignedIn
from bitloot_web.testing import TestShop

BUYER = "buyer@shop.example"
CLIENT = Client(user_agent="A browser", address="192.0.2.7")
OWNER = Actor(name="cli", permissions=PERMISSIONS)
CODE = re.compile(r"^\d{6}$", re.MULTILINE)
TOKEN = re.compile(r"\?token=(\S+)")


def mails(it: TestShop, to: str) -> list[str]:
    """The texts of all mails to an address, oldest first."""
    return [sent.message.text for sent in it.around.mailer.mailbox if sent.message.to == to]


def codes(it: TestShop, to: str) -> list[str]:
    """The codes in them."""
    return [found for text in mails(it, to) for found in CODE.findall(text)]


def token(it: TestShop, to: str) -> str:
    """The token of the link in the last mail that has one."""
    found: list[str] = [token for text in mails(it, to) for token in TOKEN.findall(text)]
    return found[-1]


async def signed_in(it: TestShop, email: str = BUYER) -> SignedIn:
    """Somebody who asked for a code, read the mail and typed it."""
    challenge = await it.shop.identity.request(email)
    await it.run_due()
    code = codes(it, email)[-1]
    return await it.shop.identity.verify(email, challenge.challenge_id, code, CLIENT)


async def appointed(it: TestShop, email: str, role: Role) -> str:
    """Somebody who was given a role from the command line; the user's id."""
    return (await it.shop.user_desk.appoint(email, [role], actor=OWNER)).user_id


async def bought(it: TestShop, email: str = BUYER) -> Order:
    """The stored order of a guest."""
    rows = PeopleRows(clock=it.around.clock.now, new_id=it.around.near.new_id)
    goods = rows.goods()
    purchase = rows.purchase(goods, email=email)
    await record(it, stocked(goods))
    await record(it, purchase.placing())
    return purchase.order


async def record(it: TestShop, decision: Decision) -> None:
    """One transaction with one decision."""
    async with it.around.near.uow.begin() as tx:
        await tx.record(decision)
