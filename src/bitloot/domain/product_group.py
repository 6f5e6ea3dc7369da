"""Groups: variants of one thing, shown together."""

from datetime import datetime

from bitloot.domain.decision import Row


class ProductGroup(Row, frozen=True, kw_only=True):
    """Editions, regions or terms of one thing. One that is not shown is seen by admins only."""

    slug: str
    title: str
    description: str = ""
    cover_url: str | None = None
    is_shown: bool = True
    created_at: datetime
    updated_at: datetime


class GroupMember(Row, frozen=True, kw_only=True):
    """A product of a group. `label` tells it from the others (`Deluxe`, `12 months`)."""

    group_id: str
    product_id: str
    position: int = 0
    label: str = ""
