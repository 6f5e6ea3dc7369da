"""Categories and groups: how a person sorts the shop."""

from collections.abc import Mapping
from dataclasses import dataclass

from bitloot.domain import category_change, group_change
from bitloot.domain.category import Category
from bitloot.domain.errors import Refused
from bitloot.domain.product_group import GroupMember, ProductGroup
from bitloot.ports.assortment import GroupFile
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.unit_of_work import Transaction, UnitOfWork


@dataclass(frozen=True, kw_only=True)
class Shelves:
    """`actor` is always who acts, for the audit log. Raise Refused `not-found`."""

    uow: UnitOfWork
    clock: Clock
    new_id: NewId

    async def add_category(
        self, slug: str, title: str, fields: Mapping[str, object], *, actor: str
    ) -> str:
        """A new category; gives its id. Raises Refused `invalid-input` for a slug in use."""
        at, row_id = self.clock(), self.new_id()
        bare = Category(id=row_id, slug=slug, title=title, created_at=at, updated_at=at)

        async def attempt(tx: Transaction) -> None:
            if await tx.assortment.category_by_slug(slug) is not None:
                raise _taken()
            row = category_change.with_fields(bare, fields)
            await tx.record(category_change.added(row, actor=actor, at=at))

        await decide(self.uow, attempt)
        return row_id

    async def edit_category(
        self, category_id: str, fields: Mapping[str, object], *, expected_version: int, actor: str
    ) -> None:
        """Another title, position, other words of suppliers. Raises Refused `version-conflict`,
        `invalid-input`.
        """

        async def attempt(tx: Transaction) -> None:
            row = await _category(tx, category_id)
            decision = category_change.changed(
                row, fields, expected_version=expected_version, actor=actor, at=self.clock()
            )
            await tx.record(decision)

        await decide(self.uow, attempt)

    async def remove_category(self, category_id: str, *, expected_version: int, actor: str) -> None:
        """One category less. Raises Refused `version-conflict`, `in-use`."""

        async def attempt(tx: Transaction) -> None:
            row = await _category(tx, category_id)
            is_in_use = await tx.assortment.is_in_use(row.slug)
            decision = category_change.removed(
                row,
                is_in_use=is_in_use,
                expected_version=expected_version,
                actor=actor,
                at=self.clock(),
            )
            await tx.record(decision)

        await decide(self.uow, attempt)

    async def add_group(
        self, slug: str, title: str, fields: Mapping[str, object], *, actor: str
    ) -> str:
        """A new group; gives its id. Raises Refused `invalid-input` for a slug in use."""
        at, row_id = self.clock(), self.new_id()
        bare = ProductGroup(id=row_id, slug=slug, title=title, created_at=at, updated_at=at)

        async def attempt(tx: Transaction) -> None:
            if await tx.assortment.group_by_slug(slug) is not None:
                raise _taken()
            row = group_change.with_fields(bare, fields)
            await tx.record(group_change.added(row, actor=actor, at=at))

        await decide(self.uow, attempt)
        return row_id

    async def edit_group(
        self, group_id: str, fields: Mapping[str, object], *, expected_version: int, actor: str
    ) -> None:
        """Other words for a group. Raises Refused `version-conflict`, `invalid-input`."""

        async def attempt(tx: Transaction) -> None:
            file = await _group(tx, group_id)
            decision = group_change.changed(
                file.group, fields, expected_version=expected_version, actor=actor, at=self.clock()
            )
            await tx.record(decision)

        await decide(self.uow, attempt)

    async def remove_group(self, group_id: str, *, expected_version: int, actor: str) -> None:
        """One group less; its products stay. Raises Refused `version-conflict`."""

        async def attempt(tx: Transaction) -> None:
            file = await _group(tx, group_id)
            decision = group_change.removed(
                file.group,
                file.members,
                expected_version=expected_version,
                actor=actor,
                at=self.clock(),
            )
            await tx.record(decision)

        await decide(self.uow, attempt)

    async def join(
        self,
        group_id: str,
        product_id: str,
        *,
        label: str,
        position: int,
        expected_version: int,
        actor: str,
    ) -> None:
        """Put a product into a group, or move it in there. Raises Refused `version-conflict`,
        `invalid-input`.
        """
        member_id = self.new_id()

        async def attempt(tx: Transaction) -> None:
            file = await _group(tx, group_id)
            if await tx.assortment.product(product_id) is None:
                raise Refused("invalid-input", "There is no such product.", field="productId")
            member = GroupMember(
                id=member_id,
                group_id=group_id,
                product_id=product_id,
                position=position,
                label=label,
            )
            decision = group_change.joined(
                file.group,
                file.members,
                member,
                expected_version=expected_version,
                actor=actor,
                at=self.clock(),
            )
            await tx.record(decision)

        await decide(self.uow, attempt)

    async def leave(
        self, group_id: str, product_id: str, *, expected_version: int, actor: str
    ) -> None:
        """Take a product out of a group. Raises Refused `version-conflict`."""

        async def attempt(tx: Transaction) -> None:
            file = await _group(tx, group_id)
            member = next((row for row in file.members if row.product_id == product_id), None)
            if member is None:
                raise Refused("not-found")
            decision = group_change.left(
                file.group, member, expected_version=expected_version, actor=actor, at=self.clock()
            )
            await tx.record(decision)

        await decide(self.uow, attempt)


async def _category(tx: Transaction, category_id: str) -> Category:
    row = await tx.assortment.category(category_id)
    if row is None:
        raise Refused("not-found")
    return row


async def _group(tx: Transaction, group_id: str) -> GroupFile:
    file = await tx.assortment.group(group_id)
    if file is None:
        raise Refused("not-found")
    return file


def _taken() -> Refused:
    return Refused("invalid-input", "This slug is in use.", field="slug")
