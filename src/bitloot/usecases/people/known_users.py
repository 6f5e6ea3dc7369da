"""The user that a request is about, read and locked."""

from bitloot.domain.account import User, check_standing
from bitloot.domain.errors import Refused
from bitloot.ports.unit_of_work import Transaction


async def known_user(tx: Transaction, user_id: str) -> User:
    """In any state. Raises Refused `not-found`."""
    user = await tx.people.user(user_id)
    if user is None:
        raise Refused("not-found")
    return user


async def standing_user(tx: Transaction, user_id: str) -> User:
    """Raises Refused `not-found`, `account-suspended` or `account-deleted`."""
    user = await known_user(tx, user_id)
    check_standing(user)
    return user
