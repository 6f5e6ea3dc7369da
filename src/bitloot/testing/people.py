"""The suite of accounts: what a transaction reads of people, and what views tell of them."""

import asyncio
from datetime import timedelta
from typing import Final, Protocol

import msgspec
import pytest

from bitloot.domain.account import User
from bitloot.domain.decision import Decision, insert
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.order import Order
from bitloot.domain.session import Repeated, Reused, Rotated, rotate
from bitloot.ports.errors import Duplicate
from bitloot.ports.views.people import PeopleViews, UserFilter
from bitloot.testing.contract import Contract
from bitloot.testing.people_rows import PROOFS, people_of
from bitloot.testing.store_rig import StoreRig, placed, store
from bitloot.testing.view_rig import change, put

AT_ONCE: Final = 50
NOBODY: Final = "01890a5d-ac96-774b-bcce-b302099a8057"
HOUR: Final = timedelta(hours=1)
HASHED: Final = "hash"
ANY: Final = UserFilter()


class PeopleRig(StoreRig, Protocol):
    """A store that is empty before each test, with the views of people."""

    @property
    def people(self) -> PeopleViews: ...


async def person(rig: PeopleRig, email: str = "buyer@shop.example", **fields: object) -> User:
    """A stored user."""
    return await put(rig, people_of(rig).user(email, **fields))


async def bought(rig: PeopleRig, email: str = "buyer@shop.example") -> Order:
    """A stored order."""
    return (await placed(rig, email=email)).order


class PeopleReadsContract(Contract):
    """What a transaction reads of people."""

    async def test_what_is_not_there_is_none(self, rig: PeopleRig) -> None:
        for each in (NOBODY, "' OR 1=1"):
            async with rig.uow.begin() as tx:
                people = tx.people
                assert await people.user(each) is None
                assert await people.session(each) is None
                assert not await people.sessions_of(each, at=rig.now())
                assert await people.api_key(each) is None
                assert await people.living_keys(each, at=rig.now()) == 0
                assert await people.open_change(each) is None
                assert await people.deletion(each) is None
                assert await people.open_deletion(each) is None
                assert await people.recovery(each) is None
                assert await people.open_recovery(each) is None
                assert await people.user_by_email(each) is None
                assert not await people.unclaimed_orders(each, limit=9)
                assert await people.key_named(each, "a name") is None
                assert not await people.orders_to_forget(each, nobody="", limit=9)
                assert not await people.changes(each, nobody="", limit=9)
                assert not await people.recoveries(each, nobody="", limit=9)

    async def test_rows_are_read_as_they_were_written(self, rig: PeopleRig) -> None:
        rows = people_of(rig)
        user = await person(rig, name="Ann", roles=("admin", "support"))
        session = await put(rig, rows.session(user))
        key = await put(rig, rows.api_key(user, expires_at=rig.now() + HOUR))
        wanted = await put(rig, rows.change(user))
        deletion = await put(rig, rows.deletion(user))
        recovery = await put(rig, rows.recovery(user))
        async with rig.uow.begin() as tx:
            found = await tx.people.session(session.id)
            assert found is not None
            assert found.session == session
            assert found.user == user
            assert await tx.people.user(user.id) == user
            assert await tx.people.api_key(key.id) == key
            assert await tx.people.open_change(user.id) == wanted
            assert await tx.people.deletion(deletion.id) == deletion
            assert await tx.people.open_deletion(user.id) == deletion
            read = await tx.people.open_recovery(user.id)
            assert read == recovery
            assert read is not None
            assert read.proofs == PROOFS

    async def test_a_user_is_found_by_any_of_their_keys_the_living_one_first(
        self, rig: PeopleRig
    ) -> None:
        gone = await person(rig, "a@shop.example", state="deleted", deleted_at=rig.now())
        async with rig.uow.begin() as tx:
            only = await tx.people.user_by_email("nobody@shop.example", "a@shop.example")
        assert only == gone
        living = await person(rig, "a@shop.example")
        async with rig.uow.begin() as tx:
            assert await tx.people.user_by_email("a@shop.example") == living

    async def test_another_owner_is_one_who_may_act_and_means_to_stay(self, rig: PeopleRig) -> None:
        first = await person(rig, "a@shop.example", roles=("owner",))
        await person(rig, "b@shop.example", roles=("admin", "owner"), state="suspended")
        await person(rig, "c@shop.example", roles=("admin",))
        leaving = await person(rig, "d@shop.example", roles=("owner",))
        deletion = await put(rig, people_of(rig).deletion(leaving))
        async with rig.uow.begin() as tx:
            assert not await tx.people.has_other_owner(first.id)
            assert await tx.people.has_other_owner(leaving.id)
        await change(rig, deletion, state="cancelled")
        async with rig.uow.begin() as tx:
            assert await tx.people.has_other_owner(first.id)

    async def test_sessions_that_ended_are_not_live(self, rig: PeopleRig) -> None:
        rows, user = people_of(rig), await person(rig)
        live = await put(rig, rows.session(user))
        over, revoked = rows.session(user, expires_at=rig.now() - HOUR), rows.session(user)
        await store(rig, insert(over), insert(revoked))
        revoked = msgspec.structs.replace(revoked, version=1)
        await change(rig, revoked, revoked_at=rig.now(), revoked_reason="logout")
        async with rig.uow.begin() as tx:
            found = await tx.people.sessions_of(user.id, at=rig.now())
        assert [each.id for each in found] == [live.id]
        told = await rig.people.sessions(user.id, at=rig.now())
        assert [(each.id, each.user_agent) for each in told] == [(live.id, "A browser")]

    async def test_what_is_under_way_is_read_until_it_ends(self, rig: PeopleRig) -> None:
        rows, user = people_of(rig), await person(rig)
        wanted = await put(rig, rows.change(user))
        deletion = await put(rig, rows.deletion(user))
        recovery = await put(rig, rows.recovery(user))
        await change(rig, wanted, state="stopped")
        await change(rig, deletion, state="cancelled")
        await change(rig, recovery, state="completed")
        async with rig.uow.begin() as tx:
            assert await tx.people.open_change(user.id) is None
            assert await tx.people.open_deletion(user.id) is None
            assert await tx.people.open_recovery(user.id) is None
            assert await tx.people.deletion(deletion.id) is not None
            assert await tx.people.recovery(recovery.id) is not None
        await put(rig, rows.change(user))

    async def test_deletions_are_due_in_the_order_of_their_time(self, rig: PeopleRig) -> None:
        rows, at = people_of(rig), rig.now()
        made = []
        for place, ago in enumerate((1, 3, 2, -1)):
            user = await person(rig, f"u{place}@shop.example")
            made.append(await put(rig, rows.deletion(user, due_at=at - ago * HOUR)))
        async with rig.uow.begin() as tx:
            found = await tx.people.due_deletions(at=at, limit=9)
            fewer = await tx.people.due_deletions(at=at, limit=1)
        assert found == [made[1].id, made[2].id, made[0].id]
        assert fewer == [made[1].id]

    async def test_orders_of_an_address_are_nobodys_until_they_are_claimed(
        self, rig: PeopleRig
    ) -> None:
        rows, user = people_of(rig), await person(rig)
        first, second = await bought(rig), await bought(rig)
        await bought(rig, "other@shop.example")
        async with rig.uow.begin() as tx:
            open_now = await tx.people.unclaimed_orders("buyer@shop.example", limit=9)
        assert open_now == [second.id, first.id]
        await put(rig, rows.claim(first, user))
        async with rig.uow.begin() as tx:
            assert await tx.people.unclaimed_orders("buyer@shop.example", limit=9) == [second.id]
        assert await rig.people.owner_of(first.id) == user.id
        assert await rig.people.owner_of(second.id) is None

    async def test_what_says_who_somebody_is_is_read_until_it_says_nobody(
        self, rig: PeopleRig
    ) -> None:
        rows, user, nobody = people_of(rig), await person(rig), "nobody@invalid"
        orders = [await bought(rig), await bought(rig), await bought(rig, "other@shop.example")]
        for order in orders:
            await put(rig, rows.claim(order, user))
        wanted = await put(rig, rows.change(user, state="done"))
        recovery = await put(rig, rows.recovery(user))
        async with rig.uow.begin() as tx:
            people = tx.people
            found = await people.orders_to_forget(user.id, nobody=nobody, limit=2)
            assert found == [order.id for order in orders[:2]]
            key = orders[2].email_key
            found = await people.orders_to_forget(user.id, nobody=key, limit=9)
            assert found == [order.id for order in orders[:2]]
            changes = await people.changes(user.id, nobody=nobody, limit=9)
            assert list(changes) == [wanted]
            assert not await people.changes(user.id, nobody=wanted.new_key, limit=9)
            recoveries = await people.recoveries(user.id, nobody=nobody, limit=9)
            assert list(recoveries) == [recovery]
            assert not await people.recoveries(user.id, nobody=recovery.new_key, limit=9)

    async def test_an_unrevoked_key_is_found_by_its_name(self, rig: PeopleRig) -> None:
        rows, user = people_of(rig), await person(rig)
        await put(rig, rows.api_key(user, name="Books", revoked_at=rig.now()))
        over = await put(rig, rows.api_key(user, name="Books", expires_at=rig.now() - HOUR))
        async with rig.uow.begin() as tx:
            assert await tx.people.key_named(user.id, "Books") == over
            assert await tx.people.key_named(user.id, "books") is None
            assert await tx.people.key_named(NOBODY, "Books") is None

    async def test_an_order_is_claimed_once(self, rig: PeopleRig) -> None:
        rows, order = people_of(rig), await bought(rig)
        first, second = await person(rig), await person(rig, "other@shop.example")
        await put(rig, rows.claim(order, first))
        with pytest.raises(Duplicate, match="order_claims_pkey"):
            await put(rig, rows.claim(order, second))

    async def test_of_many_rotations_at_once_one_makes_the_successor_and_all_get_it(
        self, rig: PeopleRig
    ) -> None:
        user = await person(rig)
        session = await put(rig, people_of(rig).session(user))
        limits = Limits()

        async def refresh() -> tuple[str, int]:
            async with rig.uow.begin() as tx:
                found = await tx.people.session(session.id)
                assert found is not None
                verdict = rotate(found.session, 1, at=rig.now(), limits=limits)
                if isinstance(verdict, Rotated):
                    await tx.record(Decision(save=(verdict.change,)))
                assert isinstance(verdict, Rotated | Repeated)
            return type(verdict).__name__, verdict.session.generation

        answers = await asyncio.gather(*(refresh() for _ in range(AT_ONCE)))
        assert [kind for kind, _ in answers].count("Rotated") == 1
        assert {generation for _, generation in answers} == {2}
        async with rig.uow.begin() as tx:
            found = await tx.people.session(session.id)
        assert found is not None
        late = rig.now() + limits.refresh_grace
        assert isinstance(rotate(found.session, 1, at=late, limits=limits), Reused)


class PeopleViewsContract(Contract):
    """What guards, owners and the desk are told."""

    async def test_what_is_not_there_is_told_as_such(self, rig: PeopleRig) -> None:
        for each in (NOBODY, "' OR 1=1"):
            views = rig.people
            assert await views.session_state(each) is None
            assert await views.api_key_state(each) is None
            assert await views.credentials(each) is None
            assert await views.owner_of(each) is None
            assert await views.profile(each) is None
            assert await views.sessions(each, at=rig.now()) == ()
            assert (await views.orders(each, limit=9, after=None)).items == ()
            assert await views.recoveries(each) == ()
            assert await views.export(each, limit=9) is None

    async def test_a_password_is_held_against_the_living_account_of_an_address(
        self, rig: PeopleRig
    ) -> None:
        gone = await person(rig)
        gone = await change(rig, gone, state="deleted", deleted_at=rig.now())
        told = await rig.people.credentials(gone.email_key)
        assert told is not None
        assert (told.user_id, told.state, told.password_hash) == (gone.id, "deleted", None)
        alive = await person(rig, email=gone.email)
        hashed = "$argon2id$of-a-password"
        alive = await change(rig, alive, password_hash=hashed, password_set_at=rig.now())
        told = await rig.people.credentials(gone.email_key)
        assert told is not None
        assert (told.user_id, told.state, told.password_hash) == (alive.id, "active", hashed)
        assert hashed not in repr(told)

    async def test_a_guard_is_told_all_about_a_session_at_once(self, rig: PeopleRig) -> None:
        rows, user = people_of(rig), await person(rig, roles=("support",))
        session = await put(rig, rows.session(user))
        state = await rig.people.session_state(session.id)
        assert state is not None
        assert state.is_good(rig.now())
        assert not state.is_good(state.expires_at)
        assert (state.user_id, state.roles, state.generation) == (user.id, ("support",), 1)
        assert state.password_set_at is None
        session = await change(rig, session, revoked_at=rig.now(), revoked_reason="logout")
        state = await rig.people.session_state(session.id)
        assert state is not None
        assert not state.is_good(rig.now())
        other = await put(rig, rows.session(user))
        user = await change(rig, user, state="suspended", suspended_reason="fraud")
        state = await rig.people.session_state(other.id)
        assert state is not None
        assert (state.is_revoked, state.is_good(rig.now())) == (False, False)

    async def test_a_key_opens_no_more_than_its_maker_may_do_today(self, rig: PeopleRig) -> None:
        rows, user = people_of(rig), await person(rig, roles=("admin",))
        key = await put(rig, rows.api_key(user))
        state = await rig.people.api_key_state(key.digest)
        assert state is not None
        assert state.key_id == key.id
        assert state.permissions(rig.now()) == frozenset(key.scopes)
        user = await change(rig, user, roles=())
        state = await rig.people.api_key_state(key.digest)
        assert state is not None
        assert state.permissions(rig.now()) == frozenset()

    async def test_a_key_that_ended_opens_nothing(self, rig: PeopleRig) -> None:
        rows, user = people_of(rig), await person(rig, roles=("owner",))
        over = await put(rig, rows.api_key(user, expires_at=rig.now() - HOUR))
        revoked = await put(rig, rows.api_key(user, revoked_at=rig.now()))
        good = await put(rig, rows.api_key(user, expires_at=rig.now() + HOUR))
        for key, opens in ((over, False), (revoked, False), (good, True)):
            state = await rig.people.api_key_state(key.digest)
            assert state is not None
            assert bool(state.permissions(rig.now())) is opens
        async with rig.uow.begin() as tx:
            assert await tx.people.living_keys(user.id, at=rig.now()) == 1
        page = await rig.people.api_keys(limit=2, after=None)
        rest = await rig.people.api_keys(limit=2, after=page.after)
        assert [k.id for k in (*page.items, *rest.items)] == [good.id, revoked.id, over.id]
        assert page.items[0].scopes == ("orders.read", "users.read")

    async def test_a_profile_tells_the_account_and_its_deletion(self, rig: PeopleRig) -> None:
        user = await person(rig, name="Ann")
        user = await change(rig, user, password_hash=HASHED, password_set_at=rig.now())
        profile = await rig.people.profile(user.id)
        assert profile is not None
        assert (profile.name, profile.has_password, profile.deletion) == ("Ann", True, None)
        assert "hash" not in repr(profile)
        deletion = await put(rig, people_of(rig).deletion(user))
        profile = await rig.people.profile(user.id)
        assert profile is not None
        assert profile.deletion is not None
        assert profile.deletion.id == deletion.id
        await change(rig, deletion, state="cancelled")
        profile = await rig.people.profile(user.id)
        assert profile is not None
        assert profile.deletion is None

    async def test_orders_of_a_user_are_told_newest_first_and_nobody_elses(
        self, rig: PeopleRig
    ) -> None:
        rows = people_of(rig)
        user, other = await person(rig), await person(rig, "other@shop.example")
        made = [await bought(rig) for _ in range(3)]
        for order in made:
            await put(rig, rows.claim(order, user))
        await put(rig, rows.claim(await bought(rig, "other@shop.example"), other))
        page = await rig.people.orders(user.id, limit=2, after=None)
        rest = await rig.people.orders(user.id, limit=2, after=page.after)
        assert [o.id for o in (*page.items, *rest.items)] == [o.id for o in reversed(made)]
        assert rest.after is None
        first = page.items[0]
        assert (first.number, first.total) == (made[2].number, made[2].total)
        assert (first.titles, first.units) == (("A game",), 1)

    async def test_accounts_are_listed_by_state_role_and_address(self, rig: PeopleRig) -> None:
        ann = await person(rig, "ann@shop.example", roles=("admin", "support"))
        bob = await person(rig, "bob@shop.example", state="suspended", suspended_reason="x")
        cat = await person(rig, "cat@shop.example")

        async def ids(**only: object) -> list[str]:
            wanted = msgspec.convert(only, UserFilter)
            page = await rig.people.users(wanted, limit=9, after=None)
            return [each.id for each in page.items]

        assert await ids() == [cat.id, bob.id, ann.id]
        assert await ids(state="suspended") == [bob.id]
        assert await ids(role="support") == [ann.id]
        assert await ids(role="owner") == []
        assert await ids(email_key="cat@shop.example", state="active") == [cat.id]
        page = await rig.people.users(ANY, limit=2, after=None)
        rest = await rig.people.users(ANY, limit=2, after=page.after)
        assert [each.id for each in rest.items] == [ann.id]

    @pytest.mark.parametrize("after", ["no id", "1"])
    async def test_a_key_that_is_none_is_refused(self, rig: PeopleRig, after: str) -> None:
        with pytest.raises(Refused, match="invalid-input"):
            await rig.people.users(ANY, limit=9, after=after)
        with pytest.raises(Refused, match="invalid-input"):
            await rig.people.orders(NOBODY, limit=9, after=after)

    async def test_recoveries_are_told_with_their_proofs(self, rig: PeopleRig) -> None:
        user = await person(rig)
        recovery = await put(rig, people_of(rig).recovery(user))
        (told,) = await rig.people.recoveries(user.id)
        assert (told.id, told.proofs, told.state) == (recovery.id, PROOFS, "open")

    async def test_an_export_holds_all_of_a_person_and_nothing_of_others(
        self, rig: PeopleRig
    ) -> None:
        rows = people_of(rig)
        user, other = await person(rig), await person(rig, "other@shop.example")
        order = await bought(rig)
        await put(rig, rows.claim(order, user))
        await store(rig, *map(insert, (rows.session(user), rows.session(other))))
        await store(rig, *map(insert, (rows.email(), rows.email(to="other@shop.example"))))
        for each in (user, other):
            about = (rows.change(each), rows.recovery(each), rows.api_key(each))
            await store(rig, *map(insert, about))
        told = await rig.people.export(user.id, limit=9)
        assert told is not None
        assert told.profile.id == user.id
        assert [each.id for each in told.orders] == [order.id]
        assert len(told.sessions) == 1
        assert [(mail.kind, mail.to) for mail in told.mails] == [
            ("order-ready", "buyer@shop.example")
        ]
        (sold,), (moved,), (recovered,) = told.orders, told.address_changes, told.recoveries
        assert (sold.email, sold.placed_from) == (order.email, order.placed_from)
        assert (moved.new_email, moved.state) == ("new@shop.example", "open")
        assert (recovered.user_id, recovered.proofs) == (user.id, PROOFS)
        assert [key.created_by for key in told.api_keys] == [user.id]
        assert b"other@" not in msgspec.json.encode(told)


class PeopleContract(PeopleReadsContract, PeopleViewsContract):
    """Fixture `rig`: a `PeopleRig`."""
