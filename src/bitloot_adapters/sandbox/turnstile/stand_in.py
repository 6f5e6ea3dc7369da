"""One stand-in: its tokens, its armed faults, and the calls that it got."""

from collections import deque
from collections.abc import Callable
from datetime import datetime
from typing import Final

from bitloot_adapters.sandbox.turnstile.config import TurnstileSandboxConfig
from bitloot_adapters.sandbox.turnstile.faults import Faults
from bitloot_adapters.sandbox.turnstile.tokens import Question, Tokens

CALLS_KEPT: Final = 1_000


class StandIn:
    """Everything that the routes need."""

    def __init__(
        self, config: TurnstileSandboxConfig, clock: Callable[[], datetime] | None = None
    ) -> None:
        self.tokens = Tokens(config, clock)
        self.faults = Faults()
        self.calls: deque[Question] = deque(maxlen=CALLS_KEPT)

    def reset(self) -> None:
        """Back to the state of a first start; the added time stays."""
        self.tokens.forget()
        self.faults.armed.clear()
        self.calls.clear()
