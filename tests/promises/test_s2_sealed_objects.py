"""S2: swapped and changed keys open for nobody: one answer for all, and no key in it."""

import re
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import httpx
import psycopg
import pytest
from tests.integration.goods_shop import GoodsShop, open_goods_shop
from tests.promises.figures import Figures
from tests.promises.market import Market, Order, open_doors, open_market

from bitloot_web.devservices import ValkeyStore

FIRST, SECOND = "FIRST-BUYERS-KEY", "SECOND-BUYERS-KEY"
SWAP = """
UPDATE sealed_keys AS one SET {column} = other.{column}, version = one.version
FROM sealed_keys AS other WHERE one.id <> other.id AND one.order_id IS NOT NULL
"""


class TwoBuyers:
    """Two delivered orders of one key each, and hands on what is stored."""

    def __init__(self, it: GoodsShop, url: str) -> None:
        self.it = it
        self._url = url
        self.orders: list[tuple[str, dict[str, str]]] = []

    async def change(self, statement: str) -> None:
        async with await psycopg.AsyncConnection.connect(self._url) as connection:
            await connection.execute(statement.encode())

    def objects(self) -> list[Path]:
        return sorted(p for p in self.it.vault_folder.rglob("*-*-*") if p.is_file())

    async def answers(self) -> Sequence[httpx.Response]:
        return [await self.it.client.get(await self.it.reveal(*order)) for order in self.orders]

    async def both_read_their_own(self) -> bool:
        files = [answer.json() for answer in await self.answers()]
        return [file["keys"][0]["key"] for file in files] == [FIRST, SECOND]


@pytest.fixture
async def buyers(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path
) -> AsyncIterator[TwoBuyers]:
    async with open_goods_shop(shop_url, valkey_server.url, tmp_path) as it:
        opened = TwoBuyers(it, shop_url)
        await it.own_product("own-game", FIRST.encode())
        opened.orders.append(await it.buy("own-game", 1))
        await it.own_product("other-game", SECOND.encode())
        opened.orders.append(await it.buy("other-game", 1))
        assert await opened.both_read_their_own()
        yield opened


async def is_refused_in_one_form(buyers: TwoBuyers, *, which: Sequence[int] = (0, 1)) -> None:
    answers = await buyers.answers()
    for place in which:
        answer = answers[place]
        document = answer.json()
        document.pop("instance")
        assert document == {
            "type": "urn:bitloot:problem:key-unreadable",
            "title": "The key cannot be opened",
            "status": 503,
            "detail": "The stored key does not open; the shop was told, and has to replace it.",
        }
        assert answer.headers["cache-control"] == "no-store"
        told = answer.text + str(answer.headers)
        assert not any(key in told for key in (FIRST, SECOND))
    for place in {0, 1} - set(which):
        assert answers[place].json()["keys"][0]["key"] == (FIRST, SECOND)[place]


async def test_s2_swapped_objects_open_for_neither_buyer(buyers: TwoBuyers) -> None:
    first, second = buyers.objects()
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    await is_refused_in_one_form(buyers)
    first.write_bytes(one)
    second.write_bytes(other)
    assert await buyers.both_read_their_own()


@pytest.mark.parametrize("column", ["wrapped_dek", "nonce", "order_item_id"])
async def test_s2_swapped_columns_of_two_keys_open_for_neither_buyer(
    buyers: TwoBuyers, column: str
) -> None:
    if column == "order_item_id":
        # Rows that change their owner: the other's item, its fulfilment, its order.
        await buyers.change("UPDATE sealed_keys SET state = 'replaced'")
        for moved in ("order_id", "fulfilment_id"):
            await buyers.change(SWAP.format(column=moved))
    await buyers.change(SWAP.format(column=column))
    await buyers.change("UPDATE sealed_keys SET state = 'live'")
    await is_refused_in_one_form(buyers)


async def test_s2_a_pointer_to_anothers_object_opens_nothing(buyers: TwoBuyers) -> None:
    await buyers.change(
        "UPDATE sealed_keys SET object_name = 'keys/00000000-0000-7000-8000-000000000000'"
        " WHERE id = (SELECT id FROM sealed_keys ORDER BY id LIMIT 1)"
    )
    await is_refused_in_one_form(buyers, which=(0,))


@pytest.mark.parametrize("change", ["flipped", "cut", "longer", "empty", "gone"])
async def test_s2_an_object_with_any_byte_changed_opens_nothing(
    buyers: TwoBuyers, change: str
) -> None:
    for path in buyers.objects():
        stored = path.read_bytes()
        match change:
            case "flipped":
                path.write_bytes(bytes([stored[0] ^ 1]) + stored[1:])
            case "cut":
                path.write_bytes(stored[:-1])
            case "longer":
                path.write_bytes(stored + b"\0")
            case "empty":
                path.write_bytes(b"")
            case _:
                path.unlink()
    await is_refused_in_one_form(buyers)


async def test_s2_a_changed_wrapped_key_or_an_unknown_wrapping_key_opens_nothing(
    buyers: TwoBuyers,
) -> None:
    await buyers.change(
        "UPDATE sealed_keys SET wrapped_dek = set_byte(wrapped_dek, 20,"
        " get_byte(wrapped_dek, 20) # 1) WHERE id = (SELECT min(id::text)::uuid FROM sealed_keys)"
    )
    await buyers.change(
        "UPDATE sealed_keys SET kek_id = 'never-was'"
        " WHERE id = (SELECT max(id::text)::uuid FROM sealed_keys)"
    )
    await is_refused_in_one_form(buyers)


# --- every byte of many ----------------------------------------------------------------------

INSTANCE = re.compile(r'"instance":"[^"]*"')


def object_file(folder: Path, name: str) -> Path:
    """Where the local vault keeps an object."""
    [path] = [each for each in folder.rglob(name.rpartition("/")[2]) if each.is_file()]
    return path


async def refusal(market: Market, link: str) -> tuple[int, str]:
    """How a download was refused, without what differs from request to request."""
    answer = await market.client.get(link)
    return answer.status_code, INSTANCE.sub("", answer.text)


async def lines(market: Market, units: int) -> list[tuple[Order, str]]:
    """Orders of one unit each, and a link that bears any number of downloads."""
    found = []
    for number in range(units):
        slug = f"own-game-{number}"
        await market.own(slug, f"SEALED-KEY-{number:03d}".encode())
        order = await market.bought(slug)
        found.append((order, await market.reveal(order)))
    return found


async def test_s2_no_object_with_any_byte_flipped_opens_and_all_faults_look_alike(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    units = 50 if figures.full else 3
    valkey_server.flush()
    limits = {"DOWNLOADS_PER_LINK": "100000"}
    forms: Counter[tuple[int, str]] = Counter()
    async with (
        open_doors() as doors,
        open_market(shop_url, valkey_server.url, tmp_path, doors, limits=limits) as market,
    ):
        for order, link in await lines(market, units):
            [(name,)] = await market.sql(
                "SELECT object_name FROM sealed_keys WHERE order_id = %s", [order.id]
            )
            path = object_file(tmp_path, str(name))
            stored = path.read_bytes()
            for at in range(len(stored)):
                bit = 1 << at % 8
                path.write_bytes(stored[:at] + bytes([stored[at] ^ bit]) + stored[at + 1 :])
                forms[await refusal(market, link)] += 1
            path.write_bytes(stored)
            assert (await market.client.get(link)).is_success
    refused = sum(count for (status, _), count in forms.items() if status == 503)
    figures.note(
        "S2",
        "no sealed object opens with any of its bytes flipped, and all faults look alike",
        figure=f"{units} objects, {forms.total()} flips: {refused} refused in {len(forms)} form",
        scale="full" if figures.full else "÷ 17",
        holds=refused == forms.total() > 25 * units and len(forms) == 1,
    )


async def test_s2_no_object_row_or_wrapped_key_opens_in_the_place_of_another(
    market: Market, tmp_path: Path, figures: Figures
) -> None:
    pairs = 25 if figures.full else 2
    opened, tried = 0, 0
    for number in range(pairs):
        keys = [f"PAIR-{number}-{side}".encode() for side in "AB"]
        orders = []
        for side, key in enumerate(keys):
            await market.own(f"pair-{number}-{side}", key)
            orders.append(await market.bought(f"pair-{number}-{side}"))
        rows = "SELECT id::text, object_name FROM sealed_keys WHERE order_id = ANY (%s) ORDER BY id"
        both = await market.sql(rows, [[order.id for order in orders]])
        files = [object_file(tmp_path, str(name)) for _, name in both]
        first, second = (path.read_bytes() for path in files)
        files[0].write_bytes(second)
        files[1].write_bytes(first)
        opened, tried = opened + await readable(market, orders), tried + 2
        files[0].write_bytes(first)
        files[1].write_bytes(second)
        for column in ("wrapped_dek", "nonce"):
            for turn in range(2):  # there and back again
                await market.sql(
                    f"UPDATE sealed_keys a SET {column} = b.{column} FROM sealed_keys b"
                    " WHERE a.id <> b.id AND a.id = ANY (%s) AND b.id = ANY (%s)",
                    [[str(id_) for id_, _ in both]] * 2,
                )
                if turn == 0:
                    opened, tried = opened + await readable(market, orders), tried + 2
        assert await readable(market, orders) == 2
    figures.note(
        "S2",
        "no object, nonce or wrapped key opens in the place of another",
        figure=f"{pairs} pairs, {tried} downloads after a swap: {opened} opened",
        scale="full" if figures.full else "÷ 12",
        holds=opened == 0 and tried == 6 * pairs,
    )


async def readable(market: Market, orders: Sequence[Order]) -> int:
    """How many of these orders can be read now."""
    answers = [await market.client.get(await market.reveal(order)) for order in orders]
    return sum(answer.is_success for answer in answers)
