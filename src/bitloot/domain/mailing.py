"""The names that a mail goes by: ours, and the key under which the provider sends it once."""

from datetime import datetime
from typing import Final, get_args

from bitloot.domain.email import Email, EmailKind
from bitloot.domain.limits import Limits

AGAIN_SUFFIX: Final = "/again"
_KINDS: Final[dict[str, EmailKind]] = {kind: kind for kind in get_args(EmailKind)}


def email_kind(key: str) -> tuple[EmailKind | None, str]:
    """Kind and subject id of a mail's key `<kind>/<subject id>/<n>`; no kind for other texts."""
    kind, _, rest = key.partition("/")
    return _KINDS.get(kind), rest.partition("/")[0]


def sending_key(email: Email, *, at: datetime, limits: Limits) -> str:
    """The provider's idempotency key for a try now.

    The same for 23 h from the first try, as long as the provider remembers it for certain (Resend
    API, "Idempotency keys": 24 h); after that one new key, for good.
    """
    if email.provider_key == email.key and at - email.first_try_at >= limits.mail_same_key:
        return email.key + AGAIN_SUFFIX
    return email.provider_key
