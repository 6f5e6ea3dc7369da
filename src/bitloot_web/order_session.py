"""The guest's token for one order: a JWT of one hour, bound to the order's id.

It is a function of stored facts (the order and the time of issue), so a repeated request mints
the same text again and nothing that is stored needs to hold it.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from bitloot.domain.limits import Limits
from bitloot_web.tokens import SignedTokens

KIND: Final = "order_session"
AUDIENCE: Final = "bitloot/order-session"


class OrderSessions:
    """Issues and checks order-session tokens. The first of `keys` signs, all of them open."""

    def __init__(self, keys: Sequence[bytes], *, issuer: str, limits: Limits) -> None:
        self._life, self._leeway = limits.order_session_life, limits.token_leeway
        self._tokens = SignedTokens(
            KIND, keys, audience=AUDIENCE, issuer=issuer, limits=limits, life=self._life
        )

    def issue(self, order_id: str, *, at: datetime) -> str:
        """The token of an order issued at that time; the same inputs give the same text."""
        return self._tokens.mint(order_id, at=at, ends=at + self._life)

    def expires_at(self, *, at: datetime) -> datetime:
        """When a token issued at that time ends."""
        return datetime.fromtimestamp(int(at.timestamp()), UTC) + self._life

    def order_id(self, token: str, *, at: datetime) -> str:
        """The order that the token opens. Raises InvalidToken for every other token."""
        return self.opened(token, at=at)[0]

    def opened(self, token: str, *, at: datetime) -> tuple[str, datetime]:
        """The order that the token opens, and until when it does, differing clocks allowed for.

        Raises InvalidToken.
        """
        claims = self._tokens.read(token, at=at)
        _, _, ends = claims.times
        return claims.subject, datetime.fromtimestamp(ends, UTC) + self._leeway
