"""Mails: one to each buyer for each thing, whatever the provider does."""

from datetime import timedelta

import pytest

from bitloot.domain.decision import Decision, JobRequest, insert
from bitloot.domain.email import Email, Suppression
from bitloot.domain.failpoints import AFTER_SENT_COMMIT, MAIL_ACCEPTED_BEFORE_SENT
from bitloot_adapters.memory.paid_orders import PaidOrders


async def fulfilled(shop: PaidOrders) -> str:
    order_id = await shop.paid(await shop.own_goods("SECRET-SERIAL"))
    await shop.work()
    return order_id


@pytest.mark.parametrize("boundary", [MAIL_ACCEPTED_BEFORE_SENT, AFTER_SENT_COMMIT])
async def test_a_death_around_sending_leads_to_no_second_mail(boundary: str) -> None:
    shop = PaidOrders()
    shop.crash_at = boundary
    await fulfilled(shop)
    await shop.work_for(timedelta(hours=1))
    assert len(shop.mailer.mailbox) == 1
    assert [mail.state for mail in shop.store.rows(Email)] == ["sent"]


async def test_a_mail_whose_answer_was_lost_is_sent_again_under_the_same_key() -> None:
    shop = PaidOrders()
    shop.mailer.faults.lose_next_reply(3)
    await fulfilled(shop)
    await shop.work_for(timedelta(hours=1))
    assert len(shop.mailer.mailbox) == 1
    [mail] = shop.store.rows(Email)
    assert mail.provider_key == mail.key


async def test_after_thirty_hours_without_the_provider_one_mail_goes_out_under_one_new_key() -> (
    None
):
    shop = PaidOrders()
    shop.mailer.faults.go_down()
    await fulfilled(shop)
    await shop.work_for(timedelta(hours=30))
    shop.mailer.faults.come_back()
    await shop.work_for(timedelta(hours=1))
    assert len(shop.mailer.mailbox) == 1
    [mail] = shop.store.rows(Email)
    assert (mail.state, mail.provider_key) == ("sent", f"{mail.key}/again")


async def test_no_mail_holds_a_key() -> None:
    shop = PaidOrders()
    await fulfilled(shop)
    [sent] = shop.mailer.mailbox
    assert "SECRET" not in sent.message.html + sent.message.text + sent.message.subject


async def test_a_suppressed_address_is_not_written_to() -> None:
    shop = PaidOrders()
    row = Suppression(id="buyer@shop.example", reason="bounce", created_at=shop.clock.now())
    async with shop.uow.begin() as tx:
        await tx.record(Decision(save=(insert(row),)))
    await fulfilled(shop)
    assert [mail.state for mail in shop.store.rows(Email)] == ["suppressed"]
    assert list(shop.mailer.mailbox) == []


async def test_an_address_that_bounces_for_good_is_suppressed() -> None:
    shop = PaidOrders()
    await fulfilled(shop)
    [sent] = shop.mailer.mailbox
    headers, body = shop.mailer.webhook(sent.provider_id, "bounced", permanent=True)
    assert await shop.emails.accept(headers, body) == "accepted"
    assert await shop.emails.accept(headers, body) == "duplicate"
    await shop.work()
    assert [row.id for row in shop.store.rows(Suppression)] == ["buyer@shop.example"]
    assert [mail.provider_event for mail in shop.store.rows(Email)] == ["bounced"]


async def test_a_forged_mail_webhook_is_stored_and_does_nothing() -> None:
    shop = PaidOrders()
    assert await shop.emails.accept({}, b"{}") == "forged"
    await shop.work()
    assert shop.store.rows(Suppression) == []


async def test_a_code_is_in_the_mail_that_is_sent_and_in_no_row() -> None:
    shop = PaidOrders()
    order_id = await fulfilled(shop)
    at = shop.clock.now()
    key = "reentry-code/challenge-424242/1"
    mail = Email(
        id=shop.new_id(),
        key=key,
        kind="reentry-code",
        order_id=order_id,
        to="buyer@shop.example",
        to_key="buyer@shop.example",
        subject=None,
        html=None,
        text=None,
        provider="memory",
        provider_key=key,
        first_try_at=at,
        created_at=at,
    )
    async with shop.uow.begin() as tx:
        job = JobRequest(kind="send_email", ref=key)
        await tx.record(Decision(save=(insert(mail),), jobs=(job,)))
    await shop.work()
    assert "424242" in shop.mailer.mailbox[-1].message.text
    assert [row.text for row in shop.store.rows(Email) if row.kind == "reentry-code"] == [None]
