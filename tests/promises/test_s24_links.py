"""S24: a link in a mail does one thing, once, in time; an account moves by two codes at once."""

from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Final

from tests.promises.figures import Figures
from tests.promises.market import Market, good
from tests.promises.people import CLI, Person, Town, code, open_town, sign_in

from bitloot.testing.people_rows import PROOFS
from bitloot_web.devservices import ValkeyStore

CANCEL: Final = "/v1/account-deletion/cancel"
STOP: Final = "/v1/account-recovery/stop"
GRACE: Final = timedelta(days=30)
COOLING: Final = timedelta(hours=24)


async def followed(market: Market, path: str, token: str) -> str:
    """Nobody is signed in."""
    return code(await market.client.post(path, json={"token": token}))


async def deletion_link(market: Market, who: Person) -> str:
    deletion = await market.shop.accounts.request_deletion(who.user_id)
    return market.shop.accounts.links.to_cancel(deletion).rpartition("=")[2]


async def recovery_link(market: Market, who: Person) -> str:
    new = f"new.{who.email}"
    recovery = await market.shop.recoveries.start(who.user_id, new, PROOFS, actor=CLI)
    return market.shop.accounts.links.to_stop(recovery).rpartition("=")[2]


async def guesses(market: Market, token: str, other: str, path: str) -> Counter[str]:
    """Tokens that are nearly right: each letter changed, shortened, and halves of two good ones."""
    found = Counter[str]()
    body, _, seal = token.partition(".")
    theirs, _, their_seal = other.partition(".")
    changed = [
        f"{token[:at]}{'A' if letter != 'A' else 'B'}{token[at + 1 :]}"
        for at, letter in enumerate(token)
    ]
    for each in (
        *changed, *(token[:length] for length in range(1, len(token), 5)), f"{token}A",
        f"{body}.{their_seal}", f"{theirs}.{seal}", f"{body}.", f".{seal}", f"{token}.{seal}",
    ):  # fmt: skip
        found[await followed(market, path, each)] += 1
    for method in ("GET", "HEAD"):
        answer = await market.client.request(method, path, params={"token": token})
        found["looked at" if answer.status_code == 405 else str(answer.status_code)] += 1
    return found


async def links(town: Town, number: int) -> tuple[Counter[str], Counter[str]]:
    """What guesses and good links did, of both kinds."""
    market = town.first
    told, good_ones = Counter[str](), Counter[str]()
    who, other = [await sign_in(market, f"{name}{number}@reader.example") for name in "ab"]
    for path, elsewhere, link, grace in (
        (CANCEL, STOP, deletion_link, GRACE),
        (STOP, CANCEL, recovery_link, COOLING),
    ):
        mine, theirs = await link(market, who), await link(market, other)
        told += await guesses(market, mine, theirs, path)
        told[await followed(market, elsewhere, mine)] += 1
        good_ones[f"first {await followed(market, path, mine)}"] += 1
        good_ones[f"again {await followed(market, path, mine)}"] += 1
        before = town.clock.by
        town.clock.by += grace - timedelta(seconds=5)
        theirs_again = await followed(market, path, theirs)
        good_ones[f"just in time {theirs_again}"] += 1
        town.clock.by = before
        late = await link(market, who)
        town.clock.by += grace
        if path == STOP:
            async with market.near.uow.begin() as tx:
                recovery = await tx.people.open_recovery(who.user_id)
            assert recovery is not None
            await market.shop.recoveries.complete(recovery.id, actor=CLI)
        good_ones[f"late {await followed(market, path, late)}"] += 1
        town.clock.by = before
    return told, good_ones


async def moves(market: Market, number: int) -> Counter[str]:
    """What opens a change of address: the two codes of this change, each in its place."""
    found = Counter[str]()
    email, path = f"mover{number}@reader.example", "/v1/me/email-change"
    who = await sign_in(market, email)
    other = await sign_in(market, f"other{number}@reader.example")
    codes = []
    for each in (other, who):
        body = {"email": f"new.{each.email}"}
        good(await market.client.post(path, json=body, headers=each.headers))
        async with market.near.uow.begin() as tx:
            change = await tx.people.open_change(each.user_id)
        assert change is not None
        code_of = market.shop.codes.code_of
        codes.append((code_of(change.current_challenge), code_of(change.new_challenge)))
    theirs, (old, new) = codes
    for pair in ((old, theirs[1]), (theirs[0], new), (new, old), (old, theirs[0])):
        body = {"currentCode": pair[0], "newCode": pair[1]}
        answer = await market.client.post(f"{path}/confirm", json=body, headers=who.headers)
        found[code(answer)] += 1
    body = {"currentCode": old, "newCode": new}
    foreign = await market.client.post(f"{path}/confirm", json=body, headers=other.headers)
    found[code(foreign)] += 1
    for _ in range(2):
        answer = await market.client.post(f"{path}/confirm", json=body, headers=who.headers)
        found[f"both: {code(answer)}"] += 1
    return found


async def test_s24_links_and_codes_do_one_thing_once_and_in_time(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    rounds = 20 if figures.full else 1
    valkey_server.flush()
    told, used, moved = Counter[str](), Counter[str](), Counter[str]()
    async with open_town(shop_url, valkey_server.url, tmp_path) as town:
        for number in range(rounds):
            guessed, good_ones = await links(town, number)
            told += guessed
            used += good_ones
            moved += await moves(town.first, number)
    figures.note(
        "S24",
        "links in mails do one thing, once, in time; an account moves by both of its codes only",
        figure=f"guesses {dict(told)}; good links {dict(used)}; changes of address {dict(moved)}",
        scale="full" if figures.full else "÷ 20",
        holds=set(told) == {"not-found", "looked at"}
        and used
        == {
            "first 204": 2 * rounds,
            "again deletion-over": rounds,
            "again recovery-over": rounds,
            "just in time 204": 2 * rounds,
            "late deletion-over": rounds,
            "late recovery-over": rounds,
        }
        and moved == {"code-wrong": 5 * rounds, "both: 204": rounds, "both: code-wrong": rounds},
    )
