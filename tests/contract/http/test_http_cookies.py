"""Pages are signed in by cookies, and nobody else's page does anything by them."""

from datetime import timedelta
from http.cookies import SimpleCookie
from typing import TYPE_CHECKING, Final

import httpx
import pytest
from tests import asgi
from tests.contract.http.people import BUYER, challenge, code, sign_in
from tests.contract.http.test_http_matrix import CLI, accesses

from bitloot.domain.session import Client
from bitloot_web.problems import URN
from bitloot_web.security.access import Access, Anyone, OrderOwner, Signed, Staff
from bitloot_web.security.cookie_sessions import (
    HEADER,
    REFRESH_PATH,
    SAFE,
    SECURE,
    names_at,
    own_origin,
)

if TYPE_CHECKING:
    from tests.contract.http.conftest import Stage, Sweep

ORIGIN: Final = "https://shop.example"
OWN: Final = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}
CACHE: Final = timedelta(seconds=31)
FORGED: Final = {
    "no proof at all": {},
    "no page": {"origin": "null"},
    "another origin": {"origin": "https://evil.example"},
    "an origin that may read": {"origin": "https://app.example"},
    "a name that begins alike": {"origin": f"{ORIGIN}.evil.example"},
    "without TLS": {"origin": "http://shop.example"},
    "another port": {"origin": f"{ORIGIN}:8443"},
    "another site": {"sec-fetch-site": "cross-site"},
    "a neighbour": {"sec-fetch-site": "same-site", "origin": ORIGIN},
    "typed in": {"sec-fetch-site": "none"},
    "at odds": {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
}


def refused(answer: httpx.Response, status: int, what: str) -> None:
    assert (answer.status_code, answer.json()["type"]) == (status, URN + what), answer.text


def refusal(answer: httpx.Response) -> str:
    return str(answer.json()["type"]) if answer.is_error else ""


def takes_cookies(access: Access) -> bool:
    """Whether a route lets in who is signed in."""
    return isinstance(access, Signed | OrderOwner | Staff) or access == Anyone(may_sign_in=True)


def kept(answer: httpx.Response) -> dict[str, str]:
    """The cookies that an answer sets, by name."""
    jar: SimpleCookie = SimpleCookie()
    for line in answer.headers.get_list("set-cookie"):
        jar.load(line)
    return {name: morsel.value for name, morsel in jar.items()}


def carried(cookies: dict[str, str]) -> dict[str, str]:
    return {"cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


async def asked_by_page(
    stage: "Stage", method: str, path: str, headers: dict[str, str], body: object = None
) -> httpx.Response:
    """Ask with these headers and no others: no cookies but those that they name."""
    transport = asgi.transport(stage.app, client=("203.0.113.7", 1))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as browser:
        return await browser.request(method, path, json=body, headers=headers)


async def signed_in(
    stage: "Stage", email: str = BUYER, more: dict[str, str] | None = None
) -> tuple[httpx.Response, dict[str, str]]:
    """Sign in as a page does; gives the answer and its cookies."""
    body = {"email": email, "challengeId": await challenge(stage, email), "session": "cookie"}
    body["code"] = code(stage, email)
    headers = {**OWN, **(more or {})}
    answer = await asked_by_page(stage, "POST", "/v1/auth/otp/verify", headers, body)
    assert answer.status_code == 201, answer.text
    return answer, kept(answer)


def proven(cookies: dict[str, str]) -> dict[str, str]:
    """What a page of ours sends with what it changes."""
    return {**carried(cookies), **OWN, HEADER: cookies[SECURE.csrf]}


async def test_a_page_holds_its_tokens_where_no_script_reads_them(stage: "Stage") -> None:
    answer, cookies = await signed_in(stage)
    told = answer.json()
    assert not {"accessToken", "refreshToken"} & told.keys()
    assert told["csrfToken"] == cookies[SECURE.csrf]
    assert cookies[SECURE.access] not in answer.text
    lines = {line.partition("=")[0]: line for line in answer.headers.get_list("set-cookie")}
    assert lines.keys() == {SECURE.access, SECURE.refresh, SECURE.csrf}
    for name, line in lines.items():
        assert "; Secure" in line
        assert "; SameSite=lax" in line
        assert "Domain" not in line
        assert ("; HttpOnly" in line) is (name != SECURE.csrf)
    assert "; Max-Age=900;" in lines[SECURE.access]
    assert "; Max-Age=604800;" in lines[SECURE.refresh]
    assert "; Path=/v1/auth;" in lines[SECURE.refresh]
    assert all("; Path=/;" in lines[name] for name in (SECURE.access, SECURE.csrf))


async def test_what_a_page_only_reads_needs_nothing_but_its_cookie(stage: "Stage") -> None:
    order_id, _ = await stage.bought()
    _, cookies = await signed_in(stage)
    for path in ("/v1/me", "/v1/me/orders", f"/v1/orders/{order_id}"):
        for method in ("GET", "HEAD"):
            answer = await asked_by_page(stage, method, path, carried(cookies))
            assert answer.status_code == 200, answer.text
    _, other = await signed_in(stage, "other@shop.example")
    foreign = await asked_by_page(stage, "GET", f"/v1/orders/{order_id}", carried(other))
    refused(foreign, 404, "not-found")


async def test_nothing_is_changed_by_a_cookie_unless_our_own_page_asks(sweep: "Sweep") -> None:
    """Every unsafe route of the application that takes who is signed in."""
    stage, declared, asked = sweep.stage, accesses(sweep.stage), 0
    walked = {operation["operationId"] for _, _, operation in sweep.operations}
    assert not [name for name in declared.keys() - walked if takes_cookies(declared[name])]
    user_id = (await sign_in(stage)).user_id
    await stage.shop.user_desk.set_roles(user_id, ["owner"], actor=CLI)
    wrong: list[str] = []
    for method, path, operation in sweep.operations:
        access = declared[operation["operationId"]]
        if method in SAFE or not takes_cookies(access):
            continue
        stage.clock.advance(timedelta(minutes=16))
        session = (await stage.shop.identity.sign_in(user_id, Client())).session
        cookies = {SECURE.access: stage.shop.tokens.pair(session).access}
        csrf = {HEADER: stage.shop.tokens.csrf(session.id)}
        tries = {
            "without its token": OWN,
            "with another's token": {**OWN, HEADER: stage.shop.tokens.csrf("another")},
            **{name: {**proof, **csrf} for name, proof in FORGED.items()},
        }
        for name, headers in tries.items():
            answer = await asked_by_page(
                stage, method, sweep.filled(path), {**carried(cookies), **headers}
            )
            if refusal(answer) != f"{URN}csrf-failed":
                wrong.append(f"{operation['operationId']} {name}: {answer.status_code}")
        answer = await asked_by_page(
            stage, method, sweep.filled(path), {**carried(cookies), **OWN, **csrf}
        )
        if refusal(answer) in {
            f"{URN}{code}" for code in ("csrf-failed", "unauthenticated", "forbidden")
        }:
            wrong.append(f"{operation['operationId']} of our own page: {refusal(answer)}")
        asked += 1
    assert not wrong, "\n".join(wrong)
    assert asked > 50


async def test_a_refresh_cookie_does_nothing_unless_our_own_page_asks(sweep: "Sweep") -> None:
    """Every unsafe route that browsers send it to: it is as if it were not there, or refused."""
    stage, wrong = sweep.stage, list[str]()
    user_id, taken = (await sign_in(stage)).user_id, set[str]()
    for method, path, operation in sweep.operations:
        if not path.startswith(REFRESH_PATH) or method in SAFE:
            continue
        for how, proof in {**FORGED, "without its token": OWN}.items():
            stage.clock.advance(timedelta(minutes=16))
            session = (await stage.shop.identity.sign_in(user_id, Client())).session
            cookie = carried({SECURE.refresh: stage.shop.tokens.pair(session).refresh})
            csrf = {} if proof is OWN else {HEADER: stage.shop.tokens.csrf(session.id)}
            headers = {**proof, **csrf}
            answer = await asked_by_page(stage, method, path, {**cookie, **headers})
            without = await asked_by_page(stage, method, path, headers)
            if answer.is_success or kept(answer):
                wrong.append(f"{operation['operationId']} {how}: {answer.status_code}")
            elif refusal(answer) != refusal(without):
                assert refusal(answer) == f"{URN}csrf-failed"
                taken.add(operation["operationId"])
            state = await stage.shop.views.people.session_state(session.id)
            assert state is not None
            assert state.is_good(stage.clock.now())
    assert not wrong, "\n".join(wrong)
    assert taken == {"refreshSession", "signOut"}


@pytest.mark.parametrize("proof", [{"origin": ORIGIN}, {"sec-fetch-site": "same-origin"}])
async def test_either_word_of_the_browser_will_do(stage: "Stage", proof: dict[str, str]) -> None:
    _, cookies = await signed_in(stage)
    headers = {**carried(cookies), **proof, HEADER: cookies[SECURE.csrf]}
    answer = await asked_by_page(stage, "PATCH", "/v1/me", headers, {"name": "Ada"})
    assert answer.json()["name"] == "Ada"


async def test_whoever_shows_a_token_is_known_by_it_and_not_by_a_cookie(stage: "Stage") -> None:
    who = await sign_in(stage, "other@shop.example")
    _, cookies = await signed_in(stage)
    both = {**carried(cookies), **who.headers}
    assert (await asked_by_page(stage, "GET", "/v1/me", both)).json()["id"] == who.user_id
    changed = await asked_by_page(stage, "PATCH", "/v1/me", both, {"name": "Ada"})
    assert (changed.status_code, changed.json()["id"]) == (200, who.user_id)
    for token in ("Bearer x", "Basic eDp5", ""):
        headers = {**proven(cookies), "authorization": token}
        refused(await asked_by_page(stage, "GET", "/v1/me", headers), 401, "unauthenticated")
        again = await asked_by_page(stage, "POST", "/v1/auth/refresh", headers)
        refused(again, 422, "invalid-input")
    out = await asked_by_page(stage, "POST", "/v1/auth/logout", both)
    assert (out.status_code, kept(out)) == (204, {})
    assert (await asked_by_page(stage, "GET", "/v1/me", carried(cookies))).status_code == 200


async def test_a_page_goes_on_by_its_refresh_cookie(stage: "Stage") -> None:
    _, cookies = await signed_in(stage)
    stage.clock.advance(timedelta(minutes=16))
    stale = await asked_by_page(stage, "GET", "/v1/me", carried(cookies))
    refused(stale, 401, "unauthenticated")
    only = {SECURE.refresh: cookies[SECURE.refresh]}
    for headers in (
        carried(only),
        {**carried(only), **OWN},
        {**proven(cookies), **FORGED["no page"]},
    ):
        answer = await asked_by_page(stage, "POST", "/v1/auth/refresh", headers)
        refused(answer, 403, "csrf-failed")
    headers = {**carried(only), **OWN, HEADER: cookies[SECURE.csrf]}
    answer = await asked_by_page(stage, "POST", "/v1/auth/refresh", headers)
    assert (answer.status_code, "accessToken" in answer.json()) == (200, False)
    fresh = kept(answer)
    assert fresh[SECURE.csrf] == cookies[SECURE.csrf] == answer.json()["csrfToken"]
    assert fresh[SECURE.refresh] != cookies[SECURE.refresh]
    again = await asked_by_page(stage, "POST", "/v1/auth/refresh", headers, {})
    assert kept(again) == fresh
    assert (await asked_by_page(stage, "GET", "/v1/me", carried(fresh))).status_code == 200
    stage.clock.advance(timedelta(seconds=11))
    late = await asked_by_page(stage, "POST", "/v1/auth/refresh", headers)
    refused(late, 401, "session-ended")


async def test_a_page_whose_session_has_ended_loses_its_cookies(stage: "Stage") -> None:
    """No script could take them away, and nobody is a guest as long as a bad token is shown."""
    answer, cookies = await signed_in(stage)
    placing = {"quoteId": await stage.quote(), "email": BUYER}
    await stage.shop.user_desk.suspend(answer.json()["userId"], "fraud", actor=CLI)
    stage.clock.advance(CACHE)
    headers = {**proven(cookies), **stage.once()}
    stale = await asked_by_page(stage, "POST", "/v1/orders", headers, placing)
    refused(stale, 401, "unauthenticated")
    forged = await asked_by_page(stage, "POST", "/v1/auth/refresh", carried(cookies))
    refused(forged, 403, "csrf-failed")
    by_token = {"refreshToken": cookies[SECURE.refresh]}
    other = await asked_by_page(stage, "POST", "/v1/auth/refresh", proven(cookies), by_token)
    refused(other, 401, "session-ended")
    assert kept(forged) == kept(other) == {}
    ended = await asked_by_page(stage, "POST", "/v1/auth/refresh", proven(cookies))
    refused(ended, 401, "session-ended")
    assert kept(ended) == dict.fromkeys(cookies, "")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/v1/auth/logout"), ("DELETE", "/v1/me/sessions")]
)
async def test_signing_out_takes_the_cookies_away(stage: "Stage", method: str, path: str) -> None:
    _, cookies = await signed_in(stage)
    out = await asked_by_page(stage, method, path, proven(cookies))
    assert out.status_code == 204, out.text
    lines = {line.partition("=")[0]: line for line in out.headers.get_list("set-cookie")}
    assert kept(out) == dict.fromkeys(cookies, "")
    assert all("; Max-Age=0;" in line for line in lines.values())
    assert "; Path=/v1/auth;" in lines[SECURE.refresh]
    refused(
        await asked_by_page(stage, "POST", "/v1/auth/refresh", proven(cookies)),
        401, "session-ended",
    )  # fmt: skip
    stage.clock.advance(CACHE)
    after = await asked_by_page(stage, "GET", "/v1/me", carried(cookies))
    refused(after, 401, "unauthenticated")


@pytest.mark.parametrize("left", [(SECURE.refresh,), (SECURE.refresh, SECURE.access)])
async def test_a_page_signs_out_by_its_refresh_cookie_alone(
    stage: "Stage", left: tuple[str, ...]
) -> None:
    """The access cookie is gone a quarter of an hour after the last request, or it is stale."""
    _, cookies = await signed_in(stage)
    stage.clock.advance(timedelta(minutes=16))
    held = carried({name: cookies[name] for name in left})
    csrf = {HEADER: cookies[SECURE.csrf]}
    for forged in ({}, OWN, csrf, *({**proof, **csrf} for proof in FORGED.values())):
        answer = await asked_by_page(stage, "POST", "/v1/auth/logout", {**held, **forged})
        refused(answer, 403, "csrf-failed")
        assert not kept(answer)
    for _ in range(2):
        out = await asked_by_page(stage, "POST", "/v1/auth/logout", {**held, **OWN, **csrf})
        assert (out.status_code, kept(out)) == (204, dict.fromkeys(cookies, ""))
    again = await asked_by_page(stage, "POST", "/v1/auth/refresh", proven(cookies))
    refused(again, 401, "session-ended")


async def test_a_page_that_signs_out_too_late_loses_its_cookies_all_the_same(
    stage: "Stage",
) -> None:
    _, cookies = await signed_in(stage)
    stage.clock.advance(timedelta(days=7, minutes=1))
    out = await asked_by_page(stage, "POST", "/v1/auth/logout", proven(cookies))
    refused(out, 401, "session-ended")
    assert kept(out) == dict.fromkeys(cookies, "")


async def test_no_session_that_was_there_before_is_taken_up_by_a_sign_in(stage: "Stage") -> None:
    """Session fixation: what somebody else put into the browser stays theirs."""
    _, planted = await signed_in(stage, "evil@shop.example")
    made_up = {SECURE.access: "chosen", SECURE.refresh: "chosen", SECURE.csrf: "chosen"}
    seen = [planted, made_up]
    for before in (planted, made_up):
        answer, cookies = await signed_in(stage, more=carried(before))
        assert all(cookies[name] != each[name] for each in seen for name in cookies)
        me = await asked_by_page(stage, "GET", "/v1/me", carried(cookies))
        assert me.json()["id"] == answer.json()["userId"]
        theirs = {**carried(cookies), **OWN, HEADER: before[SECURE.csrf]}
        forged = await asked_by_page(stage, "PATCH", "/v1/me", theirs, {"name": "x"})
        refused(forged, 403, "csrf-failed")
        seen.append(cookies)
    still = await asked_by_page(stage, "GET", "/v1/me", carried(planted))
    assert still.json()["email"] == "evil@shop.example"


async def test_no_token_is_good_in_the_cookie_of_another(stage: "Stage") -> None:
    """S8, in cookies: each kind in the place of every other."""
    order_id, order = await stage.order()
    _, cookies = await signed_in(stage)
    access, refresh = cookies[SECURE.access], cookies[SECURE.refresh]
    tokens = [refresh, cookies[SECURE.csrf], order["authorization"][7:], f"{access}x", ""]
    tokens.append(stage.admin["authorization"][7:])
    for token in tokens:
        swapped = carried({**cookies, SECURE.access: token})
        for path in ("/v1/me", f"/v1/orders/{order_id}", "/v1/admin/orders"):
            answer = await asked_by_page(stage, "GET", path, swapped)
            refused(answer, 401, "unauthenticated")
    for token in (access, cookies[SECURE.csrf], order["authorization"][7:], f"{refresh}x"):
        headers = proven({**cookies, SECURE.refresh: token})
        answer = await asked_by_page(stage, "POST", "/v1/auth/refresh", headers)
        refused(answer, 401, "session-ended")


async def test_two_cookies_of_one_name_open_nothing(stage: "Stage") -> None:
    _, cookies = await signed_in(stage)
    twice = {**proven(cookies)}
    for name in (SECURE.access, SECURE.refresh):
        twice["cookie"] += f"; {name}={cookies[name]}"
    refused(await asked_by_page(stage, "GET", "/v1/me", twice), 401, "unauthenticated")
    again = await asked_by_page(stage, "POST", "/v1/auth/refresh", twice)
    refused(again, 401, "unauthenticated")


@pytest.mark.parametrize("how", FORGED)
async def test_no_other_page_signs_somebody_in(stage: "Stage", how: str) -> None:
    """Login CSRF; and the code is not used up by it."""
    body = {"email": BUYER, "challengeId": await challenge(stage), "code": code(stage)}
    by_code = {**body, "session": "cookie"}
    by_password = {"email": BUYER, "password": "any words at all", "session": "cookie"}
    for path, asked in (("otp/verify", by_code), ("login", by_password)):
        answer = await asked_by_page(stage, "POST", f"/v1/auth/{path}", FORGED[how], asked)
        refused(answer, 403, "csrf-failed")
        assert not kept(answer)
    assert (await stage.client.post("/v1/auth/otp/verify", json=body)).status_code == 201


async def test_other_origins_are_never_given_what_a_cookie_opens(stage: "Stage") -> None:
    _, cookies = await signed_in(stage)
    for origin in ("https://app.example", "https://evil.example"):
        headers = {**carried(cookies), "origin": origin}
        answer = await asked_by_page(stage, "GET", "/v1/me", headers)
        assert "access-control-allow-credentials" not in answer.headers
        asked = {"access-control-request-method": "PATCH", "access-control-request-headers": HEADER}
        first = await asked_by_page(stage, "OPTIONS", "/v1/me", {**headers, **asked})
        assert "access-control-allow-credentials" not in first.headers
        assert HEADER.lower() not in first.headers.get("access-control-allow-headers", "").lower()


async def test_a_page_signs_in_by_a_password_too(stage: "Stage") -> None:
    _, cookies = await signed_in(stage)
    words = {"password": "a lantern in the rain"}
    done = await asked_by_page(stage, "POST", "/v1/auth/password", proven(cookies), words)
    assert done.status_code == 204, done.text
    body = {"email": BUYER, **words, "session": "cookie"}
    answer = await asked_by_page(stage, "POST", "/v1/auth/login", OWN, body)
    me = await asked_by_page(stage, "GET", "/v1/me", carried(kept(answer)))
    assert me.json()["email"] == BUYER


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://shop.example", "https://shop.example"),
        ("https://Shop.Example:443", "https://shop.example"),
        ("http://shop.example:80/a-shop", "http://shop.example"),
        ("https://shop.example:80", "https://shop.example:80"),
        ("http://[::1]:8000", "http://[::1]:8000"),
    ],
)
def test_an_origin_is_compared_as_browsers_write_it(url: str, origin: str) -> None:
    assert own_origin(url) == origin


@pytest.mark.parametrize(
    ("url", "is_secure"),
    [
        ("https://shop.example", True),
        ("https://localhost:8443", True),
        ("http://shop.example", True),
        ("http://localhost.evil.example", True),
        ("http://localhost:8000", False),
        ("http://127.0.0.1:8000", False),
        ("http://[::1]:8000", False),
    ],
)
def test_cookies_go_without_tls_on_ones_own_machine_only(url: str, *, is_secure: bool) -> None:
    assert (names_at(url) == SECURE) is is_secure
