"""An example of every body that is asked for and answered, by the ids of the operations."""

from collections.abc import Mapping
from typing import Final

from bitloot_web.api.examples import (
    accounts,
    assortment,
    buying,
    catalogue,
    desk,
    goods,
    people,
    shelves,
    stock,
)
from bitloot_web.openapi import Example

EXAMPLES: Final[Mapping[str, Example]] = {
    **catalogue.EXAMPLES,
    **buying.EXAMPLES,
    **people.EXAMPLES,
    **accounts.EXAMPLES,
    **goods.EXAMPLES,
    **desk.EXAMPLES,
    **stock.EXAMPLES,
    **assortment.EXAMPLES,
    **shelves.EXAMPLES,
}
