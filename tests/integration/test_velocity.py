"""How many unpaid orders a person or a network address may have, when many are placed at once."""

import asyncio

import msgspec
from tests.integration.till import PATIENT, fresh_key, open_till

from bitloot.domain.errors import Refused
from bitloot.usecases.checkout import OrderFacts

AT_ONCE = 24
MOST = 5
CAREFUL = msgspec.structs.replace(PATIENT, open_orders_per_ip=MOST)


async def test_orders_from_one_network_address_at_once_are_as_many_as_it_may_have(
    shop_url: str,
) -> None:
    async with open_till(shop_url, limits=CAREFUL) as till:
        slugs = [await till.own(1, f"own-game-{n}") for n in range(AT_ONCE)]
        quotes = [await till.quote(slug) for slug in slugs]
        acts = (
            till.shop.checkout.place(
                quote, email=f"buyer{n}@shop.example", placed_from="192.0.2.1", once=fresh_key("o")
            )
            for n, quote in enumerate(quotes)
        )
        answers = await asyncio.gather(*acts, return_exceptions=True)
        placed = [answer for answer in answers if isinstance(answer, OrderFacts)]
        refused = [answer for answer in answers if isinstance(answer, Refused)]
        assert (len(placed), len(placed) + len(refused)) == (MOST, AT_ONCE)
        assert {refusal.code for refusal in refused} == {"too-many-open-orders"}
        assert await till.count("SELECT count(*) FROM orders") == MOST


async def test_persons_who_share_a_network_address_in_any_order_never_wait_for_each_other(
    shop_url: str,
) -> None:
    async with open_till(shop_url) as till:
        slugs = [await till.own(1, f"own-game-{n}") for n in range(AT_ONCE)]
        quotes = [await till.quote(slug) for slug in slugs]
        acts = (
            till.shop.checkout.place(
                quote,
                email=f"buyer{n % 3}@shop.example",
                placed_from=f"192.0.2.{n % 4}",
                once=fresh_key("o"),
            )
            for n, quote in enumerate(quotes)
        )
        answers = await asyncio.gather(*acts, return_exceptions=True)
        assert all(isinstance(answer, OrderFacts) for answer in answers), answers
