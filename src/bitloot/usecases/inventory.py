"""Our own keys: counted in, taken off when they end, and moved to a new key-encryption key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from bitloot.domain.decision import AuditEntry, Change, Decision, update
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.domain.limits import Limits
from bitloot.domain.own_stock import (
    Batch,
    LineReport,
    StockLine,
    end_of_use,
    expired,
    new_lines,
    stock_rows,
    unit_of,
)
from bitloot.domain.rule_change import reprice
from bitloot.domain.sealed import Bound
from bitloot.domain.stock_item import FAULTS, ItemFault, ItemKind, licence_file
from bitloot.domain.stock_sheet import Separator, item_line, read_items, read_sheet
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.errors import VaultFault
from bitloot.ports.key_vault import KeyVault
from bitloot.ports.unit_of_work import Transaction, UnitOfWork

KEYS_IN_ONE_COMMIT: Final = 200
KEYS_IN_ONE_ROTATION: Final = 100


class ImportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a file: how many keys came in, and each line that did not."""

    imported: int
    refused: tuple[LineReport, ...]


class Rotated(msgspec.Struct, frozen=True, kw_only=True):
    """One batch of data keys: how many are wrapped anew, and the ids of those that do not open.

    `last` is the id behind which the next batch begins, None when there is none.
    """

    count: int
    unreadable: tuple[str, ...] = ()
    last: str | None = None


@dataclass(frozen=True, kw_only=True)
class Inventory:
    """Keys of the shop's own stock."""

    uow: UnitOfWork
    vault: KeyVault
    clock: Clock
    new_id: NewId
    limits: Limits

    async def import_keys(
        self,
        raw: bytes,
        batch: Batch,
        *,
        actor: str,
        kind: ItemKind = "key",
        separator: Separator | None = None,
    ) -> ImportReport:
        """Take in a file as `domain.stock_sheet` reads it; what is known already is left out.

        May be repeated after a fault: what came in before is known then. Raises Refused:
        `invalid-input`, `not-found` for a product that is not sold from own stock, or
        `duplicate-keys` when every line was an item, and not one was new.
        """
        sheet = read_sheet(raw, kind, separator=separator, limits=self.limits)
        return await self._import(sheet.lines, sheet.refused, batch, actor=actor)

    async def import_items(
        self, rows: Sequence[Mapping[str, str]], kind: ItemKind, batch: Batch, *, actor: str
    ) -> ImportReport:
        """Take in items of a kind, each by the names of its columns. Raises as `import_keys`."""
        sheet = read_items(rows, kind, limits=self.limits)
        return await self._import(sheet.lines, sheet.refused, batch, actor=actor)

    async def import_file(
        self, name: str, media_type: str, content: bytes, batch: Batch, *, actor: str
    ) -> ImportReport:
        """Take in one licence file. Raises as `import_keys` does."""
        try:
            item = licence_file(name, media_type, content, most=self.limits.licence_file_bytes)
        except ItemFault as bad:
            raise Refused("invalid-input", FAULTS[bad.fault], field=bad.field) from None
        return await self._import((item_line(1, item),), (), batch, actor=actor)

    async def _import(
        self,
        lines: Sequence[StockLine],
        bad: Sequence[LineReport],
        batch: Batch,
        *,
        actor: str,
    ) -> ImportReport:
        await self._admit(batch)
        refused = list(bad)
        imported = 0
        seen: set[str] = set()
        for start in range(0, len(lines), KEYS_IN_ONE_COMMIT):
            part = lines[start : start + KEYS_IN_ONE_COMMIT]
            came_in, left_out = await self._take_in(part, batch, seen, actor=actor)
            imported += came_in
            refused += left_out
        if not imported and not bad:
            raise Refused("duplicate-keys")
        return ImportReport(
            imported=imported, refused=tuple(sorted(refused, key=lambda line: line.number))
        )

    async def expire(self) -> int:
        """Take keys off the shelf whose time is over; gives how many, one batch at a time."""

        async def attempt(tx: Transaction) -> int:
            at = self.clock()
            decision = expired(await tx.keys.past_expiry(at=at, limit=KEYS_IN_ONE_COMMIT), at=at)
            await tx.record(decision)
            return len(decision.save)

        return await decide(self.uow, attempt)

    async def rotate(self, after: str | None = None) -> Rotated:
        """Wrap one batch of data keys under the present key-encryption key, in id order from
        behind the key `after`.

        Reveals go on meanwhile: the bytes stay, and a data key opens the same under either. A key
        that does not open stays as it is. Keys that somebody else holds are passed over, so only
        `not_rotated` says how many are left.
        """

        async def attempt(tx: Transaction) -> Rotated:
            kek_id = self.vault.kek_id
            keys = await tx.keys.not_on_kek(kek_id, after=after, limit=KEYS_IN_ONE_ROTATION)
            changes: list[Change] = []
            unreadable: list[str] = []
            for key in keys:
                bound = unit_of(key)
                try:
                    wrapped = self.vault.rewrap(key.wrapped_dek, key.kek_id, bound, bound)
                except (VaultFault, ValueError):
                    # A binding that is no unit and no product is as damaged as a wrong byte.
                    unreadable.append(key.id)
                    continue
                changes.append(update(key, wrapped_dek=wrapped.wrapped_dek, kek_id=wrapped.kek_id))
            await tx.record(Decision(save=tuple(changes)))
            last = keys[-1].id if len(keys) == KEYS_IN_ONE_ROTATION else None
            return Rotated(count=len(changes), unreadable=tuple(unreadable), last=last)

        return await decide(self.uow, attempt)

    async def not_rotated(self) -> int:
        """How many data keys are not under the present key-encryption key."""
        async with self.uow.begin() as tx:
            return await tx.keys.count_not_on_kek(self.vault.kek_id)

    async def _admit(self, batch: Batch) -> None:
        if batch.expires_at is not None:
            end_of_use(batch.expires_at)
        async with self.uow.begin() as tx:
            found = await tx.checkout.sellables([batch.product_id])
        if not any(s.product.source == OWN_STOCK for s in found):
            raise Refused("not-found", "No product of our own stock has this id.", field="product")

    async def _take_in(
        self, lines: Sequence[StockLine], batch: Batch, seen: set[str], *, actor: str
    ) -> tuple[int, list[LineReport]]:
        """One commit's worth of lines. `seen` gathers the fingerprints of the whole file."""
        prints = {line.number: self.vault.fingerprint(line.known_by) for line in lines}

        async def attempt(tx: Transaction) -> tuple[int, list[LineReport]]:
            known = await tx.keys.known(list(prints.values()))
            fresh, left_out = new_lines(prints, known - seen, earlier=seen)
            at = self.clock()
            changes: list[Change] = []
            for line in lines:
                if line.number in fresh:
                    key_id = self.new_id()
                    bound = Bound(sealed_key_id=key_id, product_id=batch.product_id)
                    sealed = self.vault.seal(line.serial, bound)
                    changes += stock_rows(
                        key_id,
                        line,
                        sealed,
                        batch,
                        OWN_STOCK,
                        fingerprint=prints[line.number],
                        at=at,
                    )
            audit = AuditEntry(
                at=at,
                actor=actor,
                action="keys.import",
                subject=batch.product_id,
                facts={"keys": len(fresh), "batch": batch.name},
            )
            # What a unit costs us has changed, and with it the price that the rules ask.
            jobs = (reprice(batch.product_id),) if fresh else ()
            await tx.record(
                Decision(save=tuple(changes), jobs=jobs, audit=(audit,) if fresh else ())
            )
            return len(fresh), list(left_out)

        outcome = await decide(self.uow, attempt)
        seen.update(prints.values())
        return outcome
