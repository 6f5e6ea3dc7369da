"""What handlers are handed. None is checked again: all are ours, and no part of a request."""

from dataclasses import dataclass
from typing import TypeAlias

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from bitloot_web.answers import Answers
from bitloot_web.realtime import Watchers
from bitloot_web.security.callers import Caller
from bitloot_web.shop import Shop

TheShop: TypeAlias = NamedDependency[SkipValidation[Shop]]
TheActor: TypeAlias = NamedDependency[SkipValidation[Caller]]
TheWatchers: TypeAlias = NamedDependency[SkipValidation[Watchers]]


@dataclass(frozen=True)
class Catalogue:
    """A shop and the answers that it keeps. Handed over as one: for each thing more that a handler
    is handed, Litestar starts tasks, which takes longer than a kept answer.
    """

    shop: Shop
    answers: Answers


TheCatalogue: TypeAlias = NamedDependency[SkipValidation[Catalogue]]
