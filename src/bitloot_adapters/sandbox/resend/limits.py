"""The request rate and the mail quotas of a team, all its keys together.

Source: Resend documentation, "Rate limit", "Account quotas".
"""

import math
from datetime import datetime, timedelta

from bitloot_adapters.sandbox.resend.config import ResendSandboxConfig
from bitloot_adapters.sandbox.resend.errors import WireError
from bitloot_adapters.sandbox.resend.records import Usage
from bitloot_adapters.sandbox.resend.state import State


class RateLimit:
    """A fixed window per team, opened by its first request."""

    def __init__(self, config: ResendSandboxConfig) -> None:
        self.limit = config.rate_limit
        self._seconds = config.rate_window_seconds
        self._windows: dict[str, tuple[datetime, int]] = {}

    def take(self, team: str, at: datetime) -> bool:
        """Count one request; False when the window is used up."""
        opened, used = self._window(team, at)
        if used >= self.limit:
            return False
        self._windows[team] = (opened, used + 1)
        return True

    def headers(self, team: str | None, at: datetime) -> dict[str, str]:
        """``ratelimit-*``; the reset is in seconds from now, not an epoch."""
        opened, used = (at, 0) if team is None else self._window(team, at)
        return {
            "ratelimit-limit": str(self.limit),
            "ratelimit-remaining": str(max(0, self.limit - used)),
            "ratelimit-reset": str(self._left(opened, at)),
        }

    def refusal(self) -> WireError:
        return WireError(
            "rate_limit_exceeded",
            f"Too many requests. You can only make {self.limit} requests per "
            f"{self._seconds} second(s). See rate limit response headers for more information.",
        )

    def reset(self) -> None:
        self._windows.clear()

    def _window(self, team: str, at: datetime) -> tuple[datetime, int]:
        opened, used = self._windows.get(team, (at, 0))
        if at < opened or at >= opened + timedelta(seconds=self._seconds):
            return at, 0
        return opened, used

    def _left(self, opened: datetime, at: datetime) -> int:
        left = (opened - at).total_seconds() + self._seconds
        return max(1, math.ceil(left))


class Quota:
    """Mails per UTC day and month; None means no bound."""

    def __init__(self, config: ResendSandboxConfig, state: State) -> None:
        self.daily = config.daily_quota
        self.monthly = config.monthly_quota
        self._state = state

    def spend(self, team: str, mails: int, at: datetime) -> None:
        """Raises:
        WireError: 429 ``daily_quota_exceeded`` or ``monthly_quota_exceeded``; nothing is spent.
        """
        day, month = self._row(team, at, "%Y-%m-%d"), self._row(team, at, "%Y-%m")
        if self.monthly is not None and month.mails + mails > self.monthly:
            raise WireError(
                "monthly_quota_exceeded", "You have reached your monthly email sending quota."
            )
        if self.daily is not None and day.mails + mails > self.daily:
            raise WireError(
                "daily_quota_exceeded", "You have reached your daily email sending quota."
            )
        for row in (day, month):
            row.mails += mails
            self._state.usage.put(row)

    def headers(self, team: str, at: datetime) -> dict[str, str]:
        """Mails used so far, one header for each bound that the plan has."""
        headers: dict[str, str] = {}
        if self.daily is not None:
            headers["x-resend-daily-quota"] = str(self._row(team, at, "%Y-%m-%d").mails)
        if self.monthly is not None:
            headers["x-resend-monthly-quota"] = str(self._row(team, at, "%Y-%m").mails)
        return headers

    def _row(self, team: str, at: datetime, period: str) -> Usage:
        row_id = f"{team} {at.strftime(period)}"
        return self._state.usage.get(row_id) or Usage(id=row_id, mails=0)
