"""What Resend sends: answers, errors, and the events of its webhooks, read leniently.

Source: Resend documentation, "Send Email", "Errors", "Webhooks: Event Types"; resend-openapi.
"""

import json
from collections.abc import Mapping
from typing import Final, Literal, NoReturn, TypeAlias

import msgspec

from bitloot.ports.mailer import MailEvent

Json: TypeAlias = "str | float | bool | list[Json] | dict[str, Json] | None"
EventWord: TypeAlias = Literal[
    "sent", "delivered", "delayed", "bounced", "complained", "failed", "other"
]

MAX_TEXT: Final = 512
MAX_RECIPIENTS: Final = 50
_EVENTS: Final[Mapping[str, EventWord]] = {
    "email.sent": "sent",
    "email.delivered": "delivered",
    "email.delivery_delayed": "delayed",
    "email.bounced": "bounced",
    "email.complained": "complained",
    "email.failed": "failed",
}


def parse(body: bytes) -> Mapping[str, Json] | None:
    """The object that a body holds, None where it holds none.

    What the strict decoder refuses although it is JSON (half a surrogate pair in a subject, a
    number beyond every double) is read leniently, so that one odd field hides no other.
    """
    try:
        read: Json = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError):
        try:
            read = json.loads(body.decode(), parse_int=float, parse_constant=_refuse_constant)
        except (ValueError, RecursionError):
            return None
    return read if isinstance(read, dict) else None


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def event(read: Mapping[str, Json], *, dedupe_key: str) -> MailEvent | None:
    """The port's form of an event, `other` for types that do not concern a mail's fate.

    None without a type. A bounce counts as permanent only if it says so; a complaint always is.
    A mail that was not even tried, because the provider keeps the address on a list of its own,
    counts as what put it there.
    """
    kind = (text(read.get("type")) or "").lower()
    if not kind:
        return None
    data = _fields(read.get("data"))
    word = _EVENTS.get(kind, "other")
    permanent = word == "complained"
    if word == "bounced":
        said = text(_fields(data.get("bounce")).get("type")) or ""
        permanent = said.lower() == "permanent"
    if kind == "email.suppressed":
        reason = text(_fields(data.get("suppressed")).get("reason")) or ""
        is_complaint = reason.lower() == "previous_complaint"
        word, permanent = ("complained" if is_complaint else "bounced"), True
    return MailEvent(
        dedupe_key=dedupe_key,
        provider_id=text(data.get("email_id")),
        event=word,
        permanent=permanent,
        to=_addresses(data.get("to")),
    )


def text(value: Json) -> str | None:
    """A short printable text, None for anything else."""
    if not isinstance(value, str):
        return None
    read = value.strip()
    return read if read and len(read) <= MAX_TEXT and read.isprintable() else None


def _fields(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _addresses(value: Json) -> tuple[str, ...]:
    listed = value if isinstance(value, list) else [value]
    found = (text(each) for each in listed[:MAX_RECIPIENTS])
    return tuple(each for each in found if each)
