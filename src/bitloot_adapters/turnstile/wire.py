"""What `siteverify` answers, read leniently but believed only where it is whole.

Source: Cloudflare Turnstile documentation, "Validate the token", "Error codes".
"""

from typing import Final, Literal, TypeAlias

import msgspec

Ending: TypeAlias = Literal["passed", "refused", "credentials", "invalid", "in_trouble"]

MAX_TOKEN: Final = 2048
MAX_CODES: Final = 20
# Our own faults come before those of the vendor, and these before those of the visitor.
_ENDINGS: Final[tuple[tuple[str, Ending], ...]] = (
    ("missing-input-secret", "credentials"),
    ("invalid-input-secret", "credentials"),
    ("bad-request", "invalid"),
    ("internal-error", "in_trouble"),
)


class Reply(msgspec.Struct, frozen=True):
    """`codes` are the vendor's words. `hostname` and `action` come with a success only."""

    ending: Ending
    codes: tuple[str, ...] = ()
    hostname: str = ""
    action: str = ""


IN_TROUBLE: Final = Reply("in_trouble")


def read(body: bytes) -> Reply:
    """The reply that a body holds, whatever the status line says; `in_trouble` for no reply.

    A success with error codes is none. A failure without a known code is the visitor's.
    """
    try:
        found = msgspec.json.decode(body, type=dict[str, object])
    except (msgspec.DecodeError, RecursionError):
        return IN_TROUBLE
    success, codes = found.get("success"), _codes(found.get("error-codes"))
    if not isinstance(success, bool) or codes is None:
        return IN_TROUBLE
    if success and not codes:
        return Reply(
            "passed", hostname=_text(found.get("hostname")), action=_text(found.get("action"))
        )
    found_by_code = (ending for code, ending in _ENDINGS if code in codes)
    return Reply(next(found_by_code, "refused"), codes)


def _codes(value: object) -> tuple[str, ...] | None:
    """A list of words, which may be absent; None for anything else."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(code, str) for code in value):
        return None
    return tuple(map(str, value[:MAX_CODES]))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
