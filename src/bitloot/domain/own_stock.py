"""Our own keys: bound to the units of an order, counted in from a file, taken off when they end.

A key is encrypted once, when it comes in. Selling it binds its data key to the unit; its bytes
stay as they are.
"""

import unicodedata
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

import msgspec

from bitloot.domain.decision import Change, Decision, insert, update
from bitloot.domain.draft import Draft, IllegalMove, standing
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment import Fulfilment
from bitloot.domain.key_inventory import INVENTORY_KEY, InventoryKey, KeyState, SealedKey
from bitloot.domain.limits import Limits
from bitloot.domain.money import Eur
from bitloot.domain.order import OrderFile
from bitloot.domain.rule_change import reprice
from bitloot.domain.sealed import Bound, SealedBytes, Wrapped
from bitloot.domain.stock_item import JSON_TYPE, TEXT_TYPE, Fault, ItemKind

MAX_KEY_BYTES: Final = 4096

LineOutcome: TypeAlias = (
    Literal["repeated_in_file", "known_already", "not_base64", "bad_cost", "bad_expiry"] | Fault
)


def reserved_ids(file: OrderFile, fulfilment: Fulfilment) -> tuple[str, ...]:
    """The very keys that were kept for the item while it waited for its money."""
    return tuple(
        key_id
        for reservation in file.reservations
        if reservation.order_item_id == fulfilment.order_item_id
        for key_id in reservation.key_ids
    )


def kept(
    file: OrderFile, fulfilment: Fulfilment, keys: Sequence[InventoryKey]
) -> tuple[InventoryKey, ...]:
    """Those of the keys that are kept for the item still."""
    ours = {r.id for r in file.reservations if r.order_item_id == fulfilment.order_item_id}
    return tuple(k for k in keys if k.state == "reserved" and k.reservation_id in ours)


def usable(
    file: OrderFile, fulfilment: Fulfilment, keys: Sequence[InventoryKey], *, at: datetime
) -> tuple[InventoryKey, ...]:
    """Those of the kept keys that are still ours to hand over, at most one a unit."""
    good = (k for k in kept(file, fulfilment, keys) if k.expires_at is None or k.expires_at > at)
    return tuple(good)[: fulfilment.quantity]


def stock_bound(key: SealedKey) -> Bound:
    """What a key in stock is bound to."""
    return Bound(sealed_key_id=key.id, product_id=key.product_id)


def unit_bound(fulfilment: Fulfilment, key_id: str, slot: int) -> Bound:
    """What a key is bound to once it is sold."""
    return Bound(
        sealed_key_id=key_id,
        order_id=fulfilment.order_id,
        order_item_id=fulfilment.order_item_id,
        slot=slot,
    )


def unit_of(key: SealedKey) -> Bound:
    """What a sealed key is bound to: its unit, or the shelf."""
    if key.order_id is None:
        return stock_bound(key)
    return Bound(
        sealed_key_id=key.id,
        order_id=key.order_id,
        order_item_id=key.order_item_id,
        slot=key.slot,
    )


def bind(
    file: OrderFile,
    fulfilment: Fulfilment,
    picked: Sequence[InventoryKey],
    sealed: Mapping[str, SealedKey],
    wrapped: Mapping[str, Wrapped],
    *,
    at: datetime,
    new_id: Callable[[], str],
) -> Decision:
    """Give each unit one of the picked keys; from here the fulfilment is `sealed`.

    `wrapped` holds, by key id, the data key bound to the unit: the keys take the slots in the
    order in which they were picked.
    """
    if len(picked) != fulfilment.quantity:
        raise ValueError("a fulfilment from own stock binds one key for each of its units")
    draft = Draft(file, at=at, new_id=new_id)
    for slot, key in zip(fulfilment.slots, picked, strict=True):
        state = key.state
        for signal in ("sell",) if state == "reserved" else ("reserve", "sell"):
            state = _step(state, signal)
        draft.set(key, state=state, order_item_id=fulfilment.order_item_id)
        draft.set(
            sealed[key.id],
            order_id=fulfilment.order_id,
            order_item_id=fulfilment.order_item_id,
            slot=slot,
            fulfilment_id=fulfilment.id,
            wrapped_dek=wrapped[key.id].wrapped_dek,
            kek_id=wrapped[key.id].kek_id,
        )
        draft.book(f"cost/{key.id}/{fulfilment.id}", {"cost": key.cost, "inventory": -key.cost})
    row = draft.resume(fulfilment)
    begin = () if standing(row) == "reserving" else ("begin",)
    draft.move(row, *begin, "reserved", "keys", "seal", blocked_reason=None, blocked_since=None)
    draft.event("keys_sealed", fulfilment.id, facts={"count": len(picked)})
    return draft.decision()


class StockLine(msgspec.Struct, frozen=True, kw_only=True):
    """An item of an import, in memory only. Its repr shows no serial.

    `serial` is what is sealed; `mark` what the item is known again by, None: by that too. `cost`
    and `expires_at` are those of the line, None: those of the batch.
    """

    number: int
    serial: bytes
    kind: ItemKind = "key"
    mark: bytes | None = None
    cost: Eur | None = None
    expires_at: datetime | None = None

    def __repr__(self) -> str:
        return f"StockLine(number={self.number})"

    @property
    def known_by(self) -> bytes:
        """What its fingerprint is taken of."""
        return self.serial if self.mark is None else self.mark


class LineReport(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one line of an import, and at which column. Never the key."""

    number: int
    outcome: LineOutcome
    column: str | None = None


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What an import says of its keys: product, name of the batch, EUR a key, end of use."""

    product_id: str
    name: str
    cost: Eur
    expires_at: datetime | None = None


def end_of_use(at: datetime) -> datetime:
    """When a key ends, in UTC. Raises Refused `invalid-input` for a time that has no date there."""
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise Refused(
            "invalid-input", "Write a time of the years 1 to 9999 in UTC.", field="expiresAt"
        ) from None


def read_lines(raw: bytes) -> tuple[tuple[StockLine, ...], tuple[LineReport, ...]]:
    """The keys of a text file, one a line, and the lines that cannot be keys.

    White space around a key, a byte order mark and empty lines do not count.
    """
    good: list[StockLine] = []
    bad: list[LineReport] = []
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").splitlines(), start=1):
        try:
            text = unicodedata.normalize("NFC", line.decode("utf-8")).strip()
        except UnicodeDecodeError:
            bad.append(LineReport(number=number, outcome="not_text"))
            continue
        serial = text.encode()
        if not text.isprintable():
            bad.append(LineReport(number=number, outcome="not_text"))
        elif len(serial) > MAX_KEY_BYTES:
            bad.append(LineReport(number=number, outcome="too_long"))
        elif serial:
            good.append(StockLine(number=number, serial=serial))
    return tuple(good), tuple(bad)


def new_lines(
    fingerprints: Mapping[int, str],
    known: AbstractSet[str],
    *,
    earlier: AbstractSet[str] = frozenset(),
) -> tuple[tuple[int, ...], tuple[LineReport, ...]]:
    """Which lines bring a key that was never seen, by fingerprint of each line number.

    `known` are fingerprints of the store, `earlier` those of lines further up in the same file.
    """
    seen = set(earlier)
    fresh: list[int] = []
    reports: list[LineReport] = []
    for number, fingerprint in fingerprints.items():
        if fingerprint in seen:
            reports.append(LineReport(number=number, outcome="repeated_in_file"))
        elif fingerprint in known:
            reports.append(LineReport(number=number, outcome="known_already"))
        else:
            fresh.append(number)
        seen.add(fingerprint)
    return tuple(fresh), tuple(reports)


def stock_rows(
    key_id: str,
    line: StockLine,
    sealed: SealedBytes,
    batch: Batch,
    supplier: str,
    *,
    fingerprint: str,
    at: datetime,
) -> tuple[Change, Change]:
    """The two rows of an item that comes into stock: its sealed form and its life on the shelf."""
    return (
        insert(
            SealedKey(
                id=key_id,
                product_id=batch.product_id,
                supplier=supplier,
                kind=line.kind,
                content_type=TEXT_TYPE if line.kind == "key" else JSON_TYPE,
                fingerprint=fingerprint,
                wrapped_dek=sealed.wrapped_dek,
                kek_id=sealed.kek_id,
                nonce=sealed.nonce,
                ciphertext=sealed.ciphertext,
                sha256=sealed.sha256,
                size=sealed.size,
                object_name=sealed.object_name,
                created_at=at,
            )
        ),
        insert(
            InventoryKey(
                id=key_id,
                product_id=batch.product_id,
                batch=batch.name,
                cost=batch.cost if line.cost is None else line.cost,
                expires_at=line.expires_at or batch.expires_at,
                created_at=at,
            )
        ),
    )


def expired(keys: Sequence[InventoryKey], *, at: datetime) -> Decision:
    """Keys on the shelf whose time is over are sold no more; their products are priced anew."""
    over = [key for key in keys if key.expires_at is not None and key.expires_at <= at]
    return Decision(
        save=tuple(update(key, state=_step(key.state, "expire")) for key in over),
        jobs=tuple(reprice(each) for each in sorted({key.product_id for key in over})),
    )


def import_faults(raw: bytes, lines: int, limits: Limits) -> str | None:
    """Why a file cannot be imported at all, None when it can."""
    if len(raw) > limits.key_import_bytes:
        return f"the file is larger than {limits.key_import_bytes} bytes"
    if lines > limits.key_import_lines:
        return f"the file has more than {limits.key_import_lines} lines"
    return "the file holds no key" if lines == 0 else None


def _step(state: KeyState, signal: str) -> KeyState:
    following = INVENTORY_KEY.step(state, signal)
    if following is None:
        raise IllegalMove(f"inventory key: {state} --{signal}-->")
    return following
