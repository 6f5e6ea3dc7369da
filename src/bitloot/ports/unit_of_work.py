"""One transaction: locked reads, then one decision recorded whole.

`record` writes everything that a decision holds (rows under their version guards, events, the jobs
that react to them, audit lines, the outcome of the running job) and commits. Leaving the block
without it rolls back. Nothing external may be called inside the block.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Protocol, TypeAlias

import msgspec

from bitloot.domain.decision import Decision
from bitloot.domain.email import Email
from bitloot.domain.fulfilment import SupplierAttempt
from bitloot.domain.idempotency import IdempotencyRecord, Once
from bitloot.domain.key_inventory import InventoryKey, SealedKey
from bitloot.domain.order import OrderFile
from bitloot.domain.product import Sellable
from bitloot.domain.quote import Quote
from bitloot.domain.reveal import Grant
from bitloot.domain.routing import Shelf
from bitloot.domain.webhook import Webhook
from bitloot.ports.assortment import Assortment
from bitloot.ports.jobs import Lease, Outcome
from bitloot.ports.people import People

Facts: TypeAlias = Mapping[str, str | int | None]


class Placing(msgspec.Struct, frozen=True, kw_only=True):
    """The facts that placing an order needs, read in one round trip.

    `sellables` are today's facts of the quote's products, in the quote's order. `open_by_address`
    and `open_by_ip` count unpaid orders. `backlog_seconds` is how long the oldest due fulfilment
    has waited without a lease.
    """

    quote: Quote
    sellables: tuple[Sellable, ...]
    open_by_address: int
    open_by_ip: int
    backlog_seconds: float


class Orders(Protocol):
    """Whole orders, locked (the order's row first, then what hangs on it)."""

    async def file(self, order_id: str) -> OrderFile | None:
        """By id."""
        ...

    async def file_of_payment(self, gateway: str, gateway_payment_id: str) -> OrderFile | None:
        """The order of a stored payment, by the gateway's payment id."""
        ...

    async def file_of_invoice(self, gateway: str, gateway_invoice_id: str) -> OrderFile | None:
        """The order of a stored invoice, by the gateway's invoice id."""
        ...

    async def file_by_number(self, number: str) -> OrderFile | None:
        """By the number that people, gateway and supplier see."""
        ...

    async def order_of(self, kind: str, row_id: str) -> str | None:
        """The id of the order of a row.

        `kind` is `fulfilment`, `attempt`, `payment`, `hold`, `grant` or `item`.
        """
        ...

    async def order_of_supplier_order(
        self, supplier: str, supplier_order_id: str | None, external_id: str | None
    ) -> tuple[str, str] | None:
        """(order id, fulfilment id) of an attempt, by supplier order id or our external id."""
        ...

    async def purchases_at(
        self, supplier: str, *, since: datetime, limit: int
    ) -> Sequence[SupplierAttempt]:
        """The attempts that were intended, answered or given money back since then, or are open.

        At most `limit` of them, those intended first.
        """
        ...


class Checkout(Protocol):
    """What placing an order reads."""

    async def placing(
        self, quote_id: str, *, email_person: str, placed_from: str
    ) -> Placing | None:
        """The facts of placing; the quote's row is locked. None: no such quote."""
        ...

    async def placing_once(
        self, quote_id: str, once: Once, *, email_person: str, placed_from: str
    ) -> tuple[Placing | None, IdempotencyRecord | None]:
        """What `placing` and then `once` would answer, asked together."""
        ...

    async def sellables(self, references: Sequence[str]) -> Sequence[Sellable]:
        """Today's facts of these products, named by id or by slug, in that order; unknown left out.

        Nothing is locked: stock is guarded when it is taken.
        """
        ...

    async def shelf(self, product_id: str) -> Shelf:
        """Where the product can come from: all its offers in id order, and its free own keys.

        Nothing is locked.
        """
        ...

    async def once(self, once: Once) -> IdempotencyRecord | None:
        """What was stored under this key, whoever asks with it now."""
        ...


class Keys(Protocol):
    """Sealed keys and own stock."""

    async def pick(self, product_id: str, quantity: int, *, at: datetime) -> Sequence[InventoryKey]:
        """Up to `quantity` free, unexpired keys, cheapest batch first, locked, skipping locked."""
        ...

    async def inventory(self, ids: Sequence[str]) -> Sequence[InventoryKey]:
        """These inventory keys, locked in id order."""
        ...

    async def sealed(self, ids: Sequence[str]) -> Sequence[SealedKey]:
        """These sealed keys with their ciphertext where it is still here, locked in id order."""
        ...

    async def sealed_small(self, ids: Sequence[str], *, most: int) -> Sequence[SealedKey]:
        """Those of these sealed keys whose ciphertext is still here and at most `most` bytes long,
        in id order, not locked.
        """
        ...

    async def sealed_of_item(self, order_item_id: str) -> Sequence[SealedKey]:
        """All sealed keys ever of one order item, without ciphertext, by slot."""
        ...

    async def sealed_of_fulfilment(self, fulfilment_id: str) -> Sequence[SealedKey]:
        """All sealed keys of one fulfilment, with ciphertext where it is still here, by slot."""
        ...

    async def known(self, fingerprints: Sequence[str]) -> frozenset[str]:
        """Which of these fingerprints were ever seen (quarantined ones included)."""
        ...

    async def known_supplier_keys(self, supplier: str, ids: Sequence[str]) -> frozenset[str]:
        """Which of these key ids of a supplier were ever sealed."""
        ...

    async def past_expiry(self, *, at: datetime, limit: int) -> Sequence[InventoryKey]:
        """Up to `limit` available keys whose expiry has passed, locked, skipping locked."""
        ...

    async def not_on_kek(
        self, kek_id: str, *, after: str | None = None, limit: int
    ) -> Sequence[SealedKey]:
        """Up to `limit` sealed keys on another key-encryption key in id order, from behind the
        key with the id `after`; locked, skipping locked.
        """
        ...

    async def count_not_on_kek(self, kek_id: str) -> int:
        """How many sealed keys are on another key-encryption key, locked or not."""
        ...


class Grants(Protocol):
    """Permissions to download."""

    async def get(self, grant_id: str) -> Grant | None:
        """One grant, locked."""
        ...

    async def usable(self, order_id: str, *, at: datetime) -> Sequence[Grant]:
        """The grants of an order that are neither over nor revoked, locked."""
        ...


class Inbox(Protocol):
    """Incoming webhooks and outgoing mails."""

    async def webhook(self, webhook_id: str) -> Webhook | None:
        """One stored webhook, locked."""
        ...

    async def was_hinted(self, order_id: str, provider: str, external_id: str) -> bool:
        """Whether a well-signed webhook of a supplier, found to be of this order, named our id."""
        ...

    async def email(self, key: str) -> Email | None:
        """The mail with this key (`<kind>/<subject id>/<n>`), locked."""
        ...

    async def email_by_provider_id(self, provider: str, provider_id: str) -> Email | None:
        """The mail that the provider knows by this id, locked."""
        ...

    async def mails_to(
        self, address_key: str, *, order_id: str | None = None, limit: int
    ) -> Sequence[Email]:
        """Up to `limit` mails to the address with this key, oldest first, locked; those about one
        order only where it is named.
        """
        ...

    async def mails_named(self, keys: Sequence[str]) -> Sequence[Email]:
        """The mails with these keys, as far as they were written, oldest first, locked."""
        ...

    async def mail_events(self, provider_ids: Sequence[str], *, limit: int) -> Sequence[Webhook]:
        """Up to `limit` well-signed webhooks that tell of these mails, by the provider's ids, and
        whose bodies are not forgotten yet; locked.
        """
        ...

    async def is_suppressed(self, address_key: str) -> bool:
        """Whether the address with this key is not to be written to."""
        ...

    async def codes_sent(self, address_key: str, *, since: datetime) -> int:
        """How many codes were mailed to the address with this key since then; those that were held
        back (`suppressed`) do not count.
        """
        ...

    async def last_facts(self, order_id: str, kind: str) -> Facts | None:
        """What the last event of this kind in an order's timeline says, for a mail about it."""
        ...


class Transaction(Protocol):
    """The questions, and the one way to write."""

    @property
    def orders(self) -> Orders: ...
    @property
    def checkout(self) -> Checkout: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def grants(self) -> Grants: ...
    @property
    def inbox(self) -> Inbox: ...
    @property
    def assortment(self) -> Assortment: ...
    @property
    def people(self) -> People: ...

    async def record(
        self, decision: Decision, *, lease: Lease | None = None, outcome: Outcome | None = None
    ) -> None:
        """Write the decision and commit: all of it or nothing.

        With `lease` the commit carries its fence, and `outcome` ends or re-arms that job.
        A written reservation moves the counters of its offer by `domain.reservation.stock_move`.
        Raises Conflict (a version moved on), Duplicate (a unique rule), NoStockLeft, LeaseLost,
        StoreUnavailable.
        """
        ...

    async def count_repeat(self, provider: str, dedupe_key: str) -> bool:
        """Count one more delivery of the well-signed webhook under this key, and commit; whether
        there is one. In one round trip: whoever calls back again and again must not cost more than
        whoever has news. Raises StoreUnavailable.
        """
        ...


class UnitOfWork(Protocol):
    """Opens transactions."""

    def begin(self) -> AbstractAsyncContextManager[Transaction]:
        """A transaction, begun at its first statement; rolled back unless recorded."""
        ...
