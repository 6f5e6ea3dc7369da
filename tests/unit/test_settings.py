"""What the shop accepts as its settings, and how it says no."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from bitloot_web.composition.assembly import signing
from bitloot_web.plugins import configure, secret_values, shown
from bitloot_web.settings import Environment, SettingsError, convert

GOOD = {
    "BITLOOT_DATABASE_URL": "postgresql://bitloot@/bitloot",
    "BITLOOT_REDIS_URL": "redis://localhost/0",
    "BITLOOT_SECRET_KEY": "kX9-2mVq7sTz4RwEb8LpYc3HnJd6GfUa",
    "BITLOOT_NOWPAYMENTS_API_KEY": "7c1f0e5a9b3d4c2e",
    "BITLOOT_NOWPAYMENTS_IPN_SECRET": "Zt5-ipn-4Qw8Er2Ty6Ui0",
    "BITLOOT_KINGUIN_API_KEY": "f2a96c1d",
    "BITLOOT_KINGUIN_WEBHOOK_SECRET": "Hj7-kinguin-9Kd3Ls5Mq1",
    "BITLOOT_RESEND_API_KEY": "re_8Vb2Nc5X",
    "BITLOOT_RESEND_WEBHOOK_SECRET": "whsec_TWZ2ME94cEtxOVpyTDR0SHdOMmI3WWRTMWpHZQ==",
    "BITLOOT_RESEND_FROM_ADDRESS": "Shop <orders@shop.example>",
    "BITLOOT_LOCAL_KEKS": "k1:7LqkqQx6m8Jx0nJ1l8fZ1mZr5b0d1o2p3q4r5s6t7u8=",
    "BITLOOT_LOCAL_PEPPER": "3mVq7sTz4RwEb8LpYc3HnJd6GfUa-kX9",
}
PRODUCTION = {
    **GOOD,
    "BITLOOT_ENVIRONMENT": "production",
    "BITLOOT_PUBLIC_URL": "https://shop.example",
}


def faults(variables: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as refused:
        configure(Environment(variables))
    return refused.value.faults


def test_good_settings_give_a_configuration_with_every_plugin() -> None:
    configuration = configure(Environment(GOOD))
    assert configuration.settings.port == 8000
    assert [chosen.plugin.name for chosen in configuration.plugins.suppliers] == [
        "custom",
        "kinguin",
    ]
    assert configuration.plugins.key_vault.plugin.name == "local"


def test_one_message_names_everything_that_is_missing_of_shop_and_plugins() -> None:
    found = "\n".join(faults({}))
    for name in GOOD:
        assert name in found


def test_malformed_values_are_named_with_what_was_expected_and_never_shown_when_secret() -> None:
    found = "\n".join(
        faults({**GOOD, "BITLOOT_PORT": "eighty", "BITLOOT_SECRET_KEY": "tiny-secret"})
    )
    assert "BITLOOT_PORT" in found
    assert "BITLOOT_SECRET_KEY" in "\n".join(faults({**GOOD, "BITLOOT_SECRET_KEY": "tiny-secret"}))
    assert "tiny-secret" not in found


def test_an_unknown_name_is_reported_with_the_nearest_that_is_read() -> None:
    (found,) = faults({**GOOD, "BITLOOT_DATABASE_ULR": "x"})
    assert found == "BITLOOT_DATABASE_ULR is not a setting; did you mean BITLOOT_DATABASE_URL?"


def test_settings_of_installed_plugins_that_were_not_chosen_are_no_mistake() -> None:
    configure(Environment({**GOOD, "BITLOOT_R2_BUCKET": "keys"}))


TURNSTILE = {
    "BITLOOT_CAPTCHA": "turnstile",
    "BITLOOT_TURNSTILE_SECRET": "0x4AAAAAAAq7sTz4RwEb8LpYc3HnJd6GfUa",
    "BITLOOT_TURNSTILE_SITE_KEY": "0x4AAAAAAADnPIDROrmt1Wwj",
    "BITLOOT_TURNSTILE_HOSTNAMES": "shop.example, www.shop.example",
}


def test_there_is_no_captcha_unless_one_is_chosen_and_its_secret_is_never_shown() -> None:
    assert configure(Environment(GOOD)).plugins.captcha is None
    assert configure(Environment({**GOOD, "BITLOOT_CAPTCHA": "none"})).plugins.captcha is None
    chosen = configure(Environment({**PRODUCTION, **TURNSTILE}))
    assert chosen.plugins.captcha is not None
    assert chosen.plugins.captcha.plugin.name == "turnstile"
    assert shown(chosen)["BITLOOT_TURNSTILE_SECRET"] == "****"
    assert TURNSTILE["BITLOOT_TURNSTILE_SECRET"] in secret_values(chosen)
    # What is not chosen may be there all the same.
    configure(Environment({**GOOD, **TURNSTILE, "BITLOOT_CAPTCHA": "none"}))


def test_a_captcha_that_is_not_installed_or_not_configured_is_no_captcha_left_out() -> None:
    assert "turnstile" in "\n".join(faults({**GOOD, "BITLOOT_CAPTCHA": "recaptcha"}))
    assert "recaptcha" in "\n".join(faults({**GOOD, "BITLOOT_CAPTCHA": "recaptcha"}))
    assert faults({**GOOD, "BITLOOT_CAPTCHA": ""})
    found = "\n".join(faults({**GOOD, "BITLOOT_CAPTCHA": "turnstile"}))
    assert "BITLOOT_TURNSTILE_SECRET" in found
    assert "BITLOOT_TURNSTILE_SITE_KEY" in found


@pytest.mark.parametrize("name", ["SECRET", "SITE_KEY"])
def test_production_refuses_the_published_test_keys_of_the_captcha(name: str) -> None:
    key = {
        "SECRET": "1x0000000000000000000000000000000AA",
        "SITE_KEY": "1x00000000000000000000AA",
    }[name]
    found = faults({**PRODUCTION, **TURNSTILE, f"BITLOOT_TURNSTILE_{name}": key})
    assert any(f"BITLOOT_TURNSTILE_{name}" in fault and "test key" in fault for fault in found)


def test_an_unknown_plugin_is_named_with_those_that_are_installed() -> None:
    found = "\n".join(faults({**GOOD, "BITLOOT_GATEWAYS": "paypal"}))
    assert "'paypal'" in found
    assert "nowpayments" in found


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(GOOD["BITLOOT_SECRET_KEY"] + "\n")
    variables = {name: value for name, value in GOOD.items() if name != "BITLOOT_SECRET_KEY"}
    read = configure(Environment({**variables, "BITLOOT_SECRET_KEY_FILE": str(secret)}))
    assert read.settings.secret_key == GOOD["BITLOOT_SECRET_KEY"]


def test_a_secret_file_that_cannot_be_read_and_a_secret_given_twice_are_told(
    tmp_path: Path,
) -> None:
    missing = str(tmp_path / "nothing")
    assert "BITLOOT_SECRET_KEY_FILE" in "\n".join(
        faults({**GOOD, "BITLOOT_SECRET_KEY_FILE": missing})
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BITLOOT_SECRET_KEY", "change-me-change-me-change-me-change-me"),
        ("BITLOOT_SECRET_KEY", "a" * 40),
        ("BITLOOT_SECRET_KEY", "development-only-secret-key-0123456789"),
        ("BITLOOT_PUBLIC_URL", "http://shop.example"),
        ("BITLOOT_CORS_ORIGINS", "*"),
        ("BITLOOT_TRUSTED_PROXIES", "10.0.0.0/8, 0.0.0.0/0"),
        ("BITLOOT_TRUSTED_PROXIES", "::/0"),
        ("BITLOOT_LOCAL_KEKS", "k1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="),
        ("BITLOOT_LOCAL_KEKS", "k1:ZGV2ZWxvcG1lbnQtb25seS1rZXktMDEyMzQ1Njc4OTA="),
        ("BITLOOT_NOWPAYMENTS_BASE_URL", "https://api-sandbox.nowpayments.io/v1"),
        ("BITLOOT_NOWPAYMENTS_VENDOR_SANDBOX", "true"),
    ],
)
def test_production_refuses_example_secrets_and_open_doors(name: str, value: str) -> None:
    configure(Environment(PRODUCTION))
    assert faults({**PRODUCTION, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BITLOOT_LIMIT_LINK_LIFE", "16m"),
        ("BITLOOT_LIMIT_OTP_LIFE", "6m"),
        ("BITLOOT_LIMIT_CAPTCHA_ANSWER", "6s"),
        ("BITLOOT_LIMIT_PASSWORD_HASH_BYTES", "1000000"),
        ("BITLOOT_LIMIT_OTP_DIGITS", "5"),
        ("BITLOOT_LIMIT_REFRESH_GRACE", "15m"),
        ("BITLOOT_LIMIT_PAGE_MAX", "101"),
        ("BITLOOT_LIMIT_JOB_LEASE", "0"),
        ("BITLOOT_LIMIT_HTTP_TOTAL", "31s"),
        ("BITLOOT_LIMIT_SETTLE_WINDOW", "25h"),
        ("BITLOOT_LIMIT_GATEWAY_FEE", "1"),
        ("BITLOOT_LIMIT_GATEWAY_FEE", "NaN"),
        ("BITLOOT_LIMIT_GATEWAY_FEE", "Infinity"),
        ("BITLOOT_LIMIT_UNDERPAYMENT_TOLERANCE", "sNaN"),
        ("BITLOOT_LIMIT_JOB_LEASE", "soon"),
    ],
)
def test_a_limit_cannot_pass_its_cap_nor_the_times_that_it_must_stay_below(
    name: str, value: str
) -> None:
    assert faults({**GOOD, name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BITLOOT_CORS_ORIGINS", "null"),
        ("BITLOOT_CORS_ORIGINS", "https://*.example"),
        ("BITLOOT_CORS_ORIGINS", "https://app.example/"),
        ("BITLOOT_CORS_ORIGINS", "https://app.example, app.example"),
        ("BITLOOT_TRUSTED_PROXIES", "proxy.example"),
        ("BITLOOT_METRICS_FROM", "10.0.0.0/33"),
    ],
)
def test_whom_the_edge_believes_is_named_so_that_it_can_be_compared(name: str, value: str) -> None:
    (fault,) = faults({**GOOD, name: value})
    assert fault.startswith(name)


def test_networks_and_origins_are_taken_as_people_write_them() -> None:
    named = {
        "BITLOOT_CORS_ORIGINS": "https://app.example, http://localhost:5173, http://[::1]:3000",
        "BITLOOT_TRUSTED_PROXIES": "10.1.2.3/8, ::1",
    }
    settings = configure(Environment({**GOOD, **named})).settings
    assert len(signing(settings).edge.trusted_proxies) == 2


@pytest.mark.parametrize("name", ["BITLOOT_ADMIN_TOKEN", "BITLOOT_ADMIN_TOKEN_FILE"])
def test_a_setting_of_before_is_told_with_what_to_do_instead(name: str) -> None:
    value = "Pq8Wz2-Ls5Vn9Xc4Bm7Kj3Hf6Gd1Tr0Y"
    (fault,) = faults({**GOOD, name: value})
    assert fault.startswith(f"{name} is not a setting now")
    assert "bitloot admin create EMAIL --with-key NAME" in fault
    assert value not in fault


@pytest.mark.parametrize("margin", ["NaN", "-Infinity", "-0.1", "100"])
def test_a_margin_that_is_no_fraction_of_the_cost_is_named(margin: str) -> None:
    assert any("BITLOOT_MARGIN" in fault for fault in faults({**GOOD, "BITLOOT_MARGIN": margin}))


def test_limits_are_read_as_durations_numbers_and_fractions() -> None:
    limits = configure(
        Environment(
            {
                **GOOD,
                "BITLOOT_LIMIT_LINK_LIFE": "10m",
                "BITLOOT_LIMIT_UNDERPAYMENT_TOLERANCE": "0.02",
                "BITLOOT_LIMIT_SEARCH_DELAYS": "1s, 500ms",
            }
        )
    ).settings.limits
    assert limits.link_life == timedelta(minutes=10)
    assert limits.underpayment_tolerance == Decimal("0.02")
    assert limits.search_delays == (timedelta(seconds=1), timedelta(milliseconds=500))


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5h", 5400), ("2d", 172800), ("250ms", 0.25)]
)
def test_durations_carry_their_unit(text: str, seconds: float) -> None:
    assert convert(text, timedelta) == timedelta(seconds=seconds)


def test_what_is_shown_of_the_settings_holds_no_secret() -> None:
    text = "\n".join(f"{k}={v}" for k, v in shown(configure(Environment(GOOD))).items())
    for name, value in GOOD.items():
        if any(word in name for word in ("KEY", "SECRET", "TOKEN", "PEPPER", "KEKS", "_URL")):
            assert value not in text
    assert "BITLOOT_LIMIT_LINK_LIFE=900s" in text


def test_every_secret_in_force_is_told_to_the_redactor_of_logs() -> None:
    told = secret_values(configure(Environment(GOOD)))
    for name, value in GOOD.items():
        if name.endswith(("_KEY", "_TOKEN", "_SECRET", "_KEKS", "_PEPPER")):
            assert value in told, name
    assert "7LqkqQx6m8Jx0nJ1l8fZ1mZr5b0d1o2p3q4r5s6t7u8=" in told
    assert GOOD["BITLOOT_RESEND_FROM_ADDRESS"] not in told
