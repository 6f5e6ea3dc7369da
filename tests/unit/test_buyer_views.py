"""What buyers are shown: the word for a line, the filtered timeline, and pages by key."""

from typing import get_args

import pytest

from bitloot.domain.buyer_timeline import BUYER_EVENTS, facts_for_buyer
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment import FulfilmentState
from bitloot.domain.item_state import ItemState, item_state
from bitloot.domain.order import BEFORE_PAYMENT, PAID, OrderStatus
from bitloot.domain.reactions import REACTIONS
from bitloot.ports.views.paging import id_after, number_after, page_of

INSIDE = {"attempt", "supplier", "seal", "upload", "shred", "quarantine", "sighting", "moved"}


def word(
    status: OrderStatus,
    *states: FulfilmentState,
    delivered: int = 0,
    quantity: int = 2,
    is_held: bool = False,
) -> ItemState:
    return item_state(
        status, quantity=quantity, delivered=delivered, fulfilments=states, is_held=is_held
    )


@pytest.mark.parametrize("status", get_args(OrderStatus))
def test_every_order_status_has_a_word_for_its_lines(status: OrderStatus) -> None:
    if status in BEFORE_PAYMENT:
        assert word(status, delivered=2) == "waiting"
    elif status in PAID:
        assert word(status, "reserving") == "preparing"
    else:
        assert word(status, "cancelled") == "cancelled"


def test_what_has_keys_is_delivered_in_whole_or_in_part() -> None:
    assert word("fulfilled", "delivered", delivered=2) == "delivered"
    assert word("paid", "delivered", "blocked", delivered=1) == "partly_delivered"
    assert word("failed", "delivered", "failed_terminal", delivered=1) == "partly_delivered"
    assert word("refunded", "delivered", delivered=2) == "cancelled"


def test_a_line_that_a_person_has_to_look_at_is_delayed() -> None:
    assert word("paid", "reserved", is_held=True) == "delayed"
    assert word("paid", "failed_terminal") == "delayed"
    assert word("paid", "awaiting_release") == "awaiting_release"
    assert word("paid", "awaiting_release", "blocked") == "delayed"


def test_buyers_see_known_events_only_and_none_of_the_inside() -> None:
    assert REACTIONS.keys() >= BUYER_EVENTS
    assert not [kind for kind in BUYER_EVENTS for part in INSIDE if part in kind]


def test_reasons_errors_and_ids_are_left_out_of_what_buyers_see() -> None:
    facts: dict[str, str | int | None] = {
        "item": 2,
        "error": "balance",
        "reason": "wrong_asset",
        "on": "id",
        "n": 1,
    }
    assert facts_for_buyer("item_failed", facts) == {"item": 2}
    assert facts_for_buyer("order_held", facts) == {}
    assert facts_for_buyer("attempt_resolved", facts) == {}
    assert facts_for_buyer("order_overpaid", {"surplus": "1.25"}) == {"surplus": "1.25"}


@pytest.mark.parametrize(
    ("found", "items", "after"),
    [((), (), None), (("a",), ("a",), None), (("a", "b"), ("a", "b"), None)],
)
def test_a_last_page_has_no_key(
    found: tuple[str, ...], items: tuple[str, ...], after: str | None
) -> None:
    page = page_of(found, 2, str)
    assert (page.items, page.after) == (items, after)


def test_a_page_with_more_behind_it_ends_with_the_key_of_its_last_item() -> None:
    page = page_of(("a", "b", "c"), 2, str)
    assert (page.items, page.after) == (("a", "b"), "b")


def test_only_keys_that_lists_give_are_taken() -> None:
    own = "01890a5d-ac96-774b-bcce-b302099a8057"
    assert (id_after(None), id_after(own)) == (None, own)
    assert (number_after(None), number_after("12")) == (None, 12)
    for text in ("", "x", "-1", "1.5", "\u0661", "9" * 19):
        with pytest.raises(Refused):
            number_after(text)
    with pytest.raises(Refused):
        id_after("12")
