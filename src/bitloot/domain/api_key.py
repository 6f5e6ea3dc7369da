"""Keys for machines: a secret shown once, stored as a digest, with the scopes it was given."""

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from hashlib import sha256
from typing import ClassVar, Final

import msgspec

from bitloot.domain.account import UserState
from bitloot.domain.decision import AuditEntry, Change, Decision, Row, insert, update
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.roles import Actor, Permission, Role, permissions_of, scopes_allowed

SECRET_BYTES: Final = 32
PREFIX_BYTES: Final = 4
LONGEST_NAME: Final = 100
# Whoever wants a key for longer wants another one then.
LONGEST_LIFE: Final = timedelta(days=3650)
_TEXT: Final = re.compile(r"blk_([0-9a-f]{8})_([0-9a-f]{64})")


class ApiKey(Row, frozen=True, kw_only=True):
    """`prefix` is shown so that keys can be told apart; `digest` is the SHA-256 of the secret, hex.

    `name` is unique among those of `created_by` that were not taken back. `scopes` are sorted.
    `last_used_at` is right to a few minutes.
    """

    in_timeline: ClassVar[bool] = False

    name: str
    prefix: str
    digest: str
    scopes: tuple[Permission, ...]
    created_by: str
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


class NewKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key with its text, for the one time that it is shown. Its repr tells nothing."""

    key: ApiKey
    text: str

    def __repr__(self) -> str:
        return f"NewKey({self.key.prefix})"


def digest_of(text: str) -> str | None:
    """What is stored of the key that reads like this; None for what cannot be one."""
    found = _TEXT.fullmatch(text)
    return None if found is None else _digest(found[2])


def key_name(text: str) -> str:
    """A name as it is stored. Raises Refused `invalid-input`."""
    name = " ".join(text.split())
    if not name or len(name) > LONGEST_NAME or not name.isprintable():
        raise Refused("invalid-input", f"A name has 1 to {LONGEST_NAME} letters.", field="name")
    return name


def made(
    name: str,
    scopes: Iterable[Permission],
    actor: Actor,
    created_by: str,
    alive: int,
    *,
    same: ApiKey | None,
    expires_at: datetime | None,
    key_id: str,
    random: bytes,
    at: datetime,
    limits: Limits,
) -> tuple[NewKey, Decision]:
    """A new key; `random` are `SECRET_BYTES` and `PREFIX_BYTES` more.

    It ends at `expires_at`, or after `limits.api_key_life`: no key opens for ever. `alive` of its
    maker's keys there are already, and `same` is the one of this name. Raises
    Refused `beyond-your-rights`, `too-many-api-keys`, `api-key-name-taken` or `invalid-input`.
    """
    title = key_name(name)
    ends_at = _end(expires_at, at, limits)
    if alive >= limits.api_keys_per_user:
        raise Refused("too-many-api-keys")
    if same is not None:
        raise Refused(
            "api-key-name-taken", field="name", facts={"key": same.id, "prefix": same.prefix}
        )
    text = random.hex()
    secret, prefix = text[: 2 * SECRET_BYTES], text[2 * SECRET_BYTES :]
    key = ApiKey(
        id=key_id,
        name=title,
        prefix=prefix,
        digest=_digest(secret),
        scopes=scopes_allowed(actor.permissions, scopes),
        created_by=created_by,
        created_at=at,
        expires_at=ends_at,
    )
    facts: dict[str, str | int | None] = {"prefix": prefix, "scopes": " ".join(key.scopes)}
    entry = AuditEntry(
        at=at, actor=actor.name, action="api_key.created", subject=key.id, facts=facts
    )
    return NewKey(key=key, text=f"blk_{prefix}_{secret}"), Decision(
        save=(insert(key),), audit=(entry,)
    )


def _end(wanted: datetime | None, at: datetime, limits: Limits) -> datetime:
    if wanted is None:
        return at + limits.api_key_life
    if wanted <= at:
        raise Refused("invalid-input", "The key would have ended already.", field="expiresAt")
    if wanted > at + LONGEST_LIFE:
        detail = f"A key ends after {LONGEST_LIFE.days} days at the latest."
        raise Refused("invalid-input", detail, field="expiresAt")
    return wanted


def taken_back(key: ApiKey, *, actor: Actor, at: datetime) -> Decision:
    """The key opens nothing any more; of one taken back before nothing is written."""
    if key.revoked_at is not None:
        return Decision(reason="revoked before")
    entry = AuditEntry(
        at=at,
        actor=actor.name,
        action="api_key.revoked",
        subject=key.id,
        facts={"prefix": key.prefix},
    )
    return Decision(save=(update(key, revoked_at=at),), audit=(entry,))


def seen(key: ApiKey, *, at: datetime, limits: Limits) -> Change | None:
    """Its use is noted, once in a while."""
    last = key.last_used_at
    if last is not None and at - last < limits.api_key_use_noted:
        return None
    return update(key, last_used_at=at)


def effective(
    scopes: Iterable[Permission], maker_roles: Iterable[Role], maker_state: UserState
) -> frozenset[Permission]:
    """What a key still opens: its scopes, as far as who made it may do the same today."""
    if maker_state != "active":
        return frozenset()
    return frozenset(scopes) & permissions_of(maker_roles)


def _digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
