"""No captcha, and one whose tokens are handed out on request."""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

import msgspec

from bitloot.ports.clock import Clock, RandomBytes
from bitloot_adapters.memory.faults import Faults, never_in_transaction

TOKEN_LIFE: Final = timedelta(minutes=5)


class CaptchaOff:
    """The adapter of a shop without a captcha: everybody is taken for a person."""

    name: str = "none"
    site_key: str | None = None

    async def passes(
        self, token: str | None, *, action: str, remote_ip: str, mark: str | None = None
    ) -> bool:
        """Always."""
        del token, action, remote_ip, mark
        return True

    async def check(self) -> None:
        """There is nothing to reach."""


class _Token(msgspec.Struct):
    action: str
    ends_at: datetime
    passed_as: str | None = None


class MemoryCaptcha(Faults):
    """Tokens in a dictionary; the levers are those of every provider in memory."""

    name: str = "memory"
    site_key: str | None = "memory-site-key"

    def __init__(
        self,
        *,
        clock: Clock,
        random_bytes: RandomBytes,
        in_transaction: Callable[[], bool] = never_in_transaction,
    ) -> None:
        super().__init__(self.name, in_transaction=in_transaction)
        self._clock = clock
        self._random_bytes = random_bytes
        self._tokens: dict[str, _Token] = {}

    def solve(self, action: str) -> str:
        """The token of somebody who solved the captcha of a page."""
        token = self._random_bytes(16).hex()
        self._tokens[token] = _Token(action, self._clock() + TOKEN_LIFE)
        return token

    async def passes(
        self, token: str | None, *, action: str, remote_ip: str, mark: str | None = None
    ) -> bool:
        """Once, within five minutes, for its own action."""
        del remote_ip
        if not token:
            return False
        self.arrive()
        known = self._tokens.get(token)
        if known is None or known.action != action:
            return False
        if known.passed_as is not None:
            return mark is not None and known.passed_as == mark
        if self._clock() > known.ends_at:
            return False
        known.passed_as = mark or ""
        return True

    async def check(self) -> None:
        """Whether the provider answers and knows the credentials."""
        self.arrive()
