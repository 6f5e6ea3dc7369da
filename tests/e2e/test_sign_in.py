"""Who bought as a guest comes back: a code by mail opens an account that has the order."""

import re
from dataclasses import replace

from tests.e2e.buyer import Buyer, good, listed
from tests.e2e.programs import until

CODE = re.compile(r"^\d{6}$", re.MULTILINE)


async def signed_in(buyer: Buyer, email: str) -> dict[str, str]:
    """What opens the account of an address, by the code that was mailed there."""
    asked = good(await buyer.shop.post("/v1/auth/otp/request", json={"email": email}))

    async def arrived() -> str | None:
        texts = [str(mail["text"]) for mail in await buyer.mails(email)]
        return next(iter(CODE.findall("\n".join(texts))), None)

    code = await until(f"a code for {email}", arrived)
    answer = {"email": email, "challengeId": asked["challengeId"], "code": code}
    session = good(await buyer.shop.post("/v1/auth/otp/verify", json=answer))
    return {"authorization": f"Bearer {session['accessToken']}"}


async def test_a_guest_who_bought_signs_in_by_the_code_from_the_inbox_and_sees_the_order(
    buyer: Buyer,
) -> None:
    order = await buyer.paid("custom")
    await buyer.until_status(order, "fulfilled")
    own = await signed_in(buyer, order.email)
    (seen,) = listed(await buyer.shop.get("/v1/me/orders", headers=own), "items")
    assert (seen["number"], seen["status"]) == (order.number, "fulfilled")
    assert len(await buyer.keys(replace(order, token=own))) == 1
    other = await signed_in(buyer, f"another.{order.email}")
    assert listed(await buyer.shop.get("/v1/me/orders", headers=other), "items") == []
    assert (await buyer.shop.get(order.path, headers=other)).status_code == 404
