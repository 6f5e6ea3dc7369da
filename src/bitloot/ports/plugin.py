"""How an adapter is found, configured and opened: the same door for ours and for yours.

A plugin is an object behind an entry point of one of the groups. It names itself, declares a
settings struct (read from `BITLOOT_<NAME>_<FIELD>`, validated before anything opens), and opens an
adapter as an async context manager.
"""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from bitloot.domain.limits import Limits
from bitloot.ports.clock import BootClock, Clock, NewId, RandomBytes

GATEWAYS: Final = "bitloot.payment_gateways"
SUPPLIERS: Final = "bitloot.suppliers"
KEY_VAULTS: Final = "bitloot.key_vaults"
MAILERS: Final = "bitloot.mailers"
CAPTCHAS: Final = "bitloot.captchas"

Port_co = TypeVar("Port_co", covariant=True)


class PluginContext(msgspec.Struct, frozen=True, kw_only=True):
    """What the shop hands to every plugin. `public_url` is where webhooks reach us.

    `data_dir` is a private folder for plugins that keep files. `in_transaction` tells whether the
    calling task holds a database transaction open: network clients refuse to run then.
    """

    limits: Limits
    clock: Clock
    boot_clock: BootClock
    new_id: NewId
    random_bytes: RandomBytes
    public_url: str
    data_dir: Path
    is_production: bool
    in_transaction: Callable[[], bool]


class Plugin(Protocol, Generic[Port_co]):
    """`settings` is a frozen msgspec struct type; fields named in `secrets` may come from files."""

    @property
    def name(self) -> str: ...
    @property
    def settings(self) -> type[msgspec.Struct]: ...
    @property
    def secrets(self) -> frozenset[str]: ...

    def faults(self, settings: msgspec.Struct, *, is_production: bool) -> list[str]:
        """What is wrong with these settings beyond their types, one readable line each."""
        ...

    def open(
        self, settings: msgspec.Struct, context: PluginContext
    ) -> AbstractAsyncContextManager[Port_co]:
        """The adapter, until the block is left."""
        ...
