"""At the end of an account nothing says any more who somebody was, and the orders stay."""

from datetime import timedelta
from typing import Final

from tests.unit.people_shop import BUYER, bought, mails, record, signed_in
from tests.unit.test_accounts import SUPPORT, actions, sweep

from bitloot.domain.decision import Decision, insert
from bitloot.domain.email import Email, Suppression
from bitloot.domain.forgetting import FORGOTTEN_BODY, NOT_SENT
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.limits import Limits
from bitloot.domain.order import Order
from bitloot.domain.replay import differences
from bitloot.domain.webhook import Webhook
from bitloot.testing.people_rows import PROOFS, PeopleRows
from bitloot_adapters.memory.unique_rules import TABLES
from bitloot_web.testing import TestShop, shop

LIMITS: Final = Limits()
DAY: Final = timedelta(days=1)
NEW: Final = "new@shop.example"


def order_of(it: TestShop, order_id: str) -> Order:
    return next(row for row in it.around.store.rows(Order) if row.id == order_id)


def places_of(it: TestShop, text: str) -> list[str]:
    """Where a text stands in the store: rows of any table, timelines, the audit log, jobs."""
    store = it.around.store
    found = [name for row, name in TABLES.items() if any(text in str(r) for r in store.rows(row))]
    orders = store.rows(Order)
    written = {
        "events": [event for order in orders for event in store.timeline(order.id)],
        "audit_logs": store.audit.lines,
        "jobs": list(store.jobs.all()),
    }
    return found + [name for name, rows in written.items() if text in str(rows)]


async def is_rebuilt(it: TestShop, order_id: str) -> bool:
    """Whether the events of an order, and nothing else, still give its rows."""
    store = it.around.store
    async with it.around.near.uow.begin() as tx:
        file = await tx.orders.file(order_id)
    assert file is not None
    ledger = [line for line in store.rows(LedgerLine) if line.order_id == order_id]
    return differences(file, ledger, store.timeline(order_id)) == ()


async def test_no_timeline_and_no_audit_line_says_who_bought() -> None:
    async with shop(seed=1) as it:
        order = await bought(it)
        await signed_in(it)
        found = places_of(it, BUYER)
        assert "orders" in found
        assert not {"events", "audit_logs", "jobs"} & set(found)
        assert not [each for each in it.around.store.timeline(order.id) if "192.0.2" in str(each)]
        assert await is_rebuilt(it, order.id)


async def test_nothing_says_who_somebody_was_once_they_are_forgotten() -> None:
    async with shop(seed=2) as it:
        claimed = await bought(it)
        who = await signed_in(it)
        unclaimed = await bought(it)
        sent = next(row for row in it.around.store.rows(Email) if row.provider_id is not None)
        rows = PeopleRows(clock=it.around.clock.now, new_id=it.around.near.new_id)
        body = f'{{"to":"{BUYER}"}}'.encode()
        told = rows.webhook(provider=sent.provider, subject=sent.provider_id, body=body)
        await record(it, Decision(save=(insert(told),)))
        await it.shop.email_changes.request(who.user.id, NEW)
        recovery = await it.shop.recoveries.start(who.user.id, NEW, PROOFS, actor=SUPPORT)
        await it.shop.recoveries.cancel(recovery.id, actor=SUPPORT)
        await it.shop.accounts.request_deletion(who.user.id)
        await it.advance(LIMITS.deletion_grace)
        await sweep(it)
        assert "Orders stay in our books" in mails(it, BUYER)[-1]
        for text in (BUYER, NEW, "in March"):
            assert places_of(it, text) == []
        nobody = f"deleted+{who.user.id}@invalid"
        for order in (claimed, unclaimed):
            now = order_of(it, order.id)
            assert (now.email, now.email_key, now.email_person) == (nobody, nobody, nobody)
            assert (now.placed_from, now.total, now.number) == ("", order.total, order.number)
            assert it.around.store.timeline(order.id)[-1].kind == "buyer_forgotten"
            assert await it.shop.views.people.owner_of(order.id) == who.user.id
            assert await is_rebuilt(it, order.id)
        assert it.around.store.rows(Webhook)[0].body == FORGOTTEN_BODY
        assert "account.forgotten" in actions(it)


async def test_an_order_that_is_under_way_tells_its_buyer_until_it_is_over() -> None:
    async with shop(seed=3) as it:
        who = await signed_in(it)
        await it.shop.accounts.request_deletion(who.user.id)
        await it.advance(LIMITS.deletion_grace - timedelta(minutes=10))
        order = await bought(it)
        await it.advance(timedelta(minutes=10))
        await sweep(it)
        assert order_of(it, order.id).email == BUYER
        await it.advance(LIMITS.payment_watch - DAY)
        assert order_of(it, order.id).status == "expired"
        assert places_of(it, BUYER) == ["orders", "emails"]
        await it.advance(2 * DAY)
        assert places_of(it, BUYER) == []
        pending = {job.kind for job in it.around.store.jobs.all() if job.state == "pending"}
        assert "forget_orders" not in pending


async def test_nobody_is_written_to_whose_address_is_forgotten() -> None:
    """Neither a mail that waited, nor one about an order that is looked at again."""
    async with shop(seed=4) as it:
        order, who = await bought(it), await signed_in(it)
        await it.shop.accounts.request_deletion(who.user.id)
        await it.run_due()
        await it.advance(LIMITS.deletion_grace)
        rows = PeopleRows(clock=it.around.clock.now, new_id=it.around.near.new_id)
        waiting = rows.email(to=BUYER)
        await record(it, Decision(save=(insert(waiting),)))
        await sweep(it)
        sent = len(it.around.mailer.mailbox)
        after = next(row for row in it.around.store.rows(Email) if row.id == waiting.id)
        assert (after.state, after.refusal, after.text) == ("refused", NOT_SENT, None)
        await it.shop.reentry.request(order.id)
        await it.around.near.jobs.tick(
            "again", it.around.clock.now(), "send_email", f"order-ready/{order.id}/1"
        )
        await it.run_due()
        assert len(it.around.mailer.mailbox) == sent


async def test_more_traces_than_are_taken_at_once_are_taken_one_after_another() -> None:
    async with shop(seed=5, limits=Limits(forgotten_at_once=2)) as it:
        for _ in range(3):
            await bought(it)
        who = await signed_in(it)
        rows = PeopleRows(clock=it.around.clock.now, new_id=it.around.near.new_id)
        order = it.around.store.rows(Order)[0]
        for number in range(5):
            mail = rows.email(to=BUYER, order_id=order.id, state="sent", provider_id=f"m{number}")
            events = [
                rows.webhook(provider="mailer", subject=f"m{number}", body=BUYER.encode())
                for _ in range(3)
            ]
            await record(it, Decision(save=tuple(map(insert, (mail, *events)))))
        await it.shop.accounts.request_deletion(who.user.id)
        await it.advance(LIMITS.deletion_grace)
        await sweep(it)
        assert places_of(it, BUYER) == []
        assert {row.body for row in it.around.store.rows(Webhook)} == {FORGOTTEN_BODY}


async def test_who_is_not_written_to_leaves_no_last_mail_behind() -> None:
    async with shop(seed=6) as it:
        who = await signed_in(it)
        await it.shop.accounts.request_deletion(who.user.id)
        at = it.around.clock.now()
        row = Suppression(id=BUYER, reason="bounce", created_at=at)
        await record(it, Decision(save=(insert(row),)))
        await it.advance(LIMITS.deletion_grace)
        await sweep(it)
        # What is not to be written to is remembered for just that.
        assert places_of(it, BUYER) == ["suppressions"]


async def test_what_is_told_of_the_last_mail_is_not_kept_either() -> None:
    async with shop(seed=7) as it:
        who = await signed_in(it)
        await it.shop.accounts.request_deletion(who.user.id)
        await it.advance(LIMITS.deletion_grace)
        await sweep(it)
        last = it.around.store.rows(Email)[-1]
        assert (last.kind, last.state, last.text) == ("deletion-done", "sent", None)
        rows = PeopleRows(clock=it.around.clock.now, new_id=it.around.near.new_id)
        told = rows.webhook(
            provider=last.provider,
            subject=last.provider_id,
            status="bounced/permanent",
            body=BUYER.encode(),
        )
        await record(it, Decision(save=(insert(told),)))
        await it.around.near.jobs.tick("t", it.around.clock.now(), "mail_event", told.id)
        await it.run_due()
        assert places_of(it, BUYER) == []
        assert it.around.store.rows(Suppression) == []
