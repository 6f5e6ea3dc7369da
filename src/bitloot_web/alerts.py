"""What somebody has to look at: a line in the log, at error, and a count to be alarmed by.

Told where all of it passes: at the recording of decisions, where a webhook is turned away, and at
the mail provider. The words are stable; ids and reasons are told, never what a provider or a buyer
wrote.
"""

from typing import Final, Literal, TypeAlias

import structlog

from bitloot.domain.decision import Decision, Row
from bitloot.domain.email import Email
from bitloot.domain.fulfilment import BlockedReason, Fulfilment
from bitloot.domain.reconciliation import ReconciliationBreak
from bitloot.domain.webhook import Webhook
from bitloot_web.metrics import Metrics

Alert: TypeAlias = Literal[
    "webhook_forged",
    "payment_status_unknown",
    "order_held",
    "item_held",
    "payment_held",
    "supplier_balance_low",
    "supplier_credentials_refused",
    "mail_quota_used_up",
    "mail_credentials_refused",
    "mail_refused",
    "mail_unsettled",
    "reconciliation_break",
]

log = structlog.get_logger(__name__)

_HELD: Final[dict[str, Alert]] = {
    "order_held": "order_held",
    "item_held": "item_held",
    "payment_held": "payment_held",
}
_BLOCKED: Final[dict[BlockedReason | None, Alert]] = {
    "balance": "supplier_balance_low",
    "credentials": "supplier_credentials_refused",
}


# A mail that never left, or of which nobody knows whether it did. An address that takes no mail is
# its owner's.
_MAILS: Final[dict[tuple[str, str | None], Alert]] = {
    ("refused", "invalid"): "mail_refused",
    ("unknown", None): "mail_unsettled",
}


def alert(metrics: Metrics, what: Alert, **told: str | None) -> None:
    """Tell it once, in the log and as a count."""
    metrics.alerts.labels(what).inc()
    log.error(what, **told)


def alert_of(metrics: Metrics, decision: Decision) -> None:
    """What a recorded decision means to whoever runs the shop."""
    for event in decision.events:
        held = _HELD.get(event.kind)
        if held is not None:
            alert(metrics, held, order=decision.order_id, reason=str(event.facts.get("reason")))
    for change in decision.save:
        before, row = change.before, change.after
        if isinstance(row, Webhook) and _is_first_unknown(before, row):
            alert(metrics, "payment_status_unknown", provider=row.provider, webhook=row.id)
        elif isinstance(row, Fulfilment) and _begins_to_wait(before, row):
            blocked = _BLOCKED.get(row.blocked_reason)
            if blocked is not None:
                alert(metrics, blocked, supplier=row.supplier, order=row.order_id)
        elif isinstance(row, Email) and isinstance(before, Email) and before.state != row.state:
            lost = _MAILS.get((row.state, row.refusal))
            if lost is not None:
                alert(metrics, lost, provider=row.provider, mail=row.id, kind=row.kind)
        elif isinstance(row, ReconciliationBreak) and before is None:
            alert(metrics, "reconciliation_break", rule=row.kind, subject=row.subject)


def _is_first_unknown(before: Row | None, row: Webhook) -> bool:
    was = before.classification if isinstance(before, Webhook) else None
    return row.classification == "unknown_status" and was != row.classification


def _begins_to_wait(before: Row | None, row: Fulfilment) -> bool:
    """What waits is tried again and again, and goes on to wait for what it lacked before."""
    lacked = before.last_error if isinstance(before, Fulfilment) else None
    return row.state == "blocked" and row.blocked_reason != lacked
