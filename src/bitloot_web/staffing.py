"""Owners and keys for machines, made from inside: by the command line and by the demo.

Who can run these owns the shop; over HTTP, those who have a role give it to others.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Final

from bitloot.domain.api_key import NewKey
from bitloot.domain.errors import Refused
from bitloot.domain.roles import PERMISSIONS, ROLES, Actor, Permission, Role, permissions_of
from bitloot.usecases.people.user_desk import Appointed
from bitloot_web.shop import Shop

ACTOR: Final = "cli"


class SameNameError(Exception):
    """Somebody has a key of this name already; `key_id` is what it is taken back by."""

    def __init__(self, name: str, facts: Mapping[str, str | int | None]) -> None:
        self.key_id = facts["key"]
        super().__init__(f"there is a key {name!r} already (blk_{facts['prefix']}_…)")


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
    shop: Shop,
    person: Appointed,
    name: str,
    scopes: Sequence[Permission] = (),
    life: timedelta | None = None,
) -> NewKey:
    """A key of theirs with these scopes, or with all that they may do where none is named. It ends
    after its `life`, or after `limits.api_key_life`.

    Raises SameNameError; Refused as `ApiKeys.create` does.
    """
    allowed = permissions_of(person.roles)
    try:
        return await shop.api_keys.create(
            name,
            scopes or sorted(allowed),
            maker_id=person.user_id,
            actor=Actor(name=ACTOR, permissions=allowed),
            expires_at=None if life is None else shop.clock() + life,
        )
    except Refused as no:
        if no.code != "api-key-name-taken":
            raise
        raise SameNameError(" ".join(name.split()), no.facts) from None


async def owner_key(shop: Shop, email: str, name: str) -> str:
    """The text of a new key that opens all that an owner may do; the owner is made if need be."""
    return (await issue_key(shop, await appoint(shop, email, "owner"), name)).text
