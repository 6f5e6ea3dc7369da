"""What became of a mail, told by webhooks that come in any order and more than once."""

from collections.abc import Mapping
from typing import Final

# The more final a word, the higher (Resend webhooks: "order is not guaranteed, at least once").
_RANKS: Final[Mapping[str, int]] = {
    "sent": 1,
    "delayed": 2,
    "delivered": 3,
    "failed": 4,
    "bounced": 4,
    "complained": 5,
}


def fate(known: str | None, told: str) -> str:
    """The word that stands: what is told later but is less final takes nothing back."""
    if known is None or _RANKS.get(told, 0) > _RANKS.get(known, 0):
        return told
    return known
