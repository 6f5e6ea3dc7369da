"""`bitloot admin create`: the first owner of a shop, and keys for their programs."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from tests.integration.commands import Commands
from tests.integration.goods_shop import open_goods_shop

from bitloot.domain.limits import Limits
from bitloot.domain.roles import PERMISSIONS
from bitloot.ports.views.people import KeyView, Profile, UserFilter
from bitloot_web.devservices import ValkeyStore

EMAIL = "boss@shop.example"
KEY = re.compile(r"blk_[0-9a-f]{8}_[0-9a-f]{64}\n")


def days(key: KeyView) -> float:
    """How long a key opens."""
    assert key.expires_at is not None
    return round((key.expires_at - key.created_at) / timedelta(days=1), 3)


@pytest.fixture
def commands(shop_url: str, valkey_server: ValkeyStore, tmp_path: Path) -> Commands:
    return Commands(shop_url, valkey_server.url, tmp_path)


async def everyone(commands: Commands) -> tuple[list[Profile], list[KeyView]]:
    """All accounts and all keys."""
    async with open_goods_shop(commands.database_url, commands.redis_url, commands.folder) as it:
        people = it.shop.views.people
        users = await people.users(UserFilter(), limit=100, after=None)
        keys = await people.api_keys(limit=100, after=None)
    return list(users.items), list(keys.items)


async def test_an_owner_is_made_once_and_no_later_run_takes_anything_away(
    commands: Commands,
) -> None:
    first = commands.run("admin", "create", EMAIL)
    assert first.returncode == 0, first.stderr
    assert f"{EMAIL} is now owner" in first.stdout
    for words in (("Boss@Shop.Example",), (EMAIL, "--role", "support")):
        again = commands.run("admin", "create", *words)
        assert again.returncode == 0, again.stderr
        assert "was already owner" in again.stdout
    users, keys = await everyone(commands)
    assert [(user.email, user.roles) for user in users] == [(EMAIL, ("owner",))]
    assert not keys


async def test_a_key_is_printed_once_alone_and_opens_the_desk(commands: Commands) -> None:
    made = commands.run("admin", "create", EMAIL, "--with-key", "reports")
    assert made.returncode == 0, made.stderr
    assert KEY.fullmatch(made.stdout)
    assert made.stdout.strip() not in made.stderr
    again = commands.run("admin", "create", EMAIL, "--with-key", " reports ")
    assert (again.returncode, again.stdout) == (1, "")
    assert "there is a key 'reports' already" in again.stderr
    assert made.stdout.strip() not in again.stderr
    async with open_goods_shop(commands.database_url, commands.redis_url, commands.folder) as it:
        headers = {"authorization": f"Bearer {made.stdout.strip()}"}
        answer = await it.client.get("/v1/admin/orders", headers=headers)
        assert answer.status_code == 200, answer.text
    _, (key,) = await everyone(commands)
    assert frozenset(key.scopes) == PERMISSIONS
    assert days(key) == Limits().api_key_life.days
    assert re.search(r"until \d{4}-\d\d-\d\d \d\d:\d\d UTC", made.stderr)


async def test_a_key_opens_what_was_asked_for_and_what_its_owner_may_do(commands: Commands) -> None:
    support = (EMAIL, "--role", "support", "--with-key")
    looking = (*support, "looking", "--scope", "orders.read", "--days", "30")
    made = commands.run("admin", "create", *looking)
    assert made.returncode == 0, made.stderr
    beyond = commands.run("admin", "create", *support, "paying", "--scope", "refunds.write")
    assert (beyond.returncode, beyond.stdout) == (1, "")
    for wrong in (
        ("--with-key", "x", "--scope", "orders.sell"),
        ("--scope", "orders.read"),
        ("--days", "30"),
        ("--with-key", "x", "--days", "0"),
    ):
        refused = commands.run("admin", "create", "nobody@shop.example", *wrong)
        assert (refused.returncode, refused.stdout) == (2, "")
        assert wrong[-2] in refused.stderr
    users, keys = await everyone(commands)
    assert [user.email for user in users] == [EMAIL]
    assert [(key.name, key.scopes) for key in keys] == [("looking", ("orders.read",))]
    assert list(map(days, keys)) == [30]
