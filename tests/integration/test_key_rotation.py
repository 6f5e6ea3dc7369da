"""A vault with keys in it gets a new key-encryption key while the shop goes on selling."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import httpx
import psycopg
import pytest
from tests.integration.commands import Commands
from tests.integration.goods_shop import NEW_KEY, OLD_KEY, GoodsShop, open_goods_shop

from bitloot.domain.errors import Refused
from bitloot.domain.own_stock import Batch, unit_of
from bitloot.ports.errors import StoreUnavailable
from bitloot_web.devservices import ValkeyStore
from bitloot_web.key_rotation import Rotation, rotate_all

BOTH_KEYS = f"{NEW_KEY},{OLD_KEY}"
STOCK = 400
SOLD = 24
LATE = 150
END_OTHERS = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def serials(name: str, number: int) -> list[bytes]:
    return [f"{name}-{place:05d}".encode() for place in range(number)]


async def on_old_key(url: str) -> int:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("SELECT count(*) FROM sealed_keys WHERE kek_id = 'old'")
        return int((await cursor.fetchall())[0][0])


async def read(it: GoodsShop, order_id: str, token: dict[str, str]) -> Sequence[str]:
    """Reveal and download, again where the database was lost on the way."""
    for _ in range(10):
        try:
            file = await it.client.get(await it.reveal(order_id, token))
        except (AssertionError, KeyError):
            await asyncio.sleep(0.05)
            continue
        if file.status_code == httpx.codes.OK:
            return [each["key"] for each in file.json()["keys"]]
        assert file.status_code == httpx.codes.SERVICE_UNAVAILABLE, file.text
    raise AssertionError("the keys could not be read")


async def opened_on_the_shelf(it: GoodsShop, url: str) -> list[bytes]:
    """Every key that is not sold yet, opened from its row."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute("SELECT id::text FROM sealed_keys WHERE order_id IS NULL")
        ids = [str(row[0]) for row in await cursor.fetchall()]
    async with it.near.uow.begin() as tx:
        keys = await tx.keys.sealed(ids)
    return [
        it.near.vault.unseal(
            key.ciphertext or b"",
            nonce=key.nonce,
            wrapped_dek=key.wrapped_dek,
            kek_id=key.kek_id,
            bound=unit_of(key),
        )
        for key in keys
    ]


async def rotated(it: GoodsShop) -> None:
    """Rotate to the end, from the start again whenever the database was lost."""
    for _ in range(20):
        try:
            await rotate_all(it.shop.inventory)
        except StoreUnavailable:
            continue
        return
    raise AssertionError("the rotation never came to its end")


async def imported(it: GoodsShop, product_id: str, lines: list[bytes]) -> None:
    """Import to the end; what came in before the database was lost is known then."""
    batch = Batch(product_id=product_id, name="late", cost=it.near.limits.gateway_fee)
    for _ in range(20):
        try:
            await it.shop.inventory.import_keys(b"\n".join(lines), batch, actor="test")
        except StoreUnavailable:
            continue
        except Refused as refusal:
            # It had come to its end when the database was lost.
            if refusal.code != "duplicate-keys":
                raise
        return
    raise AssertionError("the import never came to its end")


async def test_a_rotation_with_traffic_and_a_cut_leaves_no_key_behind_and_none_unreadable(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path
) -> None:
    stock, more = serials("STOCK", STOCK), serials("LATER", LATE)
    async with open_goods_shop(shop_url, valkey_server.url, tmp_path) as it:
        product_id = await it.own_product("own-game", *stock)
        await it.bought_product("bought-game")
        own = await it.buy("own-game", SOLD)
        bought = await it.buy("bought-game", 9)
        before = [await read(it, *own), await read(it, *bought)]
    assert await on_old_key(shop_url) == STOCK + 9
    async with open_goods_shop(shop_url, valkey_server.url, tmp_path, keks=BOTH_KEYS) as it:
        # Half of it, then the connections are cut, and it is begun again with traffic around it.
        for _ in range(2):
            await it.shop.inventory.rotate()
        left = await on_old_key(shop_url)
        assert 0 < left < STOCK + 9
        rotation = asyncio.create_task(rotated(it))
        importing = asyncio.create_task(imported(it, product_id, more))
        cut = 0
        while not rotation.done() or not importing.done() or cut < 2:
            if cut < 2:
                async with await psycopg.AsyncConnection.connect(shop_url) as connection:
                    await connection.execute(END_OTHERS)
                cut += 1
            assert [await read(it, *own), await read(it, *bought)] == before
        await rotation
        await importing
        assert await on_old_key(shop_url) == 0
    async with open_goods_shop(shop_url, valkey_server.url, tmp_path, keks=NEW_KEY) as it:
        assert [await read(it, *own), await read(it, *bought)] == before
        on_shelf = await opened_on_the_shelf(it, shop_url)
        sold = {each.encode() for each in before[0]}
        assert len(on_shelf) == STOCK + LATE - SOLD
        assert {*on_shelf, *sold} == {*stock, *more}


async def test_a_rotation_waits_for_keys_that_somebody_holds_and_never_says_done_before(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path
) -> None:
    async with open_goods_shop(shop_url, valkey_server.url, tmp_path) as it:
        await it.own_product("own-game", *serials("HELD", 3))
    async with open_goods_shop(shop_url, valkey_server.url, tmp_path, keks=BOTH_KEYS) as it:
        async with await psycopg.AsyncConnection.connect(shop_url) as connection:
            await connection.execute("SELECT id FROM sealed_keys LIMIT 1 FOR UPDATE")
            rotation = asyncio.create_task(rotate_all(it.shop.inventory))
            await asyncio.sleep(0.3)
            assert not rotation.done()
            assert await it.shop.inventory.not_rotated()
        assert await rotation == Rotation(3)
        assert await it.shop.inventory.not_rotated() == 0


async def damaged(url: str) -> list[str]:
    """Spoil three keys by hand, each in another way; gives their ids."""
    async with await psycopg.AsyncConnection.connect(url) as connection:
        cursor = await connection.execute(
            "SELECT id::text FROM sealed_keys WHERE order_id IS NULL ORDER BY id LIMIT 3"
        )
        ids = [str(row[0]) for row in await cursor.fetchall()]
        for change, key_id in zip(
            (b"wrapped_dek = '\\x00'", b"kek_id = 'never-was'", b"product_id = NULL"),
            ids,
            strict=True,
        ):
            statement = b"UPDATE sealed_keys SET " + change + b" WHERE id = %s"
            await connection.execute(statement, (key_id,))
    return ids


async def test_the_command_rotates_past_damaged_rows_names_them_and_fails(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path
) -> None:
    async with open_goods_shop(shop_url, valkey_server.url, tmp_path) as it:
        await it.own_product("own-game", *serials("SPOILED", 130))
        order = await it.buy("own-game", 2)
        before = await read(it, *order)
    bad = await damaged(shop_url)
    shop = Commands(shop_url, valkey_server.url, tmp_path)
    for rotated_now in (127, 0):
        ended = await asyncio.to_thread(shop.run, "keys", "rotate", keks=BOTH_KEYS)
        assert ended.returncode == 1, ended.stderr
        assert ended.stdout == f"{rotated_now} keys rotated\n"
        assert "3 keys do not open" in ended.stderr
        assert "Traceback" not in ended.stderr
        assert [line.strip() for line in ended.stderr.splitlines() if line[:2] == "  "] == bad
    async with open_goods_shop(shop_url, valkey_server.url, tmp_path, keks=NEW_KEY) as it:
        assert await read(it, *order) == before


@pytest.mark.parametrize("kept", [NEW_KEY, OLD_KEY])
async def test_a_key_under_a_removed_key_encryption_key_is_a_clear_problem(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, kept: str
) -> None:
    async with open_goods_shop(shop_url, valkey_server.url, tmp_path) as it:
        await it.own_product("own-game", b"ONLY-KEY")
        order = await it.buy("own-game", 1)
    async with open_goods_shop(shop_url, valkey_server.url, tmp_path, keks=kept) as it:
        answer = await it.client.get(await it.reveal(*order))
        if kept == OLD_KEY:
            assert answer.json()["keys"][0]["key"] == "ONLY-KEY"
        else:
            assert answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
            assert answer.json()["type"] == "urn:bitloot:problem:key-unreadable"
