"""What the shop counts for Prometheus. A registry of its own, made by a function, none at import.

Labels are words of this program only (a plugin's name, a job's kind, a route's template): never an
id, an address or anything that a caller chose, so their number is bounded and they tell nothing.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
    start_http_server,
)

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST
UNMATCHED: Final = "unmatched"
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

# Seconds. The gateway waits 3 s for an answer to its webhook; 0.1 s is our own aim.
_REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 3.0, 10.0)
_JOB_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
# A provider that is away is waited for; a mail is given up after days.
_MAIL_BUCKETS: Final = (0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0, 86400.0)
# From paid to the key being there: 2 s and 10 s are promised when all is well.
_KEY_BUCKETS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 86400.0)


class Metrics:
    """All metrics of one process, and the page that shows them.

    Counters are incremented where the thing happens; the gauges of dead jobs and breaches are set
    by whoever last looked.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry
        counter, gauge = partial(Counter, registry=registry), partial(Gauge, registry=registry)
        timed = partial(Histogram, registry=registry)
        by_provider, by_kind = ("provider",), ("kind",)

        self.otp_issued = counter("bitloot_otp_issued", "One-time codes issued")
        self.otp_verified = counter("bitloot_otp_verified", "One-time codes that were right")
        self.captcha = counter(
            "bitloot_captcha", "Captcha tokens that were looked at, by how it ended", ("ending",)
        )
        self.invalid_hmac = counter(
            "bitloot_invalid_hmac", "Webhooks whose signature did not match", by_provider
        )
        self.duplicate_webhook = counter(
            "bitloot_duplicate_webhook", "Webhooks that had been stored before", by_provider
        )
        self.alerts = counter(
            "bitloot_alerts", "What somebody has to look at, by what it is", ("alert",)
        )
        self.underpaid_orders = counter("bitloot_underpaid_orders", "Orders that ended underpaid")
        self.email_success = counter(
            "bitloot_email_success", "Mails that the provider took", by_kind
        )
        self.email_failure = counter(
            "bitloot_email_failure", "Mails that were not taken or did not arrive", by_kind
        )
        self.email_seconds = timed(
            "bitloot_email_seconds",
            "From a mail being written to the provider taking it",
            by_kind,
            buckets=_MAIL_BUCKETS,
        )
        self.jobs = counter(
            "bitloot_jobs", "Attempts at jobs, by kind and how they ended", ("kind", "ending")
        )
        self.job_seconds = timed(
            "bitloot_job_seconds", "How long attempts at jobs took", by_kind, buckets=_JOB_BUCKETS
        )
        self.dead_jobs = gauge("bitloot_dead_jobs", "Jobs given up, which wait for a person")
        self.breaches = gauge(
            "bitloot_breaches", "Open differences found by reconciliation, by rule", ("rule",)
        )
        self.request_seconds = timed(
            "bitloot_request_seconds",
            "How long HTTP requests took, by method, route template and status",
            ("method", "route", "status"),
            buckets=_REQUEST_BUCKETS,
        )
        self.time_to_key = timed(
            "bitloot_time_to_key_seconds",
            "From an order being paid to its keys being there",
            buckets=_KEY_BUCKETS,
        )

    def job_ended(self, kind: str, ending: str, seconds: float) -> None:
        """One attempt at a job: fits `job_runner.Observe`."""
        self.jobs.labels(kind, ending).inc()
        self.job_seconds.labels(kind).observe(seconds)

    def request_ended(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """One HTTP request. `route` is the template, such as `/v1/orders/{id}`, never the path."""
        word = method if method in _METHODS else "OTHER"
        self.request_seconds.labels(word, route or UNMATCHED, str(status)).observe(seconds)

    def serve(self, host: str, port: int) -> Callable[[], None]:
        """Serve the page from a thread of its own, for roles without a web server.

        Gives the call that ends it. Raises OSError when the port is taken.
        """
        server, thread = start_http_server(port, host, registry=self._registry)

        def end() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return end

    def page(self) -> bytes:
        """The text exposition format, to be served as `CONTENT_TYPE`."""
        return generate_latest(self._registry)


def open_metrics() -> Metrics:
    """A fresh set of metrics, with those of the process (memory, CPU, open files) beside them."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    PlatformCollector(registry=registry)
    return Metrics(registry)
