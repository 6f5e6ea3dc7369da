"""How the shop finds, configures and opens Kinguin."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final
from urllib.parse import urlsplit

import msgspec

from bitloot.ports.plugin import PluginContext
from bitloot.ports.supplier import Supplier
from bitloot_adapters.http import open_client
from bitloot_adapters.kinguin.catalogue import KeyType
from bitloot_adapters.kinguin.client import NAME, Kinguin

PRODUCTION_URL: Final = "https://gateway.kinguin.net/esa/api"
SANDBOX_HOST: Final = "gateway.sandbox.kinguin.net"


class KinguinSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`BITLOOT_KINGUIN_<FIELD>`.

    `base_url` includes `/esa/api`. With `key_type` `text` only text keys are bought, with `any`
    also images. `preorders` lets the shop sell what is not released yet. `webhook_secret` is what
    the dashboard sends in `X-Event-Secret`.
    """

    api_key: str
    webhook_secret: str
    base_url: str = PRODUCTION_URL
    key_type: KeyType = "text"
    preorders: bool = False

    def __repr__(self) -> str:
        return f"KinguinSettings(base_url={self.base_url!r})"


class KinguinPlugin:
    """The entry point `kinguin` of `bitloot.suppliers`."""

    name: str = NAME
    settings: type[msgspec.Struct] = KinguinSettings
    secrets: frozenset[str] = frozenset({"api_key", "webhook_secret"})

    def faults(self, settings: msgspec.Struct, *, is_production: bool) -> list[str]:
        """Empty or unsendable secrets, an unusable address, the vendor's sandbox in production."""
        assert isinstance(settings, KinguinSettings)
        found = [
            f"BITLOOT_KINGUIN_{name} must be plain printable text without blanks"
            for name, value in (
                ("API_KEY", settings.api_key),
                ("WEBHOOK_SECRET", settings.webhook_secret),
            )
            if not value or not value.isascii() or not value.isprintable() or " " in value
        ]
        if not settings.base_url.startswith(("https://", "http://")):
            found.append("BITLOOT_KINGUIN_BASE_URL must be an http(s) address")
        if is_production and not settings.base_url.startswith("https://"):
            found.append("BITLOOT_KINGUIN_BASE_URL must be https in production")
        if is_production and urlsplit(settings.base_url).hostname == SANDBOX_HOST:
            found.append("the Kinguin sandbox cannot be used in production")
        return found

    def open(
        self, settings: msgspec.Struct, context: PluginContext
    ) -> AbstractAsyncContextManager[Supplier]:
        """A client until the block is left."""
        assert isinstance(settings, KinguinSettings)
        return _open(settings, context)


@contextlib.asynccontextmanager
async def _open(settings: KinguinSettings, context: PluginContext) -> AsyncIterator[Supplier]:
    async with open_client(
        settings.base_url,
        limits=context.limits,
        in_transaction=context.in_transaction,
        headers={"x-api-key": settings.api_key, "accept": "application/json"},
    ) as http:
        yield Kinguin(
            http,
            webhook_secret=settings.webhook_secret,
            limits=context.limits,
            key_type=settings.key_type,
            preorders=settings.preorders,
        )


plugin: Final = KinguinPlugin()
