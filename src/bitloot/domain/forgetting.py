"""What is left of a person whose account has ended: nothing that says who they were.

Orders stay, since the books need them, without the address that they were sold to and the network
that they were placed from. Mails stay as the fact that they were sent, changes of the account as
the fact that they happened. Timelines and the audit log are never rewritten, so they hold no
address in the first place; addresses not to be written to (`Suppression`) are kept for just that.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from bitloot.domain.account import forgotten_address
from bitloot.domain.decision import Change, Decision, Event, update
from bitloot.domain.email import Email
from bitloot.domain.email_change import EmailChange
from bitloot.domain.limits import Limits
from bitloot.domain.order import Order, OrderFile, OrderStatus
from bitloot.domain.recovery import Proof, Recovery
from bitloot.domain.webhook import Webhook

NOT_SENT: Final = "forgotten"
# In place of what a provider told of somebody's mails.
FORGOTTEN_BODY: Final = b'{"forgotten":true}'
_ENDED: Final = frozenset[OrderStatus]({"fulfilled", "failed", "expired", "cancelled", "refunded"})
# What both addresses are told: the first mail goes to the old one, the second to the new.
_BOTH: Final = (1, 2)
_UNSENT: Final = frozenset({"sending", "unknown"})


def is_over(file: OrderFile, *, at: datetime, limits: Limits) -> bool:
    """Whether its buyer needs to hear no more of an order: nothing is under way, and late money is
    not to be expected.
    """
    order = file.order
    if order.status not in _ENDED or any(hold.is_open for hold in file.holds):
        return False
    return at >= order.created_at + limits.payment_watch


def order_forgotten(
    order: Order,
    mails: Sequence[Email],
    told: Sequence[Webhook],
    *,
    user_id: str,
    at: datetime,
) -> Decision:
    """The order is nobody's in particular; `told` is what the provider said of its mails."""
    nobody = forgotten_address(user_id)
    nameless = update(order, email=nobody, email_key=nobody, email_person=nobody, placed_from="")
    return Decision(
        save=(nameless, *mails_forgotten(mails, told, nobody)),
        events=(Event(kind="buyer_forgotten", at=at, subject=order.id),),
        order_id=order.id,
    )


def mails_forgotten(
    mails: Sequence[Email], told: Sequence[Webhook], nobody: str
) -> tuple[Change, ...]:
    """Mails without whom they went to and what they said; one that waits still is not sent."""
    return (
        *(update(mail, **_unaddressed(mail, nobody)) for mail in mails),
        *(update(each, body=FORGOTTEN_BODY) for each in told),
    )


def mails_about(changes: Sequence[EmailChange], recoveries: Sequence[Recovery]) -> tuple[str, ...]:
    """The keys of the mails to former and to wanted addresses of an account."""
    return (
        *(f"email-change-code/{each.current_challenge}/1" for each in changes),
        *(f"email-change-code/{each.new_challenge}/1" for each in changes),
        *(f"email-changed/{each.id}/{number}" for each in changes for number in _BOTH),
        *(f"recovery-started/{each.id}/1" for each in recoveries),
        *(f"recovery-done/{each.id}/{number}" for each in recoveries for number in _BOTH),
    )


def changes_forgotten(
    changes: Sequence[EmailChange], recoveries: Sequence[Recovery], nobody: str
) -> tuple[Change, ...]:
    """Former addresses of an account, and what support was shown."""
    return (
        *(update(each, new_email=nobody, new_key=nobody) for each in changes),
        *(
            update(
                each,
                new_email=nobody,
                new_key=nobody,
                proofs=tuple(Proof(kind=proof.kind) for proof in each.proofs),
            )
            for each in recoveries
        ),
    )


def farewell(mail: Email, subject_id: str) -> Mapping[str, object]:
    """What the last mail of an account, about this deletion, loses once it went out; of all other
    mails nothing.
    """
    if mail.kind != "deletion-done":
        return {}
    return _without_text(forgotten_address(subject_id))


def _unaddressed(mail: Email, nobody: str) -> Mapping[str, object]:
    if mail.state not in _UNSENT:
        return _without_text(nobody)
    return {**_without_text(nobody), "state": "refused", "refusal": NOT_SENT}


def _without_text(nobody: str) -> dict[str, object]:
    return {"to": nobody, "to_key": nobody, "subject": None, "html": None, "text": None}
