"""A stored webhook of any provider can be applied again, and that changes nothing more."""

from typing import Literal

import msgspec
import pytest

from bitloot.domain.email import Email, Suppression
from bitloot.domain.errors import Refused
from bitloot.domain.fulfilment import SupplierAttempt
from bitloot.domain.webhook import Webhook
from bitloot.testing.rows import SUPPLIER
from bitloot_adapters.memory.paid_orders import PaidOrders
from bitloot_adapters.memory.supplier import NextOrder

MailFate = Literal["sent", "delivered", "delayed", "bounced", "complained", "failed", "other"]


async def mailed(shop: PaidOrders) -> str:
    """The provider's id of the one mail that was sent."""
    await shop.paid(await shop.own_goods("SERIAL"))
    await shop.work()
    [sent] = shop.mailer.mailbox
    return sent.provider_id


async def told(shop: PaidOrders, provider_id: str, event: MailFate) -> str:
    """The id of the webhook by which the provider tells what became of a mail."""
    known = {row.id for row in shop.store.rows(Webhook)}
    headers, body = shop.mailer.webhook(provider_id, event, permanent=event == "bounced")
    assert await shop.emails.accept(headers, body) == "accepted"
    [new] = [row.id for row in shop.store.rows(Webhook) if row.id not in known]
    await shop.work()
    return new


async def hinted(shop: PaidOrders) -> tuple[str, str]:
    """An order whose supplier told that it is complete, and the id of that webhook."""
    shop.supplier.next_order(NextOrder())
    order_id = await shop.paid(await shop.goods())
    await shop.work()
    [attempt] = shop.store.rows(SupplierAttempt)
    headers, body = shop.supplier.webhook(attempt.supplier_order_id or "")
    assert await shop.hints.accept(SUPPLIER, headers, body) == "accepted"
    await shop.work()
    [webhook] = shop.store.rows(Webhook)
    return order_id, webhook.id


def effects(shop: PaidOrders) -> list[object]:
    """Everything that a webhook can change, without the versions of rows."""
    kinds = (Email, Suppression, SupplierAttempt)
    rows = [
        msgspec.structs.replace(row, version=0) for kind in kinds for row in shop.store.rows(kind)
    ]
    return [*rows, dict(shop.store.events)]


async def test_a_hint_of_the_supplier_is_replayed_with_the_effect_of_one() -> None:
    shop = PaidOrders()
    order_id, webhook_id = await hinted(shop)
    before = effects(shop)
    for _ in range(3):
        await shop.replay.replay(webhook_id, by="admin/1", reason="again")
        assert shop.store.rows(Webhook)[0].handled_at is None
        await shop.work()
        assert shop.store.rows(Webhook)[0].handled_at is not None
    assert effects(shop) == before
    assert len(shop.bought(order_id)) == 1


async def test_a_webhook_of_a_provider_that_is_not_set_up_is_refused_by_its_name() -> None:
    shop = PaidOrders()
    _, webhook_id = await hinted(shop)
    del shop.followers[SUPPLIER]
    with pytest.raises(Refused, match="webhook-not-replayable") as refused:
        await shop.replay.replay(webhook_id, by="admin/1", reason="again")
    assert SUPPLIER in refused.value.detail


async def test_what_became_of_a_mail_is_replayed_with_the_effect_of_one() -> None:
    shop = PaidOrders()
    webhook_id = await told(shop, await mailed(shop), "bounced")
    before = effects(shop)
    for _ in range(3):
        await shop.replay.replay(webhook_id, by="admin/1", reason="again")
        await shop.work()
    assert effects(shop) == before
    assert [row.classification for row in shop.store.rows(Webhook)] == ["applied"]


async def test_replaying_an_earlier_word_about_a_mail_takes_nothing_back() -> None:
    shop = PaidOrders()
    provider_id = await mailed(shop)
    sent = await told(shop, provider_id, "sent")
    delivered = await told(shop, provider_id, "delivered")
    await told(shop, provider_id, "complained")
    for webhook_id in (sent, delivered):
        await shop.replay.replay(webhook_id, by="admin/1", reason="again")
        await shop.work()
    assert [mail.provider_event for mail in shop.store.rows(Email)] == ["complained"]


@pytest.mark.parametrize("late", ["sent", "delayed", "other"])
async def test_words_about_a_mail_that_come_late_take_nothing_back(late: MailFate) -> None:
    shop = PaidOrders()
    provider_id = await mailed(shop)
    await told(shop, provider_id, "delivered")
    await told(shop, provider_id, late)
    assert [mail.provider_event for mail in shop.store.rows(Email)] == ["delivered"]


async def test_a_forged_webhook_of_any_provider_is_never_replayed() -> None:
    shop = PaidOrders()
    assert await shop.emails.accept({}, b"{}") == "forged"
    assert await shop.hints.accept(SUPPLIER, {}, b"{}") == "forged"
    rows = shop.store.rows(Webhook)
    assert len(rows) == 2
    for row in rows:
        with pytest.raises(Refused, match="webhook-not-replayable"):
            await shop.replay.replay(row.id, by="admin/1", reason="look")
