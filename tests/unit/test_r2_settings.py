"""What the settings of the object store may be, told before anything opens."""

import base64
import secrets

import msgspec
import pytest

from bitloot_adapters.r2.plugin import R2Settings, plugin

GOOD = R2Settings(
    endpoint="https://shop.r2.test",
    bucket="keys",
    access_key="test",
    secret_key="test",
    keks=f"one:{base64.b64encode(secrets.token_bytes(32)).decode()}",
    pepper="a pepper that is long enough for it",
)


def test_a_good_bucket_has_no_faults() -> None:
    assert plugin.faults(GOOD, is_production=True) == []


@pytest.mark.parametrize(
    ("endpoint", "part"),
    [
        ("shop.r2.test", "http(s)"),
        ("https://shop.r2.test/bucket", "no path"),
        ("https://shop.r2.test/?x=1", "no path"),
        ("http://shop.r2.test", "https in production"),
        ("ftp://shop.r2.test", "http(s)"),
        ("https://", "http(s)"),
        ("https://me:pass@shop.r2.test", "http(s)"),
        ("https://shop.r2.test:99999", "http(s)"),
        ("https://shop.r2.test:port", "http(s)"),
        ("https://[::1", "http(s)"),
        ("https://shop r2.test", "http(s)"),
        (" https://shop.r2.test", "http(s)"),
        ("https://shop.r2.test\n", "http(s)"),
        ("https://shop.r2.test#keys", "no path"),
    ],
)
def test_an_endpoint_that_cannot_be_used_is_told(endpoint: str, part: str) -> None:
    settings = msgspec.structs.replace(GOOD, endpoint=endpoint)
    (fault,) = plugin.faults(settings, is_production=True)
    assert "BITLOOT_R2_ENDPOINT" in fault
    assert part in fault


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("bucket", ""),
        ("bucket", "ab"),
        ("bucket", "Keys"),
        ("bucket", "keys/one"),
        ("bucket", "keys..one"),
        ("bucket", "10.0.0.1"),
        ("bucket", "b\u00fccher"),
        ("access_key", ""),
        ("access_key", "AK \n"),
        ("secret_key", ""),
        ("secret_key", "\u00e9"),
        ("region", "au to"),
    ],
)
def test_what_no_request_could_be_made_with_is_told_at_the_start(field: str, value: str) -> None:
    settings = msgspec.structs.replace(GOOD, **{field: value})
    (fault,) = plugin.faults(settings, is_production=False)
    assert f"BITLOOT_R2_{field.upper()}" in fault


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://0123456789abcdef.r2.cloudflarestorage.com",
        "https://0123456789abcdef.eu.r2.cloudflarestorage.com/",
        "https://store:9000",
        "https://[::1]:9000",
    ],
)
def test_the_forms_of_an_endpoint_have_no_faults(endpoint: str) -> None:
    settings = msgspec.structs.replace(GOOD, endpoint=endpoint)
    assert plugin.faults(settings, is_production=False) == []
