"""The error bodies of Resend: ``{"statusCode", "name", "message"}``, told apart by ``name``.

Source: Resend documentation, "Errors"; statuses of ``security_error``, ``invalid_access`` and
``invalid_region`` are not certain in the vendor's own pages.
"""

from typing import Final

from bitloot_adapters.sandbox.resend.reply import Reply, json_reply

STATUS_OF: Final[dict[str, int]] = {
    "invalid_idempotency_key": 400,
    "missing_api_key": 401,
    "restricted_api_key": 401,
    "invalid_api_key": 403,
    "suspended_api_key": 403,
    "invalid_permission": 403,
    "email_above_quota": 403,
    "not_found": 404,
    "method_not_allowed": 405,
    "invalid_idempotent_request": 409,
    "concurrent_idempotent_requests": 409,
    "resource_locked": 409,
    "validation_error": 422,
    "missing_required_field": 422,
    "missing_required_parameter": 422,
    "invalid_attachment": 422,
    "invalid_from_address": 422,
    "invalid_access": 422,
    "invalid_parameter": 422,
    "invalid_region": 422,
    "rate_limit_exceeded": 429,
    "daily_quota_exceeded": 429,
    "monthly_quota_exceeded": 429,
    "security_error": 451,
    "application_error": 500,
    "internal_server_error": 500,
    "service_unavailable": 503,
}


class WireError(Exception):
    """A refusal that is written to the caller as it stands."""

    def __init__(self, name: str, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.status = STATUS_OF.get(name, 500) if status is None else status

    def reply(self, headers: dict[str, str] | None = None) -> Reply:
        body = {"statusCode": self.status, "name": self.name, "message": self.message}
        return json_reply(self.status, body, headers)


def missing_field(field: str) -> WireError:
    return WireError("missing_required_field", f"Missing `{field}` field.")


def invalid(message: str) -> WireError:
    """422 ``validation_error``: the field is there and its value is not acceptable."""
    return WireError("validation_error", message)
