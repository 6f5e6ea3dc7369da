"""The desk looks after accounts, recoveries and keys for machines; all of it is on record."""

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.contract.http.people import link, sign_in

from bitloot.domain.roles import PERMISSIONS, Actor, Role
from bitloot_web.problems import URN

if TYPE_CHECKING:
    import httpx
    from tests.contract.http.conftest import Stage
    from tests.contract.http.people import Person

CLI = Actor(name="cli", permissions=PERMISSIONS)
CACHE = timedelta(seconds=31)
PROOFS = [
    {"kind": "order-number", "note": "named it"},
    {"kind": "purchase-date", "note": "to the day"},
]


def refused(answer: "httpx.Response", status: int, what: str) -> None:
    assert (answer.status_code, answer.json()["type"]) == (status, URN + what), answer.text


async def staff(stage: "Stage", role: Role) -> "Person":
    email = f"{role}@shop.example"
    who = await sign_in(stage, email)
    await stage.shop.user_desk.set_roles(who.user_id, [role], actor=CLI)
    return await sign_in(stage, email)


def actions(stage: "Stage", subject: str) -> list[tuple[str, str]]:
    lines = stage.store.audit.lines
    return [
        (each.entry.action, each.entry.actor) for each in lines if each.entry.subject == subject
    ]


async def test_an_account_is_found_suspended_let_in_signed_out_deleted_and_restored(
    stage: "Stage",
) -> None:
    who, admin = await sign_in(stage), await staff(stage, "admin")
    path, headers = f"/v1/admin/users/{who.user_id}", admin.headers
    found = await stage.client.get("/v1/admin/users?email=Buyer@Shop.example", headers=headers)
    assert [each["id"] for each in found.json()["items"]] == [who.user_id]
    reason = {"reason": "resold keys"}
    suspended = await stage.client.post(f"{path}/suspend", json=reason, headers=headers)
    assert (suspended.json()["state"], suspended.json()["suspendedReason"]) == (
        "suspended",
        "resold keys",
    )
    for step in ("unsuspend", "force-logout"):
        done = await stage.client.post(f"{path}/{step}", headers=headers)
        assert done.json()["state"] == "active"
    assert (await stage.client.delete(path, headers=headers)).status_code == 204
    assert (await stage.client.get(path, headers=headers)).json()["state"] == "deleted"
    restored = await stage.client.post(f"{path}/restore", headers=headers)
    assert restored.json()["state"] == "active"
    by = f"user/{admin.user_id}"
    told = [action for action, actor in actions(stage, who.user_id) if actor == by]
    assert told == [
        "user.suspended", "user.unsuspended", "user.signed_out", "user.deleted", "user.restored",
    ]  # fmt: skip


async def test_who_was_suspended_is_so_still_when_the_account_is_restored(stage: "Stage") -> None:
    who, admin = await sign_in(stage), await staff(stage, "admin")
    path, headers = f"/v1/admin/users/{who.user_id}", admin.headers
    await stage.client.post(f"{path}/suspend", json={"reason": "resold keys"}, headers=headers)
    assert (await stage.client.delete(path, headers=headers)).status_code == 204
    restored = (await stage.client.post(f"{path}/restore", headers=headers)).json()
    assert (restored["state"], restored["suspendedReason"]) == ("suspended", "resold keys")


async def test_roles_are_given_by_owners_alone_and_end_what_was_open(stage: "Stage") -> None:
    who, admin, owner = (
        await sign_in(stage),
        await staff(stage, "admin"),
        await staff(stage, "owner"),
    )
    path, body = f"/v1/admin/users/{who.user_id}", {"roles": ["support"]}
    read = await stage.client.get(path, headers=admin.headers)
    match = {"if-match": read.headers["etag"]}
    by_admin = await stage.client.patch(path, json=body, headers={**admin.headers, **match})
    refused(by_admin, 403, "forbidden")
    given = await stage.client.patch(path, json=body, headers={**owner.headers, **match})
    assert given.json()["roles"] == ["support"]
    assert given.headers["etag"] == f'"{given.json()["version"]}"' != read.headers["etag"]
    stage.clock.advance(CACHE)
    refused(await stage.client.get("/v1/me", headers=who.headers), 401, "unauthenticated")
    own = f"/v1/admin/users/{owner.user_id}"
    match = {"if-match": (await stage.client.get(own, headers=owner.headers)).headers["etag"]}
    alone = await stage.client.patch(own, json={"roles": []}, headers={**owner.headers, **match})
    refused(alone, 409, "last-owner")


async def test_roles_are_given_to_the_account_as_it_was_read(stage: "Stage") -> None:
    who, owner = await sign_in(stage), await staff(stage, "owner")
    path, body = f"/v1/admin/users/{who.user_id}", {"roles": ["support"]}
    read = await stage.client.get(path, headers=owner.headers)
    blind = await stage.client.patch(path, json=body, headers=owner.headers)
    refused(blind, 428, "precondition-required")
    await stage.client.post(f"{path}/suspend", json={"reason": "why"}, headers=owner.headers)
    headers = {**owner.headers, "if-match": read.headers["etag"]}
    late = await stage.client.patch(path, json=body, headers=headers)
    refused(late, 412, "version-conflict")
    now = await stage.client.get(path, headers=owner.headers)
    assert (now.json()["roles"], now.json()["state"]) == ([], "suspended")


async def test_nobody_acts_on_somebody_who_may_do_more(stage: "Stage") -> None:
    owner, admin = await staff(stage, "owner"), await staff(stage, "admin")
    path = f"/v1/admin/users/{owner.user_id}"
    body = {"reason": "a coup"}
    answer = await stage.client.post(f"{path}/suspend", json=body, headers=admin.headers)
    refused(answer, 403, "beyond-your-rights")
    refused(await stage.client.delete(path, headers=admin.headers), 403, "beyond-your-rights")


async def test_an_account_is_recovered_slowly_and_the_old_mailbox_can_stop_it(
    stage: "Stage",
) -> None:
    who, support = await sign_in(stage), await staff(stage, "support")
    path = f"/v1/admin/users/{who.user_id}/recovery"
    body = {"email": "new@shop.example", "proofs": PROOFS}
    one = {**body, "proofs": PROOFS[:1]}
    refused(await stage.client.post(path, json=one, headers=support.headers), 422, "invalid-input")
    for ending in ("stopped", "completed"):
        made = await stage.client.post(path, json=body, headers=support.headers)
        assert made.status_code == 201, made.text
        again = await stage.client.post(path, json=body, headers=support.headers)
        refused(again, 409, "recovery-pending")
        await stage.work()
        complete = f"/v1/admin/recovery/{made.json()['id']}/complete"
        early = await stage.client.post(complete, headers=stage.admin)
        refused(early, 409, "recovery-not-ready")
        if ending == "stopped":
            stop = {"token": link(stage)}
            stopped = await stage.client.post("/v1/account-recovery/stop", json=stop)
            assert stopped.status_code == 204, stopped.text
            late = await stage.client.post(complete, headers=stage.admin)
            refused(late, 409, "recovery-over")
    stage.clock.advance(timedelta(hours=24))
    assert (await stage.client.post(complete, headers=stage.admin)).status_code == 204
    moved = await stage.client.get(f"/v1/admin/users/{who.user_id}", headers=stage.admin)
    assert moved.json()["email"] == "new@shop.example"
    listed = await stage.client.get(path, headers=stage.admin)
    assert [each["state"] for each in listed.json()["items"]] == ["completed", "stopped"]
    assert (await sign_in(stage, "new@shop.example")).user_id == who.user_id


async def test_a_machines_key_is_shown_once_and_opens_its_scopes(stage: "Stage") -> None:
    admin = await staff(stage, "admin")
    body = {"name": "a till", "scopes": ["orders.read"]}
    made = await stage.client.post("/v1/admin/api-keys", json=body, headers=admin.headers)
    assert made.status_code == 201, made.text
    key = {"authorization": f"Bearer {made.json()['key']}"}
    assert (await stage.client.get("/v1/admin/orders", headers=key)).status_code == 200
    listed = await stage.client.get("/v1/admin/api-keys", headers=admin.headers)
    assert made.json()["key"] not in listed.text
    assert listed.json()["items"][0]["lastUsedAt"] is not None
    beyond = {"name": "a coup", "scopes": ["roles.grant"]}
    answer = await stage.client.post("/v1/admin/api-keys", json=beyond, headers=admin.headers)
    refused(answer, 403, "beyond-your-rights")
    path = f"/v1/admin/api-keys/{made.json()['id']}"
    assert (await stage.client.delete(path, headers=admin.headers)).status_code == 204
    stage.clock.advance(CACHE)
    refused(await stage.client.get("/v1/admin/orders", headers=key), 401, "unauthenticated")
    by = f"user/{admin.user_id}"
    told = actions(stage, made.json()["id"])
    assert told == [("api_key.created", by), ("api_key.revoked", by)]


async def test_a_demoted_persons_keys_open_no_more_than_they_do(stage: "Stage") -> None:
    admin = await staff(stage, "admin")
    body = {"name": "a till", "scopes": ["prices.write", "orders.read"]}
    made = await stage.client.post("/v1/admin/api-keys", json=body, headers=admin.headers)
    key = {"authorization": f"Bearer {made.json()['key']}"}
    await stage.shop.user_desk.set_roles(admin.user_id, ["support"], actor=CLI)
    stage.clock.advance(CACHE)
    assert (await stage.client.get("/v1/admin/orders", headers=key)).status_code == 200
    refused(await stage.client.post("/v1/admin/catalog/rules", headers=key), 403, "forbidden")


async def test_a_key_is_made_under_a_name_of_its_own(stage: "Stage") -> None:
    admin = await staff(stage, "admin")
    body = {"name": "a till", "scopes": ["orders.read"]}
    made = await stage.client.post("/v1/admin/api-keys", json=body, headers=admin.headers)
    again = await stage.client.post("/v1/admin/api-keys", json=body, headers=admin.headers)
    refused(again, 409, "api-key-name-taken")
    path = f"/v1/admin/api-keys/{made.json()['id']}"
    assert (await stage.client.delete(path, headers=admin.headers)).status_code == 204
    fresh = await stage.client.post("/v1/admin/api-keys", json=body, headers=admin.headers)
    assert fresh.status_code == 201


@pytest.mark.parametrize("expires", ["2031-01-31T12:00:00", "soon"])
async def test_when_a_key_ends_is_told_with_a_zone(stage: "Stage", expires: str) -> None:
    admin = await staff(stage, "admin")
    body = {"name": "a till", "scopes": ["orders.read"], "expiresAt": expires}
    answer = await stage.client.post("/v1/admin/api-keys", json=body, headers=admin.headers)
    refused(answer, 422, "invalid-input")
