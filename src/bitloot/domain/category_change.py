"""A person sorts the shop: categories, and the words of suppliers that belong in them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from bitloot.domain.category import Category
from bitloot.domain.decision import AuditEntry, Decision, insert, update
from bitloot.domain.errors import Refused

MOST_GENRES: Final = 200


def with_fields(category: Category, fields: Mapping[str, object]) -> Category:
    """A category that is not written yet, with these fields."""
    return msgspec.structs.replace(category, **fields)


def added(category: Category, *, actor: str, at: datetime) -> Decision:
    """A new category."""
    _check(category.genres)
    return Decision(
        save=(insert(category),), audit=(_entry("category.created", category, actor, at),)
    )


def changed(
    category: Category, fields: Mapping[str, object], *, actor: str, at: datetime
) -> Decision:
    """The category with other words; its slug stays. Products follow with the next news of them."""
    genres = fields.get("genres", ())
    assert isinstance(genres, tuple)
    _check(genres)
    return Decision(
        save=(update(category, **fields, updated_at=at),),
        audit=(_entry("category.changed", category, actor, at),),
    )


def removed(category: Category, *, is_in_use: bool, actor: str, at: datetime) -> Decision:
    """The category is gone. Raises Refused `in-use` while products or rules name it."""
    if is_in_use:
        raise Refused("in-use", "Products stand in this category, or a rule speaks of it.")
    return Decision(remove=(category,), audit=(_entry("category.removed", category, actor, at),))


def _check(genres: tuple[str, ...]) -> None:
    if len(genres) > MOST_GENRES:
        raise Refused("invalid-input", f"Name at most {MOST_GENRES} words.", field="genres")


def _entry(action: str, category: Category, actor: str, at: datetime) -> AuditEntry:
    return AuditEntry(
        at=at, actor=actor, action=action, subject=category.id, facts={"slug": category.slug}
    )
