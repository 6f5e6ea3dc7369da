"""The suite of suppliers of keys."""

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Final, TypeVar

import pytest

from bitloot.domain.money import Eur
from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot.ports.payment_gateway import Forged, Malformed
from bitloot.ports.supplier import SupplierHint, SupplierOffer, SupplierOrder, SupplierRequest
from bitloot.testing.contract import needs
from bitloot.testing.provider_rigs import SupplierRig
from bitloot.testing.supplier_catalogue import PRICE, SupplierCatalogueContract

MINE: Final = "BL7K2M9QXA-1-1-1"

T = TypeVar("T")


def request(
    product: str,
    *,
    quantity: int = 1,
    max_price: Eur = PRICE,
    external_id: str = MINE,
    offer_id: str | None = None,
) -> SupplierRequest:
    """An order to place."""
    return SupplierRequest(
        external_id=external_id,
        supplier_product_id=product,
        offer_id=offer_id,
        quantity=quantity,
        max_price=max_price,
    )


async def bought(rig: SupplierRig, quantity: int = 1) -> SupplierOrder:
    """A placed order of goods that are in stock."""
    return await rig.supplier.place(request(await rig.sell(PRICE, 50), quantity=quantity))


async def all_of(pages: AsyncIterator[Sequence[T]]) -> list[T]:
    """Every element of every page."""
    return [element async for page in pages for element in page]


async def offers_or_none(rig: SupplierRig, product: str) -> Sequence[SupplierOffer]:
    """The offers; none of a product that the supplier says it does not know."""
    try:
        return await rig.supplier.offers(product)
    except Rejected as refused:
        return [] if refused.reason == "not_found" else pytest.fail(f"refused: {refused.reason}")


class SupplierContract(SupplierCatalogueContract):
    """Fixture `rig`: a `SupplierRig`. Levers that may be missing: `pass_time`, `limit_next`, and
    `search` where the supplier has none.
    """

    # --- offers --------------------------------------------------------------------------

    async def test_an_offer_has_an_exact_price_and_its_stock(self, rig: SupplierRig) -> None:
        product = await rig.sell(PRICE, 7)
        (offer,) = await rig.supplier.offers(product)
        assert offer.supplier_product_id == product
        assert offer.offer_id
        assert isinstance(offer.price, Decimal)
        assert (offer.price, offer.stock) == (PRICE, 7)

    async def test_what_is_sold_out_has_no_offers(self, rig: SupplierRig) -> None:
        product = await rig.sell(PRICE, 0)
        assert list(await offers_or_none(rig, product)) == []

    # --- placing -------------------------------------------------------------------------

    async def test_a_placed_order_carries_our_id_and_is_found_by_it(self, rig: SupplierRig) -> None:
        order = await bought(rig, 2)
        assert order.external_id in {MINE, None}
        assert order.quantity == 2
        (found,) = await rig.supplier.find(MINE)
        assert found.supplier_order_id == order.supplier_order_id
        assert found.external_id == MINE

    async def test_an_order_is_found_by_exactly_its_id(self, rig: SupplierRig) -> None:
        await bought(rig)
        for other in (MINE + "0", MINE[:-1], MINE.lower(), f" {MINE}", f"{MINE},X", "*", ""):
            assert list(await rig.supplier.find(other)) == [], other

    async def test_an_order_never_costs_more_than_its_ceiling(self, rig: SupplierRig) -> None:
        product = await rig.sell(PRICE, 50)
        with pytest.raises(Rejected) as refused:
            await rig.supplier.place(request(product, max_price=PRICE - Decimal("0.01")))
        assert refused.value.reason == "unavailable"
        assert await rig.orders_with(MINE) == 0

    async def test_a_ceiling_above_the_price_costs_the_price_at_most_the_ceiling(
        self, rig: SupplierRig
    ) -> None:
        product = await rig.sell(PRICE, 50)
        before = await rig.supplier.balance()
        ceiling = PRICE + 1
        order = await rig.supplier.place(request(product, quantity=3, max_price=ceiling))
        spent = before - await rig.supplier.balance()
        assert PRICE * 3 <= spent <= ceiling * 3
        assert order.total in {spent, None}

    async def test_more_than_there_is_is_refused_as_unavailable(self, rig: SupplierRig) -> None:
        product = await rig.sell(PRICE, 2)
        with pytest.raises(Rejected) as refused:
            await rig.supplier.place(request(product, quantity=3))
        assert refused.value.reason == "unavailable"
        assert await rig.orders_with(MINE) == 0

    async def test_an_offer_that_is_not_there_is_refused(self, rig: SupplierRig) -> None:
        product = await rig.sell(PRICE, 50)
        with pytest.raises(Rejected) as refused:
            await rig.supplier.place(request(product, offer_id="000000000000000000000000"))
        assert refused.value.reason in {"unavailable", "invalid"}
        assert await rig.orders_with(MINE) == 0

    async def test_an_empty_balance_is_named(self, rig: SupplierRig) -> None:
        product = await rig.sell(PRICE, 50)
        await rig.set_balance(Decimal("1.25"))
        assert await rig.supplier.balance() == Decimal("1.25")
        with pytest.raises(Rejected) as refused:
            await rig.supplier.place(request(product))
        assert refused.value.reason == "balance"
        assert await rig.orders_with(MINE) == 0

    async def test_bad_credentials_are_named(self, rig: SupplierRig) -> None:
        product = await rig.sell(PRICE, 50)
        await rig.spoil_credentials()
        for call in (rig.supplier.place(request(product)), rig.supplier.balance()):
            with pytest.raises(Rejected) as refused:
                await call
            assert refused.value.reason == "credentials"
        assert await rig.orders_with(MINE) == 0

    @needs("limit_next")
    async def test_too_many_calls_are_a_time_of_absence(self, rig: SupplierRig) -> None:
        await rig.limit_next()
        with pytest.raises(Unavailable):
            await rig.supplier.balance()
        assert await rig.supplier.balance() > 0

    async def test_a_lost_answer_is_an_unknown_outcome_and_the_order_is_found(
        self, rig: SupplierRig
    ) -> None:
        product = await rig.sell(PRICE, 50)
        await rig.lose_next_reply()
        with pytest.raises(OutcomeUnknown) as unknown:
            await rig.supplier.place(request(product))
        assert unknown.value.key == MINE
        assert await rig.orders_with(MINE) == 1
        (found,) = await rig.supplier.find(MINE)
        assert found.external_id == MINE

    async def test_nothing_is_bought_while_the_supplier_is_down(self, rig: SupplierRig) -> None:
        product = await rig.sell(PRICE, 50)
        await rig.go_down()
        with pytest.raises((Unavailable, OutcomeUnknown)):
            await rig.supplier.place(request(product))
        for reading in (
            rig.supplier.offers(product),
            rig.supplier.find(MINE),
            rig.supplier.balance(),
        ):
            with pytest.raises(Unavailable) as down:
                await reading
            assert down.value.provider == rig.supplier.name
        await rig.come_back()
        assert await rig.orders_with(MINE) == 0

    # --- orders and keys -----------------------------------------------------------------

    async def test_a_complete_order_gives_every_key_once_and_again_the_same(
        self, rig: SupplierRig
    ) -> None:
        order = await bought(rig, 3)
        await rig.deliver(order.supplier_order_id)
        now = await rig.supplier.order(order.supplier_order_id)
        assert now.state == "completed"
        assert [unit.state for unit in now.keys] == ["delivered"] * 3
        first = await rig.supplier.keys(order.supplier_order_id)
        second = await rig.supplier.keys(order.supplier_order_id)
        assert {key.key_id for key in first} == {unit.key_id for unit in now.keys}
        assert len({key.serial for key in first}) == 3
        assert sorted((key.key_id, key.serial) for key in first) == sorted(
            (key.key_id, key.serial) for key in second
        )
        assert {key.content_type for key in first} == {"text/plain"}

    async def test_the_keys_of_all_pages_are_read(self, rig: SupplierRig) -> None:
        order = await bought(rig, 9)
        await rig.deliver(order.supplier_order_id)
        keys = await rig.supplier.keys(order.supplier_order_id)
        assert len({key.key_id for key in keys}) == 9

    async def test_keys_that_are_missing_come_later(self, rig: SupplierRig) -> None:
        await rig.next_order(units=1)
        order = await bought(rig, 3)
        now = await rig.supplier.order(order.supplier_order_id)
        assert now.state == "processing"
        early = await rig.supplier.keys(order.supplier_order_id)
        assert len(early) <= 1
        await rig.deliver(order.supplier_order_id)
        assert (await rig.supplier.order(order.supplier_order_id)).state == "completed"
        late = await rig.supplier.keys(order.supplier_order_id)
        assert len(late) == 3
        assert {key.serial for key in early} <= {key.serial for key in late}

    async def test_a_key_that_is_an_image_says_so(self, rig: SupplierRig) -> None:
        await rig.next_order(content_type="image/png")
        order = await bought(rig)
        await rig.deliver(order.supplier_order_id)
        (key,) = await rig.supplier.keys(order.supplier_order_id)
        assert key.content_type == "image/png"
        assert key.serial

    async def test_no_serial_is_shown_by_accident(self, rig: SupplierRig) -> None:
        order = await bought(rig)
        await rig.deliver(order.supplier_order_id)
        (key,) = await rig.supplier.keys(order.supplier_order_id)
        serial = key.serial.decode()
        for shown in (repr(key), str(key), f"{[key]}", repr(rig.supplier), str(order)):
            assert serial not in shown
            assert repr(key.serial) not in shown

    @pytest.mark.parametrize("state", ["canceled", "refunded"])
    async def test_an_order_that_the_supplier_ended_says_how(
        self, rig: SupplierRig, state: str
    ) -> None:
        await rig.next_order(units=0)
        order = await bought(rig)
        await rig.end(order.supplier_order_id, "canceled" if state == "canceled" else "refunded")
        assert (await rig.supplier.order(order.supplier_order_id)).state == state
        assert list(await rig.supplier.keys(order.supplier_order_id)) == []

    async def test_an_unknown_order_is_not_found(self, rig: SupplierRig) -> None:
        for call in (rig.supplier.order("NOSUCHORDER"), rig.supplier.keys("NOSUCHORDER")):
            with pytest.raises(Rejected) as refused:
                await call
            assert refused.value.reason == "not_found"

    async def test_keys_are_given_back_once(self, rig: SupplierRig) -> None:
        assert rig.supplier.capabilities.returns_keys
        order = await bought(rig, 2)
        await rig.deliver(order.supplier_order_id)
        await rig.supplier.give_back(order.supplier_order_id)
        with pytest.raises(Rejected) as refused:
            await rig.supplier.give_back(order.supplier_order_id)
        assert refused.value.reason == "nothing_to_return"

    @needs("pass_time")
    async def test_keys_are_not_given_back_after_their_time(self, rig: SupplierRig) -> None:
        order = await bought(rig)
        await rig.deliver(order.supplier_order_id)
        await rig.pass_time(timedelta(hours=25))
        with pytest.raises(Rejected) as refused:
            await rig.supplier.give_back(order.supplier_order_id)
        assert refused.value.reason == "nothing_to_return"

    # --- all orders -------------------------------------------------------------------

    async def test_all_orders_since_a_moment_are_read_for_reconciling(
        self, rig: SupplierRig
    ) -> None:
        product = await rig.sell(PRICE, 50)
        ids = [f"BL7K2M9QXA-{n}-1-1" for n in range(1, 6)]
        orders = [await rig.supplier.place(request(product, external_id=one)) for one in ids]
        first = await rig.supplier.order(orders[0].supplier_order_id)
        assert first.created_at is not None
        since = first.created_at - timedelta(minutes=1)
        found = await all_of(rig.supplier.orders_since(since))
        assert {order.external_id for order in found} >= set(ids)
        assert len({order.supplier_order_id for order in found}) == len(found)
        later = await all_of(rig.supplier.orders_since(since + timedelta(days=1)))
        assert later == []

    # --- webhooks ------------------------------------------------------------------------

    async def test_a_webhook_is_a_hint_at_an_order(self, rig: SupplierRig) -> None:
        order = await bought(rig)
        sent = await rig.webhook(order.supplier_order_id)
        hint = rig.supplier.read_webhook(sent.headers, sent.body)
        assert isinstance(hint, SupplierHint)
        assert (hint.kind, hint.supplier_order_id) == ("order", order.supplier_order_id)
        assert hint.external_id in {MINE, None}
        again = rig.supplier.read_webhook(sent.headers, sent.body)
        assert again == hint

    async def test_a_webhook_without_the_secret_is_forged(self, rig: SupplierRig) -> None:
        sent = await rig.webhook((await bought(rig)).supplier_order_id)
        read = rig.supplier.read_webhook
        assert isinstance(read({}, sent.body), Forged)
        longer = {name: f"{value}x" for name, value in sent.headers.items()}
        shorter = {name: value[:-1] for name, value in sent.headers.items()}
        emptied = dict.fromkeys(sent.headers, "")
        for changed in (longer, shorter, emptied):
            assert isinstance(read(changed, sent.body), Forged)
        assert isinstance(read(dict.fromkeys(sent.headers, "é"), sent.body), Forged)

    @pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"a":' * 2000])
    async def test_a_body_that_is_no_object_is_malformed(
        self, rig: SupplierRig, body: bytes
    ) -> None:
        sent = await rig.sign(body)
        assert isinstance(rig.supplier.read_webhook(sent.headers, sent.body), Malformed)
