"""What follows from each event: the one table of reactions.

A reaction is a job kind. Its row is written in the transaction of the event, so it can neither be
lost nor run for something that did not happen. An event without a reaction has an empty line.
"""

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from bitloot.domain.decision import Decision, Event, JobRequest
from bitloot.domain.email import EmailKind

JobKind: TypeAlias = Literal[
    "apply_payment",
    "adopt_invoice",
    "expire_order",
    "fulfil",
    "supplier_hint",
    "mail_event",
    "send_email",
    "push",
    "return_keys",
    "delete_object",
    "sweep",
    "sync_catalogue",
    "read_product",
    "shelve_products",
    "reprice",
    "forget_orders",
]


class Reaction(msgspec.Struct, frozen=True, kw_only=True):
    """`job` on the order or on the event's subject, at the event's `due` if `timed`, else now."""

    job: JobKind
    on: Literal["order", "subject"] = "order"
    email: EmailKind | None = None
    timed: bool = False


_PUSH: Final = Reaction(job="push")


def _mail(kind: EmailKind) -> Reaction:
    return Reaction(job="send_email", email=kind)


REACTIONS: Final[Mapping[str, tuple[Reaction, ...]]] = {
    # checkout
    "order_placed": (_PUSH, Reaction(job="expire_order", timed=True)),
    "order_cancelled": (_PUSH,),
    "order_expired": (_PUSH, _mail("order-expired")),
    "window_extended": (Reaction(job="expire_order", timed=True),),
    "reservations_expired": (),
    # payments
    "payment_requested": (),
    "payment_opened": (
        _PUSH,
        _mail("order-created"),
        Reaction(job="apply_payment", on="subject", timed=True),
    ),
    "payment_rejected": (),
    # The answer came after the order had ended: its address is watched, nobody is written to.
    "payment_watched": (Reaction(job="apply_payment", on="subject", timed=True),),
    "payment_requoted": (_PUSH,),
    "payment_adopted": (_PUSH, Reaction(job="apply_payment", on="subject", timed=True)),
    "payment_linked": (_PUSH, Reaction(job="apply_payment", on="subject", timed=True)),
    "payment_moved": (_PUSH,),
    "late_sighting": (),
    "signal_ignored": (),
    "invoice_requested": (),
    "invoice_opened": (
        _PUSH,
        _mail("order-created"),
        Reaction(job="adopt_invoice", timed=True),
    ),
    "invoice_rejected": (),
    "invoice_watched": (Reaction(job="adopt_invoice", timed=True),),
    "funds_seen": (_PUSH,),
    "order_paid": (_PUSH,),
    "order_overpaid": (_PUSH, _mail("order-overpaid")),
    "order_underpaid": (_PUSH, _mail("order-underpaid")),
    "order_failed": (_PUSH, _mail("order-failed")),
    "order_refunded": (_PUSH, _mail("order-refunded")),
    "order_held": (_PUSH, _mail("payment-held")),
    "payment_held": (_PUSH, _mail("payment-held")),
    "hold_accepted": (_PUSH,),
    "hold_rejected": (_PUSH, _mail("hold-rejected")),
    "hold_closed": (_PUSH,),
    "remark_added": (_PUSH,),
    "status_overridden": (_PUSH,),
    # fulfilment: the subject is the fulfilment
    "fulfilment_planned": (Reaction(job="fulfil", on="subject"),),
    "fulfilment_resumed": (Reaction(job="fulfil", on="subject"),),
    "fulfilment_moved": (),
    "fulfilment_rerouted": (),
    "attempt_intended": (),
    "attempt_resolved": (),
    "attempt_checked": (),
    "supplier_reported": (),
    "keys_sealed": (),
    "key_quarantined": (_PUSH,),
    "keys_uploaded": (),
    "item_delivered": (_PUSH, _mail("order-partly-ready")),
    "order_fulfilled": (_PUSH, _mail("order-ready")),
    "item_failed": (_PUSH, _mail("order-delayed")),
    "item_held": (_PUSH,),
    "given_up": (_PUSH, _mail("order-failed")),
    "retry_accepted": (_PUSH,),
    "key_replaced": (_PUSH,),
    "keys_resent": (_mail("order-ready"),),
    "return_requested": (Reaction(job="return_keys", on="subject"),),
    "keys_returned": (),
    "refund_recorded": (),
    # the subject is the sealed key
    "key_shredded": (Reaction(job="delete_object", on="subject"),),
    # mails: the subject is the mail
    "mail_key_renewed": (),
    "mail_unsettled": (),
    # reveal: the subject is the grant
    "key_revealed": (),
    "key_downloaded": (),
    "grant_revoked": (_PUSH,),
    # the subject is the sealed key
    "unit_reported": (),
    "buyer_forgotten": (),
}


def jobs_for(event: Event, order_id: str) -> tuple[JobRequest, ...]:
    """The jobs an event calls for. A mail's ref is `<kind>/<order>/<n>`, `n` from the facts."""
    return tuple(
        JobRequest(
            kind=reaction.job,
            ref=_ref(reaction, event, order_id),
            due=event.due if reaction.timed else None,
        )
        for reaction in REACTIONS[event.kind]
    )


def _ref(reaction: Reaction, event: Event, order_id: str) -> str:
    if reaction.email is not None:
        return f"{reaction.email}/{order_id}/{event.facts.get('n') or 1}"
    return event.subject if reaction.on == "subject" else order_id


def all_jobs(decision: Decision) -> tuple[JobRequest, ...]:
    """Every job of a decision, those asked for and those reacting, each (kind, ref) once.

    Of two wishes for one job the earlier time wins.
    """
    wished: dict[tuple[str, str], JobRequest] = {}
    reacting = (
        job
        for event in decision.events
        for job in jobs_for(event, decision.order_id or event.subject)
    )
    for job in (*decision.jobs, *reacting):
        known = wished.get((job.kind, job.ref))
        if known is None or _earlier(job, known):
            wished[job.kind, job.ref] = job
    return tuple(wished.values())


def _earlier(one: JobRequest, other: JobRequest) -> bool:
    if other.due is None:
        return False
    return one.due is None or one.due < other.due
