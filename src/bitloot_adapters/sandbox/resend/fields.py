"""Reads single fields of a JSON body the way the API judges them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import msgspec

from bitloot_adapters.sandbox.resend.errors import WireError, invalid

MAX_RECIPIENTS: Final = 50
_BARE: Final = re.compile(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+\.[^\s@<>,;\".]+")
_NAMED: Final = re.compile(r"[^<>\r\n]*<\s*(?P<bare>[^<>]+?)\s*>")
_PHRASE: Final = re.compile(r"in (?P<count>\d{1,4}) (?P<unit>sec|second|min|minute|hour|day)s?")
_REFUSED_DOMAINS: Final = frozenset({"example.com", "test.com"})
_UNIT_SECONDS: Final = {
    "sec": 1,
    "second": 1,
    "min": 60,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
}

Body = dict[str, object]


def as_object(value: object) -> Body | None:
    """The value as a JSON object, or None."""
    return msgspec.convert(value, dict[str, object]) if isinstance(value, dict) else None


def as_array(value: object) -> list[object] | None:
    return msgspec.convert(value, list[object]) if isinstance(value, list) else None


def decode_json(raw: bytes) -> object:
    """Raises:
    WireError: 400 ``validation_error`` when the body is not JSON.
    """
    try:
        return msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
        raise WireError(
            "validation_error", "The request body is not valid JSON.", status=400
        ) from broken


def decode_object(raw: bytes) -> Body:
    """Raises:
    WireError: 400 when it is not JSON, 422 when it is not an object.
    """
    body = as_object(decode_json(raw))
    if body is None:
        raise invalid("The request body must be a JSON object.")
    return body


def bare_address(text: str) -> str | None:
    """``Name <a@b.example>`` or ``a@b.example`` as ``a@b.example``; None when it is neither."""
    text = text.strip()
    named = _NAMED.fullmatch(text)
    bare = named["bare"] if named else text
    return bare if _BARE.fullmatch(bare) else None


def domain_of(address: str) -> str:
    return address.rpartition("@")[2].lower()


def text_field(body: Body, field: str) -> str | None:
    """A string, or None when the field is absent or null."""
    value = body.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise invalid(f"The `{field}` field must be a `string`.")
    return value


def address_list(body: Body, field: str) -> list[str]:
    """One address or a list of at most 50, each as it was written.

    Raises:
        WireError: 422 for a wrong type, too many, a malformed or a refused address.

    """
    value = body.get(field)
    if value is None:
        return []
    items: list[object] = [value] if isinstance(value, str) else (as_array(value) or [])
    if not isinstance(value, str | list):
        raise invalid(f"The `{field}` field must be a `string` or an array of strings.")
    if len(items) > MAX_RECIPIENTS:
        raise invalid(f"The `{field}` field must not have more than {MAX_RECIPIENTS} addresses.")
    return [_recipient(item, field) for item in items]


def _recipient(item: object, field: str) -> str:
    bare = bare_address(item) if isinstance(item, str) else None
    if not isinstance(item, str) or bare is None:
        raise invalid(
            f"Invalid `{field}` field. The email address needs to follow the "
            "`email@example.com` or `Name <email@example.com>` format."
        )
    if field != "reply_to" and domain_of(bare) in _REFUSED_DOMAINS:
        raise invalid(
            f"Invalid `{field}` field. Please use our testing email address instead of "
            f"domains like `{domain_of(bare)}`."
        )
    return item


def moment_field(body: Body, field: str, *, at: datetime, latest: timedelta) -> datetime | None:
    """An ISO 8601 time or a phrase such as "in 1 hour", as UTC; None when absent.

    Raises:
        WireError: 422 when it is unreadable, past, or further off than ``latest``.

    """
    text = text_field(body, field)
    if text is None:
        return None
    phrase = _PHRASE.fullmatch(text.strip().lower())
    if phrase:
        seconds = int(phrase["count"]) * _UNIT_SECONDS[phrase["unit"]]
        moment = at + timedelta(seconds=seconds)
    else:
        moment = _iso(text, field)
    if moment < at:
        raise invalid(f"The `{field}` field must be a time in the future.")
    if moment > at + latest:
        raise invalid(f"The `{field}` field must be within {latest.days} days.")
    return moment


def _iso(text: str, field: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError as unreadable:
        raise invalid(f"The `{field}` field must be an ISO 8601 date.") from unreadable
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    try:
        return moment.astimezone(UTC)
    except OverflowError as too_far:
        raise invalid(f"The `{field}` field must be an ISO 8601 date.") from too_far
