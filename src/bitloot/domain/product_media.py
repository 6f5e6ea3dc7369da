"""Pictures and films of a product, in the order in which they are shown."""

from typing import Literal, TypeAlias

from bitloot.domain.decision import Row

MediaKind: TypeAlias = Literal["image", "screenshot", "video"]


class ProductMedia(Row, frozen=True, kw_only=True):
    """One of them. `source` is `custom` for one that a person added, else the supplier's name:
    only those of the supplier follow what it says.
    """

    product_id: str
    kind: MediaKind
    url: str
    thumbnail_url: str | None = None
    alt: str = ""
    position: int = 0
    source: str
