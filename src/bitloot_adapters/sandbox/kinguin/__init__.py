"""A wire-faithful, stateful stand-in for the Kinguin eCommerce API (ESA)."""

from bitloot_adapters.sandbox.kinguin.app import build_app
from bitloot_adapters.sandbox.kinguin.config import Delivery, KinguinSandboxConfig

__all__ = ["Delivery", "KinguinSandboxConfig", "build_app"]
