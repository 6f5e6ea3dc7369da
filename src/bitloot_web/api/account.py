"""What becomes of an account: another address, its end, and the links that stop either."""

import msgspec
from litestar.params import JSONBody

from bitloot_web.api.fields import Mailbox, ShortText, Token
from bitloot_web.api.me import Deletion, user_of
from bitloot_web.api.sessions import CodeSent
from bitloot_web.dependencies import TheActor, TheShop
from bitloot_web.problems import ProblemError
from bitloot_web.routes import delete, get, post
from bitloot_web.security.access import Anyone, Signed
from bitloot_web.security.rate_limits import limited


class NewAddress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The address that the account is to have."""

    email: Mailbox


class BothCodes(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """The code of the mail to the address until now, and of that to the new one."""

    current_code: ShortText
    new_code: ShortText


class LinkToken(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The token of the link in a mail."""

    token: Token


@post(
    "/v1/me/email-change",
    access=Signed(),
    guards=[limited("codes-by-ip")],
    status_code=202,
    operation_id="requestEmailChange",
)
async def request_change(shop: TheShop, actor: TheActor, data: JSONBody[NewAddress]) -> CodeSent:
    """Mail a code to the address until now and one to the new one; one asked for before ends."""
    challenge = await shop.email_changes.request(user_of(actor), data.email)
    return CodeSent(challenge_id=challenge.challenge_id, expires_at=challenge.expires_at)


@post(
    "/v1/me/email-change/confirm",
    access=Signed(),
    guards=[limited("code-tries-by-ip")],
    status_code=204,
    operation_id="confirmEmailChange",
)
async def confirm_change(shop: TheShop, actor: TheActor, data: JSONBody[BothCodes]) -> None:
    """Both codes move the account; every other session ends."""
    codes = data.current_code.strip(), data.new_code.strip()
    await shop.email_changes.confirm(user_of(actor), actor.session_id, *codes)


@post("/v1/me/deletion", access=Signed(), operation_id="requestDeletion")
async def request_deletion(shop: TheShop, actor: TheActor) -> Deletion:
    """Have the account end after a month; asked again, it stays with the first time."""
    deletion = await shop.accounts.request_deletion(user_of(actor))
    return Deletion(requested_at=deletion.requested_at, due_at=deletion.due_at)


@get("/v1/me/deletion", access=Signed(), operation_id="getDeletion")
async def deletion(shop: TheShop, actor: TheActor) -> Deletion:
    """When the account ends; there is nothing here as long as nobody asked for that."""
    profile = await shop.views.people.profile(user_of(actor))
    waiting = None if profile is None else profile.deletion
    if waiting is None:
        raise ProblemError("not-found")
    return Deletion(requested_at=waiting.requested_at, due_at=waiting.due_at)


@delete("/v1/me/deletion", access=Signed(), operation_id="cancelDeletion")
async def cancel_deletion(shop: TheShop, actor: TheActor) -> None:
    """Keep the account."""
    await shop.accounts.cancel_deletion(user_of(actor))


@post(
    "/v1/account-deletion/cancel",
    access=Anyone(),
    guards=[limited("downloads")],
    status_code=204,
    operation_id="cancelDeletionByLink",
)
async def cancel_by_link(shop: TheShop, data: JSONBody[LinkToken]) -> None:
    """Keep an account by the link in the mail; nobody has to be signed in."""
    await shop.accounts.cancel_by_link(data.token)


@post(
    "/v1/account-recovery/stop",
    access=Anyone(),
    guards=[limited("downloads")],
    status_code=204,
    operation_id="stopRecoveryByLink",
)
async def stop_by_link(shop: TheShop, data: JSONBody[LinkToken]) -> None:
    """Stop a recovery by the link in the mail to the old address."""
    await shop.recoveries.stop_by_link(data.token)
