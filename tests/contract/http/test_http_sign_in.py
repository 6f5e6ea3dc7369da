"""Signing in over HTTP, and what is one's own from then on."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.contract.http.people import (
    BUYER,
    OTHER_WORDS,
    WORDS,
    challenge,
    code,
    link,
    person,
    sign_in,
)  # fmt: skip

from bitloot.domain.roles import PERMISSIONS, Actor
from bitloot_web.problems import URN

if TYPE_CHECKING:
    import httpx
    from tests.contract.http.conftest import Stage

CLI = Actor(name="cli", permissions=PERMISSIONS)
CACHE = timedelta(seconds=31)


def refused(answer: "httpx.Response", status: int, what: str) -> None:
    assert (answer.status_code, answer.json()["type"]) == (status, URN + what), answer.text


async def test_a_guest_who_bought_signs_in_and_finds_the_order(stage: "Stage") -> None:
    order_id, _ = await stage.bought()
    who = await sign_in(stage)
    history = await stage.client.get("/v1/me/orders", headers=who.headers)
    assert [order["id"] for order in history.json()["items"]] == [order_id]
    for path in (f"/v1/me/orders/{order_id}", f"/v1/orders/{order_id}"):
        answer = await stage.client.get(path, headers=who.headers)
        assert answer.json()["email"] == BUYER
    link_to_key = await stage.client.post(
        f"/v1/orders/{order_id}/items/{answer.json()['items'][0]['id']}/reveal",
        headers={**who.headers, **stage.once()},
    )
    assert link_to_key.status_code == 201, link_to_key.text


async def test_what_is_bought_while_signed_in_is_ones_own(stage: "Stage") -> None:
    who, other = await sign_in(stage), await sign_in(stage, "other@shop.example")
    placed = await stage.client.post(
        "/v1/orders",
        json={"quoteId": await stage.quote(), "email": "gift@shop.example"},
        headers={**who.headers, **stage.once()},
    )
    assert placed.status_code == 201, placed.text
    order_id = placed.json()["id"]
    for path in (f"/v1/me/orders/{order_id}", f"/v1/orders/{order_id}"):
        assert (await stage.client.get(path, headers=who.headers)).status_code == 200
        refused(await stage.client.get(path, headers=other.headers), 404, "not-found")


async def test_a_wrong_token_places_no_guest_order(stage: "Stage") -> None:
    body = {"quoteId": await stage.quote(), "email": BUYER}
    headers = {"authorization": "Bearer x", **stage.once()}
    refused(
        await stage.client.post("/v1/orders", json=body, headers=headers), 401, "unauthenticated"
    )


async def test_a_refresh_token_is_good_once_and_for_a_moment_more(stage: "Stage") -> None:
    """S9: one successor, the same one for whoever asks again at once; later all of it ends."""
    first = await sign_in(stage)
    stage.clock.advance(timedelta(minutes=14))
    ask = {"refreshToken": first.refresh}
    second = person(await stage.client.post("/v1/auth/refresh", json=ask))
    assert second.access != first.access
    stage.clock.advance(timedelta(seconds=9))
    assert person(await stage.client.post("/v1/auth/refresh", json=ask)) == second
    stage.clock.advance(timedelta(seconds=2))
    refused(await stage.client.post("/v1/auth/refresh", json=ask), 401, "session-ended")
    stage.clock.advance(CACHE)
    refused(await stage.client.get("/v1/me", headers=second.headers), 401, "unauthenticated")
    again = {"refreshToken": second.refresh}
    refused(await stage.client.post("/v1/auth/refresh", json=again), 401, "session-ended")


async def test_no_kind_of_token_opens_what_another_does(stage: "Stage") -> None:
    """S8: each kind against the endpoints of the others."""
    who = await sign_in(stage)
    order_id, session = await stage.order()
    for token in (who.refresh, session["authorization"][7:], stage.admin["authorization"][7:]):
        headers = {"authorization": f"Bearer {token}"}
        refused(await stage.client.get("/v1/me", headers=headers), 401, "unauthenticated")
    for token in (who.access, session["authorization"][7:]):
        answer = await stage.client.post("/v1/auth/refresh", json={"refreshToken": token})
        refused(answer, 401, "session-ended")
    refresh = {"authorization": f"Bearer {who.refresh}"}
    refused(
        await stage.client.get(f"/v1/orders/{order_id}", headers=refresh), 401, "unauthenticated"
    )
    refused(await stage.client.get("/v1/admin/orders", headers=refresh), 401, "unauthenticated")
    refused(await stage.client.get("/v1/admin/orders", headers=who.headers), 403, "forbidden")


@pytest.mark.parametrize("ending", ["logout", "suspended", "deleted", "role", "admin"])
async def test_whoever_is_signed_out_is_out_within_a_minute(stage: "Stage", ending: str) -> None:
    """S10: on every address that asks who is there; a refresh at once."""
    await stage.order()
    who = await sign_in(stage)
    assert (await stage.client.get("/v1/me", headers=who.headers)).status_code == 200
    desk = stage.shop.user_desk
    match ending:
        case "logout":
            out = await stage.client.post("/v1/auth/logout", headers=who.headers)
            assert out.status_code == 204
        case "suspended":
            await desk.suspend(who.user_id, "fraud", actor=CLI)
        case "deleted":
            await desk.delete(who.user_id, actor=CLI)
        case "role":
            await desk.set_roles(who.user_id, ["support"], actor=CLI)
        case _:
            await desk.sign_out(who.user_id, actor=CLI)
    again = await stage.client.post("/v1/auth/refresh", json={"refreshToken": who.refresh})
    refused(again, 401, "session-ended")
    stage.clock.advance(CACHE)
    for path in ("/v1/me", "/v1/me/orders", "/v1/me/sessions", "/v1/me/export"):
        refused(await stage.client.get(path, headers=who.headers), 401, "unauthenticated")


async def test_who_has_a_refresh_token_left_signs_out_by_it(stage: "Stage") -> None:
    who, other = await sign_in(stage), await sign_in(stage)
    stage.clock.advance(timedelta(minutes=16))
    path, body = "/v1/auth/logout", {"refreshToken": who.refresh}
    for headers, given in (({}, {}), (who.headers, body), ({"authorization": "Bearer x"}, body)):
        answer = await stage.client.post(path, json=given, headers=headers)
        refused(answer, 401, "unauthenticated")
    for token in (who.access, f"{who.refresh}x", "x"):
        answer = await stage.client.post(path, json={"refreshToken": token})
        refused(answer, 401, "session-ended")
    for _ in range(2):
        assert (await stage.client.post(path, json=body)).status_code == 204
    refused(await stage.client.post("/v1/auth/refresh", json=body), 401, "session-ended")
    fresh = await stage.client.post("/v1/auth/refresh", json={"refreshToken": other.refresh})
    assert fresh.status_code == 200


async def test_a_socket_ends_with_the_session_that_opened_it(stage: "Stage") -> None:
    """S22: who was let in by name is asked again."""
    order_id, _ = await stage.order()
    who = await sign_in(stage)
    socket = stage.socket(order_id)
    await socket.open()
    await socket.send({"token": who.access})
    assert (await socket.event())["kind"] == "order_placed"
    await stage.shop.user_desk.sign_out(who.user_id, actor=CLI)
    stage.clock.advance(CACHE)
    await stage.realtime.publish(order_id, 2)
    assert await socket.closed() == 4401


async def test_a_password_opens_what_a_code_opens(stage: "Stage") -> None:
    who = await sign_in(stage)
    second = await sign_in(stage)
    body = {"password": WORDS}
    done = await stage.client.post("/v1/auth/password", json=body, headers=second.headers)
    assert done.status_code == 204, done.text
    stage.clock.advance(CACHE)
    refused(await stage.client.get("/v1/me", headers=who.headers), 401, "unauthenticated")
    assert (await stage.client.get("/v1/me", headers=second.headers)).json()["hasPassword"]
    login = {"email": BUYER, "password": WORDS}
    assert person(await stage.client.post("/v1/auth/login", json=login)).user_id == who.user_id
    login["password"] = OTHER_WORDS
    wrong = await stage.client.post("/v1/auth/login", json=login)
    refused(wrong, 401, "credentials-wrong")
    login["email"] = "nobody@shop.example"
    nobody = await stage.client.post("/v1/auth/login", json=login)
    assert nobody.json() | {"instance": ""} == wrong.json() | {"instance": ""}


async def test_a_forgotten_password_is_reset_by_a_code(stage: "Stage") -> None:
    who = await sign_in(stage)
    body = {"email": BUYER, "challengeId": await challenge(stage, what="password/forgot")}
    body |= {"code": code(stage), "password": OTHER_WORDS}
    done = await stage.client.post("/v1/auth/password/reset", json=body)
    assert done.status_code == 204, done.text
    again = await stage.client.post("/v1/auth/refresh", json={"refreshToken": who.refresh})
    refused(again, 401, "session-ended")
    login = {"email": BUYER, "password": OTHER_WORDS}
    assert person(await stage.client.post("/v1/auth/login", json=login)).user_id == who.user_id


async def test_passwords_are_tried_ten_times_in_a_quarter_of_an_hour(stage: "Stage") -> None:
    login = {"email": BUYER, "password": WORDS}
    for _ in range(10):
        refused(await stage.client.post("/v1/auth/login", json=login), 401, "credentials-wrong")
    over = await stage.client.post("/v1/auth/login", json=login)
    refused(over, 429, "rate-limited")
    assert int(over.headers["retry-after"]) > 0


async def test_without_valkey_nobody_signs_in_and_whoever_is_in_goes_on(stage: "Stage") -> None:
    who = await sign_in(stage)
    stage.otp.is_down = stage.rate_limiter.is_down = True
    mail, login = {"email": BUYER}, {"email": BUYER, "password": WORDS}
    verify = {**mail, "challengeId": "x", "code": "123456"}
    for path, body in (
        ("otp/request", mail), ("otp/verify", verify), ("login", login), ("password/forgot", mail),
        ("password/reset", {**verify, "password": WORDS}),
    ):  # fmt: skip
        answer = await stage.client.post(f"/v1/auth/{path}", json=body)
        refused(answer, 503, "store-unavailable")
        assert int(answer.headers["retry-after"]) > 0
    assert (await stage.client.get("/v1/me", headers=who.headers)).status_code == 200
    ask = {"refreshToken": who.refresh}
    assert (await stage.client.post("/v1/auth/refresh", json=ask)).status_code == 200


async def test_sessions_are_listed_and_ended(stage: "Stage") -> None:
    first, second = await sign_in(stage), await sign_in(stage)
    listed = (await stage.client.get("/v1/me/sessions", headers=first.headers)).json()["items"]
    assert [line["isCurrent"] for line in listed].count(True) == 1
    (other,) = [line["id"] for line in listed if not line["isCurrent"]]
    stranger = await sign_in(stage, "other@shop.example")
    path = f"/v1/me/sessions/{other}"
    refused(await stage.client.delete(path, headers=stranger.headers), 404, "not-found")
    assert (await stage.client.delete(path, headers=first.headers)).status_code == 204
    refused(await stage.client.get("/v1/me", headers=second.headers), 401, "unauthenticated")
    assert (await stage.client.delete("/v1/me/sessions", headers=first.headers)).status_code == 204
    refused(await stage.client.get("/v1/me", headers=first.headers), 401, "unauthenticated")
    assert (await stage.client.get("/v1/me", headers=stranger.headers)).status_code == 200


async def test_one_goes_by_another_name(stage: "Stage") -> None:
    who = await sign_in(stage)
    changed = await stage.client.patch("/v1/me", json={"name": " Ada  L. "}, headers=who.headers)
    assert changed.json()["name"] == "Ada L."
    for body in ({"name": "Ada", "roles": ["owner"]}, {"email": "x@y.example"}, {}):
        answer = await stage.client.patch("/v1/me", json=body, headers=who.headers)
        refused(answer, 422, "invalid-input")
    assert (await stage.client.get("/v1/me", headers=who.headers)).json()["roles"] == []


async def test_an_account_moves_to_another_address_by_two_codes(stage: "Stage") -> None:
    """S24: both codes at once."""
    who, new = await sign_in(stage), "new@shop.example"
    path = "/v1/me/email-change"
    asked = await stage.client.post(path, json={"email": new}, headers=who.headers)
    assert asked.status_code == 202, asked.text
    await stage.work()
    both = {"currentCode": code(stage), "newCode": code(stage, new)}
    swapped = {"currentCode": both["newCode"], "newCode": both["currentCode"]}
    wrong = await stage.client.post(f"{path}/confirm", json=swapped, headers=who.headers)
    refused(wrong, 401, "code-wrong")
    done = await stage.client.post(f"{path}/confirm", json=both, headers=who.headers)
    assert done.status_code == 204, done.text
    assert (await stage.client.get("/v1/me", headers=who.headers)).json()["email"] == new


async def test_a_deletion_is_asked_for_looked_at_and_cancelled(stage: "Stage") -> None:
    """S24: from the profile, and by the link in the mail once."""
    who, path = await sign_in(stage), "/v1/me/deletion"
    refused(await stage.client.get(path, headers=who.headers), 404, "not-found")
    asked = await stage.client.post(path, headers=who.headers)
    assert asked.status_code == 201, asked.text
    assert (await stage.client.get(path, headers=who.headers)).json() == asked.json()
    assert (await stage.client.delete(path, headers=who.headers)).status_code == 204
    refused(await stage.client.delete(path, headers=who.headers), 409, "deletion-over")
    await stage.client.post(path, headers=who.headers)
    await stage.work()
    body = {"token": link(stage)}
    stop = await stage.client.post("/v1/account-recovery/stop", json=body)
    refused(stop, 404, "not-found")
    kept = await stage.client.post("/v1/account-deletion/cancel", json=body)
    assert kept.status_code == 204, kept.text
    twice = await stage.client.post("/v1/account-deletion/cancel", json=body)
    refused(twice, 409, "deletion-over")


@pytest.mark.parametrize(("length", "status"), [(254, 202), (255, 422)])
async def test_an_address_may_be_as_long_as_mail_takes_it(
    stage: "Stage", length: int, status: int
) -> None:
    domain = ".".join(["d" * 63] * 3)[: length - 65]
    body = {"email": f"{'a' * 64}@{domain}"}
    answer = await stage.client.post("/v1/auth/otp/request", json=body)
    assert (len(body["email"]), answer.status_code) == (length, status), answer.text


async def test_all_that_is_kept_of_somebody_is_theirs_to_take(stage: "Stage") -> None:
    order_id, _ = await stage.bought()
    who = await sign_in(stage)
    answer = await stage.client.get("/v1/me/export", headers=who.headers)
    told = answer.json()
    assert answer.headers["content-disposition"].startswith("attachment")
    assert [(order["id"], order["email"]) for order in told["orders"]] == [(order_id, BUYER)]
    assert told["orders"][0]["placedFrom"]
    assert told["emailChanges"] == told["recoveries"] == told["apiKeys"] == []
    assert told["profile"]["email"] == BUYER
    assert "order-ready" in {mail["kind"] for mail in told["mails"]}
    assert len(told["sessions"]) == 1


async def test_a_role_opens_what_it_may_and_a_machines_key_its_scopes(stage: "Stage") -> None:
    who = await sign_in(stage)
    await stage.shop.user_desk.set_roles(who.user_id, ["support"], actor=CLI)
    support = await sign_in(stage)
    assert (await stage.client.get("/v1/admin/orders", headers=support.headers)).status_code == 200
    priced = await stage.client.get("/v1/admin/audit-logs", headers=support.headers)
    refused(priced, 403, "forbidden")
    made = await stage.shop.api_keys.create(
        "a till", ["orders.read"], maker_id=who.user_id, actor=CLI
    )
    key = {"authorization": f"Bearer {made.text}"}
    assert (await stage.client.get("/v1/admin/orders", headers=key)).status_code == 200
    refused(await stage.client.get("/v1/admin/holds", headers=key), 403, "forbidden")
    refused(await stage.client.get("/v1/me", headers=key), 401, "unauthenticated")
    spoilt = {"authorization": f"Bearer {made.text[:-1]}0"}
    if spoilt != key:
        refused(await stage.client.get("/v1/admin/orders", headers=spoilt), 401, "unauthenticated")
    page = await stage.shop.views.people.api_keys(limit=9, after=None)
    assert page.items[0].last_used_at is not None
    await stage.shop.api_keys.revoke(made.key.id, actor=CLI)
    stage.clock.advance(CACHE)
    refused(await stage.client.get("/v1/admin/orders", headers=key), 401, "unauthenticated")
