"""The seam to a proof that a person is there."""

from typing import Protocol


class Captcha(Protocol):
    """Raises Unavailable: with a captcha switched on, no answer means no."""

    async def passes(self, token: str | None, *, action: str, remote_ip: str) -> bool:
        """Whether the token proves a person for this action."""
        ...
