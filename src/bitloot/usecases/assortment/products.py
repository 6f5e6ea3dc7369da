"""Products: put on the shelf, corrected, shown, hidden, retired, priced anew, shown in pictures."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bitloot.domain import media_change, product_change
from bitloot.domain.decision import AuditEntry, Decision
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.media_change import NewMedia
from bitloot.domain.offer_change import PROMISED, demand_alike
from bitloot.domain.own_product import OwnProduct
from bitloot.domain.product import Product
from bitloot.domain.product_media import ProductMedia
from bitloot.domain.rule_change import reprice
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.unit_of_work import Transaction, UnitOfWork

EVERYTHING: Final = "all"


@dataclass(frozen=True, kw_only=True)
class Products:
    """`actor` is always who acts, for the audit log. Raise Refused `not-found`."""

    uow: UnitOfWork
    limits: Limits
    clock: Clock
    new_id: NewId

    async def create(
        self,
        wanted: OwnProduct,
        fields: Mapping[str, object],
        *,
        is_published: bool,
        actor: str,
    ) -> str:
        """Put a product of our own on the shelf; gives its id. Raises Refused `invalid-input`."""

        async def attempt(tx: Transaction) -> str:
            await self._demand_category(tx, fields)
            if any(
                row.product.slug == wanted.slug
                for row in await tx.checkout.sellables((wanted.slug,))
            ):
                raise Refused("invalid-input", "Another product has this slug.", field="slug")
            made = product_change.created(
                wanted,
                fields,
                is_published=is_published,
                gateway_fee=self.limits.gateway_fee,
                actor=actor,
                at=self.clock(),
                new_id=self.new_id,
            )
            await tx.record(made.decision)
            return made.product.id

        return await decide(self.uow, attempt)

    async def edit(
        self,
        product_id: str,
        fields: Mapping[str, object],
        *,
        unpin: Collection[str],
        expected_version: int,
        actor: str,
    ) -> None:
        """Correct a product. Raises Refused `version-conflict`, `invalid-input`."""

        async def attempt(tx: Transaction) -> None:
            product = await _product(tx, product_id)
            await self._demand_category(tx, fields)
            decision = product_change.edited(
                product,
                fields,
                unpin=unpin,
                expected_version=expected_version,
                actor=actor,
                at=self.clock(),
            )
            promised = next((told for name, told in PROMISED.items() if name in fields), None)
            after = decision.save[0].after
            if promised is not None and isinstance(after, Product):
                await _demand_kept(tx, after, promised)
            if "category" in {*fields, *unpin}:
                jobs = (reprice(product_id),)
                decision = Decision(save=decision.save, audit=decision.audit, jobs=jobs)
            await tx.record(decision)

        await decide(self.uow, attempt)

    async def show(self, product_id: str, *, is_published: bool, actor: str) -> None:
        """Publish a product, or hide it."""

        async def attempt(tx: Transaction) -> None:
            product = await _product(tx, product_id)
            await tx.record(
                product_change.shown(
                    product, is_published=is_published, actor=actor, at=self.clock()
                )
            )

        await decide(self.uow, attempt)

    async def retire(self, product_id: str, *, expected_version: int | None, actor: str) -> None:
        """Take a product off for good. Raises Refused `version-conflict`, `in-use`."""

        async def attempt(tx: Transaction) -> None:
            product = await _product(tx, product_id)
            decision = product_change.retired(
                product,
                is_spoken_for=await tx.assortment.is_spoken_for(product_id),
                expected_version=product.version if expected_version is None else expected_version,
                actor=actor,
                at=self.clock(),
            )
            await tx.record(decision)

        await decide(self.uow, attempt)

    async def file_under(self, product_id: str, category: str | None, *, actor: str) -> None:
        """Put a product into a category, or into none. Raises Refused `invalid-input`."""
        fields: dict[str, object] = {"category": category}

        async def attempt(tx: Transaction) -> None:
            product = await _product(tx, product_id)
            await self._demand_category(tx, fields)
            decision = product_change.edited(
                product, fields, expected_version=product.version, actor=actor, at=self.clock()
            )
            jobs = (reprice(product_id),)
            await tx.record(Decision(save=decision.save, audit=decision.audit, jobs=jobs))

        await decide(self.uow, attempt)

    async def reprice(self, product_id: str | None, *, actor: str) -> None:
        """Ask for the price of a product, or of all, to be made anew."""

        async def attempt(tx: Transaction) -> None:
            if product_id is not None:
                await _product(tx, product_id)
            subject = product_id or EVERYTHING
            entry = AuditEntry(
                at=self.clock(), actor=actor, action="prices.reprice", subject=subject
            )
            await tx.record(Decision(jobs=(reprice(product_id),), audit=(entry,)))

        await decide(self.uow, attempt)

    async def add_media(self, product_id: str, wanted: NewMedia, *, actor: str) -> str:
        """A further picture or film; gives its id. Raises Refused `invalid-input`."""
        media_id = self.new_id()

        def decision(product: Product, known: Sequence[ProductMedia]) -> Decision:
            return media_change.added(
                product, known, wanted, media_id=media_id, actor=actor, at=self.clock()
            )

        await self._about_media(product_id, decision)
        return media_id

    async def edit_media(
        self,
        product_id: str,
        media_id: str,
        fields: Mapping[str, object],
        *,
        expected_version: int,
        actor: str,
    ) -> None:
        """Other words for a picture or film. Raises Refused `version-conflict`, `invalid-input`."""

        def decision(product: Product, known: Sequence[ProductMedia]) -> Decision:
            row = _named(known, media_id)
            return media_change.changed(
                product,
                row,
                fields,
                expected_version=expected_version,
                actor=actor,
                at=self.clock(),
            )

        await self._about_media(product_id, decision)

    async def remove_media(
        self, product_id: str, media_id: str, *, expected_version: int, actor: str
    ) -> None:
        """One picture or film less. Raises Refused `version-conflict`."""

        def decision(product: Product, known: Sequence[ProductMedia]) -> Decision:
            row = _named(known, media_id)
            return media_change.removed(
                product, row, expected_version=expected_version, actor=actor, at=self.clock()
            )

        await self._about_media(product_id, decision)

    async def order_media(
        self, product_id: str, ids: Sequence[str], *, expected_version: int, actor: str
    ) -> None:
        """The media in this order; the version is the product's. Raises Refused `version-conflict`,
        `invalid-input`.
        """

        def decision(product: Product, known: Sequence[ProductMedia]) -> Decision:
            return media_change.ordered(
                product,
                known,
                ids,
                expected_version=expected_version,
                actor=actor,
                at=self.clock(),
            )

        await self._about_media(product_id, decision)

    async def _about_media(
        self,
        product_id: str,
        decision: Callable[[Product, Sequence[ProductMedia]], Decision],
    ) -> None:
        async def attempt(tx: Transaction) -> None:
            product = await _product(tx, product_id)
            known = await tx.assortment.media(product_id)
            await tx.record(decision(product, known))

        await decide(self.uow, attempt)

    async def _demand_category(self, tx: Transaction, fields: Mapping[str, object]) -> None:
        slug = fields.get("category")
        if isinstance(slug, str) and await tx.assortment.category_by_slug(slug) is None:
            raise Refused("invalid-input", "There is no such category.", field="category")


async def _demand_kept(tx: Transaction, product: Product, field: str) -> None:
    """What is sold as the product, and what its own offers are sold as, still go together."""
    names = {
        (offer.supplier, offer.supplier_product_id)
        for offer in (await tx.checkout.shelf(product.id)).offers
    }
    for name in sorted(names):
        supplied = await tx.assortment.supplied(*name)
        if supplied is not None:
            demand_alike(product, supplied.product, field)
    if product.supplier_product_id is not None:
        own = await tx.assortment.supplied(product.source, product.supplier_product_id)
        for sold_as in sorted({offer.product_id for offer in own.offers} if own else ()):
            other = await tx.assortment.product(sold_as)
            if other is not None:
                demand_alike(other, product, field)


async def _product(tx: Transaction, product_id: str) -> Product:
    product = await tx.assortment.product(product_id)
    if product is None:
        raise Refused("not-found")
    return product


def _named(known: Sequence[ProductMedia], media_id: str) -> ProductMedia:
    row = next((each for each in known if each.id == media_id), None)
    if row is None:
        raise Refused("not-found")
    return row
