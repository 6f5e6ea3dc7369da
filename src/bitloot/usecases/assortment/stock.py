"""Own stock under a person's hands: corrected, taken out, counted again, and exported on record."""

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from bitloot.domain import stock_change
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.limits import Limits
from bitloot.domain.own_stock import unit_of
from bitloot.domain.stock_change import Recount
from bitloot.domain.stock_item import ItemKind, preview
from bitloot.domain.stock_sheet import Separator, read_sheet
from bitloot.ports.clock import Clock
from bitloot.ports.deciding import decide
from bitloot.ports.errors import VaultFault
from bitloot.ports.key_vault import KeyVault
from bitloot.ports.unit_of_work import Transaction, UnitOfWork
from bitloot.ports.views.assortment import AssortmentViews, KeyLine

KEYS_AT_ONCE: Final = 100
# Sealed bytes of an item that a list opens: every key, and what else is no larger.
OPENED_IN_A_LIST: Final = 8 * 1024


class ExportedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it leaves the shop; None: it does not open. Its repr shows no serial."""

    line: KeyLine
    serial: bytes | None

    def __repr__(self) -> str:
        return f"ExportedKey(id={self.line.id})"


@dataclass(frozen=True, kw_only=True)
class StockDesk:
    """`actor` is always who acts, for the audit log. Raise Refused `not-found`."""

    uow: UnitOfWork
    goods: AssortmentViews
    vault: KeyVault
    limits: Limits
    clock: Clock

    async def edit(
        self, product_id: str, key_id: str, fields: Mapping[str, object], *, actor: str, reason: str
    ) -> None:
        """Another cost or end. Raises Refused `in-use`."""

        async def attempt(tx: Transaction) -> None:
            key = await _key(tx, product_id, key_id)
            await tx.record(
                stock_change.edited(key, fields, actor=actor, reason=reason, at=self.clock())
            )

        await decide(self.uow, attempt)

    async def burn(self, product_id: str, key_id: str, *, actor: str, reason: str) -> None:
        """Sell a key no more. Raises Refused `in-use`."""

        async def attempt(tx: Transaction) -> None:
            key = await _key(tx, product_id, key_id)
            await tx.record(stock_change.burned(key, actor=actor, reason=reason, at=self.clock()))

        await decide(self.uow, attempt)

    async def remove(self, product_id: str, key_id: str, *, actor: str, reason: str) -> None:
        """Take a key out that was never sold: off the shelf first, then for good.

        Whatever happens in between, it is not sold. Raises Refused `in-use`.
        """

        async def off(tx: Transaction) -> None:
            key = await _key(tx, product_id, key_id)
            (sealed,) = await tx.keys.sealed([key_id])
            _demand_unsold(key, sealed)
            if key.state == "available":
                await tx.record(
                    stock_change.burned(key, actor=actor, reason=reason, at=self.clock())
                )

        async def out(tx: Transaction) -> None:
            key = await _key(tx, product_id, key_id)
            (sealed,) = await tx.keys.sealed([key_id])
            await tx.record(
                stock_change.removed(key, sealed, actor=actor, reason=reason, at=self.clock())
            )

        await decide(self.uow, off)
        await decide(self.uow, out)

    async def recount(
        self,
        product_id: str,
        raw: bytes,
        *,
        actor: str,
        kind: ItemKind = "key",
        separator: Separator | None = None,
    ) -> Recount:
        """Compare a file of items of a kind with those on the shelf or kept; only the count is
        noted.

        Raises Refused `invalid-input` for a file that cannot be read.
        """
        sheet = read_sheet(raw, kind, separator=separator, limits=self.limits)
        prints = [(line.number, self.vault.fingerprint(line.known_by)) for line in sheet.lines]

        async def attempt(tx: Transaction) -> Recount:
            await _own(tx, product_id)
            stock = await tx.assortment.stock_prints(product_id, kind)
            count = stock_change.recounted(stock, prints)
            await tx.record(
                stock_change.recount_noted(product_id, count, actor=actor, at=self.clock())
            )
            return count

        return await decide(self.uow, attempt)

    async def previews(self, key_ids: Sequence[str]) -> dict[str, str]:
        """What may be seen of items, by id: of those alone whose bytes are still in the database,
        few (`OPENED_IN_A_LIST`), and open.
        """
        async with self.uow.begin() as tx:
            found = await tx.keys.sealed_small(key_ids, most=OPENED_IN_A_LIST)
        return {
            key.id: seen
            for key in found
            if key.ciphertext is not None and (seen := self._preview(key, key.ciphertext))
        }

    async def preview(self, key_id: str) -> str | None:
        """What may be seen of one item, wherever its bytes are; None for one that does not open.

        Raises Unavailable.
        """
        async with self.uow.begin() as tx:
            found = await tx.keys.sealed([key_id])
        if not found:
            raise Refused("not-found")
        (key,) = found
        try:
            ciphertext = key.ciphertext or await self.vault.get(key.object_name, size=key.size)
        except VaultFault:
            return None
        return self._preview(key, ciphertext)

    async def export(
        self, product_id: str, kind: ItemKind, *, actor: str, reason: str
    ) -> AsyncIterator[ExportedKey]:
        """The items of a kind on the shelf, opened one page at a time; noted before the first one
        leaves.

        A key that is sold meanwhile is left out. Raises Refused before the first key, Unavailable,
        StoreUnavailable.
        """

        async def note(tx: Transaction) -> None:
            await _own(tx, product_id)
            stock = await tx.assortment.stock_prints(product_id, kind)
            noted = stock_change.export_noted(
                product_id, kind, len(stock), actor=actor, reason=reason, at=self.clock()
            )
            await tx.record(noted)

        await decide(self.uow, note)
        return self._exported(product_id, kind)

    async def _exported(self, product_id: str, kind: ItemKind) -> AsyncIterator[ExportedKey]:
        after: str | None = None
        for _ in range(0, self.limits.key_import_lines * KEYS_AT_ONCE, KEYS_AT_ONCE):
            page = await self.goods.keys(
                product_id, state="available", kind=kind, limit=KEYS_AT_ONCE, after=after
            )
            async with self.uow.begin() as tx:
                sealed = {
                    key.id: key for key in await tx.keys.sealed([line.id for line in page.items])
                }
            for line in page.items:
                key = sealed.get(line.id)
                if key is not None and key.order_id is None:
                    yield ExportedKey(line=line, serial=await self._opened(key))
            after = page.after
            if after is None:
                return

    async def _opened(self, key: SealedKey) -> bytes | None:
        ciphertext = key.ciphertext
        if ciphertext is None:
            ciphertext = await self.vault.get(key.object_name, size=key.size)
        try:
            return self._unsealed(key, ciphertext)
        except VaultFault:
            return None

    def _preview(self, key: SealedKey, ciphertext: bytes) -> str | None:
        try:
            return preview(key.kind, self._unsealed(key, ciphertext))
        except (VaultFault, ValueError):
            return None

    def _unsealed(self, key: SealedKey, ciphertext: bytes) -> bytes:
        return self.vault.unseal(
            ciphertext,
            nonce=key.nonce,
            wrapped_dek=key.wrapped_dek,
            kek_id=key.kek_id,
            bound=unit_of(key),
        )


async def _own(tx: Transaction, product_id: str) -> None:
    product = await tx.assortment.product(product_id)
    if product is None or product.source != OWN_STOCK:
        raise Refused("not-found", "No product of our own stock has this id.", field="product")


async def _key(tx: Transaction, product_id: str, key_id: str) -> InventoryKey:
    found = await tx.keys.inventory([key_id])
    if not found or found[0].product_id != product_id:
        raise Refused("not-found")
    return found[0]


def _demand_unsold(key: InventoryKey, sealed: SealedKey) -> None:
    burned = msgspec.structs.replace(key, state="burned") if key.state == "available" else key
    if not stock_change.is_unsold(burned, sealed):
        raise Refused("in-use", "Only a key that was never sold can be taken out.")
