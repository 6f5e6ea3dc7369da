"""What Prometheus reads."""

from prometheus_client.parser import text_string_to_metric_families

from bitloot_web.metrics import CONTENT_TYPE, Metrics, open_metrics


def samples(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """The page as a scraper reads it: (name, labels) to value."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(metrics.page().decode())
        for sample in family.samples
    }


def test_every_counter_of_the_shop_is_on_the_page_from_the_start() -> None:
    page = open_metrics().page().decode()
    for name in (
        "bitloot_otp_issued_total",
        "bitloot_otp_verified_total",
        "bitloot_captcha_total",
        "bitloot_invalid_hmac_total",
        "bitloot_duplicate_webhook_total",
        "bitloot_alerts_total",
        "bitloot_underpaid_orders_total",
        "bitloot_email_success_total",
        "bitloot_email_failure_total",
        "bitloot_email_seconds",
        "bitloot_jobs_total",
        "bitloot_job_seconds",
        "bitloot_dead_jobs",
        "bitloot_breaches",
        "bitloot_request_seconds",
        "bitloot_time_to_key_seconds",
        "process_resident_memory_bytes",
        "process_open_fds",
    ):
        assert f"# TYPE {name} " in page or f"# TYPE {name.removesuffix('_total')} " in page, name
    assert CONTENT_TYPE.startswith("text/plain")


def test_two_sets_of_metrics_count_apart() -> None:
    one, other = open_metrics(), open_metrics()
    one.otp_issued.inc()
    assert samples(one)["bitloot_otp_issued_total", ()] == 1
    assert samples(other)["bitloot_otp_issued_total", ()] == 0


def test_an_attempt_at_a_job_is_counted_by_kind_and_ending_and_timed() -> None:
    metrics = open_metrics()
    metrics.job_ended("fulfil", "done", 0.3)
    metrics.job_ended("fulfil", "dead", 2.5)
    found = samples(metrics)
    assert found["bitloot_jobs_total", (("ending", "done"), ("kind", "fulfil"))] == 1
    assert found["bitloot_jobs_total", (("ending", "dead"), ("kind", "fulfil"))] == 1
    assert found["bitloot_job_seconds_sum", (("kind", "fulfil"),)] == 2.8


def test_requests_are_counted_by_route_template_and_unknown_words_share_one_label() -> None:
    metrics = open_metrics()
    metrics.request_ended("GET", "/v1/orders/{id}", 200, 0.02)
    metrics.request_ended("BREW", None, 404, 0.02)
    metrics.request_ended("brew-2", None, 404, 0.02)
    found = samples(metrics)
    order = (("method", "GET"), ("route", "/v1/orders/{id}"), ("status", "200"))
    other = (("method", "OTHER"), ("route", "unmatched"), ("status", "404"))
    assert found["bitloot_request_seconds_count", order] == 1
    assert found["bitloot_request_seconds_count", other] == 2
    in_25_ms = (("le", "0.025"), *order)
    assert found["bitloot_request_seconds_bucket", in_25_ms] == 1


def test_the_promised_times_to_a_key_are_bucket_bounds() -> None:
    metrics = open_metrics()
    metrics.time_to_key.observe(1.9)
    metrics.time_to_key.observe(9.9)
    found = samples(metrics)
    assert found["bitloot_time_to_key_seconds_bucket", (("le", "2.0"),)] == 1
    assert found["bitloot_time_to_key_seconds_bucket", (("le", "10.0"),)] == 2
