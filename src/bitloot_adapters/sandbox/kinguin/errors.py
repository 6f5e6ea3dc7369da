"""Refusals in the vendor's error object, in both of its spellings."""

from http import HTTPStatus

import msgspec


class EsaError(Exception):
    """A refusal of a kind named in the ESA reference, "Errors".

    `status` is given where it differs from the kind's usual one. `detail` is absent for
    `HttpClient`. `property_path` and `invalid_value` belong to `ConstraintViolation`.
    """

    def __init__(
        self,
        kind: str,
        detail: str | None = None,
        *,
        status: int | None = None,
        property_path: str | None = None,
        invalid_value: object = None,
    ) -> None:
        super().__init__(kind, detail)
        self.kind = kind
        self.detail = detail
        self.status = status
        self.property_path = property_path
        self.invalid_value = invalid_value


def violation(property_path: str, detail: str, invalid_value: object = None) -> EsaError:
    """A payload or query that breaks a documented rule."""
    return EsaError(
        "ConstraintViolation",
        f'Invalid "{property_path}" property. {detail}',
        property_path=property_path,
        invalid_value=_writable(invalid_value),
    )


def _writable(value: object) -> object:
    """The value itself, or its text when JSON numbers of 64 bits cannot hold it."""
    try:
        msgspec.json.encode(value)
    except (OverflowError, TypeError, ValueError):
        return str(value)
    return value


def unauthorised() -> dict[str, object]:
    """The short form of the 401, which has no path, method, trace or timestamp."""
    return {
        "kind": "Authorization",
        "status": 401,
        "detail": "Invalid authentication data.",
        "type": "Unauthorized",
    }


def error_json(
    error: EsaError, *, status: int, path: str, method: str, trace: str, at: str, variant: str
) -> dict[str, object]:
    """The error object; `variant` (`title` or `type`) names the field of the HTTP reason."""
    shown: dict[str, object] = {
        "kind": error.kind,
        "status": status,
        variant: _phrase(status),
    }
    if error.detail is not None:
        shown["detail"] = error.detail
    shown |= {"path": path, "method": method, "trace": trace, "timestamp": at}
    if error.property_path is not None:
        shown["propertyPath"] = error.property_path
        shown["invalidValue"] = error.invalid_value
    return shown


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown Status"
