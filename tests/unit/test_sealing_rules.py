"""Which key goes to which unit, and which keys are kept aside."""

from collections.abc import Sequence
from itertools import count

import msgspec
import pytest

from bitloot.domain import sealing
from bitloot.domain.fulfilment import Fulfilment, SupplierAttempt
from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.order import OrderFile
from bitloot.domain.sealed import SealedBytes
from bitloot.domain.supply import SuppliedKey
from bitloot.testing.order_cases import applied
from bitloot.testing.rows import Rows
from bitloot.testing.virtual_time import START

NEXT = count(1)
ROWS = Rows(clock=lambda: START, new_id=lambda: f"id-{next(NEXT):06d}")


def case(quantity: int = 2) -> tuple[OrderFile, Fulfilment, SupplierAttempt]:
    bought = ROWS.purchase(ROWS.goods(), quantity=quantity)
    order = msgspec.structs.replace(bought.order, version=1, status="paid")
    row = ROWS.fulfilment(bought.item, version=1, state="reserved")
    attempt = ROWS.attempt(row, version=1, state="created", supplier_product_id="sp")
    file = OrderFile(order=order, items=bought.items, fulfilments=(row,), attempts=(attempt,))
    return file, row, attempt


def supplied(key_id: str, **fields: object) -> SuppliedKey:
    key = SuppliedKey(
        key_id=key_id, serial=b"S-1", content_type="text/plain", supplier_product_id="sp"
    )
    return msgspec.structs.replace(key, **fields)


def new_keys(row: Fulfilment, keys: Sequence[SuppliedKey]) -> list[sealing.NewKey]:
    return [
        sealing.sealed_form(
            placed,
            SealedBytes(
                wrapped_dek=b"w",
                kek_id="k",
                nonce=b"n",
                ciphertext=b"c",
                sha256="00",
                size=1,
                object_name=f"keys/{placed.sealed_key_id}",
                fingerprint=f"print-{placed.key.key_id}",
            ),
        )
        for placed in sealing.place_keys(row, (), keys, new_id=ROWS.new_id)
    ]


def seal(
    keys: Sequence[SuppliedKey],
    *,
    prints: frozenset[str] = frozenset(),
    ids: frozenset[str] = frozenset(),
) -> tuple[OrderFile, list[SealedKey]]:
    file, row, attempt = case()
    decision = sealing.seal(
        file,
        row,
        attempt,
        new_keys(row, keys),
        (),
        known_fingerprints=prints,
        known_key_ids=ids,
        at=START,
        new_id=ROWS.new_id,
    )
    stored = [change.after for change in decision.save if isinstance(change.after, SealedKey)]
    return applied(file, decision), stored


def test_keys_take_the_free_units_in_order_and_each_only_once() -> None:
    _, row, _ = case(3)
    keys = [supplied("a"), supplied("b"), supplied("a")]
    placed = sealing.place_keys(row, (), keys, new_id=ROWS.new_id)
    assert [(each.key.key_id, each.slot) for each in placed] == [("a", 1), ("b", 2)]


def test_keys_beyond_the_last_unit_are_left_alone() -> None:
    _, row, _ = case(1)
    assert len(sealing.place_keys(row, (), [supplied("a"), supplied("b")], new_id=ROWS.new_id)) == 1


def test_the_last_key_seals_the_fulfilment_and_completes_the_attempt() -> None:
    half, _ = seal([supplied("a")])
    assert (half.fulfilments[0].state, half.attempts[0].state) == ("reserved", "created")
    whole, stored = seal([supplied("a"), supplied("b")])
    assert (whole.fulfilments[0].state, whole.attempts[0].state) == ("sealed", "completed")
    assert [key.state for key in stored] == ["live", "live"]


@pytest.mark.parametrize(
    ("odd", "reason"),
    [
        (supplied("b", supplier_product_id="another"), "fulfilment"),
        (supplied("b", content_type="text/html"), "fulfilment"),
        (supplied("b", serial=b" \n"), "fulfilment"),
    ],
)
def test_a_key_that_is_not_right_is_kept_aside_and_its_item_held(
    odd: SuppliedKey, reason: str
) -> None:
    after, stored = seal([supplied("a"), odd])
    assert [key.state for key in stored] == ["live", "quarantined"]
    assert [(hold.subject, hold.reason) for hold in after.holds] == [("item", reason)]


def test_a_key_seen_before_is_kept_aside_by_its_print_and_by_the_suppliers_id() -> None:
    by_print, stored = seal([supplied("a")], prints=frozenset({"print-a"}))
    assert [key.state for key in stored] == ["quarantined"]
    assert [hold.reason for hold in by_print.holds] == ["repeated_key"]
    _, by_id = seal([supplied("a")], ids=frozenset({"a"}))
    assert [(key.state, key.supplier_key_id) for key in by_id] == [("quarantined", None)]


def test_a_foreign_key_takes_a_unit_only_once() -> None:
    _, row, _ = case(3)
    aside = ROWS.sealed_key(state="quarantined", slot=1, fulfilment_id=row.id, supplier_key_id=None)
    keys = [supplied("foreign"), supplied("ours")]
    placed = sealing.place_keys(
        row, (aside,), keys, foreign=frozenset({"foreign"}), new_id=ROWS.new_id
    )
    assert [(each.key.key_id, each.slot) for each in placed] == [("ours", 2)]


def test_a_key_on_its_way_shows_no_serial() -> None:
    _, row, _ = case(1)
    [placed] = sealing.place_keys(row, (), [supplied("a", serial=b"SECRET")], new_id=ROWS.new_id)
    assert "SECRET" not in repr(placed)
    assert placed.bound(row).slot == 1


@pytest.mark.parametrize("state", ["sealed", "vaulted", "delivered", "supplier_refunded"])
def test_whoever_comes_late_with_nothing_new_changes_nothing(state: str) -> None:
    file, row, attempt = case()
    _, stored = seal([supplied("a"), supplied("b")])
    ahead = msgspec.structs.replace(row, state=state)
    decision = sealing.seal(
        msgspec.structs.replace(file, fulfilments=(ahead,)),
        ahead,
        msgspec.structs.replace(attempt, state="completed"),
        (),
        stored,
        known_fingerprints=frozenset(),
        known_key_ids=frozenset(),
        at=START,
        new_id=ROWS.new_id,
    )
    assert not decision.save
    assert not decision.events
