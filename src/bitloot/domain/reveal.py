"""A grant: the permission to download the keys of one item, for minutes, revocable, audited."""

from datetime import datetime

from bitloot.domain.decision import Row


class Grant(Row, frozen=True, kw_only=True):
    """`granted_to` names the kind of caller (`order_session`, `user/<id>`), never a token."""

    order_id: str
    order_item_id: str
    granted_to: str
    expires_at: datetime
    created_at: datetime
    downloads: int = 0
    revoked_at: datetime | None = None
    revoked_reason: str | None = None
