"""A person sorts the shop: categories, and the words of suppliers that belong in them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from bitloot.domain.category import Category
from bitloot.domain.decision import AuditEntry, Decision, JobRequest, insert, update
from bitloot.domain.errors import Refused
from bitloot.domain.own_product import check_title
from bitloot.domain.rule_change import demand_version

MOST_GENRES: Final = 200
# Work that puts the products of suppliers where their words belong now.
SHELVE: Final = JobRequest(kind="shelve_products", ref="all")


def with_fields(category: Category, fields: Mapping[str, object]) -> Category:
    """A category that is not written yet, with these fields."""
    return msgspec.structs.replace(category, **fields)


def added(category: Category, *, actor: str, at: datetime) -> Decision:
    """A new category; products whose words belong in it follow. Raises Refused `invalid-input`."""
    check_title(category.title)
    _check(category.genres)
    return Decision(
        save=(insert(category),),
        jobs=(SHELVE,),
        audit=(_entry("category.created", category, actor, at),),
    )


def changed(
    category: Category,
    fields: Mapping[str, object],
    *,
    expected_version: int,
    actor: str,
    at: datetime,
) -> Decision:
    """The category with other words; its slug stays. Products of suppliers follow where its words
    or its position are others.

    Raises Refused `version-conflict` or `invalid-input`.
    """
    demand_version(category.version, expected_version)
    if isinstance(title := fields.get("title"), str):
        check_title(title)
    genres = fields.get("genres", ())
    assert isinstance(genres, tuple)
    _check(genres)
    change = update(category, **fields, updated_at=at)
    after = change.after
    assert isinstance(after, Category)
    moved = (after.genres, after.position) != (category.genres, category.position)
    return Decision(
        save=(change,),
        jobs=(SHELVE,) if moved else (),
        audit=(_entry("category.changed", category, actor, at),),
    )


def removed(
    category: Category, *, is_in_use: bool, expected_version: int, actor: str, at: datetime
) -> Decision:
    """The category is gone. Raises Refused `version-conflict`, or `in-use` while products or rules
    name it.
    """
    demand_version(category.version, expected_version)
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
