"""How the shop finds, configures and opens Turnstile."""

import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

import msgspec

from bitloot.ports.captcha import Captcha
from bitloot.ports.plugin import PluginContext
from bitloot_adapters.http import open_client
from bitloot_adapters.turnstile.client import NAME, TEST_SECRETS, TEST_SITE_KEYS, Turnstile

PRODUCTION_URL: Final = "https://challenges.cloudflare.com"
_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")
_HOSTNAME: Final = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")


class TurnstileSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`BITLOOT_TURNSTILE_<FIELD>`.

    `hostnames` are those of the pages that show the widget, without port. The action of a token
    must be that of the form: `order`, `code`, `sign-in` or `forgot`. The vendor's published test
    keys go together, need no `hostnames`, and are refused in production.
    """

    secret: str
    site_key: str
    hostnames: tuple[str, ...] = ()
    base_url: str = PRODUCTION_URL

    def __repr__(self) -> str:
        return f"TurnstileSettings(site_key={self.site_key!r})"


class TurnstilePlugin:
    """The entry point `turnstile` of `bitloot.captchas`."""

    name: str = NAME
    settings: type[msgspec.Struct] = TurnstileSettings
    secrets: frozenset[str] = frozenset({"secret"})

    def faults(self, settings: msgspec.Struct, *, is_production: bool) -> list[str]:
        """Unusable keys, hosts or addresses, and test keys where or how they cannot be used."""
        assert isinstance(settings, TurnstileSettings)
        found = [
            f"BITLOOT_TURNSTILE_{name} must be plain printable text without blanks"
            for name, key in (("SECRET", settings.secret), ("SITE_KEY", settings.site_key))
            if not _KEY.fullmatch(key)
        ]
        found += _hostname_faults(settings)
        found += _test_key_faults(settings, is_production=is_production)
        if not settings.base_url.startswith(("https://", "http://")):
            found.append("BITLOOT_TURNSTILE_BASE_URL must be an http(s) address")
        if is_production and not settings.base_url.startswith("https://"):
            found.append("BITLOOT_TURNSTILE_BASE_URL must be https in production")
        return found

    def open(
        self, settings: msgspec.Struct, context: PluginContext
    ) -> AbstractAsyncContextManager[Captcha]:
        """A client until the block is left."""
        assert isinstance(settings, TurnstileSettings)
        return _open(settings, context)


def _hostname_faults(settings: TurnstileSettings) -> list[str]:
    if not all(_HOSTNAME.fullmatch(host.lower()) for host in settings.hostnames):
        return ["BITLOOT_TURNSTILE_HOSTNAMES must be names such as shop.example, without port"]
    if not settings.hostnames and settings.secret not in TEST_SECRETS:
        return ["BITLOOT_TURNSTILE_HOSTNAMES must name the hosts of the pages with the widget"]
    return []


def _test_key_faults(settings: TurnstileSettings, *, is_production: bool) -> list[str]:
    tests = {
        "SECRET": settings.secret in TEST_SECRETS,
        "SITE_KEY": settings.site_key in TEST_SITE_KEYS,
    }
    if is_production:
        return [
            f"BITLOOT_TURNSTILE_{name} is a published test key; take one of your own"
            for name, is_test in tests.items()
            if is_test
        ]
    if len(set(tests.values())) > 1:
        return ["BITLOOT_TURNSTILE_SECRET and _SITE_KEY must both be test keys, or neither"]
    return []


@contextlib.asynccontextmanager
async def _open(settings: TurnstileSettings, context: PluginContext) -> AsyncIterator[Captcha]:
    limits = context.limits
    patient = msgspec.structs.replace(
        limits,
        http_read=min(limits.http_read, limits.captcha_answer),
        http_total=min(limits.http_total, limits.captcha_answer),
    )
    async with open_client(
        settings.base_url,
        limits=patient,
        in_transaction=context.in_transaction,
        headers={"accept": "application/json", "user-agent": "bitloot/1"},
    ) as http:
        yield Turnstile(
            http,
            secret=settings.secret,
            site_key=settings.site_key,
            hostnames=frozenset(host.lower() for host in settings.hostnames),
            limits=limits,
            new_id=context.new_id,
        )


plugin: Final = TurnstilePlugin()
