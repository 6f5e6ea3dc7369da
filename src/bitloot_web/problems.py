"""Every "no" of the HTTP edge, as an RFC 9457 problem document, from one table.

`type` is stable: `urn:bitloot:problem:<code>`. `instance` is the id of the request. `retryable`
says whether the same request can succeed later; `errors` names the fields to mend.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

import msgspec

from bitloot.domain.errors import REFUSALS

MEDIA_TYPE: Final = "application/problem+json"
URN: Final = "urn:bitloot:problem:"


class Entry(msgspec.Struct, frozen=True):
    """How a code is answered."""

    status: HTTPStatus
    title: str
    retryable: bool = False


def _entries(
    status: HTTPStatus, *titles: tuple[str, str], retryable: bool = False
) -> dict[str, Entry]:
    return {code: Entry(status, title, retryable) for code, title in titles}


PROBLEMS: Final[Mapping[str, Entry]] = {
    **_entries(
        HTTPStatus.BAD_REQUEST,
        ("invalid-request", "The request cannot be read"),
        ("invalid-webhook", "The webhook cannot be read"),
        ("captcha-missing", "The proof of being a person is missing"),
        ("idempotency-key-missing", "An Idempotency-Key is needed"),
        ("idempotency-key-malformed", "The Idempotency-Key cannot be used"),
    ),
    **_entries(
        HTTPStatus.UNAUTHORIZED,
        ("unauthenticated", "A valid token is needed"),
        ("invalid-signature", "The signature does not match"),
        ("code-wrong", "The code is wrong or has ended"),
        ("session-ended", "The session has ended"),
        ("credentials-wrong", "The address or the password is wrong"),
    ),
    **_entries(
        HTTPStatus.FORBIDDEN,
        ("forbidden", "This is not for you"),
        ("captcha-failed", "The proof of being a person is wrong"),
        ("csrf-failed", "Not asked by a page of ours"),
        ("country-locked", "Not usable in this country"),
        ("account-suspended", "The account is suspended"),
        ("account-deleted", "The account was deleted"),
        ("beyond-your-rights", "Not with your rights"),
        ("sign-in-too-old", "Signed in too long ago for this"),
    ),
    **_entries(HTTPStatus.NOT_FOUND, ("not-found", "There is nothing here")),
    **_entries(HTTPStatus.METHOD_NOT_ALLOWED, ("method-not-allowed", "Not with this method")),
    **_entries(HTTPStatus.NOT_ACCEPTABLE, ("not-acceptable", "No such representation")),
    **_entries(
        HTTPStatus.CONFLICT,
        ("quote-expired", "The quote has ended"),
        ("quote-used", "The quote was used already"),
        ("price-changed", "The price has changed"),
        ("out-of-stock", "Not enough in stock"),
        ("not-for-sale", "Not on sale"),
        ("order-not-payable", "The order cannot be paid any more"),
        ("order-not-cancellable", "The order cannot be cancelled any more"),
        ("too-many-payments", "Too many payments for one order"),
        ("payment-rejected", "The payment was refused by the provider"),
        ("hosted-page-unavailable", "There is no hosted page"),
        ("not-revealable", "Nothing to reveal now"),
        ("already-reported", "Reported before"),
        ("payment-not-settled", "The payment is not settled"),
        ("underpaid-non-refundable", "Underpaid, not refundable"),
        ("retry-not-allowed", "No retry in this status"),
        ("resend-not-allowed", "Nothing to tell of again"),
        ("hold-already-decided", "Decided already"),
        ("hold-needs-money", "No finished payment behind the hold"),
        ("below-cost", "Below today's cost"),
        ("refund-not-allowed", "No refund in this status"),
        ("refund-needs-confirmation", "A key was revealed already"),
        ("key-not-replaceable", "The key cannot be replaced"),
        ("webhook-not-replayable", "The webhook cannot be replayed"),
        ("in-use", "Something depends on it"),
        ("duplicate-keys", "All keys are known already"),
        ("email-taken", "The address is taken"),
        ("deletion-over", "The deletion is over"),
        ("recovery-pending", "A recovery is running already"),
        ("recovery-over", "The recovery is over"),
        ("too-many-api-keys", "Too many keys"),
        ("api-key-name-taken", "A key has this name"),
        ("last-owner", "The shop needs an owner"),
    ),
    **_entries(
        HTTPStatus.CONFLICT,
        ("idempotency-in-progress", "The first request is still running"),
        ("retry-in-progress", "A retry is running already"),
        ("recovery-not-ready", "The cooling period is not over"),
        retryable=True,
    ),
    **_entries(
        HTTPStatus.GONE,
        ("link-expired", "The link has ended"),
        ("link-revoked", "The link was revoked"),
        ("link-used-up", "The link is used up"),
    ),
    **_entries(HTTPStatus.PRECONDITION_FAILED, ("version-conflict", "Changed in the meantime")),
    **_entries(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, ("body-too-large", "The body is too large")),
    **_entries(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, ("unsupported-media-type", "Send application/json")
    ),
    **_entries(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        ("invalid-input", "A field cannot be accepted"),
        ("idempotency-key-reused", "The Idempotency-Key belongs to another request"),
        ("preorder-mixed", "A preorder is bought alone"),
        ("amount-below-minimum", "Below the minimum of this asset"),
        ("asset-unavailable", "This asset cannot be used now"),
        ("password-too-common", "Too many people know this password"),
    ),
    **_entries(
        HTTPStatus.PRECONDITION_REQUIRED, ("precondition-required", "An If-Match header is needed")
    ),
    **_entries(
        HTTPStatus.TOO_MANY_REQUESTS,
        ("rate-limited", "Too many requests"),
        ("too-many-open-orders", "Too many unpaid orders"),
        retryable=True,
    ),
    **_entries(HTTPStatus.INTERNAL_SERVER_ERROR, ("internal-error", "Something went wrong here")),
    # A fault of ours that no repeat mends.
    **_entries(HTTPStatus.SERVICE_UNAVAILABLE, ("key-unreadable", "The key cannot be opened")),
    **_entries(
        HTTPStatus.SERVICE_UNAVAILABLE,
        ("shop-busy", "Deliveries are behind"),
        ("busy", "Too much is asked at once"),
        ("provider-unavailable", "A provider does not answer"),
        ("store-unavailable", "The store does not answer"),
        retryable=True,
    ),
}

# What callers read when the edge itself says no. Codes of the core bring their own sentence.
EDGE_DETAILS: Final[Mapping[str, str]] = {
    "invalid-request": "The request is no valid JSON or has parameters that cannot be read.",
    "invalid-webhook": "The body is no JSON object that names a payment, an order or an e-mail.",
    "unauthenticated": "Send a valid token as `Authorization: Bearer …`.",
    "invalid-signature": "The webhook is not signed with the shared secret.",
    "forbidden": "The token does not allow this.",
    "captcha-missing": "Solve the captcha and send its token as `captcha`.",
    "captcha-failed": "Solve the captcha anew and send its token: each is good once.",
    "csrf-failed": "Ask from a page of the shop, with its session's token as X-CSRF-Token.",
    "method-not-allowed": "This address does not take that method.",
    "not-acceptable": "Ask for application/json, or for the other type that the API describes.",
    "body-too-large": "Send less at once.",
    "unsupported-media-type": "Send the body as application/json.",
    "precondition-required": "Send the version that you read as an If-Match header.",
    "rate-limited": "Wait for the seconds given in Retry-After, then try again.",
    "busy": "Others are being served; try again after the seconds given in Retry-After.",
    "key-unreadable": "The stored key does not open; the shop was told, and has to replace it.",
    "internal-error": "The failure was recorded; quote the instance when you ask about it.",
    # A commit may have been carried out although its answer was lost.
    "store-unavailable": "Send the same request again after the seconds in Retry-After.",
}
DEFAULT_RETRY_AFTER: Final = 5


class FieldError(msgspec.Struct, frozen=True, omit_defaults=True):
    """What to mend, and how: a path in the body (`lines[0].quantity`) or a parameter's name."""

    field: str
    detail: str


class Problem(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """The body of every error answer (`application/problem+json`)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    retryable: bool = msgspec.field(default=False)
    retry_after: int | None = None
    errors: tuple[FieldError, ...] = ()
    facts: Mapping[str, str | int | None] = {}


class ProblemError(Exception):
    """Raised at the edge to answer with a problem of the table."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        errors: tuple[FieldError, ...] = (),
        retry_after: float | None = None,
        facts: Mapping[str, str | int | None] | None = None,
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.errors = errors
        self.retry_after = retry_after
        self.facts = dict(facts or {})


def problem(error: ProblemError, *, instance: str) -> Problem:
    """The document for an error. Retryable ones always say when to come back."""
    entry = PROBLEMS[error.code]
    wait = error.retry_after
    if wait is None and entry.retryable:
        wait = DEFAULT_RETRY_AFTER
    return Problem(
        type=URN + error.code,
        title=entry.title,
        status=int(entry.status),
        detail=error.detail or EDGE_DETAILS.get(error.code) or REFUSALS[error.code],
        instance=instance,
        retryable=entry.retryable,
        retry_after=None if wait is None else max(1, round(wait)),
        errors=error.errors,
        facts=error.facts,
    )
