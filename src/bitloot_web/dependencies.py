"""What handlers are handed. None is checked again: all are ours, and no part of a request."""

from typing import TypeAlias

from litestar.di import NamedDependency
from litestar.params import SkipValidation

from bitloot_web.answers import Answers
from bitloot_web.realtime import Watchers
from bitloot_web.shop import Shop

TheShop: TypeAlias = NamedDependency[SkipValidation[Shop]]
TheWatchers: TypeAlias = NamedDependency[SkipValidation[Watchers]]
TheAnswers: TypeAlias = NamedDependency[SkipValidation[Answers]]
