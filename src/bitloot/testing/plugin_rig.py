"""What a plugin is handed by a shop, for the tests of a plugin."""

from collections.abc import Callable
from pathlib import Path

from bitloot.domain.limits import Limits
from bitloot.ports.plugin import PluginContext
from bitloot.testing.seeded import SeededBytes, SeededIds
from bitloot.testing.virtual_time import VirtualClock

PUBLIC_URL = "https://shop.example"
SEED = 7


def never() -> bool:
    """No transaction is open."""
    return False


def plugin_context(
    data_dir: Path,
    *,
    clock: VirtualClock | None = None,
    limits: Limits | None = None,
    in_transaction: Callable[[], bool] = never,
    is_production: bool = False,
) -> PluginContext:
    """A shop at `https://shop.example` whose clock stands still and whose randomness is seeded.

    `data_dir` is where the plugin may keep files, such as pytest's `tmp_path`.
    """
    time = clock or VirtualClock()
    return PluginContext(
        limits=limits or Limits(),
        clock=time.now,
        boot_clock=time.boot,
        new_id=SeededIds(time.now, SEED),
        random_bytes=SeededBytes(SEED),
        public_url=PUBLIC_URL,
        data_dir=data_dir,
        is_production=is_production,
        in_transaction=in_transaction,
    )
