"""A person puts variants of one thing together, and in order."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import msgspec

from bitloot.domain.decision import AuditEntry, Decision, insert, update
from bitloot.domain.errors import Refused
from bitloot.domain.own_product import check_title
from bitloot.domain.product_group import GroupMember, ProductGroup
from bitloot.domain.rule_change import demand_version
from bitloot.domain.web_address import web_address

MOST_MEMBERS: Final = 100


def with_fields(group: ProductGroup, fields: Mapping[str, object]) -> ProductGroup:
    """A group that is not written yet, with these fields."""
    return msgspec.structs.replace(group, **fields)


def added(group: ProductGroup, *, actor: str, at: datetime) -> Decision:
    """A new group without members. Raises Refused `invalid-input`."""
    check_title(group.title)
    if group.cover_url is not None:
        web_address(group.cover_url, "coverUrl")
    return Decision(save=(insert(group),), audit=(_entry("group.created", group, actor, at),))


def changed(
    group: ProductGroup,
    fields: Mapping[str, object],
    *,
    expected_version: int,
    actor: str,
    at: datetime,
) -> Decision:
    """The group with other words; its slug stays. Raises Refused `version-conflict` or
    `invalid-input`.
    """
    demand_version(group.version, expected_version)
    if isinstance(title := fields.get("title"), str):
        check_title(title)
    cover = fields.get("cover_url")
    if isinstance(cover, str):
        web_address(cover, "coverUrl")
    change = update(group, **fields, updated_at=at)
    return Decision(save=(change,), audit=(_entry("group.changed", group, actor, at),))


def removed(
    group: ProductGroup,
    members: Sequence[GroupMember],
    *,
    expected_version: int,
    actor: str,
    at: datetime,
) -> Decision:
    """The group is gone; its products stay. Raises Refused `version-conflict`."""
    demand_version(group.version, expected_version)
    return Decision(remove=(group, *members), audit=(_entry("group.removed", group, actor, at),))


def joined(
    group: ProductGroup,
    members: Sequence[GroupMember],
    member: GroupMember,
    *,
    expected_version: int,
    actor: str,
    at: datetime,
) -> Decision:
    """A product as a member, at its position; one that is in already moves or is told apart anew.

    The group is another one then. Raises Refused `version-conflict`, or `invalid-input` where there
    are as many as may be.
    """
    demand_version(group.version, expected_version)
    known = next((row for row in members if row.product_id == member.product_id), None)
    if known is None and len(members) >= MOST_MEMBERS:
        raise Refused(
            "invalid-input", f"A group has at most {MOST_MEMBERS} products.", field="productId"
        )
    change = (
        insert(member)
        if known is None
        else update(known, position=member.position, label=member.label)
    )
    facts: dict[str, str | int | None] = {"product": member.product_id}
    entry = _entry("group.joined", group, actor, at, facts)
    return Decision(save=(change, update(group, updated_at=at)), audit=(entry,))


def left(
    group: ProductGroup, member: GroupMember, *, expected_version: int, actor: str, at: datetime
) -> Decision:
    """A product that is no member any more. Raises Refused `version-conflict`."""
    demand_version(group.version, expected_version)
    facts: dict[str, str | int | None] = {"product": member.product_id}
    change = update(group, updated_at=at)
    return Decision(
        save=(change,), remove=(member,), audit=(_entry("group.left", group, actor, at, facts),)
    )


def _entry(
    action: str,
    group: ProductGroup,
    actor: str,
    at: datetime,
    facts: Mapping[str, str | int | None] | None = None,
) -> AuditEntry:
    told: dict[str, str | int | None] = {"slug": group.slug, **(facts or {})}
    return AuditEntry(at=at, actor=actor, action=action, subject=group.id, facts=told)
