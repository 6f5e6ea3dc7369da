"""Every "no" that an operation can answer, for the description of the API.

What every operation of a kind can refuse follows from its description: whoever takes a body can be
sent a wrong one. What it refuses besides stands in one table, by the id of the operation.
"""

from collections import defaultdict
from collections.abc import Mapping
from typing import Final, TypeAlias

import msgspec

from bitloot.domain.errors import REFUSALS
from bitloot_web.once import HEADER
from bitloot_web.problems import EDGE_DETAILS, MEDIA_TYPE, PROBLEMS, URN, ProblemError, problem

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Node: TypeAlias = "dict[str, Json]"
Codes: TypeAlias = tuple[str, ...]

_INSTANCE: Final = "01890a5d-ac96-774b-bcce-b302099a8057"
_RETRY_AFTER: Final[Node] = {
    "description": "Seconds until it is worth trying again.",
    "schema": {"type": "integer", "minimum": 1},
}

_ALWAYS: Final[Codes] = ("invalid-request", "store-unavailable", "internal-error")
_WITH_PLACE: Final[Codes] = ("not-found",)
_WITH_JSON: Final[Codes] = ("invalid-input", "unsupported-media-type", "body-too-large")
_WITH_SECURITY: Final[Mapping[str, Codes]] = {
    "orderSession": ("unauthenticated",),
    "userToken": ("unauthenticated",),
    "csrfToken": ("csrf-failed",),
    "apiKey": ("unauthenticated", "forbidden", "rate-limited"),
}
# The first of each is for a header that is left out where it is needed.
_WITH_HEADER: Final[Mapping[str, Codes]] = {
    HEADER: (
        "idempotency-key-missing",
        "idempotency-key-malformed",
        "idempotency-key-reused",
        "idempotency-in-progress",
    ),
    "If-Match": ("precondition-required", "version-conflict"),
}
# Keys come as a file, and go through the vault.
_FILE: Final[Codes] = ("invalid-input", "unsupported-media-type", "body-too-large")
_INTO_VAULT: Final[Codes] = ("provider-unavailable", "duplicate-keys")
# Of somebody whose account was closed since they were let in.
_STANDING: Final[Codes] = ("account-suspended", "account-deleted")
_CAPTCHA: Final[Codes] = ("captcha-missing", "captcha-failed")
_BESIDES: Final[Mapping[str, Codes]] = {
    "listProducts": ("invalid-input", "rate-limited"),
    "getProduct": ("rate-limited",),
    "getFilters": ("rate-limited",),
    "listCategories": ("rate-limited",),
    "listGroups": ("rate-limited",),
    "getGroup": ("rate-limited",),
    "listCurrencies": ("rate-limited", "provider-unavailable"),
    "estimatePayment": (
        "invalid-input",
        "asset-unavailable",
        "amount-below-minimum",
        "rate-limited",
        "provider-unavailable",
    ),
    "createQuote": (
        "not-for-sale",
        "out-of-stock",
        "country-locked",
        "preorder-mixed",
        "asset-unavailable",
        "amount-below-minimum",
        "rate-limited",
    ),
    "createOrder": (
        "not-found",
        *_CAPTCHA,
        "quote-expired",
        "quote-used",
        "price-changed",
        "not-for-sale",
        "country-locked",
        "out-of-stock",
        "too-many-open-orders",
        "rate-limited",
        "shop-busy",
        "provider-unavailable",
    ),
    "cancelOrder": ("order-not-cancellable",),
    "createPayment": (
        "order-not-payable",
        "too-many-payments",
        "payment-rejected",
        "hosted-page-unavailable",
        "asset-unavailable",
        "amount-below-minimum",
        "provider-unavailable",
    ),
    "requestCode": (*_CAPTCHA, "rate-limited", "provider-unavailable"),
    "createSession": ("code-wrong", "rate-limited"),
    "requestSignInCode": (*_CAPTCHA, "rate-limited", "provider-unavailable"),
    "signInByCode": ("code-wrong", *_STANDING, "csrf-failed", "rate-limited"),
    "signInByPassword": (
        "csrf-failed",
        "credentials-wrong",
        "account-suspended",
        "account-deleted",
        "rate-limited",
        "busy",
    ),
    "refreshSession": ("unauthenticated", "session-ended", "csrf-failed", "rate-limited"),
    "signOut": ("session-ended",),
    "setPassword": (
        *_WITH_PLACE,
        "credentials-wrong",
        "sign-in-too-old",
        "password-too-common",
        *_STANDING,
        "rate-limited",
        "busy",
    ),
    "requestResetCode": (*_CAPTCHA, "rate-limited", "provider-unavailable"),
    "resetPassword": ("code-wrong", "password-too-common", *_STANDING, "rate-limited", "busy"),
    "getMe": _WITH_PLACE,
    "changeMe": (*_WITH_PLACE, *_STANDING),
    "exportMe": _WITH_PLACE,
    "requestEmailChange": (*_WITH_PLACE, *_STANDING, "rate-limited"),
    "confirmEmailChange": (
        "code-wrong",
        "email-taken",
        *_WITH_PLACE,
        *_STANDING,
        "rate-limited",
    ),
    "requestDeletion": (*_WITH_PLACE, "last-owner", *_STANDING),
    "getDeletion": _WITH_PLACE,
    "cancelDeletion": ("deletion-over", *_WITH_PLACE, *_STANDING),
    "cancelDeletionByLink": ("not-found", "deletion-over", "rate-limited"),
    "stopRecoveryByLink": ("not-found", "recovery-over", "rate-limited"),
    "revealItem": ("not-revealable", "rate-limited"),
    "reportUnit": ("already-reported",),
    "downloadUnit": (
        "not-revealable",
        "link-expired",
        "link-revoked",
        "link-used-up",
        "rate-limited",
        "key-unreadable",
        "provider-unavailable",
    ),
    "downloadKeys": (
        "not-revealable",
        "link-expired",
        "link-revoked",
        "link-used-up",
        "rate-limited",
        "key-unreadable",
        "provider-unavailable",
    ),
    "followOrder": ("not-acceptable", "rate-limited"),
    "getReceipt": ("not-acceptable",),
    "takeWebhook": ("invalid-webhook", "invalid-signature", "body-too-large"),
    "adminListOrders": ("invalid-input",),
    "adminSetOrderStatus": ("payment-not-settled",),
    "adminRetryFulfillment": (
        "payment-not-settled",
        "underpaid-non-refundable",
        "retry-not-allowed",
        "retry-in-progress",
        "provider-unavailable",
    ),
    "adminReplaceKey": ("key-not-replaceable",),
    "adminResendKeys": ("resend-not-allowed",),
    "adminRecordRefund": (
        "refund-not-allowed",
        "refund-needs-confirmation",
        "underpaid-non-refundable",
    ),
    "adminDecideHold": (
        "hold-already-decided",
        "hold-needs-money",
        "below-cost",
        "version-conflict",
        "provider-unavailable",
    ),
    "adminReplayWebhook": ("webhook-not-replayable",),
    "adminRefreshPayment": ("provider-unavailable",),
    "adminImportKeys": (*_FILE, *_INTO_VAULT),
    "adminImportFile": ("invalid-input", "body-too-large", *_INTO_VAULT),
    "adminGetKey": ("provider-unavailable",),
    "adminAddKeys": _INTO_VAULT,
    "adminReplaceStockKey": ("in-use", *_INTO_VAULT),
    "adminRecountKeys": _FILE,
    "adminExportKeys": ("provider-unavailable",),
    "adminChangeKey": ("in-use",),
    "adminDeleteKey": ("in-use",),
    "adminStartSync": ("not-found",),
    "adminSearchSupplier": ("not-found", "invalid-input", "provider-unavailable"),
    "adminImportProduct": ("invalid-input", "provider-unavailable"),
    "adminJoinOffer": ("invalid-input", "provider-unavailable"),
    "adminReprice": ("not-found",),
    "adminRetireProduct": ("in-use",),
    "adminDeleteCategory": ("in-use",),
    "adminListUsers": ("invalid-input",),
    "adminSetRoles": ("beyond-your-rights", "last-owner", "account-deleted"),
    "adminSuspendUser": ("beyond-your-rights", "last-owner", "account-deleted"),
    "adminUnsuspendUser": ("beyond-your-rights",),
    "adminSignOutUser": ("beyond-your-rights",),
    "adminRestoreUser": ("beyond-your-rights", "email-taken", "account-deleted"),
    "adminDeleteUser": ("beyond-your-rights", "last-owner", "account-deleted"),
    "adminStartRecovery": ("beyond-your-rights", "recovery-pending", *_STANDING),
    "adminCompleteRecovery": (
        "beyond-your-rights",
        "recovery-over",
        "recovery-not-ready",
        "email-taken",
        *_STANDING,
    ),
    "adminCancelRecovery": ("recovery-over",),
    "adminCreateApiKey": (
        "not-found",
        "beyond-your-rights",
        "too-many-api-keys",
        "api-key-name-taken",
        *_STANDING,
    ),
}
# What some operations cannot refuse although others of their kind do: they ask no store.
_NEVER: Final[Mapping[str, Codes]] = {"health": ("store-unavailable",)}


def codes_of(path: str, operation: Node) -> frozenset[str]:
    """The codes of every problem that an operation of the description can answer."""
    name = str(operation["operationId"])
    found = {*_ALWAYS, *_BESIDES.get(name, ())}
    if "{" in path:
        found.update(_WITH_PLACE)
    body = operation.get("requestBody")
    content = body.get("content") if isinstance(body, dict) else None
    if isinstance(content, dict) and "application/json" in content and name != "takeWebhook":
        found.update(_WITH_JSON)
    schemes = operation.get("security")
    for scheme in schemes if isinstance(schemes, list) else []:
        for each in scheme if isinstance(scheme, dict) else ():
            found.update(_WITH_SECURITY.get(each, ()))
    parameters = operation.get("parameters")
    for parameter in parameters if isinstance(parameters, list) else []:
        if isinstance(parameter, dict):
            codes = _WITH_HEADER.get(str(parameter["name"]), ())
            found.update(codes if parameter.get("required") else codes[1:])
    return frozenset(found.difference(_NEVER.get(name, ())))


def problem_answers(codes: frozenset[str], shared: Node) -> Node:
    """The answers of these codes by status, as references to `shared` answers of the document.

    Each lists the types that it can have.
    """
    by_status: dict[str, list[str]] = defaultdict(list)
    for code in PROBLEMS:
        if code in codes:
            by_status[str(int(PROBLEMS[code].status))].append(code)
    answers: Node = {}
    for status, found in sorted(by_status.items()):
        name = ".".join(found)
        shared.setdefault(name, _answer(found))
        answers[status] = {"$ref": f"#/components/responses/{name}"}
    return answers


def problem_examples() -> Node:
    """An example of each problem, by its code."""
    return {
        code: {
            "summary": entry.title,
            "value": msgspec.to_builtins(problem(ProblemError(code), instance=_INSTANCE)),
        }
        for code, entry in PROBLEMS.items()
    }


def _answer(codes: list[str]) -> Node:
    types: list[Json] = [URN + code for code in codes]
    examples: Node = {code: {"$ref": f"#/components/examples/{code}"} for code in codes}
    schema: Node = {
        "allOf": [{"$ref": "#/components/schemas/Problem"}],
        "properties": {"type": {"enum": types}},
    }
    answer: Node = {
        "description": " ".join(EDGE_DETAILS.get(code) or REFUSALS[code] for code in codes),
        "content": {MEDIA_TYPE: {"schema": schema, "examples": examples}},
    }
    if all(PROBLEMS[code].retryable for code in codes):
        answer["headers"] = {"Retry-After": {**_RETRY_AFTER, "required": True}}
    elif any(PROBLEMS[code].retryable for code in codes):
        answer["headers"] = {"Retry-After": dict(_RETRY_AFTER)}
    return answer
