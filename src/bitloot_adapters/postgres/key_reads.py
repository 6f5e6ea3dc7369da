"""Sealed keys and own stock."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import (
    ColumnElement,
    Integer,
    Select,
    Table,
    Text,
    bindparam,
    func,
    literal_column,
    null,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY

from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot_adapters.postgres.job_statements import MOMENT
from bitloot_adapters.postgres.order_reads import ID
from bitloot_adapters.postgres.rows import codec
from bitloot_adapters.postgres.session import Session
from bitloot_adapters.postgres.statements import Rows, Statement, Values, ask, compiled
from bitloot_adapters.postgres.tables import inventory_keys, sealed_keys

SEALED: Final = codec(SealedKey)
STOCK: Final = codec(InventoryKey)

_AVAILABLE: Final = inventory_keys.c.state == literal_column("'available'")
_AT: Final = bindparam("at", type_=MOMENT)
_LIMIT: Final = bindparam("most", type_=Integer)


def _listed(table: Table) -> ColumnElement[bool]:
    return table.c.id == func.any(bindparam("ids", type_=ARRAY(ID)))


def _without_ciphertext() -> Select[Values]:
    return select(
        *(
            null().label("ciphertext") if name == "ciphertext" else sealed_keys.c[name]
            for name in SEALED.names
        )
    )


_PICK: Final = compiled(
    select(*STOCK.columns)
    .where(
        _AVAILABLE,
        inventory_keys.c.product_id == bindparam("product_id", type_=ID),
        or_(inventory_keys.c.expires_at.is_(None), inventory_keys.c.expires_at > _AT),
    )
    .order_by(inventory_keys.c.cost, inventory_keys.c.id)
    .limit(_LIMIT)
    .with_for_update(key_share=True, skip_locked=True)
)
_PAST_EXPIRY: Final = compiled(
    select(*STOCK.columns)
    .where(_AVAILABLE, inventory_keys.c.expires_at <= _AT)
    .order_by(inventory_keys.c.expires_at, inventory_keys.c.id)
    .limit(_LIMIT)
    .with_for_update(key_share=True, skip_locked=True)
)
_INVENTORY: Final = compiled(
    select(*STOCK.columns)
    .where(_listed(inventory_keys))
    .order_by(inventory_keys.c.id)
    .with_for_update(key_share=True)
)
_SEALED: Final = compiled(
    select(*SEALED.columns)
    .where(_listed(sealed_keys))
    .order_by(sealed_keys.c.id)
    .with_for_update(key_share=True)
)
# The size stands beside the ciphertext: what is larger is not read.
_SMALL: Final = compiled(
    select(*SEALED.columns)
    .where(
        _listed(sealed_keys),
        sealed_keys.c.ciphertext.is_not(None),
        sealed_keys.c.size <= bindparam("most", type_=Integer),
    )
    .order_by(sealed_keys.c.id)
)
_OF_ITEM: Final = compiled(
    _without_ciphertext()
    .where(sealed_keys.c.order_item_id == bindparam("row_id", type_=ID))
    .order_by(sealed_keys.c.slot, sealed_keys.c.id)
)
_OF_FULFILMENT: Final = compiled(
    select(*SEALED.columns)
    .where(sealed_keys.c.fulfilment_id == bindparam("row_id", type_=ID))
    .order_by(sealed_keys.c.slot, sealed_keys.c.id)
)
_KNOWN: Final = compiled(
    select(sealed_keys.c.fingerprint).where(
        sealed_keys.c.fingerprint == func.any(bindparam("words", type_=ARRAY(Text)))
    )
)
_KNOWN_AT_SUPPLIER: Final = compiled(
    select(sealed_keys.c.supplier_key_id).where(
        sealed_keys.c.supplier == bindparam("supplier", type_=Text),
        sealed_keys.c.supplier_key_id == func.any(bindparam("words", type_=ARRAY(Text))),
    )
)
_ELSEWHERE: Final = (
    sealed_keys.c.kek_id != bindparam("kek_id", type_=Text),
    sealed_keys.c.state != literal_column("'shredded'"),
)
_NOT_ON_KEK: Final = compiled(
    select(*SEALED.columns)
    .where(*_ELSEWHERE, sealed_keys.c.id > bindparam("after", type_=ID))
    .order_by(sealed_keys.c.id)
    .limit(_LIMIT)
    .with_for_update(key_share=True, skip_locked=True)
)
_COUNT_ELSEWHERE: Final = compiled(select(func.count()).where(*_ELSEWHERE))
_FIRST_ID: Final = "00000000-0000-0000-0000-000000000000"


class KeyReads:
    """The port `Keys`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def pick(self, product_id: str, quantity: int, *, at: datetime) -> Sequence[InventoryKey]:
        return STOCK.rows(await self._rows(_PICK, product_id=product_id, most=quantity, at=at))

    async def inventory(self, ids: Sequence[str]) -> Sequence[InventoryKey]:
        return STOCK.rows(await self._rows(_INVENTORY, ids=list(ids)))

    async def sealed(self, ids: Sequence[str]) -> Sequence[SealedKey]:
        return SEALED.rows(await self._rows(_SEALED, ids=list(ids)))

    async def sealed_small(self, ids: Sequence[str], *, most: int) -> Sequence[SealedKey]:
        return SEALED.rows(await self._rows(_SMALL, ids=list(ids), most=most))

    async def sealed_of_item(self, order_item_id: str) -> Sequence[SealedKey]:
        return SEALED.rows(await self._rows(_OF_ITEM, row_id=order_item_id))

    async def sealed_of_fulfilment(self, fulfilment_id: str) -> Sequence[SealedKey]:
        return SEALED.rows(await self._rows(_OF_FULFILMENT, row_id=fulfilment_id))

    async def known(self, fingerprints: Sequence[str]) -> frozenset[str]:
        rows = await self._rows(_KNOWN, words=list(fingerprints))
        return frozenset(str(row[0]) for row in rows)

    async def known_supplier_keys(self, supplier: str, ids: Sequence[str]) -> frozenset[str]:
        rows = await self._rows(_KNOWN_AT_SUPPLIER, supplier=supplier, words=list(ids))
        return frozenset(str(row[0]) for row in rows)

    async def past_expiry(self, *, at: datetime, limit: int) -> Sequence[InventoryKey]:
        return STOCK.rows(await self._rows(_PAST_EXPIRY, at=at, most=limit))

    async def not_on_kek(
        self, kek_id: str, *, after: str | None = None, limit: int
    ) -> Sequence[SealedKey]:
        start = after or _FIRST_ID
        return SEALED.rows(await self._rows(_NOT_ON_KEK, kek_id=kek_id, after=start, most=limit))

    async def count_not_on_kek(self, kek_id: str) -> int:
        count = (await self._rows(_COUNT_ELSEWHERE, kek_id=kek_id))[0][0]
        assert isinstance(count, int)
        return count

    async def _rows(self, statement: Statement, **values: object) -> Rows:
        (rows,) = await self._session.ask(ask(statement, **values))
        return rows
