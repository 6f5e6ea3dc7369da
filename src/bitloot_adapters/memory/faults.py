"""What can be made to go wrong with a provider that lives in memory."""

from collections.abc import Callable

from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable


def never_in_transaction() -> bool:
    """For providers that are used without a store."""
    return False


class Faults:
    """The levers that all memory providers share. Every call begins with `arrive`."""

    def __init__(self, provider: str, *, in_transaction: Callable[[], bool]) -> None:
        self._provider = provider
        self._in_transaction = in_transaction
        self._down_for: float | None = None
        self._lost_replies = 0
        self._timeouts = 0
        self._limited = 0
        self._wait: Callable[[], None] | None = None
        self.is_down = False
        self.knows_credentials = True

    def answer_slowly(self, wait: Callable[[], None]) -> None:
        """From now on every call takes its time: `wait` lets it pass."""
        self._wait = wait

    def go_down(self, *, retry_after: float | None = None) -> None:
        """From now on every call is Unavailable, with this hint."""
        self.is_down = True
        self._down_for = retry_after

    def come_back(self) -> None:
        """The provider answers again."""
        self.is_down = False

    def lose_next_reply(self, times: int = 1) -> None:
        """The next calls that change something do their work, and their answer is lost."""
        self._lost_replies += times

    def answer_again(self) -> None:
        """No more replies are lost."""
        self._lost_replies = 0

    def time_out_next(self, times: int = 1) -> None:
        """The next calls are so slow that they end without an answer, their work undone."""
        self._timeouts += times

    def limit_next(self, times: int = 1) -> None:
        """The next calls come too soon: their work is undone."""
        self._limited += times

    def arrive(self, *, key: str | None = None) -> None:
        """A call reaches the provider; with `key` it is one whose outcome can be in doubt."""
        if self._in_transaction():
            raise RuntimeError("a provider is called inside a transaction")
        if self._wait is not None:
            self._wait()
        if self.is_down:
            raise Unavailable(self._provider, "down", retry_after=self._down_for)
        if self._timeouts:
            self._timeouts -= 1
            if key is not None:
                raise OutcomeUnknown(self._provider, key, "timeout")
            raise Unavailable(self._provider, "timeout")
        if self._limited:
            self._limited -= 1
            raise Unavailable(self._provider, "rate_limited", retry_after=1.0)
        if not self.knows_credentials:
            raise Rejected(self._provider, "credentials")

    def leave(self, *, key: str) -> None:
        """The work is done; whether the caller hears of it is decided here."""
        if self._lost_replies:
            self._lost_replies -= 1
            raise OutcomeUnknown(self._provider, key, "reply_lost")
