"""The whole shop as handlers, jobs and commands see it: filled by the composition, never by them.

Nothing here is global and nothing opens on import; whoever needs the shop is handed it.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from typing import TypeAlias

from bitloot.domain.limits import Limits
from bitloot.ports.captcha import Captcha
from bitloot.ports.clock import Clock, NewId
from bitloot.ports.rate_limiter import RateLimiter
from bitloot.ports.realtime import Realtime
from bitloot.ports.views.assortment import AssortmentViews
from bitloot.ports.views.catalog import CatalogViews
from bitloot.ports.views.desk import DeskViews
from bitloot.ports.views.orders import OrderViews
from bitloot.ports.views.people import PeopleViews
from bitloot.usecases.aftercare import Aftercare
from bitloot.usecases.assortment.products import Products
from bitloot.usecases.assortment.rules import Rules
from bitloot.usecases.assortment.shelves import Shelves
from bitloot.usecases.assortment.stock import StockDesk
from bitloot.usecases.assortment.suppliers import SupplierDesk
from bitloot.usecases.catalogue_syncs import CatalogueSyncs
from bitloot.usecases.checkout import Checkout
from bitloot.usecases.dead_letters import DeadLetters
from bitloot.usecases.emails import Emails
from bitloot.usecases.fulfilment import FulfilmentJob
from bitloot.usecases.inventory import Inventory
from bitloot.usecases.payments.applying import Applying
from bitloot.usecases.payments.desk import MoneyDesk
from bitloot.usecases.payments.intake import WebhookIntake
from bitloot.usecases.payments.opening import Opening
from bitloot.usecases.people.accounts import Accounts
from bitloot.usecases.people.api_keys import ApiKeys
from bitloot.usecases.people.email_changes import EmailChanges
from bitloot.usecases.people.identity import Identity
from bitloot.usecases.people.mailed_codes import MailedCodes
from bitloot.usecases.people.passwords import Passwords
from bitloot.usecases.people.recoveries import Recoveries
from bitloot.usecases.people.reentry import Reentry
from bitloot.usecases.people.standing import Standing
from bitloot.usecases.people.user_desk import UserDesk
from bitloot.usecases.reconciliation import Reconciliation
from bitloot.usecases.repeats import Repeats
from bitloot.usecases.reveal import Reveal
from bitloot.usecases.supplier_hints import SupplierHints
from bitloot.usecases.webhook_replay import WebhookReplay
from bitloot_web.metrics import Metrics
from bitloot_web.order_session import OrderSessions
from bitloot_web.tokens import SessionTokens

Network: TypeAlias = IPv4Network | IPv6Network
# Reaches a part that the shop needs; raises StoreUnavailable or Unavailable when it is away.
Probe: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Views:
    """Reads that skip the model."""

    orders: OrderViews
    catalog: CatalogViews
    desk: DeskViews
    assortment: AssortmentViews
    people: PeopleViews


@dataclass(frozen=True, kw_only=True)
class Edge:
    """What the HTTP edge is told by the settings.

    `cursor_key` signs the cursors of lists, `client_key` the digests of buyers' clients in
    receipts. A client's address is taken from `X-Forwarded-For` only behind `trusted_proxies`;
    `/metrics` answers `metrics_from`. `receipt_public_key` checks receipts (Ed25519, raw).
    """

    public_url: str
    is_production: bool
    cors_origins: tuple[str, ...]
    trusted_proxies: tuple[Network, ...]
    metrics_from: tuple[Network, ...]
    cursor_key: bytes
    client_key: bytes
    receipt_public_key: bytes


@dataclass(frozen=True, kw_only=True)
class Shop:
    """Use cases by name, views, and what the edge asks itself.

    `webhook_intake`, `supplier_hints` and `emails` take in what providers call back with, told
    apart by the plugin's name. `probes` are tried by `/readyz`, by the name of the part: without
    `database` the shop is not ready, every other part is reported only.
    """

    # selling
    checkout: Checkout
    opening: Opening
    reveal: Reveal
    reentry: Reentry
    views: Views
    # what providers say
    webhook_intake: WebhookIntake
    webhook_replay: WebhookReplay
    supplier_hints: SupplierHints
    emails: Emails
    # jobs beside those of the above
    applying: Applying
    fulfilment: FulfilmentJob
    # the desk
    money_desk: MoneyDesk
    aftercare: Aftercare
    reconciliation: Reconciliation
    inventory: Inventory
    stock_desk: StockDesk
    supplier_desk: SupplierDesk
    rules: Rules
    products: Products
    shelves: Shelves
    catalogue_syncs: CatalogueSyncs
    repeats: Repeats
    dead_letters: DeadLetters
    # people
    codes: MailedCodes
    identity: Identity
    passwords: Passwords
    accounts: Accounts
    email_changes: EmailChanges
    recoveries: Recoveries
    user_desk: UserDesk
    api_keys: ApiKeys
    standing: Standing
    # the edge
    sessions: OrderSessions
    tokens: SessionTokens
    rate_limiter: RateLimiter
    captcha: Captcha
    realtime: Realtime
    metrics: Metrics
    limits: Limits
    clock: Clock
    new_id: NewId
    edge: Edge
    probes: Mapping[str, Probe]
