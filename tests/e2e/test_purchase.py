"""The whole way of a purchase: shop, worker, scheduler and stand-ins as processes of their own."""

from tests.e2e.buyer import Buyer


async def test_a_mixed_basket_is_paid_in_full_and_both_keys_are_revealed(buyer: Buyer) -> None:
    order = await buyer.paid("kinguin", "custom")
    seen = await buyer.until_status(order, "fulfilled")
    assert [item["delivered"] for item in seen["items"]] == [1, 1]
    keys = await buyer.keys(order)
    assert len(set(keys)) == 2
    (sold,) = await buyer.bought(order)
    assert sold["status"] == "completed"
    subjects = [mail["subject"] for mail in await buyer.mails(order.email)]
    assert len(subjects) == len(set(subjects)), subjects
