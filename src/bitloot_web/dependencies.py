"""What handlers are handed. None is checked again: all are ours, and no part of a request.

What belongs to a shop travels in the request's scope, so that the routes are the same for every
shop of a process.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from litestar.di import NamedDependency, Provide
from litestar.params import SkipValidation
from litestar.types import Scope

from bitloot_web.answers import Answers
from bitloot_web.once import IdempotencyKey, KeyAtWill, Repeatable
from bitloot_web.realtime import Watchers
from bitloot_web.request_checks import EdgeRequest
from bitloot_web.security.callers import Caller, caller_of
from bitloot_web.shop import Shop

TheShop: TypeAlias = NamedDependency[SkipValidation[Shop]]
TheActor: TypeAlias = NamedDependency[SkipValidation[Caller]]
TheWatchers: TypeAlias = NamedDependency[SkipValidation[Watchers]]
TheRepeatable: TypeAlias = NamedDependency[SkipValidation[Repeatable]]
# The same for what may be asked for without a key: `at_will`.
TheAtWill: TypeAlias = NamedDependency[SkipValidation[Repeatable]]


@dataclass(frozen=True)
class Catalogue:
    """A shop and the answers that it keeps. Handed over as one: for each thing more that a handler
    is handed, Litestar starts tasks, which takes longer than a kept answer.
    """

    shop: Shop
    answers: Answers


TheCatalogue: TypeAlias = NamedDependency[SkipValidation[Catalogue]]


def carried(shop: Shop, watchers: Watchers, answers: Answers) -> dict[str, object]:
    """What the state of a request's scope begins with."""
    return {"shop": shop, "watchers": watchers, "catalogue": Catalogue(shop, answers)}


def _from_scope(name: str) -> Callable[[Scope], object]:
    def give(scope: Scope) -> object:
        return scope["state"][name]

    return give


def _repeatable(
    request: EdgeRequest, shop: TheShop, idempotency_key: IdempotencyKey = None
) -> Repeatable:
    return Repeatable(request, idempotency_key, shop.limits)


def _at_will(request: EdgeRequest, shop: TheShop, idempotency_key: KeyAtWill = None) -> Repeatable:
    return Repeatable(request, idempotency_key, shop.limits)


DEPENDENCIES: Final[Mapping[str, Provide]] = {
    "shop": Provide(_from_scope("shop"), sync_to_thread=False),
    "actor": Provide(caller_of, sync_to_thread=False),
    "watchers": Provide(_from_scope("watchers"), sync_to_thread=False),
    "repeatable": Provide(_repeatable, sync_to_thread=False),
    "at_will": Provide(_at_will, sync_to_thread=False),
    "catalogue": Provide(_from_scope("catalogue"), sync_to_thread=False),
}
