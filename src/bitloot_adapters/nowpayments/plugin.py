"""How the shop finds, configures and opens NOWPayments."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final

import msgspec

from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.ports.plugin import PluginContext
from bitloot_adapters.http import open_client
from bitloot_adapters.nowpayments.client import NAME, NowPayments

PRODUCTION_URL: Final = "https://api.nowpayments.io/v1"
IPN_SECRET_MIN: Final = 16
SANDBOX_HOST: Final = "api-sandbox.nowpayments.io"


class NowPaymentsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`BITLOOT_NOWPAYMENTS_<FIELD>`.

    `base_url` includes `/v1`. `callback_url` is where the gateway reaches the shop's webhooks when
    that is not under its public address. `vendor_sandbox` names the vendor's own test environment,
    whose finished payments report that nothing was paid. `outcome_currency` is the ticker of the
    wallet that the account is paid out to, for accounts with several: the least amount of a payment
    depends on it. `previous_api_keys`, apart by commas, are those of before `api_key`: the gateway
    shows a payment to the key alone that made it, so each is kept until its payments have ended.
    `email` and `password` let the shop list
    the payments of a hosted page; without them a lost callback of one is found by hand only.
    """

    api_key: str
    ipn_secret: str
    base_url: str = PRODUCTION_URL
    callback_url: str = ""
    vendor_sandbox: bool = False
    fixed_rate: bool = False
    fee_paid_by_user: bool = False
    outcome_currency: str = ""
    previous_api_keys: str = ""
    email: str = ""
    password: str = ""

    def __repr__(self) -> str:
        return f"NowPaymentsSettings(base_url={self.base_url!r})"


class NowPaymentsPlugin:
    """The entry point `nowpayments` of `bitloot.payment_gateways`."""

    name: str = NAME
    settings: type[msgspec.Struct] = NowPaymentsSettings
    secrets: frozenset[str] = frozenset({"api_key", "previous_api_keys", "ipn_secret", "password"})

    def faults(self, settings: msgspec.Struct, *, is_production: bool) -> list[str]:
        """Keys or an address that cannot be used, half a login, the sandbox in production."""
        assert isinstance(settings, NowPaymentsSettings)
        found: list[str] = []
        if not settings.base_url.startswith(("https://", "http://")):
            found.append("BITLOOT_NOWPAYMENTS_BASE_URL must be an http(s) address")
        if is_production and not settings.base_url.startswith("https://"):
            found.append("BITLOOT_NOWPAYMENTS_BASE_URL must be https in production")
        if settings.callback_url and not settings.callback_url.startswith(("https://", "http://")):
            found.append("BITLOOT_NOWPAYMENTS_CALLBACK_URL must be an http(s) address")
        if not settings.api_key.strip() or len(settings.ipn_secret.strip()) < IPN_SECRET_MIN:
            found.append(
                "BITLOOT_NOWPAYMENTS_API_KEY is empty or BITLOOT_NOWPAYMENTS_IPN_SECRET is "
                f"shorter than {IPN_SECRET_MIN} characters"
            )
        found += [
            f"BITLOOT_NOWPAYMENTS_{name} must be plain printable text without blanks"
            for name, keys in (
                ("API_KEY", (settings.api_key,)),
                ("PREVIOUS_API_KEYS", _keys(settings.previous_api_keys)),
            )
            if not all(map(_can_be_sent, keys))
        ]
        if bool(settings.email) != bool(settings.password):
            found.append("BITLOOT_NOWPAYMENTS_EMAIL and BITLOOT_NOWPAYMENTS_PASSWORD go together")
        if is_production and (settings.vendor_sandbox or SANDBOX_HOST in settings.base_url):
            found.append("the NOWPayments sandbox cannot be used in production")
        return found

    def open(
        self, settings: msgspec.Struct, context: PluginContext
    ) -> AbstractAsyncContextManager[PaymentGateway]:
        """A client until the block is left."""
        assert isinstance(settings, NowPaymentsSettings)
        return _open(settings, context)


def _can_be_sent(key: str) -> bool:
    """Whether it may stand in a header: one that may not would make every call fail."""
    return key.isascii() and key.isprintable() and " " not in key


def _keys(listed: str) -> tuple[str, ...]:
    return tuple(key for each in listed.split(",") if (key := each.strip()))


@contextlib.asynccontextmanager
async def _open(
    settings: NowPaymentsSettings, context: PluginContext
) -> AsyncIterator[PaymentGateway]:
    async with open_client(
        settings.base_url,
        limits=context.limits,
        in_transaction=context.in_transaction,
        headers={"x-api-key": settings.api_key, "accept": "application/json"},
    ) as http:
        yield NowPayments(
            http,
            ipn_secret=settings.ipn_secret,
            callback_url=settings.callback_url or f"{context.public_url}/v1/webhooks/{NAME}",
            limits=context.limits,
            boot_clock=context.boot_clock,
            is_fixed_rate=settings.fixed_rate,
            is_fee_paid_by_user=settings.fee_paid_by_user,
            outcome_currency=settings.outcome_currency,
            previous_api_keys=_keys(settings.previous_api_keys),
            is_vendor_sandbox=settings.vendor_sandbox,
            email=settings.email,
            password=settings.password,
        )


plugin: Final = NowPaymentsPlugin()
