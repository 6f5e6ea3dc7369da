"""A rotation goes on past keys that do not open, and says which they are."""

from bitloot.domain.decision import Decision, update
from bitloot.domain.key_inventory import SealedKey
from bitloot_adapters.memory.paid_orders import PaidOrders
from bitloot_web.key_rotation import rotate_all

KEYS = 120


async def stocked_shop() -> PaidOrders:
    """A shop with keys on the shelf, and a new key-encryption key before the old one."""
    shop = PaidOrders()
    await shop.own_goods(*(f"SERIAL-{n:03d}" for n in range(KEYS)))
    shop.vault.rotate("kek-new")
    return shop


async def rewrite(shop: PaidOrders, key_id: str, **fields: object) -> SealedKey:
    """Change a key's row by hand; gives how it was."""
    async with shop.uow.begin() as tx:
        [key] = await tx.keys.sealed([key_id])
        await tx.record(Decision(save=(update(key, **fields),)))
    return key


def ids(shop: PaidOrders, *places: int) -> list[str]:
    found = sorted(key.id for key in shop.store.rows(SealedKey))
    return [found[place] for place in places]


async def test_rows_that_do_not_open_are_left_behind_and_named() -> None:
    shop = await stocked_shop()
    first, middle, last = ids(shop, 0, 99, KEYS - 1)
    await rewrite(shop, first, wrapped_dek=b"no such thing")
    await rewrite(shop, middle, kek_id="never-was")
    await rewrite(shop, last, product_id=shop.new_id())
    rotation = await rotate_all(shop.inventory)
    assert (rotation.rotated, list(rotation.unreadable)) == (KEYS - 3, [first, middle, last])
    on_new = [key.id for key in shop.store.rows(SealedKey) if key.kek_id == "kek-new"]
    assert len(on_new) == KEYS - 3


async def test_a_rotation_is_taken_up_again_where_rows_were_mended() -> None:
    shop = await stocked_shop()
    one, other = ids(shop, 3, 110)
    good = await rewrite(shop, one, wrapped_dek=b"")
    await rewrite(shop, other, wrapped_dek=b"")
    assert (await rotate_all(shop.inventory)).rotated == KEYS - 2
    await rewrite(shop, one, wrapped_dek=good.wrapped_dek)
    again = await rotate_all(shop.inventory)
    assert (again.rotated, list(again.unreadable)) == (1, [other])


async def test_a_store_of_nothing_but_unreadable_rows_comes_to_an_end() -> None:
    shop = await stocked_shop()
    shop.vault.forget_kek("memory-1")
    rotation = await rotate_all(shop.inventory)
    assert (rotation.rotated, len(rotation.unreadable)) == (0, KEYS)
