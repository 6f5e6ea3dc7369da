"""Links in mails that stop something about an account, for whoever reads the mailbox.

They are functions of stored facts and a key of their own: nothing about them is stored, and one
that was followed twice, or too late, finds nothing left to stop.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from bitloot.domain.account_deletion import AccountDeletion
from bitloot.domain.link_token import mint, read
from bitloot.domain.recovery import Recovery

DELETION_PAGE = "account-deletion/cancel"
RECOVERY_PAGE = "account-recovery/stop"


@dataclass(frozen=True, kw_only=True)
class AccountLinks:
    """Each key is used for nothing else, so that no link passes as another kind. The first of
    several signs, the others were in use before: what they signed is good still.

    The pages change nothing when they are looked at; they post the token.
    """

    deletion_keys: Sequence[bytes] = field(repr=False)
    recovery_keys: Sequence[bytes] = field(repr=False)
    public_url: str

    def to_cancel(self, deletion: AccountDeletion) -> str:
        """The link that keeps an account, good until it is due."""
        token = mint(self.deletion_keys[0], deletion.id, deletion.due_at)
        return self._page(DELETION_PAGE, token)

    def to_stop(self, recovery: Recovery) -> str:
        """The link that stops a recovery, good until it is completed."""
        token = mint(self.recovery_keys[0], recovery.id, recovery.ready_at)
        return self._page(RECOVERY_PAGE, token)

    def deletion_of(self, token: str) -> str | None:
        """The id of the deletion that a good token cancels."""
        return _subject(self.deletion_keys, token)

    def recovery_of(self, token: str) -> str | None:
        """The id of the recovery that a good token stops."""
        return _subject(self.recovery_keys, token)

    def _page(self, page: str, token: str) -> str:
        return f"{self.public_url.rstrip('/')}/{page}?token={token}"


def _subject(keys: Sequence[bytes], token: str) -> str | None:
    links = (read(key, token) for key in keys)
    return next((link.grant_id for link in links if link is not None), None)
