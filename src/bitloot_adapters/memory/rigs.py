"""The memory adapters as rigs of the contract suites; also what a rig of your own looks like."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Final, Literal

from bitloot.domain.decision import AuditEntry, Event
from bitloot.domain.limits import Limits
from bitloot.domain.money import Eur
from bitloot.domain.supply import SupplierOrderState
from bitloot.ports.jobs import JobRow
from bitloot.ports.key_vault import KeyVault
from bitloot.ports.mailer import Mailer
from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.ports.supplier import Supplier, SupplierProduct
from bitloot.testing.provider_rigs import Delivery
from bitloot.testing.seeded import SeededBytes, SeededIds
from bitloot.testing.virtual_time import VirtualClock
from bitloot_adapters.memory.jobs import MemoryJobs
from bitloot_adapters.memory.key_vault import MemoryKeyVault
from bitloot_adapters.memory.mailer import MemoryMailer
from bitloot_adapters.memory.payment_gateway import MemoryPaymentGateway
from bitloot_adapters.memory.supplier import MemorySupplier, NextOrder
from bitloot_adapters.memory.unit_of_work import MemoryStore, MemoryUnitOfWork

SEED: Final = 7


class MemoryStoreRig:
    """A fresh store on a virtual clock."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.new_id = SeededIds(self.clock.now, seed=SEED)
        self.store = MemoryStore(clock=self.clock.now, new_id=self.new_id, limits=Limits())
        self.uow = MemoryUnitOfWork(self.store)
        self.jobs = MemoryJobs(self.store.jobs, self.clock.boot)

    def now(self) -> datetime:
        """The store's time."""
        return self.clock.now()

    async def pass_time(self, span: timedelta) -> None:
        """Time passes."""
        self.clock.advance(span)

    async def events(self, order_id: str) -> Sequence[Event]:
        """The stored events of an order."""
        return self.store.timeline(order_id)

    async def all_jobs(self) -> Sequence[JobRow]:
        """Every job."""
        return [self.store.jobs.as_row(job) for job in self.store.jobs.all()]

    async def audit(self) -> Sequence[AuditEntry]:
        """Every audit entry."""
        return [line.entry for line in self.store.audit.lines]

    async def audit_is_whole(self) -> bool:
        """Whether the chain verifies."""
        return self.store.audit.is_whole()


class MemoryGatewayRig:
    """The gateway with its levers."""

    asset = "btc"
    memo_asset = "xrp"

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.provider = MemoryPaymentGateway(clock=self.clock.now, random_bytes=SeededBytes(SEED))

    @property
    def gateway(self) -> PaymentGateway:
        """The adapter under test; a subclass may wrap it."""
        return self.provider

    async def go_down(self) -> None:
        """No call succeeds."""
        self.provider.faults.go_down(retry_after=30.0)

    async def come_back(self) -> None:
        """Calls succeed again."""
        self.provider.faults.come_back()

    async def spoil_credentials(self) -> None:
        """The credentials are unknown from now on."""
        self.provider.faults.knows_credentials = False

    async def pay(self, gateway_payment_id: str, fraction: Decimal) -> None:
        """A deposit."""
        self.provider.pay(gateway_payment_id, fraction)

    async def pay_invoice(self, gateway_invoice_id: str, asset: str) -> None:
        """A hosted page is paid."""
        self.provider.pay_invoice(gateway_invoice_id, asset)

    async def redeposit(self, gateway_payment_id: str, fraction: Decimal) -> None:
        """A further deposit."""
        amount = (await self.provider.payment(gateway_payment_id)).pay_amount
        assert amount is not None
        self.provider.redeposit(gateway_payment_id, amount * fraction)

    async def set_status(self, gateway_payment_id: str, status: str) -> None:
        """Any status."""
        self.provider.move(gateway_payment_id, status)

    async def pass_time(self, span: timedelta) -> None:
        """Time passes."""
        self.clock.advance(span)

    async def lose_next_reply(self) -> None:
        """The next answer is lost."""
        self.provider.faults.lose_next_reply()

    async def opened(self, order_number: str) -> int:
        """Payments and invoices of an order number."""
        return self.provider.opened(order_number)

    async def webhook(self, gateway_payment_id: str) -> Delivery:
        """The callback of a payment."""
        return Delivery(*self.provider.webhook(gateway_payment_id))

    async def webhook_paid(self, gateway_payment_id: str, paid: str) -> Delivery:
        """The callback with another amount."""
        return Delivery(*self.provider.webhook(gateway_payment_id, actually_paid=paid))

    async def sign(self, body: bytes) -> Delivery:
        """Any bytes, signed."""
        return Delivery(self.provider.sign(body), body)


class MemorySupplierRig:
    """The supplier with its levers."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.new_id = SeededIds(self.clock.now, SEED)
        self.provider = MemorySupplier(clock=self.clock.now, random_bytes=SeededBytes(SEED))

    @property
    def supplier(self) -> Supplier:
        """The adapter under test; a subclass may wrap it."""
        return self.provider

    async def go_down(self) -> None:
        """No call succeeds."""
        self.provider.faults.go_down(retry_after=30.0)

    async def come_back(self) -> None:
        """Calls succeed again."""
        self.provider.faults.come_back()

    async def spoil_credentials(self) -> None:
        """The credentials are unknown from now on."""
        self.provider.faults.knows_credentials = False

    async def sell(self, price: Eur, stock: int) -> str:
        """A product with one offer."""
        product = SupplierProduct(
            supplier_product_id=f"sp-{self.new_id()}",
            title="A game",
            description="",
            platform="Steam",
            region="Europe",
            excluded_countries=(),
            is_preorder=False,
            release_date=None,
            instructions=None,
            cover_url=None,
            offer_id=f"offer-{self.new_id()}",
            price=price,
            stock=stock,
            wholesale=(),
            updated_at=self.clock.now(),
        )
        self.provider.stock(product)
        return product.supplier_product_id

    async def set_balance(self, balance: Eur) -> None:
        """What is left."""
        self.provider.set_balance(balance)

    async def next_order(
        self, *, units: int | None = None, content_type: str = "text/plain"
    ) -> None:
        """How the next order goes."""
        self.provider.next_order(NextOrder(units=units, content_type=content_type))

    async def deliver(self, supplier_order_id: str) -> None:
        """What is missing comes."""
        self.provider.deliver(supplier_order_id)

    async def end(self, supplier_order_id: str, state: SupplierOrderState) -> None:
        """Cancelled or refunded."""
        self.provider.end(supplier_order_id, state)

    async def lose_next_reply(self) -> None:
        """The next answer is lost."""
        self.provider.faults.lose_next_reply()

    async def limit_next(self) -> None:
        """The next call comes too soon."""
        self.provider.faults.limit_next()

    async def pass_time(self, span: timedelta) -> None:
        """Time passes."""
        self.clock.advance(span)

    async def orders_with(self, external_id: str) -> int:
        """Orders under an id of ours."""
        return len(self.provider.placed(external_id))

    async def webhook(self, supplier_order_id: str) -> Delivery:
        """A hint."""
        return Delivery(*self.provider.webhook(supplier_order_id))

    async def sign(self, body: bytes) -> Delivery:
        """Any bytes with true headers."""
        return Delivery(self.provider.secret_headers(), body)


class MemoryVaultRig:
    """The vault with its levers."""

    def __init__(self) -> None:
        self.new_id = SeededIds(VirtualClock().now, SEED)
        self.provider = MemoryKeyVault(random_bytes=SeededBytes(SEED))
        self._rotations = 1

    @property
    def vault(self) -> KeyVault:
        """The adapter under test; a subclass may wrap it."""
        return self.provider

    async def rotate(self) -> None:
        """A fresh key-encryption key."""
        self._rotations += 1
        self.provider.rotate(f"memory-{self._rotations}")

    async def overwrite(self, object_name: str, stored: bytes) -> None:
        """Other bytes under a name."""
        self.provider.damage(object_name, stored)

    async def go_down(self) -> None:
        """The store is not there."""
        self.provider.faults.go_down()

    async def come_back(self) -> None:
        """It is there again."""
        self.provider.faults.come_back()


class MemoryMailerRig:
    """The mailer with its levers."""

    address = "buyer@shop.example"

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.provider = MemoryMailer(
            clock=self.clock.now, random_bytes=SeededBytes(SEED), limits=Limits()
        )

    @property
    def mailer(self) -> Mailer:
        """The adapter under test; a subclass may wrap it."""
        return self.provider

    def now(self) -> float:
        """Epoch seconds."""
        return self.clock.now().timestamp()

    async def mails(self) -> Sequence[tuple[str, str]]:
        """What lies in the mailbox."""
        return [(sent.message.to, sent.message.subject) for sent in self.provider.mailbox]

    async def go_down(self) -> None:
        """No call succeeds."""
        self.provider.faults.go_down(retry_after=30.0)

    async def come_back(self) -> None:
        """Calls succeed again."""
        self.provider.faults.come_back()

    async def spoil_credentials(self) -> None:
        """The credentials are unknown from now on."""
        self.provider.faults.knows_credentials = False

    async def lose_next_reply(self) -> None:
        """The next answer is lost."""
        self.provider.faults.lose_next_reply()

    async def use_up_quota(self) -> None:
        """Nothing for six hours."""
        self.provider.use_up_quota(until=self.clock.now() + timedelta(hours=6))

    async def webhook(
        self, provider_id: str, event: Literal["delivered", "bounced", "complained"]
    ) -> Delivery:
        """What became of a mail."""
        is_final = event == "bounced"
        return Delivery(*self.provider.webhook(provider_id, event, permanent=is_final))

    async def sign(self, body: bytes) -> Delivery:
        """Any bytes, signed now."""
        return Delivery(self.provider.sign(body), body)
