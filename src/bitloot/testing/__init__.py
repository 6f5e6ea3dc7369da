"""Contract suites for the authors of adapters, and what tests of the core are built from.

One suite a port, each a class. A test module subclasses one and gives it a fixture `rig`: the
adapter under test with the levers that the suite pulls. `docs/adapters.md` walks through it.

    from bitloot.testing import GatewayRig, PaymentGatewayContract

    class TestMyGateway(PaymentGatewayContract):
        @pytest.fixture
        async def rig(self) -> AsyncIterator[GatewayRig]:
            async with my_rig() as rig:
                yield rig

A lever that a provider really does not have is declared, with its reason, in `lacks`; the tests
that need it are then left out of that subclass; a lever that no test needs cannot be declared.

Suites taken from here fail with pytest's readable assertions. They need the extra
`bitloot[testing]`; nothing of it is loaded before a suite is asked for, so that clocks and seeds
can be had without pytest.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bitloot.testing.assortment import AssortmentContract, AssortmentRig
    from bitloot.testing.breakers import BreakersContract
    from bitloot.testing.cache import CacheContract
    from bitloot.testing.captcha import CaptchaContract, CaptchaRig
    from bitloot.testing.catalog_views import CatalogViewsContract
    from bitloot.testing.clock import ClockContract
    from bitloot.testing.contract import Contract, LeverMissing, needs
    from bitloot.testing.desk_views import DeskViewsContract
    from bitloot.testing.jobs import JobsContract
    from bitloot.testing.key_vault import KeyVaultContract
    from bitloot.testing.local_rigs import (
        BreakersRig,
        CacheRig,
        ClockRig,
        OtpStoreRig,
        RateLimiterRig,
        RealtimeRig,
    )
    from bitloot.testing.mailer import MailerContract
    from bitloot.testing.otp_store import OtpStoreContract
    from bitloot.testing.password_hasher import PasswordHasherContract, PasswordHasherRig
    from bitloot.testing.payment_gateway import PaymentGatewayContract
    from bitloot.testing.plugin_rig import plugin_context
    from bitloot.testing.provider_rigs import (
        Delivery,
        GatewayRig,
        MailerRig,
        SupplierRig,
        VaultRig,
    )
    from bitloot.testing.rate_limiter import RateLimiterContract
    from bitloot.testing.realtime import RealtimeContract
    from bitloot.testing.seeded import SeededBytes, SeededIds
    from bitloot.testing.store_rig import StoreRig
    from bitloot.testing.supplier import SupplierContract
    from bitloot.testing.unit_of_work import UnitOfWorkContract
    from bitloot.testing.view_rig import ViewsRig
    from bitloot.testing.views import OrderViewsContract
    from bitloot.testing.virtual_time import VirtualClock

__all__ = [
    "AssortmentContract",
    "AssortmentRig",
    "BreakersContract",
    "BreakersRig",
    "CacheContract",
    "CacheRig",
    "CaptchaContract",
    "CaptchaRig",
    "CatalogViewsContract",
    "ClockContract",
    "ClockRig",
    "Contract",
    "Delivery",
    "DeskViewsContract",
    "GatewayRig",
    "JobsContract",
    "KeyVaultContract",
    "LeverMissing",
    "MailerContract",
    "MailerRig",
    "OrderViewsContract",
    "OtpStoreContract",
    "OtpStoreRig",
    "PasswordHasherContract",
    "PasswordHasherRig",
    "PaymentGatewayContract",
    "RateLimiterContract",
    "RateLimiterRig",
    "RealtimeContract",
    "RealtimeRig",
    "SeededBytes",
    "SeededIds",
    "StoreRig",
    "SupplierContract",
    "SupplierRig",
    "UnitOfWorkContract",
    "VaultRig",
    "ViewsRig",
    "VirtualClock",
    "needs",
    "plugin_context",
]

_SUITES: Final = {
    "AssortmentContract": "assortment",
    "AssortmentRig": "assortment",
    "BreakersContract": "breakers",
    "CacheContract": "cache",
    "CaptchaContract": "captcha",
    "CaptchaRig": "captcha",
    "CatalogViewsContract": "catalog_views",
    "ClockContract": "clock",
    "DeskViewsContract": "desk_views",
    "JobsContract": "jobs",
    "KeyVaultContract": "key_vault",
    "MailerContract": "mailer",
    "OrderViewsContract": "views",
    "OtpStoreContract": "otp_store",
    "PasswordHasherContract": "password_hasher",
    "PasswordHasherRig": "password_hasher",
    "PaymentGatewayContract": "payment_gateway",
    "RateLimiterContract": "rate_limiter",
    "RealtimeContract": "realtime",
    "SupplierContract": "supplier",
    "UnitOfWorkContract": "unit_of_work",
}
_OTHERS: Final = {
    **dict.fromkeys(("Contract", "LeverMissing", "needs"), "contract"),
    **dict.fromkeys(
        ("BreakersRig", "CacheRig", "ClockRig", "OtpStoreRig", "RateLimiterRig", "RealtimeRig"),
        "local_rigs",
    ),
    **dict.fromkeys(
        ("Delivery", "GatewayRig", "MailerRig", "SupplierRig", "VaultRig"), "provider_rigs"
    ),
    **dict.fromkeys(("SeededBytes", "SeededIds"), "seeded"),
    "StoreRig": "store_rig",
    "ViewsRig": "view_rig",
    "VirtualClock": "virtual_time",
    "plugin_context": "plugin_rig",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """Each name from its module, when it is first asked for (PEP 562)."""
        if name in _SUITES:
            return _suite(name, f"{__name__}.{_SUITES[name]}")
        if name in _OTHERS:
            return getattr(importlib.import_module(f"{__name__}.{_OTHERS[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _suite(name: str, module: str) -> object:
    if module not in sys.modules:
        import pytest

        # Its assertions are the message: rewriting has to be asked for before the import.
        pytest.register_assert_rewrite(module)
    return getattr(importlib.import_module(module), name)
