"""The suite of the unit of work: recording, refusing, and its named questions."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import msgspec
import pytest

from bitloot.domain.address import parse_address
from bitloot.domain.decision import Decision, Event, JobRequest, insert, update
from bitloot.domain.email import Suppression
from bitloot.domain.forgetting import FORGOTTEN_BODY
from bitloot.domain.fulfilment import SupplierAttempt
from bitloot.domain.idempotency import Once, keep_answer
from bitloot.domain.webhook import Webhook
from bitloot.ports.errors import Conflict
from bitloot.testing.recording import RecordingContract, moved
from bitloot.testing.rows import GATEWAY, SUPPLIER, inserts, stocked
from bitloot.testing.store_rig import StoreRig, file_of, own_stock, placed, record, rows_of, store
from bitloot.testing.store_rules import StoreRulesContract

# Eighteen digits behind the point and thirty in front: what a gateway may write.
EXACT = Decimal("123456789012345678901234567890.123456789012345678")


class UnitOfWorkContract(RecordingContract, StoreRulesContract):
    """Fixture `rig`: a `StoreRig`."""

    # --- orders --------------------------------------------------------------------------

    async def test_an_order_is_found_by_every_name_it_has(self, rig: StoreRig) -> None:
        rows, purchase = rows_of(rig), await placed(rig)
        payment, invoice = rows.payment(purchase.order), rows.invoice(purchase.order)
        await store(rig, *inserts(payment, invoice))
        assert payment.gateway_payment_id is not None
        assert invoice.gateway_invoice_id is not None
        async with rig.uow.begin() as tx:
            by_id = await tx.orders.file(purchase.order.id)
            by_payment = await tx.orders.file_of_payment(GATEWAY, payment.gateway_payment_id)
            by_invoice = await tx.orders.file_of_invoice(GATEWAY, invoice.gateway_invoice_id)
            by_number = await tx.orders.file_by_number(purchase.order.number)
        assert by_id is not None
        assert by_id == by_payment == by_invoice == by_number
        assert [p.id for p in by_id.payments] == [payment.id]
        assert [i.id for i in by_id.invoices] == [invoice.id]

    async def test_an_unknown_name_finds_nothing(self, rig: StoreRig) -> None:
        await placed(rig)
        async with rig.uow.begin() as tx:
            assert await tx.orders.file(rig.new_id()) is None
            assert await tx.orders.file_of_payment(GATEWAY, "404") is None
            assert await tx.orders.file_of_invoice(GATEWAY, "404") is None
            assert await tx.orders.file_by_number("BL00000000") is None
            assert await tx.orders.order_of("payment", rig.new_id()) is None
            assert await tx.orders.order_of_supplier_order(SUPPLIER, "404", "404") is None

    async def test_every_row_of_an_order_leads_to_it(self, rig: StoreRig) -> None:
        rows, purchase = rows_of(rig), await placed(rig)
        named = {
            "fulfilment": rows.fulfilment(purchase.item),
            "payment": rows.payment(purchase.order),
            "hold": rows.hold(purchase.order),
            "grant": rows.grant(purchase.item),
        }
        await store(rig, *inserts(*named.values()))
        async with rig.uow.begin() as tx:
            found = {kind: await tx.orders.order_of(kind, row.id) for kind, row in named.items()}
            of_item = await tx.orders.order_of("item", purchase.item.id)
        assert {*found.values(), of_item} == {purchase.order.id}

    async def test_a_file_holds_fulfilments_attempts_and_holds(self, rig: StoreRig) -> None:
        rows, purchase = rows_of(rig), await placed(rig)
        fulfilment = rows.fulfilment(purchase.item, slots=(1,), tried_offers=("a", "b"))
        attempt = rows.attempt(fulfilment, cost=Decimal("8.99"), state="created")
        hold = rows.hold(purchase.order)
        await store(rig, *inserts(fulfilment, attempt, hold))
        file = await file_of(rig, purchase.order.id)
        assert file.fulfilments == (insert(fulfilment).after,)
        assert file.attempts == (insert(attempt).after,)
        assert file.holds == (insert(hold).after,)

    async def test_a_supplier_order_leads_to_its_fulfilment(self, rig: StoreRig) -> None:
        rows, item = rows_of(rig), (await placed(rig)).item
        fulfilment = rows.fulfilment(item)
        attempt = rows.attempt(fulfilment, state="created", supplier_order_id="so-7")
        await store(rig, *inserts(fulfilment, attempt))
        wanted = (item.order_id, fulfilment.id)
        async with rig.uow.begin() as tx:
            ask = tx.orders.order_of_supplier_order
            assert await ask(SUPPLIER, "so-7", None) == wanted
            assert await ask(SUPPLIER, None, attempt.external_id) == wanted
            assert await ask(SUPPLIER, "so-8", attempt.external_id) == wanted
            assert await ask("another", "so-7", attempt.external_id) is None

    async def test_purchases_at_a_supplier_are_those_at_work_since_a_moment(
        self, rig: StoreRig
    ) -> None:
        rows, item, now = rows_of(rig), (await placed(rig)).item, rig.now()
        fulfilment = rows.fulfilment(item)
        old, since = now - timedelta(days=2), now - timedelta(days=1)

        def attempt(gen: int, state: str, **fields: object) -> SupplierAttempt:
            early = {"gen": gen, "state": state, "intent_at": old + timedelta(seconds=gen)}
            return rows.attempt(fulfilment, **{**early, **fields})

        attempts = (
            attempt(1, "completed", created_at=old, cost=Decimal(100)),
            attempt(2, "unknown"),
            attempt(3, "completed", created_at=since, cost=Decimal(1)),
            attempt(4, "refunded", created_at=old, back_at=now, units_back=1),
            attempt(5, "rejected", intent_at=now),
        )
        await store(rig, *inserts(fulfilment, *attempts))
        async with rig.uow.begin() as tx:
            ask = tx.orders.purchases_at
            found = await ask(SUPPLIER, since=since, limit=10)
            assert [attempt.gen for attempt in found] == [2, 3, 4, 5]
            assert list(found)[2] == insert(attempts[3]).after
            assert [a.gen for a in await ask(SUPPLIER, since=since, limit=2)] == [2, 3]
            assert list(await ask("another", since=since, limit=10)) == []

    async def test_amounts_are_exact_to_the_last_digit(self, rig: StoreRig) -> None:
        purchase = await placed(rig)
        payment = rows_of(rig).payment(purchase.order, pay_amount=EXACT, actually_paid=EXACT)
        await store(rig, insert(payment))
        (stored,) = (await file_of(rig, purchase.order.id)).payments
        assert (stored.pay_amount, stored.actually_paid) == (EXACT, EXACT)

    # --- checkout ------------------------------------------------------------------------

    async def test_placing_reads_today_s_goods_in_the_order_of_the_quote(
        self, rig: StoreRig
    ) -> None:
        rows, own = rows_of(rig), await own_stock(rig, "3.00", "4.00")
        goods = rows.goods(stock=7)
        await record(rig, stocked(goods))
        quote = rows.purchase(own, goods).quote
        await store(rig, insert(quote))
        async with rig.uow.begin() as tx:
            facts = await tx.checkout.placing(
                quote.id, email_person="p@shop.example", placed_from="198.51.100.1"
            )
            nothing = await tx.checkout.placing(rig.new_id(), email_person="p", placed_from="f")
        assert facts is not None
        assert nothing is None
        assert facts.quote == insert(quote).after
        assert [s.product.id for s in facts.sellables] == [own.product.id, goods.product.id]
        assert [s.available for s in facts.sellables] == [2, 7]
        assert [s.unit_cost for s in facts.sellables] == [Decimal(4), Decimal(9)]
        assert [s.offer is None for s in facts.sellables] == [True, False]
        assert (facts.open_by_address, facts.open_by_ip, facts.backlog_seconds) == (0, 0, 0)

    async def test_placing_and_its_key_are_asked_together_as_they_are_apart(
        self, rig: StoreRig
    ) -> None:
        quote = (await placed(rig)).quote
        once = Once(route="POST /v1/orders", caller="guest/x", key="k" * 16, request_hash="h")
        kept = keep_answer(None, once, b"answer", at=rig.now(), record_id=rig.new_id())
        await store(rig, kept)
        of = {"email_person": "p@shop.example", "placed_from": "198.51.100.1"}
        async with rig.uow.begin() as tx:
            apart = await tx.checkout.placing(quote.id, **of), await tx.checkout.once(once)
            assert await tx.checkout.placing_once(quote.id, once, **of) == apart
            other = msgspec.structs.replace(once, key="o" * 16)
            assert await tx.checkout.placing_once(rig.new_id(), other, **of) == (None, None)
            assert await tx.checkout.placing_once("nonsense", once, **of) == (None, apart[1])
        assert None not in apart

    async def test_unpaid_orders_are_counted_by_address_and_by_origin(self, rig: StoreRig) -> None:
        first = await placed(rig, email="me@shop.example")
        await placed(rig, email="you@shop.example")
        paid = await placed(rig, email="me@shop.example")
        order = (await file_of(rig, paid.order.id)).order
        await record(rig, moved(rig, order, status="paid"))
        async with rig.uow.begin() as tx:
            facts = await tx.checkout.placing(
                first.quote.id, email_person="me@shop.example", placed_from="192.0.2.7"
            )
        assert facts is not None
        assert (facts.open_by_address, facts.open_by_ip) == (1, 2)

    async def test_the_backlog_is_how_long_the_oldest_fulfilment_has_waited(
        self, rig: StoreRig
    ) -> None:
        purchase = await placed(rig)
        await record(rig, Decision(jobs=(JobRequest(kind="fulfil", ref="one"),)))
        await rig.pass_time(timedelta(minutes=10))
        await record(rig, Decision(jobs=(JobRequest(kind="fulfil", ref="two"),)))
        async with rig.uow.begin() as tx:
            facts = await tx.checkout.placing(purchase.quote.id, email_person="", placed_from="")
        assert facts is not None
        assert 600 <= facts.backlog_seconds < 660

    async def test_goods_are_named_by_id_or_slug_in_the_order_asked(self, rig: StoreRig) -> None:
        rows = rows_of(rig)
        one, other = rows.goods(), rows.goods(stock=0)
        await record(rig, stocked(one, other))
        async with rig.uow.begin() as tx:
            found = await tx.checkout.sellables(
                [other.product.slug, rig.new_id(), "no-such-slug", one.product.id]
            )
        assert [s.product.id for s in found] == [other.product.id, one.product.id]
        assert [s.available for s in found] == [0, 10]

    async def test_an_idempotency_record_is_found_by_route_caller_and_key(
        self, rig: StoreRig
    ) -> None:
        kept = rows_of(rig).idempotency()
        await store(rig, insert(kept))
        once = Once(route=kept.route, caller=kept.caller, key=kept.key, request_hash="ff" * 32)
        other = Once(route=kept.route, caller="somebody", key=kept.key, request_hash="ff" * 32)
        async with rig.uow.begin() as tx:
            assert await tx.checkout.once(once) == insert(kept).after
            assert await tx.checkout.once(other) is None

    # --- keys ----------------------------------------------------------------------------

    async def test_the_cheapest_free_keys_are_picked(self, rig: StoreRig) -> None:
        goods = await own_stock(rig, "5.00", "3.00", "4.00")
        async with rig.uow.begin() as tx:
            picked = await tx.keys.pick(goods.product.id, 2, at=rig.now())
        assert [key.cost for key in picked] == [Decimal(3), Decimal(4)]

    async def test_keys_that_ended_or_are_taken_are_not_picked(self, rig: StoreRig) -> None:
        rows, now = rows_of(rig), rig.now()
        goods = await own_stock(rig)
        over = rows.stock_key(goods.product, expires_at=now - timedelta(seconds=1))
        fresh = rows.stock_key(goods.product, expires_at=now + timedelta(days=1))
        taken = rows.stock_key(goods.product, state="reserved")
        await store(rig, *inserts(*over, *fresh, *taken))
        async with rig.uow.begin() as tx:
            picked = await tx.keys.pick(goods.product.id, 9, at=now)
            ended = await tx.keys.past_expiry(at=now, limit=9)
            both = await tx.keys.inventory([taken[1].id, over[1].id, rig.new_id()])
        assert [key.id for key in picked] == [fresh[1].id]
        assert [key.id for key in ended] == [over[1].id]
        assert [key.id for key in both] == sorted([taken[1].id, over[1].id])

    async def test_sealed_bytes_are_read_where_they_are_needed_only(self, rig: StoreRig) -> None:
        rows, purchase = rows_of(rig), await placed(rig, quantity=2)
        fulfilment = rows.fulfilment(purchase.item)
        second = rows.sold_key(purchase.item, 2, fulfilment_id=fulfilment.id)
        first = rows.sold_key(purchase.item, 1, fulfilment_id=fulfilment.id)
        await store(rig, *inserts(fulfilment, second, first))
        async with rig.uow.begin() as tx:
            of_item = await tx.keys.sealed_of_item(purchase.item.id)
            of_part = await tx.keys.sealed_of_fulfilment(fulfilment.id)
        assert [(key.slot, key.ciphertext) for key in of_item] == [(1, None), (2, None)]
        assert [(key.slot, key.ciphertext) for key in of_part] == [
            (1, first.ciphertext),
            (2, second.ciphertext),
        ]
        assert of_part[0] == insert(first).after

    async def test_changing_a_key_that_was_read_without_its_bytes_keeps_them(
        self, rig: StoreRig
    ) -> None:
        rows, purchase = rows_of(rig), await placed(rig)
        key = rows.sold_key(purchase.item)
        await store(rig, insert(key))
        async with rig.uow.begin() as tx:
            (seen,) = await tx.keys.sealed_of_item(purchase.item.id)
            await tx.record(Decision(save=(update(seen, downloads=1),)))
        async with rig.uow.begin() as tx:
            (stored,) = await tx.keys.sealed([key.id])
        assert (stored.downloads, stored.ciphertext) == (1, key.ciphertext)

    async def test_large_ciphertexts_are_not_read_where_small_ones_are_enough(
        self, rig: StoreRig
    ) -> None:
        rows = rows_of(rig)
        small, large = (rows.sealed_key(ciphertext=b"x" * size, size=size) for size in (8, 9))
        gone = rows.sealed_key(ciphertext=None, size=1)
        await store(rig, *inserts(large, gone, small))
        async with rig.uow.begin() as tx:
            found = await tx.keys.sealed_small([gone.id, large.id, small.id, rig.new_id()], most=8)
            assert not await tx.keys.sealed_small([], most=8)
        assert [(key.id, key.ciphertext) for key in found] == [(small.id, b"x" * 8)]

    async def test_what_was_ever_sealed_is_known(self, rig: StoreRig) -> None:
        rows = rows_of(rig)
        live = rows.sealed_key(supplier_key_id="a")
        quarantined = rows.sealed_key(supplier_key_id="b", state="quarantined")
        await store(rig, *inserts(live, quarantined))
        async with rig.uow.begin() as tx:
            prints = await tx.keys.known([live.fingerprint, quarantined.fingerprint, "ff"])
            ids = await tx.keys.known_supplier_keys(SUPPLIER, ["a", "b", "c"])
            elsewhere = await tx.keys.known_supplier_keys("another", ["a"])
        assert prints == {live.fingerprint, quarantined.fingerprint}
        assert ids == {"a", "b"}
        assert elsewhere == frozenset()

    async def test_keys_on_an_older_wrapping_key_are_found_for_rotation(
        self, rig: StoreRig
    ) -> None:
        rows = rows_of(rig)
        keys = [rows.sealed_key(kek_id=kek) for kek in ("kek-1", "kek-2", "kek-1", "kek-1")]
        await store(rig, *inserts(*keys))
        async with rig.uow.begin() as tx:
            some = await tx.keys.not_on_kek("kek-2", limit=2)
            rest = await tx.keys.not_on_kek("kek-2", after=some[-1].id, limit=9)
            counts = [await tx.keys.count_not_on_kek(kek) for kek in ("kek-1", "kek-2")]
        assert len(some) == 2
        found = [key.id for key in (*some, *rest)]
        assert found == sorted([keys[0].id, keys[2].id, keys[3].id])
        assert counts == [1, 3]

    async def test_a_store_on_one_wrapping_key_says_so(self, rig: StoreRig) -> None:
        rows = rows_of(rig)
        await store(rig, *inserts(rows.sealed_key(kek_id="kek-2")))
        async with rig.uow.begin() as tx:
            assert await tx.keys.count_not_on_kek("kek-2") == 0
            assert await tx.keys.count_not_on_kek("kek-1") == 1

    # --- grants, webhooks, mails ---------------------------------------------------------

    async def test_grants_that_ended_or_were_revoked_are_not_usable(self, rig: StoreRig) -> None:
        rows, purchase, now = rows_of(rig), await placed(rig), rig.now()
        good = rows.grant(purchase.item)
        over = rows.grant(purchase.item, expires_at=now - timedelta(seconds=1))
        revoked = rows.grant(purchase.item, revoked_at=now, revoked_reason="refund")
        await store(rig, *inserts(good, over, revoked))
        async with rig.uow.begin() as tx:
            usable = await tx.grants.usable(purchase.order.id, at=now)
            one = await tx.grants.get(revoked.id)
        assert [grant.id for grant in usable] == [good.id]
        assert one == insert(revoked).after

    async def test_webhooks_and_mails_are_found_by_their_keys(self, rig: StoreRig) -> None:
        rows = rows_of(rig)
        webhook = rows.webhook(body=b'{"raw": "\xc3\xa9"}\n')
        email = rows.email(provider_id="m-1", state="sent")
        await store(rig, *inserts(webhook, email))
        async with rig.uow.begin() as tx:
            assert await tx.inbox.webhook(webhook.id) == insert(webhook).after
            assert await tx.inbox.email(email.key) == insert(email).after
            by_id = await tx.inbox.email_by_provider_id(email.provider, "m-1")
            assert by_id == insert(email).after
            assert await tx.inbox.email_by_provider_id("another", "m-1") is None

    async def test_a_webhook_that_comes_again_is_counted_and_moves_its_version_on(
        self, rig: StoreRig
    ) -> None:
        webhook = rows_of(rig).webhook()
        await store(rig, *inserts(webhook))
        for _ in range(2):
            async with rig.uow.begin() as tx:
                assert await tx.count_repeat(webhook.provider, webhook.dedupe_key)
        for provider, key in (("another", webhook.dedupe_key), (webhook.provider, "another")):
            async with rig.uow.begin() as tx:
                assert not await tx.count_repeat(provider, key)
        first = insert(webhook).after
        assert isinstance(first, Webhook)
        async with rig.uow.begin() as tx:
            found = await tx.inbox.webhook(webhook.id)
        counted = msgspec.structs.replace(first, attempts=3, version=first.version + 2)
        assert found == counted
        with pytest.raises(Conflict):
            await store(rig, update(first, note="of one who knows less"))

    async def test_a_webhook_of_an_order_tells_which_of_our_ids_it_named(
        self, rig: StoreRig
    ) -> None:
        purchase, rows = await placed(rig), rows_of(rig)
        order_id, named = purchase.order.id, {"provider": "s", "order_id": purchase.order.id}
        good = rows.webhook(order_number="BL-1-1-1", **named)
        forged = rows.webhook(order_number="BL-1-1-2", signature_ok=False, **named)
        await store(rig, *inserts(good, forged))
        async with rig.uow.begin() as tx:
            assert await tx.inbox.was_hinted(order_id, "s", "BL-1-1-1")
            assert not await tx.inbox.was_hinted(order_id, "s", "BL-1-1-2")
            assert not await tx.inbox.was_hinted(order_id, "another", "BL-1-1-1")
            assert not await tx.inbox.was_hinted(rows.new_id(), "s", "BL-1-1-1")

    async def test_suppressed_addresses_are_known(self, rig: StoreRig) -> None:
        stopped = Suppression(id="gone@shop.example", reason="bounce", created_at=rig.now())
        await store(rig, insert(stopped))
        async with rig.uow.begin() as tx:
            assert await tx.inbox.is_suppressed("gone@shop.example")
            assert not await tx.inbox.is_suppressed("here@shop.example")

    async def test_codes_to_an_address_are_counted_from_a_moment_on(self, rig: StoreRig) -> None:
        rows, now = rows_of(rig), rig.now()
        mails = [
            rows.email(kind="reentry-code", to="Me@Shop.example"),
            rows.email(kind="reentry-code", to="me@shop.example"),
            rows.email(
                kind="reentry-code", to="me@shop.example", created_at=now - timedelta(days=2)
            ),
            rows.email(kind="reentry-code", to="you@shop.example"),
            rows.email(kind="reentry-code", to="me@shop.example", state="suppressed"),
            rows.email(to="me@shop.example"),
        ]
        await store(rig, *inserts(*mails))
        async with rig.uow.begin() as tx:
            count = await tx.inbox.codes_sent("me@shop.example", since=now - timedelta(days=1))
        assert count == 2

    async def test_mails_are_found_by_their_address_and_what_was_told_by_the_mails(
        self, rig: StoreRig
    ) -> None:
        rows, order = rows_of(rig), (await placed(rig)).order
        about = [rows.email(to="Me@shop.example", order_id=order.id) for _ in range(2)]
        other, foreign = rows.email(to="me@shop.example"), rows.email(to="you@shop.example")
        told = [rows.webhook(provider="mailer", subject=name) for name in ("m1", "m2", "m9")]
        silent = (
            rows.webhook(provider="mailer", subject="m1", body=FORGOTTEN_BODY),
            rows.webhook(provider="mailer", subject="m1", signature_ok=False),
            rows.webhook(provider="gateway", subject="m1", order_number="BL-1"),
        )
        await store(rig, *inserts(*about, other, foreign, *told, *silent))
        async with rig.uow.begin() as tx:
            inbox = tx.inbox
            found = await inbox.mails_to("me@shop.example", limit=9)
            assert [mail.id for mail in found] == [mail.id for mail in (*about, other)]
            assert [mail.id for mail in await inbox.mails_to("me@shop.example", limit=1)] == [
                about[0].id
            ]
            of_order = await inbox.mails_to("me@shop.example", order_id=order.id, limit=9)
            assert [mail.id for mail in of_order] == [mail.id for mail in about]
            named = await inbox.mails_named([other.key, about[0].key, "no such mail", other.key])
            assert [mail.id for mail in named] == [about[0].id, other.id]
            events = await inbox.mail_events(["m1", "m2"], limit=9)
            assert [event.id for event in events] == [event.id for event in told[:2]]
            assert len(await inbox.mail_events(["m1", "m2"], limit=1)) == 1

    async def test_the_last_event_of_a_kind_is_known_by_its_facts(self, rig: StoreRig) -> None:
        order, other = (await placed(rig)).order, (await placed(rig)).order
        for number in (1, 2):
            file = await file_of(rig, order.id)
            told = {"amount": f"0.{number}", "of": number, "note": None}
            event = Event(kind="refund_recorded", at=rig.now(), subject=order.id, facts=told)
            decision = Decision(save=(update(file.order),), events=(event,), order_id=order.id)
            await record(rig, decision)
        async with rig.uow.begin() as tx:
            found = await tx.inbox.last_facts(order.id, "refund_recorded")
            assert found == {"amount": "0.2", "of": 2, "note": None}
            assert await tx.inbox.last_facts(other.id, "refund_recorded") is None
            assert await tx.inbox.last_facts("no such order", "refund_recorded") is None

    @pytest.mark.parametrize(
        "written",
        [
            ("Ann@Bücher.example", "ann@xn--bcher-kva.example", "ANN@BÜCHER.EXAMPLE"),
            ("Straße@shop.example", "STRASSE@Shop.example", "straSSe@shop.example"),
            ("İo@shop.example", "i\u0307O@shop.example", "i\u0307o@Shop.Example"),
        ],
    )
    async def test_codes_to_one_address_are_counted_together_however_it_was_written(
        self, rig: StoreRig, written: Sequence[str]
    ) -> None:
        rows, since = rows_of(rig), rig.now()
        await store(rig, *inserts(*(rows.email(kind="reentry-code", to=to) for to in written)))
        async with rig.uow.begin() as tx:
            for to in written:
                key = parse_address(to).key
                assert await tx.inbox.codes_sent(key, since=since) == len(written)
