"""Which rule each product gets, chosen once for all products that have the same rules.

A product with rules of its own is a context of its own; all others of a category share one, and
those of categories without rules share the rest.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final

import msgspec

from bitloot.domain.pricing_rules import HIGHEST_PRIORITY, Choice, PricingRule, choose

HOUSE_RULE: Final = "00000000-0000-0000-0000-000000000000"
_EVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


class PricingTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What prices are made from besides rules: the margin of the settings, a fraction on top of
    the cost, where no rule says more; and the gateway's fee, a fraction of the price.
    """

    margin: Decimal
    gateway_fee: Decimal


class PriceContext(msgspec.Struct, frozen=True, kw_only=True):
    """The choice for one product, or for the other products of a category; both None: for all
    others.
    """

    product_id: str | None = None
    category: str | None = None
    choice: Choice


class PriceContexts:
    """The choices for products and categories, made when they are first asked for."""

    def __init__(self, rules: Iterable[PricingRule], *, margin: Decimal) -> None:
        self._everywhere: list[PricingRule] = [house_rule(margin)]
        self._of_category: dict[str | None, list[PricingRule]] = defaultdict(list)
        self._of_product: dict[str | None, list[PricingRule]] = defaultdict(list)
        for rule in rules:
            if rule.scope == "global":
                self._everywhere.append(rule)
            else:
                by = self._of_category if rule.scope == "category" else self._of_product
                by[rule.subject].append(rule)
        self._shared: dict[str | None, Choice] = {}

    def choice(self, product_id: str, category: str | None) -> Choice:
        """What a product gets."""
        own = self._of_product.get(product_id)
        if own is None:
            known = category if category in self._of_category else None
            if known not in self._shared:
                self._shared[known] = self._choose((), category=known, product_id=None)
            return self._shared[known]
        return self._choose(own, category=category, product_id=product_id)

    def all_of(self, categories: Mapping[str, str | None]) -> tuple[PriceContext, ...]:
        """Every context there is, the one for all others first. `categories` gives those of the
        products that have rules of their own; a product that it does not know is left out.
        """
        shared = [None, *(each for each in self._of_category if each is not None)]
        return (
            *(
                PriceContext(category=category, choice=self.choice("", category))
                for category in shared
            ),
            *(
                PriceContext(product_id=product_id, choice=self.choice(product_id, category))
                for product_id, category in categories.items()
                if product_id in self._of_product
            ),
        )

    def _choose(
        self, own: Iterable[PricingRule], *, category: str | None, product_id: str | None
    ) -> Choice:
        rules = (*self._everywhere, *self._of_category.get(category, ()), *own)
        return choose(rules, category=category, product_id=product_id)


def house_rule(margin: Decimal) -> PricingRule:
    """The margin of the settings as a rule that every other rule outranks."""
    return PricingRule(
        id=HOUSE_RULE,
        version=1,
        scope="global",
        kind="margin",
        value=margin,
        priority=-HIGHEST_PRIORITY - 1,
        created_at=_EVER,
        updated_at=_EVER,
    )
