"""Links in mails that stop something about an account, for whoever reads the mailbox.

They are functions of stored facts and a key of their own: nothing about them is stored, and one
that was followed twice, or too late, finds nothing left to stop.
"""

from dataclasses import dataclass, field

from bitloot.domain.account_deletion import AccountDeletion
from bitloot.domain.link_token import mint, read
from bitloot.domain.recovery import Recovery

DELETION_PAGE = "account-deletion/cancel"
RECOVERY_PAGE = "account-recovery/stop"


@dataclass(frozen=True, kw_only=True)
class AccountLinks:
    """Each key is used for nothing else, so that no link passes as another kind.

    The pages change nothing when they are looked at; they post the token.
    """

    deletion_key: bytes = field(repr=False)
    recovery_key: bytes = field(repr=False)
    public_url: str

    def to_cancel(self, deletion: AccountDeletion) -> str:
        """The link that keeps an account, good until it is due."""
        token = mint(self.deletion_key, deletion.id, deletion.due_at)
        return self._page(DELETION_PAGE, token)

    def to_stop(self, recovery: Recovery) -> str:
        """The link that stops a recovery, good until it is completed."""
        token = mint(self.recovery_key, recovery.id, recovery.ready_at)
        return self._page(RECOVERY_PAGE, token)

    def deletion_of(self, token: str) -> str | None:
        """The id of the deletion that a good token cancels."""
        link = read(self.deletion_key, token)
        return None if link is None else link.grant_id

    def recovery_of(self, token: str) -> str | None:
        """The id of the recovery that a good token stops."""
        link = read(self.recovery_key, token)
        return None if link is None else link.grant_id

    def _page(self, page: str, token: str) -> str:
        return f"{self.public_url.rstrip('/')}/{page}?token={token}"
