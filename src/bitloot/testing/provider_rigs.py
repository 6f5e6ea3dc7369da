"""What the suites of the four provider ports ask of a rig.

A rig is the adapter under test beside the levers of the world that it talks to. All levers are
coroutines, so that they can be calls to the control door of a stand-in server. Amounts are
`Decimal`, times and spans are `datetime` and `timedelta`.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Literal, Protocol

import msgspec

from bitloot.domain.money import Eur
from bitloot.domain.supply import SupplierOrderState
from bitloot.ports.clock import NewId
from bitloot.ports.key_vault import KeyVault
from bitloot.ports.mailer import Mailer
from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.ports.supplier import Supplier


class Delivery(msgspec.Struct, frozen=True):
    """A webhook as it arrives: the raw body, and those headers only that prove where it is from.

    Header names are lower-case. The suites change each of them and expect a forgery.
    """

    headers: Mapping[str, str]
    body: bytes


class ProviderRig(Protocol):
    """The levers of the weather, which every provider has."""

    async def go_down(self) -> None:
        """From now on no call succeeds: refused connections or 5xx, nothing is done there."""
        ...

    async def come_back(self) -> None:
        """The provider answers again."""
        ...

    async def spoil_credentials(self) -> None:
        """From now on the provider does not know the shop's credentials."""
        ...


class GatewayRig(ProviderRig, Protocol):
    """A payment gateway. `asset` is a ticker in which 25 EUR can be paid and 0.01 EUR cannot.

    A lever that the adapter's subclass declares in `lacks` may raise `LeverMissing`.
    """

    @property
    def gateway(self) -> PaymentGateway: ...
    @property
    def asset(self) -> str: ...
    @property
    def memo_asset(self) -> str:
        """An asset whose payments need a memo. Lever `memo`."""
        ...

    async def pay(self, gateway_payment_id: str, fraction: Decimal) -> None:
        """A part of the amount arrives, and the payment goes on to where that leads."""
        ...

    async def pay_invoice(self, gateway_invoice_id: str, asset: str) -> None:
        """Somebody chooses an asset on the hosted page and pays in full. Lever `pay_invoice`."""
        ...

    async def redeposit(self, gateway_payment_id: str, fraction: Decimal) -> None:
        """A further deposit to the address of a paid payment. Lever `redeposit`."""
        ...

    async def set_status(self, gateway_payment_id: str, status: str) -> None:
        """A payment comes to a status: one of `GATEWAY_STATUS`, or a word that nobody knows.

        A provider with words of its own is told its own word for the status; one that is in no
        dictionary is told as it is, and the adapter passes it on as it came.
        """
        ...

    async def pass_time(self, span: timedelta) -> None:
        """Time passes at the gateway. Lever `pass_time`."""
        ...

    async def lose_next_reply(self) -> None:
        """The next creating call is carried out and its answer is lost."""
        ...

    async def opened(self, order_number: str) -> int:
        """How many payments and invoices the gateway keeps for an order number."""
        ...

    async def webhook(self, gateway_payment_id: str) -> Delivery:
        """The signed callback of a payment as it stands."""
        ...

    async def webhook_paid(self, gateway_payment_id: str, paid: str) -> Delivery:
        """The same with this JSON text for what was paid (`-1`, `"NaN"`, `1E400`), signed."""
        ...

    async def sign(self, body: bytes) -> Delivery:
        """Any bytes, as the gateway would sign them."""
        ...


class SupplierRig(ProviderRig, Protocol):
    """A supplier. Orders are delivered whole and at once unless `next_order` says otherwise."""

    @property
    def supplier(self) -> Supplier: ...

    async def sell(self, price: Eur, stock: int) -> str:
        """Put a product on sale with exactly one offer, and give its id."""
        ...

    async def set_balance(self, balance: Eur) -> None:
        """What is left to buy with."""
        ...

    async def next_order(
        self, *, units: int | None = None, content_type: str = "text/plain"
    ) -> None:
        """Of the next order only `units` come by themselves, in this form."""
        ...

    async def deliver(self, supplier_order_id: str) -> None:
        """All units that are missing come now."""
        ...

    async def end(self, supplier_order_id: str, state: SupplierOrderState) -> None:
        """The supplier cancels or refunds an order."""
        ...

    async def lose_next_reply(self) -> None:
        """The next order is placed and the answer is lost."""
        ...

    async def limit_next(self) -> None:
        """The next call is refused because there were too many. Lever `limit_next`."""
        ...

    async def pass_time(self, span: timedelta) -> None:
        """Time passes at the supplier. Lever `pass_time`."""
        ...

    async def orders_with(self, external_id: str) -> int:
        """How many orders the supplier keeps under this id of ours."""
        ...

    async def webhook(self, supplier_order_id: str) -> Delivery:
        """What the supplier sends when this order changed."""
        ...

    async def sign(self, body: bytes) -> Delivery:
        """Any bytes with the headers of a true webhook."""
        ...


class VaultRig(Protocol):
    """A key vault over a store that is empty before each test."""

    @property
    def vault(self) -> KeyVault:
        """The vault as it is configured now: `rotate` may open it anew."""
        ...

    @property
    def new_id(self) -> NewId: ...

    async def rotate(self) -> None:
        """From now on a fresh key-encryption key wraps; the ones before still open."""
        ...

    async def overwrite(self, object_name: str, stored: bytes) -> None:
        """What somebody with access to the store could write."""
        ...

    async def go_down(self) -> None:
        """The store cannot be reached. Lever `go_down`."""
        ...

    async def come_back(self) -> None:
        """It can again. Lever `go_down`."""
        ...


class MailerRig(ProviderRig, Protocol):
    """A mail provider; `address` is one that it accepts. Declared as `refuse_address` in `lacks`
    where the provider takes any text for an address.
    """

    @property
    def mailer(self) -> Mailer: ...
    @property
    def address(self) -> str: ...

    def now(self) -> float:
        """The time in epoch seconds, by the clock that signs the webhooks."""
        ...

    async def mails(self) -> Sequence[tuple[str, str]]:
        """Address and subject of every mail that was accepted, oldest first."""
        ...

    async def lose_next_reply(self) -> None:
        """The next mail is accepted and the answer is lost. Lever `lose_next_reply`."""
        ...

    async def use_up_quota(self) -> None:
        """Nothing more is accepted for some hours. Lever `use_up_quota`."""
        ...

    async def webhook(
        self, provider_id: str, event: Literal["delivered", "bounced", "complained"]
    ) -> Delivery:
        """What is sent when this became of a mail. Lever `webhook`."""
        ...

    async def sign(self, body: bytes) -> Delivery:
        """Any bytes, as the provider would sign them now. Lever `webhook`."""
        ...
