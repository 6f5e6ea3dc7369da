"""What somebody asks who wants to know whether an address has an account here."""

from typing import Final

import httpx
from tests.promises.market import Market

WORDS: Final = "a lantern in the rain"
WRONG: Final = "two lanterns in the rain"
# A hash that costs less hides less of what is done beside it.
CHEAP: Final = {"PASSWORD_HASH_BYTES": str(7 * 1024 * 1024), "PASSWORD_HASH_PASSES": "1"}


async def request(market: Market, email: str) -> httpx.Response:
    return await market.client.post("/v1/auth/otp/request", json={"email": email})


async def forgot(market: Market, email: str) -> httpx.Response:
    return await market.client.post("/v1/auth/password/forgot", json={"email": email})


async def login(market: Market, email: str) -> httpx.Response:
    body = {"email": email, "password": WRONG}
    return await market.client.post("/v1/auth/login", json=body)


def wrong(market: Market, challenge_id: str) -> str:
    """A code of the right shape."""
    return f"{(int(market.shop.codes.code_of(challenge_id)) + 1) % 10**6:06d}"
