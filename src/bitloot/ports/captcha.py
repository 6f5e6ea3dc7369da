"""The seam to a proof that a person is there."""

from typing import Protocol


class Captcha(Protocol):
    """Nothing about it fails open: with a captcha switched on, no answer means no.

    Raises Unavailable where the provider does not answer in time, and Rejected where it refuses
    ourselves (`credentials`, or `invalid` for a call that it does not understand).
    """

    @property
    def name(self) -> str:
        """The plugin's name; `none` of a shop without a captcha."""
        ...

    @property
    def site_key(self) -> str | None:
        """What a page shows the widget with; it is public. None: there is no captcha."""
        ...

    async def passes(
        self, token: str | None, *, action: str, remote_ip: str, mark: str | None = None
    ) -> bool:
        """Whether the token proves a person for this action (`A-Z a-z 0-9 _ -`, 32 at most).

        A token proves it once. Calls with one `mark` are one call: what is sent again because its
        answer was lost passes again. `remote_ip` is a single address or anything else, which is
        not passed on.
        """
        ...

    async def check(self) -> None:
        """Reach the provider and try the credentials."""
        ...
