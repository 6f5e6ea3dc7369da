"""How a shop finds, configures and opens Tillgate."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

import msgspec

from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.ports.plugin import PluginContext
from bitloot_tillgate.client import Tillgate
from bitloot_tillgate.door import Door
from bitloot_tillgate.wire import NAME

SECRET_MIN: Final = 16


class TillgateSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`BITLOOT_TILLGATE_<FIELD>`. `seal_secret` is what Tillgate seals its callbacks with."""

    api_key: str
    seal_secret: str
    base_url: str = "https://api.tillgate.example/v2"


class TillgatePlugin:
    """The entry point `tillgate` of `bitloot.payment_gateways`."""

    name: str = NAME
    settings: type[msgspec.Struct] = TillgateSettings
    secrets: frozenset[str] = frozenset({"api_key", "seal_secret"})

    def faults(self, settings: msgspec.Struct, *, is_production: bool) -> list[str]:
        """An unusable address, or secrets that are none."""
        assert isinstance(settings, TillgateSettings)
        found: list[str] = []
        schemes = ("https://",) if is_production else ("https://", "http://")
        if not settings.base_url.startswith(schemes):
            found.append(f"BITLOOT_TILLGATE_BASE_URL must begin with {' or '.join(schemes)}")
        if not settings.api_key.strip():
            found.append("BITLOOT_TILLGATE_API_KEY is empty")
        if len(settings.seal_secret) < SECRET_MIN:
            found.append(f"BITLOOT_TILLGATE_SEAL_SECRET is shorter than {SECRET_MIN} characters")
        return found

    def open(
        self, settings: msgspec.Struct, context: PluginContext
    ) -> AbstractAsyncContextManager[PaymentGateway]:
        """A client until the block is left."""
        assert isinstance(settings, TillgateSettings)
        return _open(settings, context)


@contextlib.asynccontextmanager
async def _open(
    settings: TillgateSettings, context: PluginContext
) -> AsyncIterator[PaymentGateway]:
    door = Door(
        settings.base_url,
        settings.api_key,
        limits=context.limits,
        in_transaction=context.in_transaction,
    )
    callback_url = f"{context.public_url}/v1/webhooks/{NAME}"
    try:
        yield Tillgate(door, seal_secret=settings.seal_secret, callback_url=callback_url)
    finally:
        await door.close()


plugin: Final = TillgatePlugin()
