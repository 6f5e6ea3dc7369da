"""Records become one line each, and secrets never reach them."""

import io
import logging
from collections.abc import Iterator
from typing import Any, Literal, NoReturn
from urllib.request import Request

import msgspec
import pytest
import structlog

from bitloot.ports.errors import Rejected, Unavailable
from bitloot_web.logs import QUIET, configure_logs, tell_request
from bitloot_web.redaction import MASK, MAX_TEXT, Redactor

SERIAL = "Zq81-canary-serial-7731"
SETTING = "settings-secret-cafe-0123456789"


@pytest.fixture(autouse=True)
def _as_it_was() -> Iterator[None]:
    """The logging of the process belongs to the test run; it is given back."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    levels = {name: logging.getLogger(name).level for name in QUIET}
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, was in levels.items():
        logging.getLogger(name).setLevel(was)
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()


def configured(
    *,
    form: Literal["json", "console"] = "json",
    level: Literal["debug", "info", "warning"] = "info",
) -> io.StringIO:
    stream = io.StringIO()
    logging.getLogger().handlers.clear()  # those of the test run
    configure_logs(level=level, form=form, secrets=[SETTING], stream=stream)
    return stream


def records(stream: io.StringIO) -> list[dict[str, Any]]:
    return [msgspec.json.decode(line) for line in stream.getvalue().splitlines()]


def test_a_record_is_one_line_of_json_with_its_level_logger_and_time() -> None:
    stream = configured()
    structlog.get_logger("bitloot.shop").info("order_paid", order="o-1", lines=2, total=None)
    (record,) = records(stream)
    assert record["event"] == "order_paid"
    assert record["order"] == "o-1"
    assert (record["lines"], record["total"]) == (2, None)
    assert record["level"] == "info"
    assert record["logger"] == "bitloot.shop"
    assert record["timestamp"].endswith("Z")


def test_records_of_the_standard_library_take_the_same_way() -> None:
    stream = configured()
    logging.getLogger("elsewhere").warning("lost: %s", "redis", extra={})
    (record,) = records(stream)
    assert (record["event"], record["level"]) == ("lost: redis", "warning")


def test_what_is_bound_to_the_context_is_told_by_both() -> None:
    stream = configured()
    with structlog.contextvars.bound_contextvars(job="j-1"):
        structlog.get_logger().info("one")
        logging.getLogger("elsewhere").info("two")
    assert [record["job"] for record in records(stream)] == ["j-1", "j-1"]


def told(request_id: str = "0198a1b2-c3d4", route: str = "/v1/orders/{id}") -> None:
    tell_request("edge", request_id=request_id, method="GET", route=route, status=200, ms=1.5)


def test_the_record_of_a_request_is_the_same_by_the_short_way_as_by_the_long() -> None:
    stream = configured()
    told()
    with structlog.contextvars.bound_contextvars(request_id="0198a1b2-c3d4"):
        structlog.get_logger("edge").info(
            "request", method="GET", route="/v1/orders/{id}", status=200, ms=1.5
        )
    short, long = (list(record.items()) for record in records(stream))
    assert short[:-1] == long[:-1]
    assert (short[-1][0], len(str(short[-1][1]))) == (long[-1][0], len(str(long[-1][1])))


def test_what_a_caller_names_his_request_is_redacted() -> None:
    stream = configured()
    told(SETTING, f"?token={SERIAL}")
    assert SETTING not in stream.getvalue()
    assert SERIAL not in stream.getvalue()


def test_a_secret_that_looks_like_an_id_is_masked() -> None:
    secret = "0198a1b2-c3d4-7000-8000-00000000abcd"
    assert Redactor([secret]).text(secret) == MASK
    assert Redactor().text(secret) == secret


def test_requests_are_told_to_people_too_and_not_below_the_level() -> None:
    stream = configured(form="console")
    told()
    assert "status=200" in stream.getvalue()
    stream = configured(level="warning")
    told()
    assert stream.getvalue() == ""


def test_below_the_level_nothing_is_written() -> None:
    stream = configured()
    structlog.get_logger().debug("too small")
    logging.getLogger("elsewhere").debug("too small")
    assert stream.getvalue() == ""


@pytest.mark.parametrize("name", QUIET)
def test_loggers_that_tell_of_every_request_are_heard_from_warnings_on(name: str) -> None:
    stream = configured(level="debug")
    logging.getLogger(name).info("GET https://shop.test/v1/downloads/abc")
    assert stream.getvalue() == ""
    logging.getLogger(name).warning("pool is full")
    assert len(records(stream)) == 1


def test_configuring_twice_writes_once() -> None:
    configured()
    stream = configured()
    structlog.get_logger().info("once")
    assert len(records(stream)) == 1


@pytest.mark.parametrize(
    "name",
    [
        *("secret_key", "access_token", "Authorization", "password", "set-cookie", "signature"),
        *("x-nowpayments-sig", "serial", "serials", "key", "keys", "api_key", "apiKey", "pepper"),
        *("otp", "plaintext", "svix-signature", "client_secret", "license_key", "keks"),
    ],
)
def test_a_value_under_a_telling_name_is_masked_at_any_depth(name: str) -> None:
    stream = configured()
    log = structlog.get_logger()
    log.info("flat", **{name: SERIAL})
    log.info("deep", facts={"inner": [{name: SERIAL}]})
    assert SERIAL not in stream.getvalue()
    assert records(stream)[0][name] == MASK


def test_refusal_codes_are_told_and_one_time_codes_are_not() -> None:
    stream = configured()
    structlog.get_logger().info("refused", code="out-of-stock")
    structlog.get_logger().info("mailed", code="493817")
    assert [record["code"] for record in records(stream)] == ["out-of-stock", MASK]


@pytest.mark.parametrize(
    "text",
    [
        f"GET /v1/downloads/{SERIAL}?x=1",
        f"https://shop.test/v1/downloads/{SERIAL}",
        f"/v1/emails/unsubscribe/{SERIAL}",
        f"Authorization: Bearer {SERIAL}",
        f"bearer {SERIAL}",
        f"password={SERIAL}&user=x",
        f"{{'serial': '{SERIAL}'}}",
        f'{{"access_token": "{SERIAL}"}}',
        f"/ws?token={SERIAL}",
        f"postgresql://shop:{SERIAL}@db/shop",
        f"redis://:{SERIAL}@cache:6379/0",
    ],
)
def test_secrets_in_texts_are_masked_where_they_stand(text: str) -> None:
    stream = configured()
    structlog.get_logger().info(text, path=text, listed=[text])
    logging.getLogger("elsewhere").warning("%s", text)
    logging.getLogger("elsewhere").warning(text)
    assert SERIAL not in stream.getvalue()
    assert len(records(stream)) == 3


@pytest.mark.parametrize(
    "text",
    ["AB12C-9XYZ8-QQ7RT", "the key ABCD-1234-EFGH-5678 came", "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl"],
)
def test_what_looks_like_a_key_or_a_signed_token_is_masked(text: str) -> None:
    shown = Redactor().text(text)
    assert MASK in shown
    assert "1234" not in shown
    assert "9XYZ8" not in shown
    assert "eyJ" not in shown


def test_ids_dates_and_hashes_stay_readable() -> None:
    text = "job 0198f2a4-8d1c-7c3e-9f00-0123456789ab at 2031-05-04T12:00:00Z, sha256 ab12cd34"
    assert Redactor().text(text) == text


def test_secrets_of_the_settings_are_masked_wherever_they_stand() -> None:
    stream = configured()
    structlog.get_logger().info(f"it was {SETTING}!", place=f"x{SETTING}", **{SETTING: 1})
    logging.getLogger("elsewhere").error("again %s", SETTING)
    assert SETTING not in stream.getvalue()


def test_a_secret_at_the_cut_of_a_long_text_leaves_no_part_of_itself() -> None:
    shown = Redactor([SETTING]).text("a" * (MAX_TEXT - 5) + SETTING)
    assert SETTING[:5] not in shown
    assert len(shown) <= MAX_TEXT + 1


def test_addresses_are_shortened() -> None:
    stream = configured()
    structlog.get_logger().info("mail to joan.doe+x@mail.example.org", to=["joan.doe@example.org"])
    (record,) = records(stream)
    assert record["event"] == "mail to j…@mail.example.org"
    assert record["to"] == ["j…@example.org"]


def test_bytes_and_objects_are_named_and_not_shown() -> None:
    stream = configured()
    request = Request(f"https://shop.test/{SERIAL}")
    structlog.get_logger().info("x", body=SERIAL.encode(), thing=request, error=ValueError(SERIAL))
    (record,) = records(stream)
    assert record["body"] == "<bytes>"
    assert record["thing"] == "<Request>"
    assert record["error"] == "<ValueError>"


def test_depth_width_and_size_are_bounded() -> None:
    stream = configured()
    endless: list[object] = []
    endless.append(endless)
    structlog.get_logger().info("x", endless=endless, wide=list(range(10_000)), huge=2**200)
    (record,) = records(stream)
    assert len(record["wide"]) == 50
    assert record["huge"] == str(2**200)
    assert len(stream.getvalue()) < 5000


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_text_with_line_breaks_stays_one_record(form: Literal["json", "console"]) -> None:
    stream = configured(form=form)
    forged = 'x\n{"event":"forged"}\r\u2028\x1b[2K\u202e\x00\ud800end'
    structlog.get_logger().info(forged, field=forged)
    logging.getLogger("elsewhere").info("%s", forged)
    written = stream.getvalue()
    assert written.count("\n") == 2
    assert len(written.splitlines()) == 2
    assert not set("\r\u2028\x1b\u202e\x00") & set(written)


def _fail(kind: type[Exception], text: str) -> None:
    local_serial = text
    raise kind(local_serial)


@pytest.mark.parametrize("form", ["json", "console"])
@pytest.mark.parametrize("kind", [ValueError, KeyError, RuntimeError, AssertionError, OSError])
def test_no_secret_leaves_by_an_exception(
    form: Literal["json", "console"], kind: type[Exception]
) -> None:
    stream = configured(form=form)
    try:
        try:
            _fail(kind, SERIAL)
        except kind as inner:
            inner.add_note(SERIAL)
            raise ExceptionGroup(SERIAL, [kind(SERIAL), inner]) from inner
    except ExceptionGroup as error:
        structlog.get_logger().exception("failed", error=error)
        structlog.get_logger().error("failed", exc_info=error)
        logging.getLogger("elsewhere").exception("failed")
        logging.getLogger("elsewhere").exception("failed", exc_info=error, stack_info=True)
    written = stream.getvalue()
    assert SERIAL not in written
    assert kind.__name__ in written
    assert "test_logs.py:" in written
    assert "_fail" in written


def test_our_own_bad_news_and_mistakes_in_code_keep_their_text() -> None:
    stream = configured()
    for error in (
        Unavailable("kinguin", "timeout"),
        Rejected("r2", "credentials", f"token={SERIAL}"),
        AttributeError("'NoneType' object has no attribute 'order'"),
    ):
        structlog.get_logger().error("failed", exc_info=error)
    first, second, third = (record["exception"][0] for record in records(stream))
    assert first["text"] == "('kinguin', 'timeout')"
    assert second["text"] == f"('r2', 'credentials', 'token={MASK}')"
    assert third["text"] == "'NoneType' object has no attribute 'order'"


def test_a_record_that_cannot_be_rendered_is_told_of_without_its_parts() -> None:
    stream = configured()
    logging.getLogger("elsewhere").warning("%d", SERIAL)
    (record,) = records(stream)
    assert record == {"event": "log_record_lost", "level": "error"}


def test_hostile_texts_are_redacted_in_linear_time() -> None:
    redactor = Redactor([SETTING])
    for hostile in ("a-" * 1000, "token" * 400, "AB12-" * 400, "x.@" * 700, "1-" * 1000):
        assert len(redactor.text(hostile)) <= MAX_TEXT + 1


def test_refusal_numbers_such_as_a_status_stay_readable() -> None:
    stream = configured()
    structlog.get_logger().info("x", status=404, token=None, has_token=True, job_kind="mail")
    (record,) = records(stream)
    assert (record["status"], record["token"], record["has_token"]) == (404, None, True)


def test_no_more_names_are_remembered_than_are_bounded() -> None:
    redactor = Redactor()
    for number in range(3000):
        assert redactor.fields({f"name{number}": number, f"token{number}": "x"}) == {
            f"name{number}": number,
            f"token{number}": MASK,
        }


class Broken(dict[str, str]):
    """A value that fails when it is looked at."""

    def items(self) -> NoReturn:
        raise ValueError(SERIAL)


def test_a_record_of_ours_that_cannot_be_rendered_is_counted_and_never_raises() -> None:
    stream = configured()
    structlog.get_logger("shop").info("seen", value=Broken())
    assert records(stream) == [{"event": "log_record_lost", "level": "error"}]
