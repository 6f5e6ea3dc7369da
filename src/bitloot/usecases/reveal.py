"""Showing keys: a grant with a link of minutes, the download behind it, and its end."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import TypeAlias

import msgspec

from bitloot.domain import link_token, reveal
from bitloot.domain.decision import also
from bitloot.domain.errors import Refused
from bitloot.domain.idempotency import Once, keep_answer, recall
from bitloot.domain.key_inventory import ReportReason, SealedKey
from bitloot.domain.limits import Limits
from bitloot.domain.order import OrderFile, OrderItem
from bitloot.domain.own_stock import unit_of
from bitloot.domain.receipt import (
    KeyFile,
    OpenedKey,
    SignedReceipt,
    canonical,
    entry_of,
    opened_key,
    receipt_of,
)
from bitloot.domain.unit_report import demand_no_key, reported
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.deciding import decide
from bitloot.ports.errors import VaultFault
from bitloot.ports.key_vault import KeyVault
from bitloot.ports.unit_of_work import Transaction, UnitOfWork

# Signs the canonical bytes of a receipt: (signature in base64, id of the signing key).
SignReceipt: TypeAlias = Callable[[bytes], tuple[str, str]]


class GrantFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered about a grant and kept as the answer: the token is minted again."""

    grant_id: str
    expires_at: datetime
    instructions: str | None = None


class ReportFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What is answered about a report."""

    reported_at: datetime


class RevealedLink(msgspec.Struct, frozen=True, kw_only=True):
    """The grant and the token of its download link. Its repr shows no token.

    `instructions` say how what is behind it is used.
    """

    grant_id: str
    expires_at: datetime
    token: str
    instructions: str | None

    def __repr__(self) -> str:
        return f"RevealedLink(grant_id={self.grant_id!r})"


@dataclass(frozen=True, kw_only=True)
class Reveal:
    """`link_secret` signs the links: at least 32 bytes, the same in every process."""

    uow: UnitOfWork
    vault: KeyVault
    clock: Clock
    new_id: NewId
    limits: Limits
    link_secret: bytes
    sign: SignReceipt

    async def reveal(
        self, order_id: str, order_item_id: str, *, granted_to: str, once: Once
    ) -> RevealedLink:
        """T13: audit line and grant in one transaction; a repeated request gets the same link.

        Raises Refused: `not-found`, `not-revealable` and what the idempotency key brings.
        """

        async def attempt(tx: Transaction) -> GrantFacts:
            at = self.clock()
            file = await tx.orders.file(order_id)
            record = await tx.checkout.once(once)
            answer = recall(record, once, at=at, limits=self.limits)
            if answer is not None:
                return msgspec.json.decode(answer, type=GrantFacts)
            if file is None:
                raise Refused("not-found")
            keys = await tx.keys.sealed_of_item(order_item_id)
            decision, grant = reveal.reveal(
                file,
                order_item_id,
                keys,
                granted_to=granted_to,
                at=at,
                new_id=self.new_id,
                limits=self.limits,
            )
            facts = GrantFacts(
                grant_id=grant.id,
                expires_at=grant.expires_at,
                instructions=file.item(order_item_id).instructions,
            )
            kept = keep_answer(
                record, once, msgspec.json.encode(facts), at=at, record_id=self.new_id()
            )
            await tx.record(also(decision, kept))
            return facts

        facts = await decide(self.uow, attempt)
        return RevealedLink(
            grant_id=facts.grant_id,
            expires_at=facts.expires_at,
            token=link_token.mint(self.link_secret, facts.grant_id, facts.expires_at),
            instructions=facts.instructions,
        )

    async def download(self, token: str, *, client: str, slot: int | None = None) -> KeyFile:
        """T14: count the download, then fetch and open the keys in memory, or that of one unit.

        `client` is a digest of who asks. Raises Refused (`not-found` for a token that is not ours,
        `link-expired`, `link-revoked`, `link-used-up`, `not-revealable`), Unavailable and
        VaultFault.
        """
        at = self.clock()
        link = link_token.read(self.link_secret, token)
        if link is None:
            raise Refused("not-found")
        if at >= link.ends_at:
            raise Refused("link-expired")

        async def attempt(tx: Transaction) -> tuple[OrderFile, OrderItem, tuple[SealedKey, ...]]:
            order_id = await tx.orders.order_of("grant", link.grant_id)
            file = await tx.orders.file(order_id) if order_id else None
            grant = await tx.grants.get(link.grant_id)
            if file is None or grant is None:
                raise Refused("not-found")
            keys = await tx.keys.sealed_of_item(grant.order_item_id)
            decision, shown = reveal.download(
                file, grant, keys, slot=slot, at=at, new_id=self.new_id, limits=self.limits
            )
            await tx.record(decision)
            return file, file.item(grant.order_item_id), shown

        file, item, shown = await decide(self.uow, attempt)
        opened = [await self._open(key) for key in shown]
        return KeyFile(
            order=file.order.number,
            title=item.title,
            instructions=item.instructions,
            keys=tuple(
                entry_of(key, self._receipt(key, file, item, client=client, at=at))
                for key in opened
            ),
        )

    async def report(
        self,
        order_id: str,
        order_item_id: str,
        slot: int,
        *,
        reason: ReportReason,
        note: str,
        reported_by: str,
        once: Once,
    ) -> ReportFacts:
        """Note that a unit is no good, as its buyer says; a repeated request is answered alike.

        Raises Refused: `not-found`, `already-reported`, `invalid-input` for a note that holds a key
        of the order, and what the idempotency key brings.
        """

        async def attempt(tx: Transaction) -> ReportFacts:
            at = self.clock()
            file = await tx.orders.file(order_id)
            record = await tx.checkout.once(once)
            answer = recall(record, once, at=at, limits=self.limits)
            if answer is not None:
                return msgspec.json.decode(answer, type=ReportFacts)
            if file is None:
                raise Refused("not-found")
            decision = reported(
                file,
                order_item_id,
                slot,
                await tx.keys.sealed_of_item(order_item_id),
                reason=reason,
                note=note,
                reported_by=reported_by,
                at=at,
                new_id=self.new_id,
            )
            if note:
                keys = [await tx.keys.sealed_of_item(item.id) for item in file.items]
                demand_no_key(note, chain.from_iterable(keys), self.vault.fingerprint)
            facts = ReportFacts(reported_at=at)
            kept = keep_answer(
                record, once, msgspec.json.encode(facts), at=at, record_id=self.new_id()
            )
            await tx.record(also(decision, kept))
            return facts

        return await decide(self.uow, attempt)

    async def revoke(
        self, order_id: str, order_item_id: str | None, *, actor: str, reason: str
    ) -> int:
        """End the grants of an order, or of one item of it; gives how many."""

        async def attempt(tx: Transaction) -> int:
            file = await tx.orders.file(order_id)
            if file is None:
                raise Refused("not-found")
            at = self.clock()
            grants = [
                grant
                for grant in await tx.grants.usable(order_id, at=at)
                if order_item_id in {None, grant.order_item_id}
            ]
            await tx.record(
                reveal.revoked(file, grants, actor=actor, reason=reason, at=at, new_id=self.new_id)
            )
            return len(grants)

        return await decide(self.uow, attempt)

    async def _open(self, key: SealedKey) -> OpenedKey:
        ciphertext = await self.vault.get(key.object_name, size=key.size)
        serial = self.vault.unseal(
            ciphertext,
            nonce=key.nonce,
            wrapped_dek=key.wrapped_dek,
            kek_id=key.kek_id,
            bound=unit_of(key),
        )
        try:
            return opened_key(key, serial)
        except ValueError:
            raise VaultFault from None

    def _receipt(
        self, key: OpenedKey, file: OrderFile, item: OrderItem, *, client: str, at: datetime
    ) -> SignedReceipt:
        receipt = receipt_of(
            key,
            order=file.order.number,
            item=item.item_no,
            title=item.title,
            client=client,
            at=at,
        )
        signature, key_id = self.sign(canonical(receipt))
        return SignedReceipt(receipt=receipt, signature=signature, key_id=key_id)
