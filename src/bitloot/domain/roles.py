"""Who may do what: one table of roles, each a set of permissions.

A permission is a dotted word (`orders.write`). A route names the one that it needs; a person has
those of every role, a machine those of its key's scopes.
"""

from collections.abc import Iterable, Mapping
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from bitloot.domain.errors import Refused

Role: TypeAlias = Literal["customer", "support", "admin", "owner"]
Permission: TypeAlias = Literal[
    "orders.read",
    "orders.write",
    "keys.resend",
    "keys.replace",
    "refunds.write",
    "holds.read",
    "holds.decide",
    "payments.read",
    "payments.write",
    "webhooks.read",
    "webhooks.replay",
    "reconciliation.read",
    "reconciliation.write",
    "catalog.read",
    "catalog.write",
    "prices.read",
    "prices.write",
    "inventory.read",
    "inventory.write",
    "inventory.export",
    "syncs.read",
    "syncs.run",
    "users.read",
    "users.write",
    "roles.grant",
    "recovery.write",
    "apikeys.read",
    "apikeys.write",
    "audit.read",
    "emails.read",
    "emails.write",
]

PERMISSIONS: Final[frozenset[Permission]] = frozenset(get_args(Permission))
# Reads and resends: no money, no prices, nobody's account.
_SUPPORT: Final[frozenset[Permission]] = frozenset(
    {
        "orders.read",
        "keys.resend",
        "holds.read",
        "payments.read",
        "webhooks.read",
        "catalog.read",
        "prices.read",
        "inventory.read",
        "syncs.read",
        "users.read",
        "recovery.write",
        "emails.read",
    }
)
_OWNERS_ALONE: Final[frozenset[Permission]] = frozenset({"roles.grant", "inventory.export"})

ROLES: Final[Mapping[Role, frozenset[Permission]]] = {
    "customer": frozenset(),
    "support": _SUPPORT,
    "admin": PERMISSIONS - _OWNERS_ALONE,
    "owner": PERMISSIONS,
}


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts on others. `name` is what the audit log says: `user/<id>`, `key/<id>`, `cli`."""

    name: str
    permissions: frozenset[Permission]


def permissions_of(roles: Iterable[Role]) -> frozenset[Permission]:
    """All that these roles allow together."""
    none: frozenset[Permission] = frozenset()
    return none.union(*(ROLES[role] for role in roles))


def may(roles: Iterable[Role], permission: Permission) -> bool:
    """Whether one of these roles allows it."""
    return any(permission in ROLES[role] for role in roles)


def scopes_allowed(
    allowed: frozenset[Permission], scopes: Iterable[Permission]
) -> tuple[Permission, ...]:
    """The scopes of a key, sorted. Raises Refused `beyond-your-rights`, `invalid-input` for none.

    Nobody hands out what they do not have.
    """
    wanted = frozenset(scopes)
    if not wanted:
        raise Refused("invalid-input", "Name at least one scope.", field="scopes")
    if not wanted <= allowed:
        raise Refused("beyond-your-rights", field="scopes")
    return tuple(sorted(wanted))


def staff_roles(roles: Iterable[Role]) -> tuple[Role, ...]:
    """Roles as they are stored: sorted, each once; everybody is a customer, so nobody is told so.

    Raises Refused `invalid-input` for a word that is no role.
    """
    wanted = frozenset(roles)
    if not wanted <= ROLES.keys():
        raise Refused("invalid-input", "Name roles that exist.", field="roles")
    return tuple(sorted(wanted - {"customer"}))


def check_reach(actor: Actor, roles: Iterable[Role]) -> None:
    """Nobody acts on somebody who may do more. Raises Refused `beyond-your-rights`."""
    if not permissions_of(roles) <= actor.permissions:
        raise Refused("beyond-your-rights")
