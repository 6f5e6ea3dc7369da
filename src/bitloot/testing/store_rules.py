"""The suite of what a store refuses: rows that must be unique, units that are not there."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Final

import msgspec
import pytest

from bitloot.domain.decision import Decision, Row, insert, update
from bitloot.domain.product import Sellable
from bitloot.domain.reservation import ReservationState
from bitloot.ports.errors import Conflict, Duplicate, NoStockLeft
from bitloot.testing.contract import Contract
from bitloot.testing.people_rows import people_of
from bitloot.testing.recording import moved
from bitloot.testing.rows import Goods, Purchase, inserts, stocked
from bitloot.testing.store_rig import StoreRig, file_of, own_stock, placed, record, rows_of, store

BUYERS: Final = 12
UNITS: Final = 5

Pair = tuple[Row, Row]


async def two_orders_with_one_number(rig: StoreRig) -> Pair:
    rows, first = rows_of(rig), await placed(rig)
    quote = rows.purchase(rows.goods()).quote
    await store(rig, insert(quote))
    other = _copy(first.order, id=rig.new_id(), quote_id=quote.id)
    return first.order, other


async def two_orders_of_one_quote(rig: StoreRig) -> Pair:
    first = await placed(rig)
    return first.order, _copy(first.order, id=rig.new_id(), number="BLZZZZZZZZ")


async def two_lines_with_one_number(rig: StoreRig) -> Pair:
    first = await placed(rig)
    return first.item, _copy(first.item, id=rig.new_id())


async def one_payment_of_the_gateway_twice(rig: StoreRig) -> Pair:
    rows, order = rows_of(rig), (await placed(rig)).order
    first = rows.payment(order)
    await store(rig, insert(first))
    return first, rows.payment(order, gateway_payment_id=first.gateway_payment_id)


async def one_invoice_of_the_gateway_twice(rig: StoreRig) -> Pair:
    rows, order = rows_of(rig), (await placed(rig)).order
    first = rows.invoice(order)
    await store(rig, insert(first))
    return first, rows.invoice(order, gateway_invoice_id=first.gateway_invoice_id)


async def one_webhook_twice(rig: StoreRig) -> Pair:
    rows = rows_of(rig)
    first = rows.webhook()
    await store(rig, insert(first))
    return first, rows.webhook(dedupe_key=first.dedupe_key)


async def one_ledger_line_twice(rig: StoreRig) -> Pair:
    rows, order = rows_of(rig), (await placed(rig)).order
    first = rows.ledger_line(order)
    await store(rig, insert(first))
    return first, rows.ledger_line(order)


async def one_part_of_an_item_twice(rig: StoreRig) -> Pair:
    rows, item = rows_of(rig), (await placed(rig)).item
    first = rows.fulfilment(item)
    await store(rig, insert(first))
    return first, rows.fulfilment(item)


async def one_generation_of_attempts_twice(rig: StoreRig) -> Pair:
    rows, item = rows_of(rig), (await placed(rig)).item
    fulfilment = rows.fulfilment(item)
    first = rows.attempt(fulfilment, state="absent")
    await store(rig, *inserts(fulfilment, first))
    return first, rows.attempt(fulfilment)


async def two_open_attempts(rig: StoreRig) -> Pair:
    rows, item = rows_of(rig), (await placed(rig)).item
    fulfilment = rows.fulfilment(item)
    first = rows.attempt(fulfilment, state="unknown")
    await store(rig, *inserts(fulfilment, first))
    return first, rows.attempt(fulfilment, gen=2)


async def one_supplier_order_for_two_attempts(rig: StoreRig) -> Pair:
    rows, item = rows_of(rig), (await placed(rig)).item
    fulfilment = rows.fulfilment(item)
    first = rows.attempt(fulfilment, state="refunded", supplier_order_id="so-1")
    await store(rig, *inserts(fulfilment, first))
    return first, rows.attempt(fulfilment, gen=2, state="created", supplier_order_id="so-1")


async def two_live_keys_for_one_unit(rig: StoreRig) -> Pair:
    rows, item = rows_of(rig), (await placed(rig)).item
    first = rows.sold_key(item)
    await store(rig, insert(first))
    return first, rows.sold_key(item)


async def one_key_of_a_supplier_twice(rig: StoreRig) -> Pair:
    rows = rows_of(rig)
    first = rows.sealed_key(supplier_key_id="sk-1")
    await store(rig, insert(first))
    return first, rows.sealed_key(supplier_key_id="sk-1")


async def one_serial_twice(rig: StoreRig) -> Pair:
    rows = rows_of(rig)
    first = rows.sealed_key()
    await store(rig, insert(first))
    return first, rows.sealed_key(fingerprint=first.fingerprint)


async def one_object_for_two_keys(rig: StoreRig) -> Pair:
    rows = rows_of(rig)
    first = rows.sealed_key()
    await store(rig, insert(first))
    return first, rows.sealed_key(object_name=first.object_name)


async def one_mail_twice(rig: StoreRig) -> Pair:
    rows = rows_of(rig)
    first = rows.email()
    await store(rig, insert(first))
    return first, rows.email(key=first.key)


async def one_idempotency_key_twice(rig: StoreRig) -> Pair:
    rows = rows_of(rig)
    first = rows.idempotency()
    await store(rig, insert(first))
    return first, rows.idempotency(key=first.key)


async def one_slug_for_two_products(rig: StoreRig) -> Pair:
    rows = rows_of(rig)
    first = rows.goods().product
    await store(rig, insert(first))
    return first, _copy(rows.goods().product, slug=first.slug)


async def one_offer_of_a_supplier_twice(rig: StoreRig) -> Pair:
    rows = rows_of(rig)
    goods = rows.goods()
    await record(rig, stocked(goods))
    assert goods.offer is not None
    return goods.offer, _copy(goods.offer, id=rig.new_id())


async def one_id_twice(rig: StoreRig) -> Pair:
    rows = rows_of(rig)
    first = rows.webhook()
    await store(rig, insert(first))
    return first, rows.webhook(id=first.id)


async def one_address_for_two_accounts(rig: StoreRig) -> Pair:
    rows = people_of(rig)
    first = rows.user()
    await store(rig, *inserts(rows.user(state="deleted", deleted_at=rig.now()), first))
    return first, rows.user()


async def one_secret_for_two_machines(rig: StoreRig) -> Pair:
    rows = people_of(rig)
    user = rows.user()
    first = rows.api_key(user)
    await store(rig, *inserts(user, first))
    return first, rows.api_key(user, digest=first.digest)


async def one_name_for_two_machines(rig: StoreRig) -> Pair:
    rows = people_of(rig)
    user, other = rows.user(), rows.user("other@shop.example")
    first = rows.api_key(user, name="Books")
    revoked = rows.api_key(user, name="Books", revoked_at=rig.now())
    await store(rig, *inserts(user, other, revoked, first, rows.api_key(other, name="Books")))
    return first, rows.api_key(user, name="Books")


async def two_changes_of_address_at_once(rig: StoreRig) -> Pair:
    rows = people_of(rig)
    user = rows.user()
    first = rows.change(user)
    await store(rig, *inserts(user, rows.change(user, state="stopped"), first))
    return first, rows.change(user)


async def two_deletions_at_once(rig: StoreRig) -> Pair:
    rows = people_of(rig)
    user = rows.user()
    first = rows.deletion(user)
    await store(rig, *inserts(user, rows.deletion(user, state="cancelled"), first))
    return first, rows.deletion(user)


async def two_recoveries_at_once(rig: StoreRig) -> Pair:
    rows = people_of(rig)
    user = rows.user()
    first = rows.recovery(user)
    await store(rig, *inserts(user, rows.recovery(user, state="stopped"), first))
    return first, rows.recovery(user)


UNIQUE: Final[dict[str, Callable[[StoreRig], Awaitable[Pair]]]] = {
    "orders_number": two_orders_with_one_number,
    "orders_quote": two_orders_of_one_quote,
    "order_items_item_no": two_lines_with_one_number,
    "payments_gateway_payment": one_payment_of_the_gateway_twice,
    "invoices_gateway_invoice": one_invoice_of_the_gateway_twice,
    "webhook_logs_dedupe_key": one_webhook_twice,
    "ledger_lines_entry_account": one_ledger_line_twice,
    "fulfilments_item_part": one_part_of_an_item_twice,
    "supplier_attempts_pkey": one_generation_of_attempts_twice,
    "supplier_attempts_one_live": two_open_attempts,
    "supplier_attempts_supplier_order": one_supplier_order_for_two_attempts,
    "sealed_keys_slot": two_live_keys_for_one_unit,
    "sealed_keys_supplier_key": one_key_of_a_supplier_twice,
    "sealed_keys_fingerprint": one_serial_twice,
    "sealed_keys_object_name": one_object_for_two_keys,
    "emails_key": one_mail_twice,
    "idempotency_keys_key": one_idempotency_key_twice,
    "products_slug": one_slug_for_two_products,
    "product_offers_offer": one_offer_of_a_supplier_twice,
    "webhook_logs_pkey": one_id_twice,
    "users_email_key": one_address_for_two_accounts,
    "api_keys_digest": one_secret_for_two_machines,
    "api_keys_name": one_name_for_two_machines,
    "email_changes_one_open": two_changes_of_address_at_once,
    "account_deletions_one_open": two_deletions_at_once,
    "recoveries_one_open": two_recoveries_at_once,
}


class StoreRulesContract(Contract):
    """Unique rules by name, and the guarded counters of offers."""

    @pytest.mark.parametrize("rule", sorted(UNIQUE))
    async def test_what_must_be_unique_is_refused_by_the_name_of_its_rule(
        self, rig: StoreRig, rule: str
    ) -> None:
        _, second = await UNIQUE[rule](rig)
        witness = rows_of(rig).email()
        with pytest.raises(Duplicate) as refused:
            await store(rig, *inserts(witness, second))
        assert refused.value.rule == rule
        async with rig.uow.begin() as tx:
            assert await tx.inbox.email(witness.key) is None

    async def test_a_forged_webhook_takes_no_key_from_a_true_one(self, rig: StoreRig) -> None:
        rows = rows_of(rig)
        forged = [
            rows.webhook(signature_ok=False, classification="invalid_signature", dedupe_key="same")
            for _ in range(2)
        ]
        true = rows.webhook(dedupe_key="same")
        await store(rig, *inserts(*forged, true))
        async with rig.uow.begin() as tx:
            assert await tx.count_repeat(true.provider, "same")
        async with rig.uow.begin() as tx:
            found = [await tx.inbox.webhook(each.id) for each in (*forged, true)]
        assert [each.attempts for each in found if each is not None] == [1, 1, 2]

    async def test_a_repeated_serial_is_kept_when_it_is_quarantined(self, rig: StoreRig) -> None:
        rows, item = rows_of(rig), (await placed(rig)).item
        first = rows.sealed_key()
        repeat = rows.sold_key(item, fingerprint=first.fingerprint, state="quarantined")
        await store(rig, *inserts(first, repeat))
        async with rig.uow.begin() as tx:
            assert [key.id for key in await tx.keys.sealed([repeat.id])] == [repeat.id]

    async def test_an_absent_attempt_leaves_its_external_id_to_the_next(
        self, rig: StoreRig
    ) -> None:
        rows, item = rows_of(rig), (await placed(rig)).item
        fulfilment = rows.fulfilment(item)
        first = rows.attempt(fulfilment, state="absent")
        second = rows.attempt(fulfilment, gen=2, external_id=first.external_id)
        await store(rig, *inserts(fulfilment, first, second))
        async with rig.uow.begin() as tx:
            found = await tx.orders.order_of_supplier_order(first.supplier, None, first.external_id)
        assert found == (fulfilment.order_id, fulfilment.id)

    async def test_a_key_is_replaced_in_one_decision(self, rig: StoreRig) -> None:
        rows, purchase = rows_of(rig), await placed(rig)
        old = rows.sold_key(purchase.item)
        await store(rig, insert(old))
        new = rows.sold_key(purchase.item)
        order = (await file_of(rig, purchase.order.id)).order
        async with rig.uow.begin() as tx:
            (stored,) = await tx.keys.sealed([old.id])
            change = moved(rig, order, "key_replaced")
            await tx.record(
                Decision(
                    save=(*change.save, update(stored, state="replaced"), insert(new)),
                    events=change.events,
                    order_id=order.id,
                )
            )
        async with rig.uow.begin() as tx:
            found = await tx.keys.sealed_of_item(purchase.item.id)
        assert {key.id: key.state for key in found} == {old.id: "replaced", new.id: "live"}

    # --- units of suppliers --------------------------------------------------------------

    async def test_what_is_held_cannot_be_held_again(self, rig: StoreRig) -> None:
        goods = rows_of(rig).goods(stock=3)
        await record(rig, stocked(goods))
        await placed(rig, goods, quantity=2)
        assert await left(rig, goods) == 1
        refused = rows_of(rig).purchase(goods, quantity=2)
        with pytest.raises(NoStockLeft):
            await record(rig, refused.placing())
        assert await left(rig, goods) == 1
        async with rig.uow.begin() as tx:
            assert await tx.orders.file(refused.order.id) is None

    @pytest.mark.parametrize("state", ["released", "expired"])
    async def test_what_is_given_back_can_be_held_again(
        self, rig: StoreRig, state: ReservationState
    ) -> None:
        goods = rows_of(rig).goods(stock=2)
        await record(rig, stocked(goods))
        purchase = await placed(rig, goods, quantity=2)
        assert await left(rig, goods) == 0
        await turn(rig, purchase, state)
        assert await left(rig, goods) == 2
        await placed(rig, goods, quantity=2)

    async def test_what_is_sold_stays_away_until_the_supplier_is_read_again(
        self, rig: StoreRig
    ) -> None:
        goods = rows_of(rig).goods(stock=3)
        await record(rig, stocked(goods))
        purchase = await placed(rig, goods, quantity=2)
        await turn(rig, purchase, "consumed")
        assert await left(rig, goods) == 1
        sellable = await today(rig, goods)
        assert sellable.offer is not None
        await store(rig, update(sellable.offer, stock=8))
        assert await left(rig, goods) == 8

    async def test_what_is_held_is_sold_although_the_supplier_has_less_by_now(
        self, rig: StoreRig
    ) -> None:
        goods = rows_of(rig).goods(stock=3)
        await record(rig, stocked(goods))
        first, second = await placed(rig, goods), await placed(rig, goods, quantity=2)
        await store_offer(rig, goods, stock=1)
        assert await left(rig, goods) <= 0
        await turn(rig, second, "consumed")
        await turn(rig, first, "consumed")
        sellable = await today(rig, goods)
        assert sellable.offer is not None
        assert (sellable.offer.stock, sellable.offer.held) == (0, 0)

    async def test_what_was_given_back_is_not_sold_below_what_others_hold(
        self, rig: StoreRig
    ) -> None:
        goods = rows_of(rig).goods(stock=3)
        await record(rig, stocked(goods))
        late = await placed(rig, goods)
        await turn(rig, late, "released")
        kept = await placed(rig, goods, quantity=2)
        await store_offer(rig, goods, stock=2)
        with pytest.raises(NoStockLeft):
            await turn(rig, late, "consumed")
        await turn(rig, kept, "consumed")

    async def test_a_late_payment_takes_units_only_if_there_are_some(self, rig: StoreRig) -> None:
        goods = rows_of(rig).goods(stock=2)
        await record(rig, stocked(goods))
        late = await placed(rig, goods, quantity=2)
        await turn(rig, late, "expired")
        await placed(rig, goods)
        with pytest.raises(NoStockLeft):
            await turn(rig, late, "consumed")
        assert await left(rig, goods) == 1

    async def test_reading_a_supplier_anew_leaves_what_is_held_alone(self, rig: StoreRig) -> None:
        goods = rows_of(rig).goods(stock=5)
        await record(rig, stocked(goods))
        before = await today(rig, goods)
        await placed(rig, goods, quantity=2)
        assert before.offer is not None
        await store_offer(rig, goods, stock=4, cost=Decimal("8.00"))
        after = await today(rig, goods)
        assert after.offer is not None
        assert (after.offer.stock, after.offer.held) == (4, 2)
        assert (after.available, after.unit_cost) == (2, Decimal("8.00"))

    async def test_of_many_buyers_at_once_only_so_many_get_the_last_units(
        self, rig: StoreRig
    ) -> None:
        goods = rows_of(rig).goods(stock=UNITS)
        await record(rig, stocked(goods))
        purchases = [
            rows_of(rig).purchase(goods, email=f"b{n}@shop.example") for n in range(BUYERS)
        ]

        async def buy(purchase: Purchase) -> bool:
            try:
                await record(rig, purchase.placing())
            except NoStockLeft:
                return False
            return True

        got = await asyncio.gather(*(buy(purchase) for purchase in purchases))
        assert sum(got) == UNITS
        assert await left(rig, goods) == 0

    async def test_of_many_buyers_at_once_no_two_get_one_key(self, rig: StoreRig) -> None:
        goods = await own_stock(rig, *["5"] * UNITS)
        orders = [await placed(rig, goods, email=f"b{n}@shop.example") for n in range(BUYERS)]

        async def take(purchase: Purchase) -> str | None:
            async with rig.uow.begin() as tx:
                file = await tx.orders.file(purchase.order.id)
                assert file is not None
                picked = await tx.keys.pick(goods.product.id, 1, at=rig.now())
                if not picked:
                    return None
                change = moved(rig, file.order)
                sold = update(picked[0], state="reserved", order_item_id=purchase.item.id)
                await tx.record(
                    Decision(
                        save=(*change.save, sold), events=change.events, order_id=file.order.id
                    )
                )
            return picked[0].id

        async def take_again(purchase: Purchase) -> str | None:
            while True:
                try:
                    return await take(purchase)
                except Conflict:
                    continue

        got = await asyncio.gather(*(take_again(purchase) for purchase in orders))
        keys = [key for key in got if key is not None]
        assert len(keys) == len(set(keys))
        # Whoever skipped a locked key may have left with nothing: the rest is still there.
        async with rig.uow.begin() as tx:
            rest = await tx.keys.pick(goods.product.id, BUYERS, at=rig.now())
        assert len(rest) + len(keys) == UNITS


async def today(rig: StoreRig, goods: Goods) -> Sellable:
    """What can be had of the goods now."""
    async with rig.uow.begin() as tx:
        (sellable,) = await tx.checkout.sellables([goods.product.id])
    return sellable


async def left(rig: StoreRig, goods: Goods) -> int:
    """How many units can still be sold."""
    return (await today(rig, goods)).available


async def store_offer(rig: StoreRig, goods: Goods, **fields: object) -> None:
    """The supplier's offer as it was read anew."""
    offer = (await today(rig, goods)).offer
    assert offer is not None
    await store(rig, update(offer, **fields))


async def turn(rig: StoreRig, purchase: Purchase, state: ReservationState) -> None:
    """Move the reservations of a purchase, as paying or expiring does."""
    async with rig.uow.begin() as tx:
        file = await tx.orders.file(purchase.order.id)
        assert file is not None
        change = moved(rig, file.order)
        turned = tuple(update(reservation, state=state) for reservation in file.reservations)
        await tx.record(
            Decision(save=(*change.save, *turned), events=change.events, order_id=purchase.order.id)
        )


def _copy(row: Row, **fields: object) -> Row:
    return msgspec.structs.replace(row, **fields)
