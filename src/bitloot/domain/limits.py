"""Every named limit of the shop, with its default.

Each is overridden by `BITLOOT_LIMIT_<NAME>`. A limit that carries a cap can only be lowered.
Fractions are `Decimal` (0.01 is one percent); sizes are bytes; times are `timedelta`.
"""

from datetime import timedelta
from decimal import Decimal
from typing import Final

import msgspec

_S = timedelta(seconds=1)
_M = timedelta(minutes=1)
_H = timedelta(hours=1)
_D = timedelta(days=1)


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    # one-time codes (sign-in, change of address, re-entry to an order)
    otp_digits: int = 6
    otp_life: timedelta = 5 * _M
    otp_wrong_tries: int = 5
    otp_requests_per_15_minutes: int = 5
    otp_codes_per_day: int = 10
    otp_verifications_per_ip_per_15_minutes: int = 30

    # passwords (argon2id; OWASP: 19 MiB, 2 passes, 1 lane; CPU share: of one core, in each process)
    password_hash_bytes: int = 19 * 1024 * 1024
    password_hash_passes: int = 2
    password_hash_lanes: int = 1
    password_hashing_at_once: int = 1
    password_hashing_waiting: int = 16
    password_cpu_share: Decimal = Decimal("0.25")

    # tokens, sessions, accounts
    access_token_life: timedelta = 15 * _M
    refresh_token_life: timedelta = 7 * _D
    refresh_grace: timedelta = 10 * _S
    session_cache: timedelta = 30 * _S
    fresh_sign_in: timedelta = 15 * _M
    sessions_per_user: int = 50
    claims_per_sign_in: int = 500
    deletion_grace: timedelta = 30 * _D
    deletions_per_sweep: int = 200
    forgotten_at_once: int = 100
    recovery_cooling: timedelta = 24 * _H
    recovery_proofs_min: int = 2
    recovery_proofs_max: int = 3
    api_keys_per_user: int = 20
    api_key_use_noted: timedelta = 5 * _M
    api_key_life: timedelta = 365 * _D
    order_session_life: timedelta = _H
    token_leeway: timedelta = 30 * _S
    webhook_timestamp_tolerance: timedelta = 5 * _M

    # the signed link to a key
    link_life: timedelta = 15 * _M
    downloads_per_link: int = 5

    # quote, basket, order
    quote_freeze: timedelta = 15 * _M
    basket_lines: int = 50
    units_per_line: int = 90
    units_per_fulfilment: int = 9
    wholesale_units: int = 1000
    order_window: timedelta = 30 * _M
    payment_window_slack: timedelta = 10 * _M
    confirming_window: timedelta = 24 * _H
    open_orders_per_address: int = 3
    open_orders_per_ip: int = 5

    # payment
    payments_per_order: int = 5
    underpayment_tolerance: Decimal = Decimal(0)
    gateway_fee: Decimal = Decimal("0.01")
    payment_watch: timedelta = 7 * _D
    payment_first_poll: timedelta = 1 * _M
    payment_poll: timedelta = 5 * _M
    payment_poll_after_expiry: timedelta = _H
    early_webhook_wait: timedelta = 10 * _M
    payments_per_invoice: int = 1000
    deposits_per_payment: int = 50
    payment_reads_per_lease: int = 5
    assets_cached: timedelta = 60 * _S
    estimate_cached: timedelta = 10 * _S

    # supplier
    supplier_poll_first: timedelta = 2 * _S
    supplier_poll_cap: timedelta = 60 * _S
    supplier_poll_after_hour: timedelta = 5 * _M
    supplier_poll_preorder: timedelta = _H
    short_order_patience: timedelta = _H
    settle_window: timedelta = 15 * _M
    settle_searches: int = 5
    search_delays: tuple[timedelta, ...] = (2 * _S, 5 * _S, 15 * _S, 30 * _S, 60 * _S)
    search_interval: timedelta = 2 * _M
    balance_purchases: int = 1000
    automatic_rebuys: int = 1
    supplier_sources: int = 4
    blocked_recheck: timedelta = 5 * _M
    blocked_patience: timedelta = 24 * _H
    key_return_window: timedelta = 24 * _H
    reconcile_interval: timedelta = _D
    reconcile_window: timedelta = 48 * _H
    reconcile_objects: int = 100
    reconcile_pages: int = 10
    orphan_object_age: timedelta = _H

    # catalogue
    catalogue_full: timedelta = _D
    catalogue_news: timedelta = 10 * _M
    catalogue_overlap: timedelta = 10 * _M
    catalogue_vanishing_share: Decimal = Decimal("0.3")
    catalogue_vanishing_offers: int = 50

    # jobs
    job_lease: timedelta = 60 * _S
    job_attempts: int = 12
    job_backoff_first: timedelta = 2 * _S
    job_backoff_cap: timedelta = 10 * _M
    relay_batch: int = 100
    relay_poll: timedelta = 1 * _S
    relay_ring_again: timedelta = 60 * _S
    stream_length: int = 1000
    xread_count: int = 10
    stop_wait_tasks: timedelta = 25 * _S
    stop_shutdown: timedelta = 5 * _S
    fulfil_backlog_refuse: timedelta = 30 * _M

    # what housekeeping forgets, so many rows at once
    done_jobs_kept: timedelta = 7 * _D
    ticks_kept: timedelta = 30 * _D
    unused_quotes_kept: timedelta = _D
    ended_sessions_kept: timedelta = 30 * _D
    housekeeping_batch: int = 1000

    # breaker, one for each provider
    breaker_failures: int = 5
    breaker_window: timedelta = 30 * _S
    breaker_probe: timedelta = 30 * _S

    # HTTP client
    http_connect: timedelta = 2 * _S
    http_read: timedelta = 8 * _S
    http_write: timedelta = 5 * _S
    http_pool: timedelta = 1 * _S
    http_total: timedelta = 10 * _S
    http_answer_bytes: int = 5_000_000
    http_connections: int = 20
    captcha_answer: timedelta = 4 * _S
    object_store_connect: timedelta = 2 * _S
    object_store_read: timedelta = 10 * _S
    object_store_threads: int = 8
    nowpayments_create_per_second: int = 3
    nowpayments_estimate_per_second: int = 7
    resend_per_second: int = 2

    # database
    database_pool: int = 8
    database_wait: timedelta = 2 * _S
    database_statement: timedelta = 5 * _S
    database_silence: timedelta = 2 * _S
    database_lock: timedelta = 2 * _S
    database_idle_in_transaction: timedelta = 10 * _S

    # mail
    mail_same_key: timedelta = 23 * _H

    # edge
    idempotency_life: timedelta = 24 * _H
    idempotency_running: timedelta = 60 * _S
    idempotency_key_min: int = 16
    idempotency_key_max: int = 128
    body_bytes: int = 64 * 1024
    webhook_body_bytes: int = 256 * 1024
    webhook_answer: timedelta = 2 * _S
    key_import_bytes: int = 10 * 1024 * 1024
    key_import_lines: int = 100_000
    licence_file_bytes: int = 64 * 1024
    page_default: int = 20
    page_max: int = 100
    bulk_max: int = 100
    count_exact: int = 1000
    search_text: int = 200
    answer_life: timedelta = 1 * _S
    answers_bytes: int = 16 * 1024 * 1024
    sockets_per_order: int = 5
    sockets_per_user: int = 5
    cache_entries: int = 10_000

    # rate limits: a process takes this part of a large one at a time, for this part of its window,
    # of so many callers at once
    rate_shares: int = 20
    rate_subjects: int = 10_000
    catalogue_per_minute: int = 300
    quotes_per_minute: int = 60
    orders_per_10_minutes: int = 10
    order_repeats_per_10_minutes: int = 300
    reveals_per_hour: int = 30
    admin_per_minute: int = 600
    forged_webhooks_stored_per_minute: int = 100
    session_tries_per_15_minutes: int = 10
    sign_ins_per_15_minutes: int = 10
    refreshes_per_minute: int = 60


# Fewer are guessed within the tries of a day by one in a few thousand.
LEAST_DIGITS: Final = 6
# Below this no number of passes makes up for it (OWASP Password Storage Cheat Sheet, argon2id).
LEAST_HASH_BYTES: Final = 7 * 1024 * 1024

CAPS: Final[dict[str, timedelta | int | Decimal]] = {
    "otp_life": 5 * _M,
    "otp_wrong_tries": 5,
    "link_life": 15 * _M,
    "captcha_answer": 5 * _S,
    "page_max": 100,
    "bulk_max": 100,
    "units_per_fulfilment": 9,
    "order_session_life": _H,
    "access_token_life": 15 * _M,
    "refresh_token_life": 7 * _D,
    # An open socket looks some seconds later than a request: all are out within a minute.
    "session_cache": 50 * _S,
    "mail_same_key": 23 * _H,
}


def limit_faults(limits: Limits) -> list[str]:
    """What is wrong with a set of limits: caps broken, and times that must not cross.

    The inequalities are those that keep a slow worker from buying twice: the HTTP total is below
    half a lease, the lease far below the settle window, that far below the key-return window.
    """
    found = [
        f"{name} may be lowered but not raised above {cap}"
        for name, cap in CAPS.items()
        if getattr(limits, name) > cap
    ]
    ladder = (
        ("http_total", limits.http_total, "half of job_lease", limits.job_lease / 2),
        ("job_lease", limits.job_lease, "settle_window", limits.settle_window),
        ("settle_window", limits.settle_window, "key_return_window", limits.key_return_window),
        # A token that may come back for so long is one that is never found to be copied.
        ("refresh_grace", limits.refresh_grace, "access_token_life", limits.access_token_life),
        # A tick that is forgotten while it may still be looked for would run twice.
        ("reconcile_interval", limits.reconcile_interval, "ticks_kept", limits.ticks_kept),
        ("catalogue_full", limits.catalogue_full, "ticks_kept", limits.ticks_kept),
        ("catalogue_news", limits.catalogue_news, "ticks_kept", limits.ticks_kept),
    )
    found += [
        f"{low_name} must be below {high_name}"
        for low_name, low, high_name, high in ladder
        if not low < high
    ]
    for name in limits.__struct_fields__:
        value = getattr(limits, name)
        zero_is_fine = name in {"underpayment_tolerance", "gateway_fee", "automatic_rebuys"}
        if isinstance(value, tuple):
            continue
        if value < type(value)(0) or (not zero_is_fine and not value):
            found.append(f"{name} must be above zero")
    if limits.catalogue_vanishing_share > 1:
        found.append("catalogue_vanishing_share is a fraction of at most 1")
    if limits.otp_digits < LEAST_DIGITS:
        found.append(f"otp_digits must be at least {LEAST_DIGITS}")
    if limits.password_hash_bytes < LEAST_HASH_BYTES:
        found.append(f"password_hash_bytes must be at least {LEAST_HASH_BYTES}")
    if limits.gateway_fee >= 1 or limits.underpayment_tolerance >= 1:
        found.append("gateway_fee and underpayment_tolerance are fractions below 1")
    return found
