"""The mailer port spoken to Resend."""

import re
from collections.abc import Mapping
from typing import Final

import msgspec

from bitloot.domain.limits import Limits
from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot.ports.mailer import TOO_OFTEN, MailWebhook, Message
from bitloot.ports.payment_gateway import Forged, Malformed
from bitloot_adapters.http import QUEUE_FULL, Ambiguous, Answer, HttpClient, NotSent, Pace
from bitloot_adapters.resend import wire
from bitloot_adapters.resend.signature import verified_id

NAME: Final = "resend"
MAX_TAG: Final = 256
HOUR: Final = 3600.0

# Seconds to wait. Quotas are used up for hours or days: asking again in seconds would only add to
# the count. A key or mail that is being worked on will not be a little later.
_WAITS: Final = {
    "daily_quota_exceeded": 3 * HOUR,
    "monthly_quota_exceeded": 12 * HOUR,
    "concurrent_idempotent_requests": 2.0,
    "resource_locked": 2.0,
}
# We are refused, with every mail, until a person has put our account or our settings right.
_CREDENTIALS: Final = frozenset(
    {
        "missing_api_key",
        "invalid_api_key",
        "restricted_api_key",
        "suspended_api_key",
        "invalid_permission",
        "email_above_quota",
        "invalid_from_address",
    }
)
_INVALID: Final = frozenset(
    {
        "invalid_idempotency_key",
        "invalid_idempotent_request",
        "missing_required_field",
        "missing_required_fields",
        "missing_required_parameter",
        "invalid_attachment",
        "invalid_access",
        "invalid_parameter",
        "invalid_region",
        "not_found",
        "method_not_allowed",
        "security_error",
    }
)
_IN_TROUBLE: Final = frozenset(
    {"application_error", "internal_server_error", "service_unavailable"}
)
_OF_RECIPIENT: Final = re.compile(r"[`'\"]to[`'\"]|\brecipients?\b", re.IGNORECASE)
_OF_SENDER: Final = re.compile(r"[`'\"]from[`'\"]", re.IGNORECASE)
_NO_TAG: Final = re.compile(r"[^A-Za-z0-9_-]")
_KEY: Final = re.compile(r"[!-~]{1,256}")
# What ends a line somewhere would begin another header of the mail.
_LINE_END: Final = re.compile(r"[\x00-\x1f\x7f\x85\u2028\u2029]")
_HEADER_NAME: Final = re.compile(r"[!-9;-~]+")


class Resend:
    """`Mailer` over the REST API. Opened by the plugin; holds no state."""

    def __init__(
        self,
        http: HttpClient,
        *,
        webhook_secret: str,
        from_address: str,
        limits: Limits,
        per_second: int | None = None,
    ) -> None:
        self._http = http
        self._webhook_secret = webhook_secret
        self._from = from_address
        self._tolerance = limits.webhook_timestamp_tolerance.total_seconds()
        self._pace = Pace(
            per_second or limits.resend_per_second, patience=limits.http_read.total_seconds()
        )

    @property
    def name(self) -> str:
        """`resend`."""
        return NAME

    async def send(self, message: Message, *, idempotency_key: str) -> str:
        """`POST /emails`. The body is a function of the message alone.

        The provider answers the same key with the same body by its first answer, so a call whose
        reply was lost may be repeated.
        """
        if not _KEY.fullmatch(idempotency_key):
            raise Rejected(NAME, "invalid", "the idempotency key cannot be sent")
        _check_lines(message)
        headers = {"idempotency-key": idempotency_key}
        body = _body(self._from, message)
        try:
            await self._pace.turn()
            answer = await self._http.send("POST", "/emails", body=body, headers=headers)
        except NotSent as error:
            reason = TOO_OFTEN if error.reason == QUEUE_FULL else error.reason
            raise Unavailable(NAME, reason) from None
        except Ambiguous as error:
            raise OutcomeUnknown(NAME, idempotency_key, error.reason) from None
        if not 200 <= answer.status < 300:
            raise _refusal(answer) or OutcomeUnknown(NAME, idempotency_key, f"http_{answer.status}")
        read = wire.parse(answer.body) or {}
        provider_id = wire.text(read.get("id"))
        if provider_id is None:
            raise OutcomeUnknown(NAME, idempotency_key, "unreadable_answer")
        return provider_id

    async def check(self) -> None:
        """`GET /emails`: a key that may only send is refused there by a name of its own.

        The same name with 403 is a key that is not active.
        """
        try:
            await self._pace.turn()
            answer = await self._http.send("GET", "/emails", query={"limit": "1"})
        except (NotSent, Ambiguous) as error:
            raise Unavailable(NAME, error.reason) from None
        may_only_send = answer.status == 401 and _error_name(answer) == "restricted_api_key"
        if answer.status == 200 or may_only_send:
            return
        raise _refusal(answer) or Unavailable(NAME, f"http_{answer.status}")

    def read_webhook(self, headers: Mapping[str, str], body: bytes, *, now: float) -> MailWebhook:
        """The signature over the raw bytes first, then the event, read leniently."""
        dedupe_key = verified_id(
            headers, body, secret=self._webhook_secret, now=now, tolerance=self._tolerance
        )
        if dedupe_key is None:
            return Forged("signature")
        read = wire.parse(body)
        if read is None:
            return Malformed("body")
        return wire.event(read, dedupe_key=dedupe_key) or Malformed("type is missing")


def _check_lines(message: Message) -> None:
    """Raises Rejected for what no header of a mail may hold."""
    if _LINE_END.search(message.to):
        raise Rejected(NAME, "address", "the address ends a line")
    texts = (message.subject, *(text for _, text in message.headers))
    is_named = all(_HEADER_NAME.fullmatch(name) for name, _ in message.headers)
    if not is_named or any(map(_LINE_END.search, texts)):
        raise Rejected(NAME, "invalid", "a header that ends a line or has no name")


def _body(sender: str, message: Message) -> bytes:
    """The request, byte for byte the same for the same message."""
    body: dict[str, object] = {
        "from": sender,
        "to": [message.to],
        "subject": message.subject,
        "html": message.html,
        "text": message.text,
        "tags": [{"name": "kind", "value": _NO_TAG.sub("_", message.kind)[:MAX_TAG] or "other"}],
    }
    if message.headers:
        body["headers"] = dict(message.headers)
    return msgspec.json.encode(body)


def _error_name(answer: Answer) -> str:
    return wire.text((wire.parse(answer.body) or {}).get("name")) or ""


def _refusal(answer: Answer) -> Rejected | Unavailable | None:
    """A documented no or a time of absence, None where nobody knows what was done.

    The name decides. Where there is none, an answer that is no JSON comes from the edge in front
    of the provider, which lets nothing through.
    """
    error = wire.parse(answer.body) or {}
    name, message = _error_name(answer), error.get("message")
    if answer.status >= 500 or answer.status == 408 or name in _IN_TROUBLE:
        return None
    hint = answer.retry_after()
    if name in _WAITS:
        return Unavailable(NAME, name, retry_after=max(_WAITS[name], hint or 0.0))
    if name == "rate_limit_exceeded" or answer.status == 429:
        return Unavailable(NAME, TOO_OFTEN, retry_after=hint)
    if name in _CREDENTIALS or name in _INVALID:
        return Rejected(NAME, "credentials" if name in _CREDENTIALS else "invalid", name)
    return _other(answer.status, name, message if isinstance(message, str) else "")


def _other(status: int, name: str, message: str) -> Rejected | Unavailable:
    """`validation_error` stands for several things, told apart by status and field; then names
    that are not documented.
    """
    if not name or status == 409:
        return Unavailable(NAME, f"http_{status}")
    if status in {401, 403}:
        return Rejected(NAME, "credentials", name)
    if name == "validation_error" and _OF_SENDER.search(message):
        return Rejected(NAME, "credentials", name)
    if name == "validation_error" and _OF_RECIPIENT.search(message):
        return Rejected(NAME, "address", name)
    return Rejected(NAME, "invalid", name)
