"""Who bought as a guest comes back: a code by mail opens an account that has the order."""

import re
from dataclasses import replace

import httpx
from tests.e2e.buyer import Buyer, good, listed
from tests.e2e.programs import until

CODE = re.compile(r"^\d{6}$", re.MULTILINE)


async def code_for(buyer: Buyer, email: str) -> str:
    """The code that was mailed to an address."""

    async def arrived() -> str | None:
        texts = [str(mail["text"]) for mail in await buyer.mails(email)]
        return next(iter(CODE.findall("\n".join(texts))), None)

    return await until(f"a code for {email}", arrived)


async def signed_in(buyer: Buyer, email: str) -> dict[str, str]:
    """What opens the account of an address, by the code that was mailed there."""
    asked = good(await buyer.shop.post("/v1/auth/otp/request", json={"email": email}))
    answer = {"email": email, "challengeId": asked["challengeId"]}
    answer["code"] = await code_for(buyer, email)
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


async def test_a_page_on_ones_own_machine_is_signed_in_by_cookies_without_tls(
    buyer: Buyer,
) -> None:
    """From a real server over plain HTTP: a browser keeps these cookies, and loses them."""
    email, origin = "page@reader.example", str(buyer.shop.base_url).rstrip("/")
    asked = good(await buyer.shop.post("/v1/auth/otp/request", json={"email": email}))
    body = {"email": email, "challengeId": asked["challengeId"], "session": "cookie"}
    body["code"] = await code_for(buyer, email)
    own = {"origin": origin, "sec-fetch-site": "same-origin"}
    async with httpx.AsyncClient(base_url=origin, headers=own) as page:
        told = good(await page.post("/v1/auth/otp/verify", json=body))
        assert {cookie.name for cookie in page.cookies.jar} == {
            "bitloot-access", "bitloot-refresh", "bitloot-csrf",
        }  # fmt: skip
        csrf = {"X-CSRF-Token": told["csrfToken"]}
        assert good(await page.get("/v1/me"))["email"] == email
        assert (await page.patch("/v1/me", json={"name": "Ada"})).status_code == 403
        assert good(await page.patch("/v1/me", json={"name": "Ada"}, headers=csrf))["name"] == "Ada"
        assert (await page.post("/v1/auth/refresh", headers=csrf)).status_code == 200
        page.cookies.delete("bitloot-access")
        assert (await page.get("/v1/me")).status_code == 401
        assert (await page.post("/v1/auth/logout", headers=csrf)).status_code == 204
        assert list(page.cookies.jar) == []
