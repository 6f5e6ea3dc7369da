"""A whole shop inside one test function: sold, told, rebuilt, and years ahead in a blink."""

from datetime import timedelta
from decimal import Decimal
from itertools import count

import pytest

from bitloot.domain.errors import Refused
from bitloot.domain.idempotency import Once
from bitloot.domain.quote import Wanted
from bitloot.domain.receipt import KeyEntry
from bitloot.domain.replay import differences
from bitloot.ports.errors import StoreUnavailable
from bitloot.usecases.checkout import OrderFacts
from bitloot_web.composition.memory import GATEWAY
from bitloot_web.testing import TestShop, shop

_numbers = count()


def once() -> Once:
    key = f"key-{next(_numbers):020}"
    return Once(route="test", caller="test", key=key, request_hash=key)


async def placed(it: TestShop, *slugs: str) -> OrderFacts:
    wanted = [Wanted(product=slug, quantity=1) for slug in slugs]
    quoted = await it.shop.checkout.quote(wanted, country=None, asset=None)
    return await it.shop.checkout.place(
        quoted.quote.id, email="buyer@example.org", placed_from="203.0.113.7", once=once()
    )


async def paid(it: TestShop, order: OrderFacts) -> None:
    await it.shop.opening.pay(order.order_id, asset="btc", once=once())
    payment = it.around.gateway.of_order(order.number)[-1].gateway_payment_id
    it.around.gateway.pay(payment)
    headers, body = it.around.gateway.webhook(payment)
    assert await it.shop.webhook_intake.accept(GATEWAY, headers, body) == "accepted"
    await it.run_due()


async def bought(it: TestShop) -> OrderFacts:
    supplied = await it.stock_supplier("Lantern Keeper", cost=Decimal("8.00"), units=3)
    own = await it.stock_own("Office Pro", price=Decimal("10.00"), keys=3)
    order = await placed(it, supplied, own)
    await paid(it, order)
    await it.advance(timedelta(minutes=5))
    return order


async def test_a_basket_of_both_sources_is_sold_and_both_keys_are_shown_once_each() -> None:
    async with shop(seed=7) as it:
        order = await bought(it)
        view = await it.shop.views.orders.order(order.order_id)
        assert view is not None
        assert view.status == "fulfilled"
        shown: list[KeyEntry] = []
        for item in view.items:
            link = await it.shop.reveal.reveal(
                order.order_id, item.id, granted_to="order_session", once=once()
            )
            shown += (await it.shop.reveal.download(link.token, client="test")).keys
        assert len({entry.key for entry in shown}) == 2
        assert await it.shop.views.desk.breaches(limit=10) == ()


async def test_one_seed_is_one_run() -> None:
    stories = []
    for _ in range(2):
        async with shop(seed=11) as it:
            order = await bought(it)
            events = await it.shop.views.desk.events(order.order_id)
            stories.append([(event.kind, event.at, event.changes) for event in events])
    assert stories[0] == stories[1]


async def test_the_events_of_an_order_give_its_rows_and_a_lost_one_is_noticed() -> None:
    async with shop(seed=3) as it:
        order = await bought(it)
        desk = it.shop.views.desk
        file = await desk.file(order.order_id)
        assert file is not None
        ledger, events = await desk.ledger(order.order_id), await desk.events(order.order_id)
        assert differences(file, ledger, events) == ()
        for lost in range(len(events)):
            left = events[:lost] + events[lost + 1 :]
            assert differences(file, ledger, left), events[lost].kind


async def test_ledger_entries_of_an_order_sum_to_zero_and_show_the_profit() -> None:
    async with shop(seed=4) as it:
        order = await bought(it)
        lines = await it.shop.views.desk.ledger(order.order_id)
        by_entry: dict[str, Decimal] = {}
        for line in lines:
            by_entry[line.entry] = by_entry.get(line.entry, Decimal(0)) + line.amount
        assert set(by_entry.values()) == {Decimal(0)}
        costs = sum(line.amount for line in lines if line.account == "cost")
        assert costs == Decimal("13.00")


async def test_an_unpaid_order_expires_and_its_goods_can_be_bought_by_another() -> None:
    async with shop(seed=5) as it:
        slug = await it.stock_own("Last One", price=Decimal("10.00"), keys=1)
        first = await placed(it, slug)
        with pytest.raises(Refused) as no:
            await placed(it, slug)
        assert no.value.code in {"out-of-stock", "not-for-sale"}
        await it.advance(timedelta(minutes=31))
        view = await it.shop.views.orders.order(first.order_id)
        assert view is not None
        assert view.status == "expired"
        assert (await placed(it, slug)).order_id != first.order_id


async def test_thirty_days_pass_without_leaving_work_behind() -> None:
    async with shop(seed=6) as it:
        await bought(it)
        await it.advance(timedelta(days=30))
        assert [job for job in it.around.store.jobs.all() if job.state != "done"] == []


def mailed_code(it: TestShop) -> str:
    text = it.around.mailer.mailbox[-1].message.text
    return next(word for word in text.split() if word.isdigit() and len(word) == 6)


async def test_a_guest_comes_back_by_a_mailed_code_once() -> None:
    async with shop(seed=8) as it:
        order = await placed(it, await it.stock_own("Thing", price=Decimal("5.00"), keys=1))
        challenge = await it.shop.reentry.request(order.order_id)
        await it.run_due()
        code = mailed_code(it)
        opened = await it.shop.reentry.verify(order.order_id, challenge.challenge_id, code)
        assert opened == order.order_id
        with pytest.raises(Refused):
            await it.shop.reentry.verify(order.order_id, challenge.challenge_id, code)


async def test_a_code_dies_after_five_wrong_tries_and_after_five_minutes() -> None:
    async with shop(seed=9) as it:
        order = await placed(it, await it.stock_own("Thing", price=Decimal("5.00"), keys=1))
        challenge = await it.shop.reentry.request(order.order_id)
        await it.run_due()
        code = mailed_code(it)
        wrong = f"{(int(code) + 1) % 10**6:06}"
        for guess in (wrong, "", "12345", "abcdef", "\uff11\uff12\uff13\uff14\uff15\uff16", code):
            with pytest.raises(Refused):
                await it.shop.reentry.verify(order.order_id, challenge.challenge_id, guess)
        late = await it.shop.reentry.request(order.order_id)
        await it.run_due()
        code = mailed_code(it)
        await it.advance(timedelta(minutes=5, seconds=1))
        with pytest.raises(Refused):
            await it.shop.reentry.verify(order.order_id, late.challenge_id, code)


async def test_a_code_opens_no_other_order_and_an_unknown_order_gets_the_same_answer() -> None:
    async with shop(seed=10) as it:
        slug = await it.stock_own("Thing", price=Decimal("5.00"), keys=2)
        mine, other = await placed(it, slug), await placed(it, slug)
        challenge = await it.shop.reentry.request(mine.order_id)
        await it.run_due()
        code, mails = mailed_code(it), len(it.around.mailer.mailbox)
        with pytest.raises(Refused):
            await it.shop.reentry.verify(other.order_id, challenge.challenge_id, code)
        nobody = await it.shop.reentry.request(it.around.near.new_id())
        await it.run_due()
        assert nobody.expires_at == challenge.expires_at
        assert len(it.around.mailer.mailbox) == mails


async def test_codes_never_fail_open_and_are_stored_nowhere() -> None:
    async with shop(seed=12) as it:
        order = await placed(it, await it.stock_own("Thing", price=Decimal("5.00"), keys=1))
        await it.shop.reentry.request(order.order_id)
        await it.run_due()
        code = mailed_code(it)
        for row_type in it.around.store.tables._rows:
            assert code not in repr(it.around.store.rows(row_type))
        it.around.otp.is_down = True
        with pytest.raises(StoreUnavailable):
            await it.shop.reentry.request(order.order_id)
        with pytest.raises(StoreUnavailable):
            await it.shop.reentry.verify(order.order_id, "challenge", code)


async def test_an_address_gets_five_codes_in_a_quarter_of_an_hour() -> None:
    async with shop(seed=13) as it:
        order = await placed(it, await it.stock_own("Thing", price=Decimal("5.00"), keys=1))
        await it.run_due()
        before = len(it.around.mailer.mailbox)
        for _ in range(8):
            await it.shop.reentry.request(order.order_id)
        await it.run_due()
        assert len(it.around.mailer.mailbox) == before + 5
