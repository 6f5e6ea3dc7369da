"""The names that a mail goes by: ours, and the keys under which the provider sends it once."""

from datetime import datetime
from typing import Final, get_args

import msgspec

from bitloot.domain.decision import Change, Decision, Event, update
from bitloot.domain.email import Email, EmailKind
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile

AGAIN_SUFFIX: Final = "/again"
# Why a job that sends a mail was given up.
UNSETTLED: Final = "mail-outcome-unknown"
_KINDS: Final[dict[str, EmailKind]] = {kind: kind for kind in get_args(EmailKind)}


class Try(msgspec.Struct, frozen=True):
    """A mail about to be handed over. `in_doubt`: an earlier try may have been taken already."""

    email: Email
    in_doubt: bool = False


def email_kind(key: str) -> tuple[EmailKind | None, str]:
    """Kind and subject id of a mail's key `<kind>/<subject id>/<n>`; no kind for other texts."""
    kind, _, rest = key.partition("/")
    return _KINDS.get(kind), rest.partition("/")[0]


def next_try(email: Email, *, at: datetime, limits: Limits) -> Email:
    """The mail as it is stored before a try now, or `unknown` when a person has to decide.

    The provider's key stays the same for 23 h from the first try, as long as the provider
    remembers it for certain (Resend API, "Idempotency keys": 24 h); after that it is one new key,
    so the mail may come a second time. That key is not outlived: when a try under it may have been
    taken and 23 h are over, nothing is sent any more. Only the replay of a mail given up, which a
    person asks for, brings another key.
    """
    is_first_key = email.provider_key == email.key
    is_over = email.doubtful_since is not None and at - email.doubtful_since >= limits.mail_same_key
    if email.state == "sending" and not is_first_key and is_over:
        return msgspec.structs.replace(email, state="unknown")
    is_worn = is_first_key and at - email.first_try_at >= limits.mail_same_key
    if email.state == "unknown" or is_worn:
        return msgspec.structs.replace(
            email,
            state="sending",
            provider_key=email.provider_key + AGAIN_SUFFIX,
            first_try_at=at,
            doubtful_since=at,
        )
    return msgspec.structs.replace(email, doubtful_since=email.doubtful_since or at)


def tried(known: Email, now: Email, file: OrderFile | None, *, at: datetime) -> Decision:
    """Write the mail before a try; the order's timeline tells when it may come once more."""
    save: tuple[Change, ...] = (
        update(
            known,
            state=now.state,
            provider_key=now.provider_key,
            first_try_at=now.first_try_at,
            doubtful_since=now.doubtful_since,
        ),
    )
    if file is None or (known.state, known.provider_key) == (now.state, now.provider_key):
        return Decision(save=save)
    kind = "mail_unsettled" if now.state == "unknown" else "mail_key_renewed"
    return Decision(
        save=(update(file.order), *save),
        events=(Event(kind=kind, at=at, subject=known.id, facts={"mail": known.kind}),),
        order_id=file.order.id,
    )
