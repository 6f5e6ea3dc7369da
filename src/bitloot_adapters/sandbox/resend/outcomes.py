"""What becomes of a mail: which events follow for which recipient, and when.

Source: Resend documentation, "Send Test Emails" (testing addresses, ``+label`` allowed) and
"Event Types" (extra fields of each event).
"""

from datetime import datetime, timedelta
from typing import Final

from bitloot_adapters.sandbox.resend.clock import fresh_uuid
from bitloot_adapters.sandbox.resend.config import ResendSandboxConfig
from bitloot_adapters.sandbox.resend.fields import bare_address
from bitloot_adapters.sandbox.resend.records import Mail, PlannedEvent, Suppression
from bitloot_adapters.sandbox.resend.state import State

OUTCOMES: Final[dict[str, tuple[str, ...]]] = {
    "delivered": ("email.sent", "email.delivered"),
    "bounced": ("email.sent", "email.bounced"),
    "complained": ("email.sent", "email.delivered", "email.complained"),
    "suppressed": ("email.suppressed",),
    "delivery_delayed": ("email.sent", "email.delivery_delayed"),
    "delayed_then_delivered": ("email.sent", "email.delivery_delayed", "email.delivered"),
    "opened": ("email.sent", "email.delivered", "email.opened"),
    "clicked": ("email.sent", "email.delivered", "email.opened", "email.clicked"),
    "failed": ("email.failed",),
    "silent": (),
}

_MAGIC_DOMAIN: Final = "resend.dev"
_MAGIC: Final = frozenset({"delivered", "bounced", "complained", "suppressed"})
_REVERSED_GAP_SECONDS: Final = 0.1
_SUPPRESSION_REASON: Final = {"bounce": "previous_bounce", "complaint": "previous_complaint"}


def default_extra(event_type: str, at: datetime) -> dict[str, object]:
    """The part of ``data`` that only this event type has."""
    if event_type == "email.bounced":
        return {
            "bounce": {
                "type": "Permanent",
                "subType": "General",
                "message": "The recipient's email provider sent a hard bounce message.",
                "diagnosticCode": ["smtp; 550 5.1.1 user unknown"],
            }
        }
    if event_type == "email.failed":
        return {"failed": {"reason": "reached_daily_quota"}}
    if event_type == "email.suppressed":
        return {"suppressed": suppressed_because("bounce")}
    if event_type == "email.clicked":
        return {
            "click": {
                "ipAddress": "203.0.113.7",
                "link": "https://shop.example/",
                "timestamp": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                "userAgent": "Mozilla/5.0",
            }
        }
    return {}


def suppressed_because(origin: str) -> dict[str, object]:
    return {
        "type": "OnAccountSuppressionList",
        "reason": _SUPPRESSION_REASON.get(origin, "previous_bounce"),
        "message": "The recipient is on the suppression list of this account.",
        "diagnosticCode": ["Amazon SES did not send the message to this address"],
    }


def find_suppression(state: State, team: str, address: str) -> Suppression | None:
    for row in state.suppressions:
        if row.team == team and row.email == address.lower():
            return row
    return None


def _fate(state: State, team: str, address: str) -> tuple[str, dict[str, object]]:
    """The outcome for one bare address and what it adds to the last event."""
    scenario = state.scenarios.get(address.lower())
    if scenario is not None:
        return scenario.outcome, scenario.extra
    listed = find_suppression(state, team, address)
    if listed is not None:
        return "suppressed", {"suppressed": suppressed_because(listed.origin)}
    local, _, domain = address.lower().partition("@")
    if domain == _MAGIC_DOMAIN and local.partition("+")[0] in _MAGIC:
        return local.partition("+")[0], {}
    return "delivered", {}


def plan_events(state: State, mail: Mail, config: ResendSandboxConfig, at: datetime) -> None:
    """Put the events that will follow the release of ``mail`` at ``at`` into the state.

    One chain per different outcome among the recipients; ``email.sent`` comes once.
    """
    chain: list[tuple[str, dict[str, object]]] = []
    for text in mail.to + mail.cc + mail.bcc:
        outcome, extra = _fate(state, mail.team, bare_address(text) or text)
        steps = OUTCOMES[outcome]
        for step in steps:
            if step not in {known for known, _ in chain}:
                chain.append((step, extra if step == steps[-1] else {}))
    chain.sort(key=lambda item: 0 if item[0] == "email.sent" else 1)
    first = at + timedelta(seconds=config.sent_after_seconds)
    gap = timedelta(seconds=config.outcome_after_seconds)
    last_due = first + gap * max(0, len(chain) - 1)
    for index, (event_type, extra) in enumerate(chain):
        due = first + gap * index
        held = 0.0
        if state.mode.out_of_order:
            behind = (len(chain) - 1 - index) * _REVERSED_GAP_SECONDS
            held = (last_due - due).total_seconds() + behind
        state.planned.put(
            PlannedEvent(
                id=fresh_uuid(),
                number=state.next_number(),
                mail_id=mail.id,
                type=event_type,
                due=due,
                extra={**default_extra(event_type, due), **extra},
                sends_after=held,
            )
        )


def learn_suppression(state: State, mail: Mail, event: PlannedEvent, at: datetime) -> None:
    """A permanent bounce or a complaint puts the recipients on the suppression list.

    The testing addresses never get there: they must behave the same every time.
    """
    if event.type == "email.complained":
        origin = "complaint"
    elif event.type == "email.bounced" and _is_permanent(event):
        origin = "bounce"
    else:
        return
    for text in mail.to:
        address = (bare_address(text) or text).lower()
        own_fate = event.type.removeprefix("email.") == _fate(state, mail.team, address)[0]
        if address.endswith("@" + _MAGIC_DOMAIN) or not (own_fate or len(mail.to) == 1):
            continue
        if find_suppression(state, mail.team, address) is None:
            state.suppressions.put(
                Suppression(
                    id=fresh_uuid(),
                    number=state.next_number(),
                    team=mail.team,
                    email=address,
                    origin=origin,
                    source_id=mail.id,
                    created_at=at,
                )
            )


def _is_permanent(event: PlannedEvent) -> bool:
    bounce = event.extra.get("bounce")
    return isinstance(bounce, dict) and bounce.get("type") == "Permanent"
