"""Mails: one to each buyer for each thing, whatever the provider does."""

from datetime import timedelta
from decimal import Decimal

import pytest

from bitloot.domain.decision import Decision, JobRequest, insert
from bitloot.domain.email import Email, EmailKind, Suppression
from bitloot.domain.failpoints import AFTER_SENT_COMMIT, MAIL_ACCEPTED_BEFORE_SENT
from bitloot.domain.refund import RefundRecord
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


async def wait(shop: PaidOrders, *, hours: int) -> None:
    """Hour by hour."""
    for _ in range(hours):
        await shop.work_for(timedelta(hours=1))


def tries(shop: PaidOrders) -> int:
    """How often the job of the one mail was taken up."""
    [job] = [job for job in shop.store.jobs.all() if job.kind == "send_email"]
    return job.fence


@pytest.mark.parametrize("way", ["refused", "unanswered"])
async def test_a_mail_is_tried_less_often_the_longer_its_provider_is_away(way: str) -> None:
    shop = PaidOrders()
    if way == "refused":
        shop.mailer.faults.go_down()
    else:
        shop.mailer.faults.lose_next_reply(10_000)
    await fulfilled(shop)
    await shop.work_for(timedelta(minutes=30))
    early = tries(shop)
    assert early >= 6
    await wait(shop, hours=20)
    # Full jitter below ten minutes: one try in five minutes on the average, before and after
    # the count of attempts starts over.
    assert 20 * 8 < tries(shop) - early < 20 * 18


async def test_a_provider_that_is_asked_too_often_is_not_taken_for_one_that_is_away() -> None:
    shop = PaidOrders()
    shop.mailer.faults.limit_next(shop.limits.breaker_failures)
    for number in range(shop.limits.breaker_failures):
        await shop.paid(await shop.own_goods(f"SERIAL-{number}"))
    await shop.work()
    assert await shop.breakers.allows(shop.mailer.name)
    await shop.work_for(shop.limits.breaker_probe / 2)
    assert len(shop.mailer.mailbox) == shop.limits.breaker_failures


async def test_a_mail_goes_out_within_ten_minutes_of_the_return_of_its_provider() -> None:
    shop = PaidOrders()
    shop.mailer.faults.go_down()
    await fulfilled(shop)
    await wait(shop, hours=9)
    shop.mailer.faults.come_back()
    await shop.work_for(shop.limits.job_backoff_cap)
    assert len(shop.mailer.mailbox) == 1


def has_died(shop: PaidOrders) -> bool:
    return shop.crash_at is None


def told(shop: PaidOrders) -> list[str]:
    """What the timelines say of mails."""
    events = [event for of_order in shop.store.events.values() for event in of_order]
    return [event.kind for event in events if event.kind.startswith("mail_")]


async def unsettled_mail(shop: PaidOrders) -> Email:
    """A mail whose every answer is lost, also under its second key, long after both are over."""
    shop.mailer.faults.lose_next_reply(10_000)
    await fulfilled(shop)
    await wait(shop, hours=80)
    [mail] = shop.store.rows(Email)
    return mail


async def test_a_mail_that_stays_unanswered_goes_out_twice_at_most_and_then_to_a_person() -> None:
    shop = PaidOrders()
    mail = await unsettled_mail(shop)
    assert len(shop.mailer.mailbox) == 2
    assert (mail.state, mail.provider_key) == ("unknown", f"{mail.key}/again")
    assert told(shop) == ["mail_key_renewed", "mail_unsettled"]
    [letter] = await shop.jobs.dead(limit=9, after=None)
    assert (letter.kind, letter.ref, letter.last_error) == (
        "send_email",
        mail.key,
        "mail-outcome-unknown",
    )


async def test_what_was_perhaps_sent_before_an_outage_is_not_sent_a_third_time_after_it() -> None:
    shop = PaidOrders()
    shop.crash_at = MAIL_ACCEPTED_BEFORE_SENT
    await fulfilled(shop)
    shop.mailer.faults.go_down()
    await wait(shop, hours=24)
    shop.mailer.faults.come_back()
    shop.crash_at = MAIL_ACCEPTED_BEFORE_SENT
    shop.at_failpoint[MAIL_ACCEPTED_BEFORE_SENT] = shop.mailer.faults.go_down
    await wait(shop, hours=40)
    assert has_died(shop)
    shop.mailer.faults.come_back()
    await wait(shop, hours=40)
    assert len(shop.mailer.mailbox) == 2
    assert [mail.state for mail in shop.store.rows(Email)] == ["unknown"]


async def test_an_outage_of_four_days_in_which_nothing_was_taken_ends_with_the_mail() -> None:
    shop = PaidOrders()
    shop.mailer.faults.go_down()
    await fulfilled(shop)
    await wait(shop, hours=96)
    shop.mailer.faults.come_back()
    await shop.work_for(timedelta(hours=1))
    assert len(shop.mailer.mailbox) == 1
    assert [mail.state for mail in shop.store.rows(Email)] == ["sent"]


async def test_a_person_may_have_an_unsettled_mail_sent_once_more() -> None:
    shop = PaidOrders()
    mail = await unsettled_mail(shop)
    [letter] = await shop.jobs.dead(limit=9, after=None)
    shop.mailer.faults.answer_again()
    assert await shop.jobs.replay(letter.id)
    await shop.work_for(timedelta(hours=1))
    [sent] = shop.store.rows(Email)
    assert (sent.state, sent.provider_key) == ("sent", f"{mail.provider_key}/again")
    assert len(shop.mailer.mailbox) == 3


async def test_the_mail_of_a_recorded_refund_names_amount_and_transaction() -> None:
    shop = PaidOrders()
    order_id = await fulfilled(shop)
    record = RefundRecord(
        amount="0.000200",
        asset="btc",
        address="bc1q-where-it-went",
        tx_id="4a5e1e4b",
        basis="then",
        eur=Decimal("12.50"),
        reason="an angry buyer",
    )
    await shop.aftercare.refund(order_id, record, actor="admin", confirmed=False)
    await shop.work()
    sent = shop.mailer.mailbox[-1].message
    assert sent.kind == "order-refunded"
    for text in (sent.text, sent.html):
        assert "0.0002 BTC" in text
        assert "4a5e1e4b" in text
        for untold in ("bc1q-where-it-went", "an angry buyer", "SECRET"):
            assert untold not in text


async def test_no_mail_holds_a_key() -> None:
    shop = PaidOrders()
    await fulfilled(shop)
    [sent] = shop.mailer.mailbox
    assert "SECRET" not in sent.message.html + sent.message.text + sent.message.subject


async def waits(
    shop: PaidOrders,
    *,
    kind: EmailKind,
    key: str,
    order_id: str | None = None,
    to: str = "buyer@shop.example",
    text: str | None = None,
) -> None:
    """A mail that was written and whose job has not run yet; without a text it is made later."""
    at = shop.clock.now()
    mail = Email(
        id=shop.new_id(),
        key=key,
        kind=kind,
        order_id=order_id,
        to=to,
        to_key="buyer@shop.example",
        subject=text,
        html=text,
        text=text,
        provider="memory",
        provider_key=key,
        first_try_at=at,
        created_at=at,
    )
    async with shop.uow.begin() as tx:
        job = JobRequest(kind="send_email", ref=key)
        await tx.record(Decision(save=(insert(mail),), jobs=(job,)))


async def suppress(shop: PaidOrders) -> None:
    row = Suppression(id="buyer@shop.example", reason="complaint", created_at=shop.clock.now())
    async with shop.uow.begin() as tx:
        await tx.record(Decision(save=(insert(row),)))


async def test_a_suppressed_address_is_not_written_to() -> None:
    shop = PaidOrders()
    await suppress(shop)
    await fulfilled(shop)
    assert [mail.state for mail in shop.store.rows(Email)] == ["suppressed"]
    assert list(shop.mailer.mailbox) == []


@pytest.mark.parametrize("way", ["refused", "unanswered"])
async def test_a_mail_that_waits_is_not_sent_to_an_address_that_was_suppressed_meanwhile(
    way: str,
) -> None:
    shop = PaidOrders()
    if way == "refused":
        shop.mailer.faults.go_down()
    else:
        shop.mailer.faults.lose_next_reply(1)
    await fulfilled(shop)
    taken = len(shop.mailer.mailbox)
    await suppress(shop)
    shop.mailer.faults.come_back()
    await shop.work_for(timedelta(hours=1))
    assert [mail.state for mail in shop.store.rows(Email)] == ["suppressed"]
    assert len(shop.mailer.mailbox) == taken


async def test_a_mail_with_a_link_is_not_sent_to_a_suppressed_address() -> None:
    shop = PaidOrders()
    await suppress(shop)
    await waits(
        shop,
        kind="recovery-started",
        key="recovery-started/recovery-1/1",
        to="Buyer@shop.example",
        text="Stop it",
    )
    await shop.work()
    assert [row.state for row in shop.store.rows(Email)] == ["suppressed"]
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
    await waits(shop, kind="reentry-code", key="reentry-code/challenge-424242/1", order_id=order_id)
    await shop.work()
    assert "424242" in shop.mailer.mailbox[-1].message.text
    assert [row.text for row in shop.store.rows(Email) if row.kind == "reentry-code"] == [None]
