"""Every error, whatever raised it, as the problem document that answers it."""

from http import HTTPStatus
from typing import Final

import msgspec
import structlog
from litestar import Response
from litestar.exceptions import HTTPException, SerializationException, ValidationException

from bitloot.domain.errors import Refused
from bitloot.ports.errors import (
    Busy,
    Conflict,
    Duplicate,
    NoStockLeft,
    OutcomeUnknown,
    Rejected,
    StoreUnavailable,
    Unavailable,
    VaultFault,
)
from bitloot_web.problems import MEDIA_TYPE, FieldError, ProblemError, problem
from bitloot_web.request_checks import EdgeRequest, wire_name
from bitloot_web.security.cookie_sessions import lost

log = structlog.get_logger(__name__)

_BY_STATUS: Final = {
    HTTPStatus.UNAUTHORIZED: "unauthenticated",
    HTTPStatus.FORBIDDEN: "forbidden",
    HTTPStatus.NOT_FOUND: "not-found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method-not-allowed",
    HTTPStatus.NOT_ACCEPTABLE: "not-acceptable",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "body-too-large",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "unsupported-media-type",
    HTTPStatus.TOO_MANY_REQUESTS: "rate-limited",
}


def answer_error(request: EdgeRequest, error: Exception) -> Response[bytes]:
    """The exception handler of the whole application."""
    found = as_problem_error(request, error)
    if found.code == "internal-error":
        log.error("request_failed", exc_info=error)
    instance = str(request.scope["state"].get("request_id", ""))
    document = problem(found, instance=instance)
    headers = {"cache-control": "no-store"}
    if document.retry_after is not None:
        headers["retry-after"] = str(document.retry_after)
    if document.status == HTTPStatus.UNAUTHORIZED and found.code == "unauthenticated":
        headers["www-authenticate"] = "Bearer"
    if isinstance(error, HTTPException) and error.headers:
        headers |= {k: v for k, v in error.headers.items() if k.lower() == "allow"}
    return Response(
        content=msgspec.json.encode(document),
        status_code=document.status,
        media_type=MEDIA_TYPE,
        headers=headers,
        cookies=lost(request) if found.code == "session-ended" else (),
    )


def as_problem_error(request: EdgeRequest, error: Exception) -> ProblemError:
    """What an error means to the caller. Anything not foreseen is an `internal-error`."""
    found = error if isinstance(error, ProblemError) else _from_core(error)
    return found or _from_framework(request, error) or ProblemError("internal-error")


def _from_core(error: Exception) -> ProblemError | None:
    found: ProblemError | None = None
    match error:
        case Refused():
            found = ProblemError(
                error.code,
                error.detail,
                errors=(FieldError(error.field, error.detail),) if error.field else (),
                retry_after=error.retry_after,
                facts=error.facts,
            )
        case Unavailable():
            found = ProblemError("provider-unavailable", retry_after=error.retry_after)
        case Busy():
            found = ProblemError("busy", retry_after=error.retry_after)
        case Rejected() | OutcomeUnknown():
            log.warning("provider_refused", provider=error.provider, reason=error.reason)
            found = ProblemError("provider-unavailable")
        case VaultFault():
            log.error("key_unreadable")
            found = ProblemError("key-unreadable")
        case StoreUnavailable() | Conflict() | Duplicate():
            found = ProblemError("store-unavailable")
        case NoStockLeft():
            found = ProblemError("out-of-stock")
    return found


def _from_framework(request: EdgeRequest, error: Exception) -> ProblemError | None:
    found: ProblemError | None = None
    match error:
        case ValidationException():
            found = _invalid(request, error)
        case SerializationException():
            found = ProblemError("invalid-request")
        case HTTPException() if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            code = _BY_STATUS.get(HTTPStatus(error.status_code), "invalid-request")
            found = ProblemError(code)
    return found


def _invalid(request: EdgeRequest, error: ValidationException) -> ProblemError:
    """Parameters that do not fit; bodies were checked before, by `check_request`."""
    found: list[FieldError] = []
    for each in error.extra if isinstance(error.extra, list) else []:
        name = wire_name(request.route_handler, str(each.get("key", "request")))
        found.append(FieldError(name, str(each.get("message", "")).replace("`", "") + "."))
    detail = "" if found else "A parameter of the request is missing or cannot be read."
    return ProblemError("invalid-request", detail, errors=tuple(found))
