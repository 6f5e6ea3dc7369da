"""Builders for rows about people; keyword arguments replace fields, ids are always fresh."""

from datetime import timedelta
from hashlib import sha256

import msgspec

from bitloot.domain.account import OrderClaim, User
from bitloot.domain.account_deletion import AccountDeletion
from bitloot.domain.address import parse_address
from bitloot.domain.api_key import ApiKey
from bitloot.domain.email_change import EmailChange
from bitloot.domain.order import Order
from bitloot.domain.recovery import Proof, Recovery
from bitloot.domain.session import Session
from bitloot.testing.rows import R, Rows
from bitloot.testing.store_rig import StoreRig

PROOFS = (
    Proof(kind="order-number", note="BL12345678"),
    Proof(kind="purchase-date", note="in March"),
)


class PeopleRows(Rows):
    """Rows about people that fit together."""

    def user(self, email: str = "buyer@shop.example", **fields: object) -> User:
        """A customer who signed in once."""
        address = parse_address(email)
        user = User(
            id=self.new_id(), email=address.typed, email_key=address.key, created_at=self.clock()
        )
        return _with(user, fields)

    def session(self, user: User, **fields: object) -> Session:
        """A session that was just opened."""
        at = self.clock()
        session = Session(
            id=self.new_id(),
            user_id=user.id,
            created_at=at,
            rotated_at=at,
            expires_at=at + timedelta(days=7),
            user_agent="A browser",
            address="192.0.2.7",
        )
        return _with(session, fields)

    def claim(self, order: Order, user: User) -> OrderClaim:
        """An order is theirs."""
        return OrderClaim(id=order.id, user_id=user.id, at=self.clock())

    def api_key(self, user: User, **fields: object) -> ApiKey:
        """A key of a machine that reads orders."""
        key_id = self.new_id()
        key = ApiKey(
            id=key_id,
            name=f"A machine {key_id[-8:]}",
            prefix=key_id[-8:],
            digest=sha256(key_id.encode()).hexdigest(),
            scopes=("orders.read", "users.read"),
            created_by=user.id,
            created_at=self.clock(),
        )
        return _with(key, fields)

    def change(self, user: User, **fields: object) -> EmailChange:
        """An open change of address."""
        at = self.clock()
        change = EmailChange(
            id=self.new_id(),
            user_id=user.id,
            new_email="new@shop.example",
            new_key="new@shop.example",
            current_challenge=self.new_id(),
            new_challenge=self.new_id(),
            created_at=at,
            expires_at=at + timedelta(minutes=5),
        )
        return _with(change, fields)

    def deletion(self, user: User, **fields: object) -> AccountDeletion:
        """An open deletion."""
        at = self.clock()
        deletion = AccountDeletion(
            id=self.new_id(), user_id=user.id, requested_at=at, due_at=at + timedelta(days=30)
        )
        return _with(deletion, fields)

    def recovery(self, user: User, **fields: object) -> Recovery:
        """An open recovery."""
        at = self.clock()
        recovery = Recovery(
            id=self.new_id(),
            user_id=user.id,
            new_email="new@shop.example",
            new_key="new@shop.example",
            proofs=PROOFS,
            opened_by="user/support",
            opened_at=at,
            ready_at=at + timedelta(hours=24),
        )
        return _with(recovery, fields)


def people_of(rig: StoreRig) -> PeopleRows:
    """Builders on the time and ids of the rig."""
    return PeopleRows(clock=rig.now, new_id=rig.new_id)


def _with(row: R, fields: dict[str, object]) -> R:
    return msgspec.structs.replace(row, **fields)
