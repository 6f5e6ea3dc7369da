"""Everything that one running stand-in holds, handed to every handler."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final

import msgspec

from bitloot_adapters.sandbox.nowpayments.clock import VirtualClock
from bitloot_adapters.sandbox.nowpayments.config import NowPaymentsSandboxConfig
from bitloot_adapters.sandbox.nowpayments.errors import invalid_api_key, invalid_params
from bitloot_adapters.sandbox.nowpayments.rates import RateBook
from bitloot_adapters.sandbox.nowpayments.store import Store

_IDS_PER_SECOND: Final = 40


@dataclass(slots=True)
class World:
    """One merchant account's server: configuration, time, memory and prices."""

    config: NowPaymentsSandboxConfig
    clock: VirtualClock
    store: Store
    rates: RateBook
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    runner_active: bool = False
    started_with: NowPaymentsSandboxConfig = field(init=False)
    started_at: int = field(init=False)

    def __post_init__(self) -> None:
        self.started_with = self.config
        self.started_at = int(self.clock.now().timestamp())

    @classmethod
    def open(cls, config: NowPaymentsSandboxConfig, base: Callable[[], datetime]) -> "World":
        """Start, or go on from what `state_dir` holds."""
        store = Store(config.state_dir)
        world = cls(config=config, clock=VirtualClock(base), store=store, rates=RateBook())
        world.configure({})
        offset = store.recall("clock", dict[str, str])
        if offset is not None:
            world.clock.offset = timedelta(seconds=float(offset["offset"]))
        world.rates.overrides = {
            name: Decimal(rate)
            for name, rate in (store.recall("rates", dict[str, str]) or {}).items()
        }
        world.rates.switches = store.recall("coins", dict[str, bool]) or {}
        return world

    def configure(self, changes: Mapping[str, object]) -> None:
        """Change settings now and for the restarts that follow.

        Raises:
            ApiError: 400 naming the setting that does not exist or does not fit.

        """
        kept = self.store.recall("config", dict[str, str]) or {}
        merged = json.loads(kept.get("json", "{}")) | dict(changes)
        if "state_dir" in merged:
            raise invalid_params("state_dir cannot be changed while the server runs")
        values = msgspec.to_builtins(self.config) | merged
        try:
            self.config = msgspec.convert(values, NowPaymentsSandboxConfig)
        except msgspec.ValidationError as error:
            raise invalid_params(str(error)) from None
        if changes:
            self.store.remember("config", {"json": json.dumps(merged)})

    def reset(self) -> None:
        """Forget everything but the sequence of ids and how far time was moved."""
        self.store.clear()
        self.rates.overrides.clear()
        self.rates.switches.clear()
        self.config = self.started_with
        self.advance_to(self.clock.now())

    def new_id(self) -> int:
        """An eleven-digit number that also a server started anew does not repeat."""
        return self.store.next_id("public", _IDS_PER_SECOND * self.started_at)

    def new_record_id(self) -> int:
        """The number of a move or a delivery: never on the wire."""
        return self.store.next_id("record", 1)

    def owner_of(self, api_key: str | None) -> str:
        """The digest under which this key's payments are kept.

        Raises:
            ApiError: 403 for a key that is missing or unknown.

        """
        for known in self.config.api_keys:
            if api_key is not None and hmac.compare_digest(known.encode(), api_key.encode()):
                return hashlib.sha256(known.encode()).hexdigest()[:16]
        raise invalid_api_key()

    def advance_to(self, instant: datetime) -> None:
        self.clock.reach(instant)
        seconds = self.clock.offset.total_seconds()
        self.store.remember("clock", {"offset": str(seconds)})

    def remember_rates(self) -> None:
        rates = {name: str(rate) for name, rate in self.rates.overrides.items()}
        self.store.remember("rates", rates)
        self.store.remember("coins", self.rates.switches)
