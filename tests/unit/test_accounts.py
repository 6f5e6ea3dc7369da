"""What becomes of accounts: deletion, another address, recovery, the desk, keys for machines."""

from datetime import datetime, timedelta, timezone
from functools import partial

import pytest
from msgspec.structs import replace
from tests.unit.people_shop import (
    BUYER,
    OWNER,
    appointed,
    bought,
    codes,
    mails,
    record,
    signed_in,
    token,
)

from bitloot.domain.account import User
from bitloot.domain.account_deletion import carried_out
from bitloot.domain.api_key import LONGEST_LIFE, ApiKey, digest_of
from bitloot.domain.decision import Decision, insert
from bitloot.domain.email import Email, Suppression
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.recovery import Proof
from bitloot.domain.roles import Actor, permissions_of
from bitloot.domain.session import Session
from bitloot.testing.people_rows import PROOFS
from bitloot_web.testing import TestShop, shop

LIMITS = Limits()
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)
# Which no store can write, being after the year 9999 in UTC.
LAST_MOMENT = datetime.max.replace(tzinfo=timezone(-12 * timedelta(hours=1)))
NEW = "new@shop.example"
SUPPORT = Actor(name="user/support", permissions=permissions_of(["support"]))
ADMIN = Actor(name="user/admin", permissions=permissions_of(["admin"]))


def user_of(it: TestShop, user_id: str) -> User:
    return next(row for row in it.around.store.rows(User) if row.id == user_id)


def ends_of(it: TestShop, user_id: str) -> list[str | None]:
    return [row.revoked_reason for row in it.around.store.rows(Session) if row.user_id == user_id]


def actions(it: TestShop) -> list[str]:
    return [line.entry.action for line in it.around.store.audit.lines]


async def sweep(it: TestShop) -> None:
    """The daily sweep, as the scheduler asks for it."""
    at = it.around.clock.now()
    await it.around.near.jobs.tick("deletions", at, "sweep", f"deletions/{at:%Y-%m-%dT%H:%M:%SZ}")
    await it.run_due()


# --- deletion ----------------------------------------------------------------------------------


async def test_an_account_ends_thirty_days_after_it_was_asked_for_and_its_orders_stay() -> None:
    async with shop(seed=1) as it:
        order = await bought(it)
        who = await signed_in(it)
        deletion = await it.shop.accounts.request_deletion(who.user.id)
        assert (await it.shop.accounts.request_deletion(who.user.id)).id == deletion.id
        await it.advance(LIMITS.deletion_grace - SECOND)
        await sweep(it)
        assert user_of(it, who.user.id).state == "active"
        await it.advance(SECOND)
        await sweep(it)
        user = user_of(it, who.user.id)
        assert (user.state, user.email, user.name) == (
            "deleted",
            f"deleted+{user.id}@invalid",
            None,
        )
        assert BUYER not in user.email_key
        assert await it.shop.views.people.owner_of(order.id) == user.id
        assert "Orders stay in our books" in mails(it, BUYER)[-1]
        with pytest.raises(Refused, match="session-ended"):
            await it.shop.identity.refresh(who.session.id, 1)
        with pytest.raises(Refused, match="account-deleted"):
            await signed_in(it)


async def test_nobody_is_forgotten_before_the_grace_is_over_or_after_they_cancelled() -> None:
    async with shop(seed=1) as it:
        user = (await signed_in(it)).user
        deletion = await it.shop.accounts.request_deletion(user.id)
        early, cancelled = deletion.due_at - SECOND, replace(deletion, state="cancelled")
        for row, at in ((deletion, early), (cancelled, deletion.due_at)):
            assert carried_out(row, user, (), hidden_key="hidden", at=at).save == ()


async def test_a_deletion_is_cancelled_from_the_profile() -> None:
    async with shop(seed=2) as it:
        who = await signed_in(it)
        with pytest.raises(Refused, match="deletion-over"):
            await it.shop.accounts.cancel_deletion(who.user.id)
        await it.shop.accounts.request_deletion(who.user.id)
        await it.shop.accounts.cancel_deletion(who.user.id)
        await it.advance(LIMITS.deletion_grace)
        await sweep(it)
        assert user_of(it, who.user.id).state == "active"
        await it.shop.accounts.request_deletion(who.user.id)


async def test_a_deletion_is_cancelled_by_the_link_in_the_mail_once() -> None:
    async with shop(seed=3) as it:
        who = await signed_in(it)
        await it.shop.accounts.request_deletion(who.user.id)
        await it.run_due()
        given = token(it, BUYER)
        assert all(given not in str(row) for row in it.around.store.rows(Email))
        for spoilt in (given[:-1], f"{given}A", given.replace(".", ""), "", "a.b"):
            with pytest.raises(Refused, match="not-found"):
                await it.shop.accounts.cancel_by_link(spoilt)
        with pytest.raises(Refused, match="not-found"):
            await it.shop.recoveries.stop_by_link(given)
        await it.shop.accounts.cancel_by_link(given)
        with pytest.raises(Refused, match="deletion-over"):
            await it.shop.accounts.cancel_by_link(given)
        await it.advance(LIMITS.deletion_grace)
        await sweep(it)
        assert user_of(it, who.user.id).state == "active"


async def test_a_link_that_comes_too_late_keeps_nothing() -> None:
    async with shop(seed=3) as it:
        who = await signed_in(it)
        await it.shop.accounts.request_deletion(who.user.id)
        await it.run_due()
        await it.advance(LIMITS.deletion_grace)
        with pytest.raises(Refused, match="deletion-over"):
            await it.shop.accounts.cancel_by_link(token(it, BUYER))


async def test_a_mail_of_a_deletion_that_was_cancelled_meanwhile_is_not_sent() -> None:
    async with shop(seed=4) as it:
        who = await signed_in(it)
        await it.shop.accounts.request_deletion(who.user.id)
        await it.shop.accounts.cancel_deletion(who.user.id)
        await it.run_due()
        assert not [text for text in mails(it, BUYER) if "?token=" in text]


# --- another address ---------------------------------------------------------------------------


async def test_both_codes_move_the_account_and_end_every_other_session() -> None:
    async with shop(seed=5) as it:
        first, second = await signed_in(it), await signed_in(it)
        changes, user_id = it.shop.email_changes, first.user.id
        await changes.request(user_id, "New@Shop.example")
        await it.run_due()
        old, new = codes(it, BUYER)[-1], codes(it, "New@Shop.example")[-1]
        for pair in ((new, old), (old, old), (new, new), ("", old + new)):
            with pytest.raises(Refused, match="code-wrong"):
                await changes.confirm(user_id, second.session.id, *pair)
        await changes.confirm(user_id, second.session.id, old, new)
        user = user_of(it, user_id)
        assert (user.email, user.email_key) == ("New@Shop.example", NEW)
        assert ends_of(it, user_id) == ["email", None]
        await it.run_due()
        for to in (BUYER, "New@Shop.example"):
            assert "New@Shop.example" in mails(it, to)[-1]
        with pytest.raises(Refused, match="code-wrong"):
            await changes.confirm(user_id, second.session.id, old, new)


async def test_five_wrong_tries_burn_both_codes() -> None:
    async with shop(seed=6) as it:
        who = await signed_in(it)
        await it.shop.email_changes.request(who.user.id, NEW)
        await it.run_due()
        old, new = codes(it, BUYER)[-1], codes(it, NEW)[-1]
        for _ in range(LIMITS.otp_wrong_tries):
            with pytest.raises(Refused, match="code-wrong"):
                await it.shop.email_changes.confirm(who.user.id, None, new, old)
        with pytest.raises(Refused, match="code-wrong"):
            await it.shop.email_changes.confirm(who.user.id, None, old, new)


async def test_an_address_of_somebody_else_is_told_only_after_both_codes() -> None:
    async with shop(seed=7) as it:
        who, _ = await signed_in(it), await signed_in(it, NEW)
        await it.shop.email_changes.request(who.user.id, NEW)
        await it.run_due()
        old, new = codes(it, BUYER)[-1], codes(it, NEW)[-1]
        with pytest.raises(Refused, match="email-taken"):
            await it.shop.email_changes.confirm(who.user.id, None, old, new)
        assert user_of(it, who.user.id).email == BUYER


async def test_codes_of_a_change_that_was_asked_for_again_are_over() -> None:
    async with shop(seed=8) as it:
        who = await signed_in(it)
        await it.shop.email_changes.request(who.user.id, NEW)
        await it.run_due()
        old, new = codes(it, BUYER)[-1], codes(it, NEW)[-1]
        await it.shop.email_changes.request(who.user.id, "third@shop.example")
        with pytest.raises(Refused, match="code-wrong"):
            await it.shop.email_changes.confirm(who.user.id, None, old, new)


async def test_codes_of_a_change_end_after_five_minutes() -> None:
    async with shop(seed=8) as it:
        who = await signed_in(it)
        await it.shop.email_changes.request(who.user.id, NEW)
        await it.run_due()
        await it.advance(LIMITS.otp_life)
        with pytest.raises(Refused, match="code-wrong"):
            await it.shop.email_changes.confirm(
                who.user.id, None, codes(it, BUYER)[-1], codes(it, NEW)[-1]
            )


# --- recovery ----------------------------------------------------------------------------------


async def test_an_account_moves_a_day_after_support_was_shown_whose_it_is() -> None:
    async with shop(seed=9) as it:
        who = await signed_in(it)
        desk = it.shop.recoveries
        recovery = await desk.start(who.user.id, NEW, PROOFS, actor=SUPPORT)
        with pytest.raises(Refused, match="recovery-pending"):
            await desk.start(who.user.id, NEW, PROOFS, actor=SUPPORT)
        await it.advance(LIMITS.recovery_cooling - SECOND)
        with pytest.raises(Refused, match="recovery-not-ready") as refused:
            await desk.complete(recovery.id, actor=ADMIN)
        assert refused.value.retry_after == 1
        await it.advance(SECOND)
        await desk.complete(recovery.id, actor=ADMIN)
        assert user_of(it, who.user.id).email == NEW
        assert ends_of(it, who.user.id) == ["email"]
        await it.run_due()
        assert "moved" not in mails(it, BUYER)[0]
        for to in (BUYER, NEW):
            assert NEW in mails(it, to)[-1]
        assert (await signed_in(it, NEW)).user.id == who.user.id


async def test_who_reads_the_old_mailbox_stops_a_recovery() -> None:
    async with shop(seed=10) as it:
        who = await signed_in(it)
        recovery = await it.shop.recoveries.start(who.user.id, NEW, PROOFS, actor=SUPPORT)
        await it.run_due()
        given = token(it, BUYER)
        with pytest.raises(Refused, match="not-found"):
            await it.shop.accounts.cancel_by_link(given)
        await it.shop.recoveries.stop_by_link(given)
        await it.advance(2 * DAY)
        with pytest.raises(Refused, match="recovery-over"):
            await it.shop.recoveries.complete(recovery.id, actor=ADMIN)
        with pytest.raises(Refused, match="recovery-over"):
            await it.shop.recoveries.stop_by_link(given)
        await it.shop.recoveries.start(who.user.id, NEW, PROOFS, actor=SUPPORT)


@pytest.mark.parametrize(
    "proofs",
    [
        (),
        PROOFS[:1],
        (PROOFS[0], PROOFS[0]),
        (*PROOFS, Proof(kind="key-fragment"), Proof(kind="previous-code")),
        (PROOFS[0], Proof(kind="key-fragment", note="a\nb")),
        (PROOFS[0], Proof(kind="key-fragment", note="x" * 201)),
    ],
)
async def test_a_recovery_needs_two_or_three_proofs_of_different_kinds(
    proofs: tuple[Proof, ...],
) -> None:
    async with shop(seed=11) as it:
        who = await signed_in(it)
        with pytest.raises(Refused, match="invalid-input"):
            await it.shop.recoveries.start(who.user.id, NEW, proofs, actor=SUPPORT)


async def test_nobody_recovers_the_account_of_somebody_who_may_do_more() -> None:
    async with shop(seed=12) as it:
        boss = await appointed(it, "boss@shop.example", "owner")
        with pytest.raises(Refused, match="beyond-your-rights"):
            await it.shop.recoveries.start(boss, NEW, PROOFS, actor=ADMIN)


async def test_an_address_that_was_taken_meanwhile_stops_the_move() -> None:
    async with shop(seed=12) as it:
        who = await signed_in(it)
        recovery = await it.shop.recoveries.start(who.user.id, NEW, PROOFS, actor=SUPPORT)
        await it.advance(DAY)
        await signed_in(it, NEW)
        with pytest.raises(Refused, match="email-taken"):
            await it.shop.recoveries.complete(recovery.id, actor=ADMIN)


# --- the desk ----------------------------------------------------------------------------------


async def test_a_suspended_account_is_signed_out_and_stays_out_until_it_is_let_in() -> None:
    async with shop(seed=13) as it:
        who = await signed_in(it)
        await it.shop.user_desk.suspend(who.user.id, "charge-back", actor=ADMIN)
        assert ends_of(it, who.user.id) == ["suspended"]
        with pytest.raises(Refused, match="session-ended"):
            await it.shop.identity.refresh(who.session.id, 1)
        with pytest.raises(Refused, match="account-suspended"):
            await signed_in(it)
        await it.shop.user_desk.unsuspend(who.user.id, actor=ADMIN)
        assert (await signed_in(it)).user.suspended_reason is None
        assert {"user.suspended", "user.unsuspended"} <= set(actions(it))


async def test_new_roles_end_the_sessions_and_are_told_to_guards() -> None:
    async with shop(seed=14) as it:
        who = await signed_in(it)
        await it.shop.user_desk.set_roles(who.user.id, ["support", "customer"], actor=OWNER)
        assert ends_of(it, who.user.id) == ["role"]
        again = await signed_in(it)
        state = await it.shop.standing.session(again.session.id)
        assert state is not None
        assert state.roles == ("support",)


async def test_nobody_hands_out_what_they_do_not_have() -> None:
    async with shop(seed=15) as it:
        who = await signed_in(it)
        desk = it.shop.user_desk
        boss = await appointed(it, "boss@shop.example", "owner")
        with pytest.raises(Refused, match="beyond-your-rights"):
            await desk.set_roles(who.user.id, ["support"], actor=ADMIN)
        for act in (
            desk.suspend(boss, "why not", actor=ADMIN),
            desk.sign_out(boss, actor=ADMIN),
            desk.delete(boss, actor=ADMIN),
            desk.set_roles(boss, [], actor=ADMIN),
        ):
            with pytest.raises(Refused, match="beyond-your-rights"):
                await act


async def test_the_shop_always_has_an_owner() -> None:
    async with shop(seed=16) as it:
        desk = it.shop.user_desk
        boss = await appointed(it, "boss@shop.example", "owner")
        leave = it.shop.accounts.request_deletion

        async def cannot_go(user_id: str) -> None:
            for act in (
                desk.set_roles(user_id, ["admin"], actor=OWNER),
                desk.delete(user_id, actor=OWNER),
                desk.suspend(user_id, "why not", actor=OWNER),
                leave(user_id),
            ):
                with pytest.raises(Refused, match="last-owner"):
                    await act

        await cannot_go(boss)
        two = (await desk.appoint("two@shop.example", ["owner"], actor=OWNER)).user_id
        await desk.suspend(two, "away", actor=OWNER)
        await cannot_go(boss)
        await desk.set_roles(two, ["admin"], actor=OWNER)  # who may not act is not missed
        three = (await desk.appoint("three@shop.example", ["owner"], actor=OWNER)).user_id
        await leave(boss)
        await cannot_go(three)
        await desk.set_roles(boss, ["admin"], actor=OWNER)


async def test_what_staff_deleted_is_restored_within_the_grace_and_forgotten_after_it() -> None:
    async with shop(seed=17) as it:
        who = await signed_in(it)
        await it.shop.user_desk.delete(who.user.id, actor=ADMIN)
        assert ends_of(it, who.user.id) == ["deleted"]
        with pytest.raises(Refused, match="account-deleted"):
            await signed_in(it)
        await it.shop.user_desk.restore(who.user.id, actor=ADMIN)
        assert (await signed_in(it)).user.id == who.user.id
        await it.shop.user_desk.delete(who.user.id, actor=ADMIN)
        await it.advance(LIMITS.deletion_grace)
        await sweep(it)
        with pytest.raises(Refused, match="account-deleted"):
            await it.shop.user_desk.restore(who.user.id, actor=ADMIN)
        assert user_of(it, who.user.id).is_forgotten


async def test_a_name_is_one_line() -> None:
    async with shop(seed=18) as it:
        who = await signed_in(it)
        await it.shop.accounts.rename(who.user.id, "  Ann   Bee ")
        assert user_of(it, who.user.id).name == "Ann Bee"
        for bad in ("x" * 101, "a\u202eb"):
            with pytest.raises(Refused, match="invalid-input"):
                await it.shop.accounts.rename(who.user.id, bad)
        await it.shop.accounts.rename(who.user.id, "")
        assert user_of(it, who.user.id).name is None


async def test_a_dead_address_gets_no_code_and_no_news() -> None:
    async with shop(seed=19) as it:
        await signed_in(it)
        at = it.around.clock.now()
        row = insert(Suppression(id=BUYER, reason="bounce", created_at=at))
        await record(it, Decision(save=(row,)))
        before = len(mails(it, BUYER))
        await it.shop.identity.request(BUYER)
        await it.run_due()
        assert len(mails(it, BUYER)) == before


# --- keys for machines -------------------------------------------------------------------------


async def test_a_key_is_shown_once_and_opens_its_scopes_until_it_is_taken_back() -> None:
    async with shop(seed=20) as it:
        boss = await appointed(it, "boss@shop.example", "owner")
        new = await it.shop.api_keys.create("Books", ["orders.read"], maker_id=boss, actor=OWNER)
        assert new.text.startswith(f"blk_{new.key.prefix}_")
        secret = new.text.rpartition("_")[2]
        assert secret not in repr(new)
        assert secret not in str(it.around.store.audit.lines)
        digest = digest_of(new.text)
        assert digest is not None
        state = await it.shop.views.people.api_key_state(digest)
        assert state is not None
        assert state.permissions(it.around.clock.now()) == {"orders.read"}
        await it.shop.api_keys.note_use(new.key.id)
        await it.shop.api_keys.note_use(new.key.id)
        state = await it.shop.views.people.api_key_state(digest)
        assert state is not None
        assert state.last_used_at == it.around.clock.now()
        await it.shop.api_keys.revoke(new.key.id, actor=OWNER)
        state = await it.shop.views.people.api_key_state(digest)
        assert state is not None
        assert state.permissions(it.around.clock.now()) == frozenset()


@pytest.mark.parametrize("text", ["", "blk_", "blk_0_1", "blk_01234567_", "Bearer x", "blk_é_é"])
def test_what_is_no_key_has_no_digest(text: str) -> None:
    assert digest_of(text) is None


async def test_a_key_never_opens_more_than_its_maker_may_do() -> None:
    async with shop(seed=21) as it:
        desk = await appointed(it, "desk@shop.example", "support")
        with pytest.raises(Refused, match="beyond-your-rights"):
            await it.shop.api_keys.create("Books", ["refunds.write"], maker_id=desk, actor=SUPPORT)
        with pytest.raises(Refused, match="invalid-input"):
            await it.shop.api_keys.create("Books", [], maker_id=desk, actor=SUPPORT)


async def test_two_keys_of_one_person_have_two_names() -> None:
    async with shop(seed=22) as it:
        boss = await appointed(it, "boss@shop.example", "owner")
        other = await appointed(it, "two@shop.example", "owner")

        async def made(name: str, maker: str = boss, **more: datetime) -> ApiKey:
            create = it.shop.api_keys.create
            return (await create(name, ["orders.read"], maker_id=maker, actor=OWNER, **more)).key

        ends = it.around.clock.now() + DAY
        first = await made("The  books", expires_at=ends)
        await made("The books", other)
        for _ in range(2):
            with pytest.raises(Refused, match="api-key-name-taken") as refused:
                await made(" The books ")
            assert refused.value.facts == {"key": first.id, "prefix": first.prefix}
            await it.advance(2 * DAY)  # one that ended has its name still: it is listed by it
        await it.shop.api_keys.revoke(first.id, actor=OWNER)
        assert (await made("The books")).name == "The books"


async def test_no_key_opens_for_ever() -> None:
    async with shop(seed=23) as it:
        boss, at = await appointed(it, "boss@shop.example", "owner"), it.around.clock.now()
        create = partial(it.shop.api_keys.create, scopes=["orders.read"], maker_id=boss)
        for ends in (at, at + LONGEST_LIFE + SECOND, LAST_MOMENT):
            with pytest.raises(Refused, match="invalid-input"):
                await create("never", actor=OWNER, expires_at=ends)
        assert (await create("a", actor=OWNER)).key.expires_at == at + LIMITS.api_key_life
        await create("b", actor=OWNER, expires_at=at + LONGEST_LIFE)


async def test_one_person_has_so_many_keys_and_no_more() -> None:
    async with shop(seed=22, limits=Limits(api_keys_per_user=2)) as it:
        boss = await appointed(it, "boss@shop.example", "owner")
        made = [
            await it.shop.api_keys.create(f"k{n}", ["orders.read"], maker_id=boss, actor=OWNER)
            for n in range(2)
        ]
        with pytest.raises(Refused, match="too-many-api-keys"):
            await it.shop.api_keys.create("k3", ["orders.read"], maker_id=boss, actor=OWNER)
        await it.shop.api_keys.revoke(made[0].key.id, actor=OWNER)
        await it.shop.api_keys.create("k3", ["orders.read"], maker_id=boss, actor=OWNER)
