"""The providers' plugins: found by their entry points, opened from their settings, over sockets."""

import os
import socket
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import entry_points
from pathlib import Path

import msgspec
import pytest

from bitloot.domain.limits import Limits
from bitloot.ports.errors import Rejected, Unavailable
from bitloot.ports.mailer import Message
from bitloot.ports.payment_gateway import NewPayment
from bitloot.ports.plugin import (
    CAPTCHAS,
    GATEWAYS,
    KEY_VAULTS,
    MAILERS,
    SUPPLIERS,
    Plugin,
    PluginContext,
)
from bitloot_adapters.kinguin.plugin import KinguinSettings
from bitloot_adapters.kinguin.plugin import plugin as kinguin
from bitloot_adapters.local.inbox_mailer import InboxSettings
from bitloot_adapters.local.inbox_mailer import plugin as inbox
from bitloot_adapters.nowpayments.plugin import NowPaymentsSettings
from bitloot_adapters.nowpayments.plugin import plugin as nowpayments
from bitloot_adapters.resend.plugin import ResendSettings
from bitloot_adapters.resend.plugin import plugin as resend
from bitloot_adapters.sandbox.kinguin import KinguinSandboxConfig
from bitloot_adapters.sandbox.kinguin import build_app as kinguin_sandbox
from bitloot_adapters.sandbox.loopback import served
from bitloot_adapters.sandbox.nowpayments.app import build_app as nowpayments_sandbox
from bitloot_adapters.sandbox.nowpayments.config import NowPaymentsSandboxConfig
from bitloot_adapters.sandbox.resend.app import build_app as resend_sandbox
from bitloot_adapters.sandbox.resend.config import DEFAULT_API_KEY, ResendSandboxConfig
from bitloot_adapters.sandbox.turnstile.app import build_app as turnstile_sandbox
from bitloot_adapters.sandbox.turnstile.config import SITE_KEY, SITE_OWNER, TurnstileSandboxConfig
from bitloot_adapters.turnstile.plugin import TurnstileSettings
from bitloot_adapters.turnstile.plugin import plugin as turnstile
from bitloot_web.plugins import Chosen

MAIL = Message(to="a@mail.example", subject="Hello", html="<p>x</p>", text="x", kind="test")

NO_CHANGES: Mapping[str, object] = {}


@pytest.fixture
def context(tmp_path: Path) -> PluginContext:
    return PluginContext(
        limits=Limits(),
        clock=lambda: datetime.now(UTC),
        boot_clock=time.monotonic,
        new_id=lambda: "01890000-0000-7000-8000-000000000001",
        random_bytes=os.urandom,
        public_url="https://shop.example",
        data_dir=tmp_path,
        is_production=False,
        in_transaction=lambda: False,
    )


@pytest.mark.parametrize("group", [GATEWAYS, SUPPLIERS, KEY_VAULTS, MAILERS, CAPTCHAS])
def test_no_secret_of_any_plugin_shows_in_a_repr(group: str) -> None:
    for each in entry_points(group=group):
        plugin: Plugin[object] = each.load()
        told = {
            field.encode_name: "hidden-text" if field.name in plugin.secrets else "shown-text"
            for field in msgspec.structs.fields(plugin.settings)
            if field.name in plugin.secrets or field.required
        }
        settings = msgspec.convert(told, plugin.settings)
        assert "hidden-text" in str(msgspec.to_builtins(settings)) or not plugin.secrets
        assert "hidden-text" not in repr(settings), plugin.name
        assert plugin.name in repr(Chosen(plugin, settings))
        assert "hidden-text" not in repr(Chosen(plugin, settings))


@pytest.mark.parametrize(
    ("group", "name"),
    [
        (GATEWAYS, "nowpayments"),
        (SUPPLIERS, "kinguin"),
        (MAILERS, "resend"),
        (MAILERS, "inbox"),
        (CAPTCHAS, "turnstile"),
    ],
)
def test_a_plugin_is_found_behind_the_entry_point_of_its_name(group: str, name: str) -> None:
    (found,) = entry_points(group=group, name=name)
    assert found.load().name == name


async def test_kinguin_is_opened_from_its_settings(context: PluginContext) -> None:
    config = KinguinSandboxConfig(products=10)
    async with served(kinguin_sandbox(config)) as base:
        settings = KinguinSettings(
            api_key=config.api_keys[0], webhook_secret="s", base_url=f"{base}/esa/api"
        )
        async with kinguin.open(settings, context) as supplier:
            assert supplier.name == "kinguin"
            assert await supplier.balance() == config.balance


async def test_nowpayments_is_opened_from_its_settings(context: PluginContext) -> None:
    config = NowPaymentsSandboxConfig()
    async with served(nowpayments_sandbox(config)) as base:
        settings = NowPaymentsSettings(
            api_key=config.api_keys[0], ipn_secret="s", base_url=f"{base}/v1"
        )
        async with nowpayments.open(settings, context) as gateway:
            await gateway.check()
            assert not gateway.capabilities.reports_zero_paid


async def test_a_payment_of_a_key_of_before_is_still_shown(context: PluginContext) -> None:
    config = NowPaymentsSandboxConfig()
    before, now = config.api_keys
    async with served(nowpayments_sandbox(config)) as base:
        settings = NowPaymentsSettings(api_key=before, ipn_secret="s", base_url=f"{base}/v1")
        async with nowpayments.open(settings, context) as gateway:
            asked = NewPayment(order_number="BL7K2M9QXA", price=Decimal(25), asset="ltc")
            opened = await gateway.create_payment(asked)
        renewed = msgspec.structs.replace(settings, api_key=now)
        async with nowpayments.open(renewed, context) as gateway:
            with pytest.raises(Rejected, match="not_found"):
                await gateway.payment(opened.gateway_payment_id)
        known = msgspec.structs.replace(renewed, previous_api_keys=f"revoked-since, {before}")
        async with nowpayments.open(known, context) as gateway:
            report = await gateway.payment(opened.gateway_payment_id)
            assert report.order_number == "BL7K2M9QXA"
            quote = await gateway.refresh_quote(opened.gateway_payment_id)
            assert quote.pay_amount == opened.pay_amount
            with pytest.raises(Rejected, match="not_found"):
                await gateway.payment("1")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"api_key": "KEY "}, ["API_KEY"]),
        ({"api_key": "KEY\n"}, ["API_KEY"]),
        ({"api_key": "KÉY"}, ["API_KEY"]),
        ({"previous_api_keys": "OLD , older"}, []),
        ({"previous_api_keys": "OLD, old er"}, ["PREVIOUS_API_KEYS"]),
        ({"ipn_secret": f" {'s' * 16}\n"}, []),
    ],
)
def test_a_gateway_key_that_no_header_can_carry_is_named_at_the_start(
    changes: dict[str, object], named: list[str]
) -> None:
    good = NowPaymentsSettings(api_key="KEY", ipn_secret="s" * 16)
    found = nowpayments.faults(msgspec.structs.replace(good, **changes), is_production=True)
    assert [fault.split()[0] for fault in found] == [
        f"BITLOOT_NOWPAYMENTS_{each}" for each in named
    ]


async def test_resend_is_opened_from_its_settings(context: PluginContext) -> None:
    async with served(resend_sandbox(ResendSandboxConfig())) as base:
        settings = ResendSettings(
            api_key=DEFAULT_API_KEY,
            webhook_secret="whsec_c2VjcmV0",
            from_address="Shop <orders@shop.example>",
            base_url=base,
        )
        async with resend.open(settings, context) as mailer:
            await mailer.check()
            assert await mailer.send(MAIL, idempotency_key="test/1/1")


async def test_the_inbox_is_opened_below_the_data_folder(context: PluginContext) -> None:
    async with inbox.open(InboxSettings(), context) as mailer:
        await mailer.check()
        await mailer.send(MAIL, idempotency_key="test/1/1")
    assert len(list((context.data_dir / "inbox").glob("*.json"))) == 1


def test_faulty_settings_of_kinguin_are_told_one_by_one() -> None:
    good = KinguinSettings(api_key="k", webhook_secret="s")
    assert kinguin.faults(good, is_production=True) == []
    bad = KinguinSettings(api_key="", webhook_secret="a b", base_url="ftp://kinguin")
    assert len(kinguin.faults(bad, is_production=True)) == 4
    vendor = "https://gateway.sandbox.kinguin.net/esa/api"
    test_bench = KinguinSettings(api_key="k", webhook_secret="s", base_url=vendor)
    assert kinguin.faults(test_bench, is_production=False) == []
    assert len(kinguin.faults(test_bench, is_production=True)) == 1


def test_faulty_settings_of_nowpayments_are_told_one_by_one() -> None:
    good = NowPaymentsSettings(api_key="key", ipn_secret="secret-of-32-characters-at-least")
    assert nowpayments.faults(good, is_production=True) == []
    bad = msgspec.structs.replace(
        good, base_url="api.nowpayments.io", callback_url="shop.example/v1/webhooks", email="a@b.c"
    )
    assert [fault.split()[0] for fault in nowpayments.faults(bad, is_production=False)] == [
        "BITLOOT_NOWPAYMENTS_BASE_URL",
        "BITLOOT_NOWPAYMENTS_CALLBACK_URL",
        "BITLOOT_NOWPAYMENTS_EMAIL",
    ]


def test_an_inbox_that_keeps_nothing_is_a_fault() -> None:
    assert inbox.faults(InboxSettings(max_mails=0), is_production=False)
    assert inbox.faults(InboxSettings(), is_production=True) == []


async def test_turnstile_is_opened_from_its_settings(context: PluginContext) -> None:
    async with served(turnstile_sandbox(TurnstileSandboxConfig())) as base:
        settings = TurnstileSettings(
            secret=SITE_OWNER, site_key=SITE_KEY, hostnames=("Shop.Example",), base_url=base
        )
        assert turnstile.faults(settings, is_production=False) == []
        async with turnstile.open(settings, context) as captcha:
            assert (captcha.name, captcha.site_key) == ("turnstile", SITE_KEY)
            await captcha.check()
            assert not await captcha.passes("0.invented", action="order", remote_ip="192.0.2.7")


async def test_a_turnstile_that_does_not_answer_is_waited_for_4_seconds_at_most(
    context: PluginContext,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        base = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = TurnstileSettings(
            secret=SITE_OWNER, site_key=SITE_KEY, hostnames=("shop.example",), base_url=base
        )
        async with turnstile.open(settings, context) as captcha:
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await captcha.passes("0.token", action="order", remote_ip="192.0.2.7")
            assert 3 < time.monotonic() - began < 7.5


def turnstile_faults(
    changes: Mapping[str, object] = NO_CHANGES, *, is_production: bool = True
) -> list[str]:
    good = {"secret": "0x4AAAsecret", "site_key": "0x4AAAsite", "hostnames": ("shop.example",)}
    settings = msgspec.convert({**good, **changes}, TurnstileSettings)
    return turnstile.faults(settings, is_production=is_production)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"secret": ""}, "SECRET"),
        ({"secret": "a b"}, "SECRET"),
        ({"site_key": ""}, "SITE_KEY"),
        ({"hostnames": ()}, "HOSTNAMES"),
        ({"hostnames": ("shop.example:8000",)}, "HOSTNAMES"),
        ({"hostnames": ("https://shop.example",)}, "HOSTNAMES"),
        ({"hostnames": ("shop.example", "")}, "HOSTNAMES"),
        ({"base_url": "ftp://x"}, "BASE_URL"),
        ({"base_url": "http://challenges.cloudflare.com"}, "BASE_URL"),
    ],
)
def test_turnstile_settings_that_cannot_be_used_are_named(
    changes: dict[str, object], named: str
) -> None:
    assert turnstile_faults() == []
    found = turnstile_faults(changes)
    assert found
    assert all(f"BITLOOT_TURNSTILE_{named}" in fault for fault in found)


@pytest.mark.parametrize("secret", [f"{n}x0000000000000000000000000000000AA" for n in (1, 2, 3)])
@pytest.mark.parametrize(
    "site_key",
    [
        "1x00000000000000000000AA",
        "2x00000000000000000000AB",
        "1x00000000000000000000BB",
        "2x00000000000000000000BB",
        "3x00000000000000000000FF",
    ],
)
def test_test_keys_go_together_need_no_hosts_and_never_into_production(
    secret: str, site_key: str
) -> None:
    both = {"secret": secret, "site_key": site_key}
    assert turnstile_faults({**both, "hostnames": ()}, is_production=False) == []
    assert len(turnstile_faults(both)) == 2
    for name, key in both.items():
        assert turnstile_faults({name: key})
        assert turnstile_faults({name: key}, is_production=False)
