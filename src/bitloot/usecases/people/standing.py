"""How sessions and keys stand, asked of the store at most once in a short while.

What is revoked, suspended or deleted goes on being believed for `limits.session_cache` at most.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Generic, TypeVar

from bitloot.domain.limits import Limits
from bitloot.ports.clock import Clock
from bitloot.ports.views.people import ApiKeyState, PeopleViews, SessionState

T = TypeVar("T")


class Standing:
    """One for each process. Raises StoreUnavailable for what is not remembered."""

    def __init__(self, people: PeopleViews, clock: Clock, limits: Limits) -> None:
        self._sessions = _Remembered(people.session_state, clock, limits)
        self._keys = _Remembered(people.api_key_state, clock, limits)

    async def session(self, session_id: str) -> SessionState | None:
        """The session that an access token names; None for one that never was."""
        return await self._sessions.get(session_id)

    async def key(self, digest: str) -> ApiKeyState | None:
        """The key with this digest."""
        return await self._keys.get(digest)

    def forget(self, session_id: str) -> None:
        """Ask anew next time: the session was ended by this process."""
        self._sessions.forget(session_id)

    def forget_key(self, digest: str) -> None:
        """Ask anew next time: the key's use was noted by this process."""
        self._keys.forget(digest)


class _Remembered(Generic[T]):
    def __init__(
        self, ask: Callable[[str], Awaitable[T | None]], clock: Clock, limits: Limits
    ) -> None:
        self._ask = ask
        self._clock = clock
        self._life = limits.session_cache
        self._most = limits.cache_entries
        self._known: OrderedDict[str, tuple[datetime, T | None]] = OrderedDict()

    async def get(self, name: str) -> T | None:
        at = self._clock()
        known = self._known.get(name)
        if known is not None and known[0] <= at < known[0] + self._life:
            return known[1]
        found = await self._ask(name)
        self._known[name] = (at, found)
        self._known.move_to_end(name)
        if len(self._known) > self._most:
            self._known.popitem(last=False)
        return found

    def forget(self, name: str) -> None:
        self._known.pop(name, None)
