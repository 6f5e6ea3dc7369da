"""The numbers that `/metrics` shows. One registry for each shop, so that nothing is global.

Labels are route templates, status classes and plugin names: never an id, an address or a token.
"""

from typing import Final

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram
from prometheus_client.exposition import generate_latest

REQUEST_BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
JOB_BUCKETS: Final = (0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0)
KEY_BUCKETS: Final = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 86400.0)


class Metrics:
    """Counters and histograms by their names in the exposition."""

    content_type: Final = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        registry = CollectorRegistry()
        self._registry = registry
        self.requests = Histogram(
            "http_request_seconds",
            "Time from request to the start of the answer.",
            ("method", "route", "status"),
            buckets=REQUEST_BUCKETS,
            registry=registry,
        )
        self.jobs = Histogram(
            "job_seconds",
            "Time that a job took, by kind and how it ended.",
            ("kind", "ended"),
            buckets=JOB_BUCKETS,
            registry=registry,
        )
        self.time_to_key = Histogram(
            "time_to_key_seconds",
            "From paid to the last key of an order ready.",
            buckets=KEY_BUCKETS,
            registry=registry,
        )
        self.invalid_hmac = Counter(
            "invalid_hmac", "Webhooks with a bad signature.", ("provider",), registry=registry
        )
        self.duplicate_webhook = Counter(
            "duplicate_webhook", "Webhooks seen before.", ("provider",), registry=registry
        )
        self.underpaid_orders = Counter(
            "underpaid_orders", "Orders that failed underpaid.", registry=registry
        )
        self.email_success = Counter(
            "email_success", "Mails the provider took.", ("kind",), registry=registry
        )
        self.email_failure = Counter(
            "email_failure", "Mails the provider refused.", ("kind",), registry=registry
        )
        self.otp_issued = Counter("otp_issued", "One-time codes asked for.", registry=registry)
        self.otp_verified = Counter(
            "otp_verified", "One-time codes tried.", ("outcome",), registry=registry
        )
        self.rate_limited = Counter(
            "rate_limited", "Requests refused for their number.", ("scope",), registry=registry
        )

    def observe_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count an answered request."""
        self.requests.labels(method, route, str(status)).observe(seconds)

    def observe_job(self, kind: str, ended: str, seconds: float) -> None:
        """Count one attempt of a job: the `observe` of the job runner."""
        self.jobs.labels(kind, ended).observe(seconds)

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self._registry)
