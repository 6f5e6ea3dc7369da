"""Owners and keys for machines, made from inside: by the command line and by the demo.

Who can run these owns the shop; over HTTP, those who have a role give it to others.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from bitloot.domain.api_key import NewKey
from bitloot.domain.roles import PERMISSIONS, ROLES, Actor, Permission, Role, permissions_of
from bitloot.ports.views.people import KeyView
from bitloot.usecases.people.user_desk import Appointed
from bitloot_web.shop import Shop

ACTOR: Final = "cli"


class SameNameError(Exception):
    """Somebody has a key of this name already; `key` is what can be told of it."""

    def __init__(self, key: KeyView) -> None:
        self.key = key
        super().__init__(f"there is a key {key.name!r} already (blk_{key.prefix}_…)")


def role_named(text: str) -> Role:
    """Raises ValueError for a word that is no role."""
    for role in ROLES:
        if role == text:
            return role
    raise ValueError(f"{text!r} is none of {', '.join(ROLES)}")


def permissions_named(texts: Iterable[str]) -> tuple[Permission, ...]:
    """Raises ValueError for a word that is no permission."""
    wanted = frozenset(texts)
    if unknown := sorted(wanted - PERMISSIONS):
        known = ", ".join(sorted(PERMISSIONS))
        raise ValueError(f"{', '.join(unknown)} is no permission; there are {known}")
    return tuple(each for each in sorted(PERMISSIONS) if each in wanted)


async def appoint(shop: Shop, email: str, role: Role) -> Appointed:
    """Give a role to whoever reads this mailbox. Raises Refused as `UserDesk.appoint` does."""
    actor = Actor(name=ACTOR, permissions=PERMISSIONS)
    return await shop.user_desk.appoint(email, [role], actor=actor)


async def issue_key(
    shop: Shop, person: Appointed, name: str, scopes: Sequence[Permission] = ()
) -> NewKey:
    """A key of theirs with these scopes, or with all that they may do where none is named.

    Raises SameNameError; Refused as `ApiKeys.create` does.
    """
    if (same := await _living(shop, person.user_id, name)) is not None:
        raise SameNameError(same)
    allowed = permissions_of(person.roles)
    actor = Actor(name=ACTOR, permissions=allowed)
    return await shop.api_keys.create(
        name, scopes or sorted(allowed), maker_id=person.user_id, actor=actor
    )


async def owner_key(shop: Shop, email: str, name: str) -> str:
    """The text of a new key that opens all that an owner may do; the owner is made if need be."""
    return (await issue_key(shop, await appoint(shop, email, "owner"), name)).text


async def _living(shop: Shop, user_id: str, name: str) -> KeyView | None:
    """Their key of this name that still opens something."""
    at, wanted = shop.clock(), " ".join(name.split())
    after: str | None = None
    while True:
        page = await shop.views.people.api_keys(limit=shop.limits.page_max, after=after)
        for key in page.items:
            ended = key.expires_at is not None and key.expires_at <= at
            if (key.created_by, key.name) == (user_id, wanted) and not (ended or key.revoked_at):
                return key
        if page.after is None:
            return None
        after = page.after
