"""The shop's windows, all shortened by one factor, so that what takes a quarter of an hour in
earnest takes seconds here. The inequalities between them are those of the real ones.
"""

from collections.abc import Iterator
from datetime import timedelta

import msgspec

from bitloot.domain.limits import Limits, limit_faults

# Everything that a job, a lease, a provider or a search waits for. Of a call it is the whole that
# counts: its parts (connecting, one read) may take as long as in earnest.
SCALED = (
    "http_total",
    "job_lease",
    "settle_window",
    "key_return_window",
    "search_delays",
    "search_interval",
    "supplier_poll_first",
    "supplier_poll_cap",
    "supplier_poll_after_hour",
    "blocked_recheck",
    "blocked_patience",
    "payment_first_poll",
    "payment_poll",
    "payment_poll_after_expiry",
    "early_webhook_wait",
    "idempotency_running",
    "job_backoff_first",
    "job_backoff_cap",
    "relay_poll",
    "relay_ring_again",
    "breaker_window",
    "breaker_probe",
    "mail_same_key",
)
# One machine is every buyer, and a process lives for a second: what paces a real one is lifted.
LIFTED = ("resend_per_second", "nowpayments_create_per_second", "nowpayments_estimate_per_second")
A_LOT = 10_000
STUCK_AFTER = timedelta(minutes=2)


def scaled(factor: float) -> Limits:
    """The limits of the shop with every window divided by `factor`.

    Raises ValueError when the order of the windows does not hold any more.
    """
    real = Limits()
    changes: dict[str, object] = dict.fromkeys(LIFTED, A_LOT)
    for name in SCALED:
        value = getattr(real, name)
        changes[name] = (
            tuple(each / factor for each in value) if isinstance(value, tuple) else value / factor
        )
    limits = msgspec.structs.replace(real, **changes)
    if faults := limit_faults(limits):
        raise ValueError("; ".join(faults))
    return limits


def windows(factor: float) -> Iterator[tuple[str, str, str]]:
    """Each window by its name, as it is in earnest, and as it is here."""
    real, short = Limits(), scaled(factor)
    for name in SCALED:
        yield name, _text(getattr(real, name)), _text(getattr(short, name))
    yield "stuck_after", _text(STUCK_AFTER), _text(STUCK_AFTER / factor)


def _text(value: timedelta | tuple[timedelta, ...]) -> str:
    if isinstance(value, tuple):
        return " ".join(map(_text, value))
    return f"{value.total_seconds():g} s"
