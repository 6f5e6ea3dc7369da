"""How the shop finds, configures and opens Resend."""

import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

import msgspec

from bitloot.ports.mailer import Mailer
from bitloot.ports.plugin import PluginContext
from bitloot_adapters.http import open_client
from bitloot_adapters.resend.client import NAME, Resend
from bitloot_adapters.resend.signature import signing_key

PRODUCTION_URL: Final = "https://api.resend.com"
# The edge in front of the API refuses requests without an agent, and those of bare libraries.
USER_AGENT: Final = "bitloot/1 (transactional mail)"
MAX_FROM: Final = 320
_ADDRESS: Final = r"[^\s@<>,;:()\"]+@[^\s@<>,;:()\".]+(\.[^\s@<>,;:()\".]+)+"
_SENDER: Final = re.compile(rf"{_ADDRESS}|(\"[^\"]*\" ?|[^<>@,;:\"]*)<{_ADDRESS}>")


class ResendSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`BITLOOT_RESEND_<FIELD>`.

    `from_address` is `Name <a@verified.example>`; its domain must be verified at Resend.
    `webhook_secret` starts with `whsec_`. `per_second` is the team's request limit as this
    process may use it; None takes the shop's limit `resend_per_second`.
    """

    api_key: str
    webhook_secret: str
    from_address: str
    base_url: str = PRODUCTION_URL
    per_second: int | None = None

    def __repr__(self) -> str:
        return f"ResendSettings(base_url={self.base_url!r})"


class ResendPlugin:
    """The entry point `resend` of `bitloot.mailers`."""

    name: str = NAME
    settings: type[msgspec.Struct] = ResendSettings
    secrets: frozenset[str] = frozenset({"api_key", "webhook_secret"})

    def faults(self, settings: msgspec.Struct, *, is_production: bool) -> list[str]:
        """An unsendable key, a secret that is no base64, an unusable sender or address."""
        assert isinstance(settings, ResendSettings)
        found: list[str] = []
        key = settings.api_key
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            found.append("BITLOOT_RESEND_API_KEY must be plain printable text without blanks")
        if signing_key(settings.webhook_secret) is None:
            found.append("BITLOOT_RESEND_WEBHOOK_SECRET must be base64 behind whsec_")
        if not _is_sender(settings.from_address):
            found.append("BITLOOT_RESEND_FROM_ADDRESS must be an address or Name <address>")
        if not settings.base_url.startswith(("https://", "http://")):
            found.append("BITLOOT_RESEND_BASE_URL must be an http(s) address")
        if is_production and not settings.base_url.startswith("https://"):
            found.append("BITLOOT_RESEND_BASE_URL must be https in production")
        if settings.per_second is not None and not 1 <= settings.per_second <= 100:
            found.append("BITLOOT_RESEND_PER_SECOND must be from 1 to 100")
        return found

    def open(
        self, settings: msgspec.Struct, context: PluginContext
    ) -> AbstractAsyncContextManager[Mailer]:
        """A client until the block is left."""
        assert isinstance(settings, ResendSettings)
        return _open(settings, context)


def _is_sender(text: str) -> bool:
    """One address, alone or in angle brackets behind a name: the provider refuses every mail from
    anything else, one by one.
    """
    return len(text) <= MAX_FROM and text.isprintable() and _SENDER.fullmatch(text) is not None


@contextlib.asynccontextmanager
async def _open(settings: ResendSettings, context: PluginContext) -> AsyncIterator[Mailer]:
    async with open_client(
        settings.base_url,
        limits=context.limits,
        in_transaction=context.in_transaction,
        headers={
            "authorization": f"Bearer {settings.api_key}",
            "user-agent": USER_AGENT,
            "accept": "application/json",
        },
    ) as http:
        yield Resend(
            http,
            webhook_secret=settings.webhook_secret,
            from_address=settings.from_address,
            limits=context.limits,
            per_second=settings.per_second,
        )


plugin: Final = ResendPlugin()
