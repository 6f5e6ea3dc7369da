"""Signing in by a code or a password, going on being signed in, signing out."""

from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from litestar import Response
from litestar.params import JSONBody
from msgspec import UNSET, UnsetType

from bitloot.domain.address import parse_address
from bitloot.domain.session import Client
from bitloot.usecases.people.identity import SignedIn
from bitloot_web.api.fields import CaptchaToken, Mailbox, ShortText, Token
from bitloot_web.api.sessions import CodeSent
from bitloot_web.dependencies import TheActor, TheShop
from bitloot_web.problems import FieldError, ProblemError
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.routes import post
from bitloot_web.security.access import Anyone, Leaving, Signed
from bitloot_web.security.callers import known_caller
from bitloot_web.security.captcha import is_person, no_person
from bitloot_web.security.client_address import client_of, counted
from bitloot_web.security.cookie_sessions import (
    check_own_page,
    check_unforged,
    cookies_of,
    refresh_token_of,
    signed_out,
)
from bitloot_web.security.rate_limits import count, limited
from bitloot_web.shop import Shop
from bitloot_web.tokens import InvalidToken, Opened

# What is no password is told by the shop, in words; here only what would be too much to read.
Password: TypeAlias = Annotated[str, msgspec.Meta(max_length=1024)]
# Tokens are in the answer, or in cookies that no script reads, for pages of the shop.
Keeping: TypeAlias = Literal["tokens", "cookie"]


class CodeWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`captcha` where the shop asks for one."""

    email: Mailbox
    captcha: CaptchaToken | None = None


class CodeSignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The code of the mail, with the address and the challenge that it answers."""

    email: Mailbox
    challenge_id: ShortText
    code: ShortText
    session: Keeping = "tokens"


class PasswordSignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An address and its password."""

    email: Mailbox
    password: Password
    session: Keeping = "tokens"

    def __repr__(self) -> str:
        return "PasswordSignIn()"


class RefreshWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The refresh token given out last; pages leave it out, since it is in their cookie."""

    refresh_token: Token | None = None

    def __repr__(self) -> str:
        return "RefreshWanted()"


BY_COOKIE: Final = RefreshWanted()


class NewPassword(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """`currentPassword` where the sign-in is older than a quarter of an hour."""

    password: Password
    current_password: Password | None = None

    def __repr__(self) -> str:
        return "NewPassword()"


class PasswordReset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The code of the mail, with what it answers, and the password from now on."""

    email: Mailbox
    challenge_id: ShortText
    code: ShortText
    password: Password

    def __repr__(self) -> str:
        return "PasswordReset()"


class SessionTokens(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`accessToken` opens; `refreshToken` is exchanged for the next pair, once.

    A page has both in cookies, and instead of them `csrfToken` here and in a cookie that it may
    read: what it changes it asks for with that as `X-CSRF-Token`.
    """

    access_token: str | UnsetType = UNSET
    access_expires_at: datetime
    refresh_token: str | UnsetType = UNSET
    refresh_expires_at: datetime
    csrf_token: str | UnsetType = UNSET
    user_id: str
    is_new: bool


def tokens_shown(shop: Shop, who: SignedIn, keeping: Keeping) -> Response[SessionTokens]:
    """The tokens of a session as they are answered."""
    pair = shop.tokens.pair(who.session)
    in_cookies = keeping == "cookie"
    shown = SessionTokens(
        access_token=UNSET if in_cookies else pair.access,
        access_expires_at=pair.access_ends,
        refresh_token=UNSET if in_cookies else pair.refresh,
        refresh_expires_at=pair.refresh_ends,
        csrf_token=shop.tokens.csrf(who.session.id) if in_cookies else UNSET,
        user_id=who.user.id,
        is_new=who.is_new,
    )
    return Response(shown, cookies=cookies_of(shop, who.session) if in_cookies else ())


@post(
    "/v1/auth/otp/request",
    access=Anyone(),
    guards=[limited("codes-by-ip")],
    status_code=202,
    operation_id="requestSignInCode",
)
async def request_code(request: EdgeRequest, shop: TheShop, data: JSONBody[CodeWanted]) -> CodeSent:
    """Mail a code to an address, whether somebody has an account under it or not."""
    if not await is_person(request, shop, data.captcha, action="sign-in"):
        raise no_person(data.captcha)
    challenge = await shop.identity.request(data.email)
    return CodeSent(challenge_id=challenge.challenge_id, expires_at=challenge.expires_at)


@post(
    "/v1/auth/otp/verify",
    access=Anyone(),
    guards=[limited("code-tries-by-ip")],
    operation_id="signInByCode",
)
async def sign_in_by_code(
    request: EdgeRequest, shop: TheShop, data: JSONBody[CodeSignIn]
) -> Response[SessionTokens]:
    """Turn a code into a session; the first one of an address makes its account."""
    if data.session == "cookie":
        check_own_page(request)
    client = client_shown(request, shop)
    who = await shop.identity.verify(data.email, data.challenge_id, data.code.strip(), client)
    shop.metrics.otp_verified.inc()
    return tokens_shown(shop, who, data.session)


@post(
    "/v1/auth/login",
    access=Anyone(),
    guards=[limited("sign-ins-by-ip")],
    operation_id="signInByPassword",
)
async def sign_in_by_password(
    request: EdgeRequest, shop: TheShop, data: JSONBody[PasswordSignIn]
) -> Response[SessionTokens]:
    """Turn a password into a session."""
    if data.session == "cookie":
        check_own_page(request)
    address = parse_address(data.email)
    await count(shop, request.scope, "sign-ins-by-address", address.key)
    proven = await shop.passwords.prove(data.email, data.password)
    who = await shop.identity.sign_in(
        proven.user_id, client_shown(request, shop), password_hash=proven.password_hash
    )
    return tokens_shown(shop, who, data.session)


@post(
    "/v1/auth/refresh",
    access=Anyone(),
    guards=[limited("refreshes")],
    status_code=200,
    operation_id="refreshSession",
)
async def refresh(
    request: EdgeRequest, shop: TheShop, data: JSONBody[RefreshWanted] = BY_COOKIE
) -> Response[SessionTokens]:
    """Exchange a refresh token for the next pair. Sent twice at once, it gives the same pair."""
    opened = refresh_shown(request, shop, data)
    if opened is None:
        fault = FieldError("refreshToken", "Send it, or be signed in by a cookie.")
        raise ProblemError("invalid-input", errors=(fault,))
    shop.standing.forget(opened.session_id)
    who = await shop.identity.refresh(opened.session_id, opened.generation)
    return tokens_shown(shop, who, "cookie" if data.refresh_token is None else "tokens")


@post("/v1/auth/logout", access=Leaving(), status_code=204, operation_id="signOut")
async def sign_out(
    request: EdgeRequest, shop: TheShop, data: JSONBody[RefreshWanted] = BY_COOKIE
) -> Response[None]:
    """Sign out here; sessions elsewhere go on. Where the access token has ended, the refresh token
    will do.
    """
    known = known_caller(request) or refresh_shown(request, shop, data)
    session_id = None if known is None else known.session_id
    if session_id is None:
        raise ProblemError("unauthenticated")
    await shop.identity.logout(session_id)
    shop.standing.forget(session_id)
    return signed_out(request, shop)


@post("/v1/auth/password", access=Signed(), status_code=204, operation_id="setPassword")
async def set_password(
    request: EdgeRequest, shop: TheShop, actor: TheActor, data: JSONBody[NewPassword]
) -> None:
    """Set a password; every other session ends."""
    assert actor.user_id is not None
    assert actor.session_id is not None
    await count(shop, request.scope, "sign-ins-by-address", actor.user_id)
    await shop.passwords.set(
        actor.user_id, actor.session_id, data.password, current=data.current_password
    )


@post(
    "/v1/auth/password/forgot",
    access=Anyone(),
    guards=[limited("codes-by-ip")],
    status_code=202,
    operation_id="requestResetCode",
)
async def forgot_password(
    request: EdgeRequest, shop: TheShop, data: JSONBody[CodeWanted]
) -> CodeSent:
    """Mail a code for a new password, whether somebody has an account under the address or not."""
    if not await is_person(request, shop, data.captcha, action="forgot"):
        raise no_person(data.captcha)
    challenge = await shop.passwords.forgot(data.email)
    return CodeSent(challenge_id=challenge.challenge_id, expires_at=challenge.expires_at)


@post(
    "/v1/auth/password/reset",
    access=Anyone(),
    guards=[limited("code-tries-by-ip")],
    status_code=204,
    operation_id="resetPassword",
)
async def reset_password(shop: TheShop, data: JSONBody[PasswordReset]) -> None:
    """Set a password by a code; every session ends."""
    await shop.passwords.reset(data.email, data.challenge_id, data.code.strip(), data.password)


def refresh_shown(request: EdgeRequest, shop: Shop, data: RefreshWanted) -> Opened | None:
    """What the refresh token of the body says, or that of a page's cookie; None without either.

    Raises ProblemError `session-ended` for one that is not good, `unauthenticated` for two cookies
    of its name, `csrf-failed`.
    """
    token = data.refresh_token or refresh_token_of(request)
    if token is None:
        return None
    try:
        opened = shop.tokens.refreshed(token, at=shop.clock())
    except InvalidToken:
        raise ProblemError("session-ended") from None
    if data.refresh_token is None:
        check_unforged(request, opened.session_id)
    return opened


def client_shown(request: EdgeRequest, shop: Shop) -> Client:
    """What signs in, as its owner may recognise it."""
    return Client(
        user_agent=request.headers.get("user-agent", ""),
        address=counted(client_of(request.scope, shop.edge.trusted_proxies)),
    )
