"""The providers' stand-ins, as servers of their own."""

from typing import Final

import msgspec
from litestar import Litestar

from bitloot_adapters.sandbox.kinguin import app as kinguin
from bitloot_adapters.sandbox.kinguin.config import KinguinSandboxConfig
from bitloot_adapters.sandbox.nowpayments import app as nowpayments
from bitloot_adapters.sandbox.nowpayments.config import NowPaymentsSandboxConfig
from bitloot_adapters.sandbox.resend import app as resend
from bitloot_adapters.sandbox.resend.config import ResendSandboxConfig
from bitloot_adapters.sandbox.turnstile import app as turnstile
from bitloot_adapters.sandbox.turnstile.config import TurnstileSandboxConfig

NAMES: Final = ("nowpayments", "kinguin", "resend", "turnstile")


class BadSandboxConfigError(ValueError):
    """The configuration of a sandbox cannot be used; the text says why."""


def sandbox_app(name: str, config: bytes) -> Litestar:
    """The stand-in of that name, told what the JSON object says.

    Raises BadSandboxConfigError for fields that the stand-in does not know or cannot use.
    """
    try:
        if name == "nowpayments":
            return nowpayments.build_app(msgspec.json.decode(config, type=NowPaymentsSandboxConfig))
        if name == "kinguin":
            return kinguin.build_app(msgspec.json.decode(config, type=KinguinSandboxConfig))
        if name == "turnstile":
            return turnstile.build_app(msgspec.json.decode(config, type=TurnstileSandboxConfig))
        return resend.build_app(msgspec.json.decode(config, type=ResendSandboxConfig))
    except (msgspec.DecodeError, ValueError) as error:
        raise BadSandboxConfigError(str(error)) from None
