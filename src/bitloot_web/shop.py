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
from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.ports.rate_limiter import RateLimiter
from bitloot.ports.realtime import Realtime
from bitloot.ports.views.catalog import CatalogViews
from bitloot.ports.views.desk import DeskViews
from bitloot.ports.views.orders import OrderViews
from bitloot.usecases.checkout import Checkout
from bitloot_web.metrics import Metrics
from bitloot_web.security.order_session import OrderSessions

Network: TypeAlias = IPv4Network | IPv6Network
# Reaches a part that the shop needs; raises StoreUnavailable or Unavailable when it is away.
Probe: TypeAlias = Callable[[], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Views:
    """Reads that skip the model."""

    orders: OrderViews
    catalog: CatalogViews
    desk: DeskViews


@dataclass(frozen=True, kw_only=True)
class Edge:
    """What the HTTP edge is told by the settings.

    `admin_token_digest` is the SHA-256 of the admin token: the token itself stays in the settings.
    `link_secret` signs download links, `cursor_key` the cursors of lists. A client's address is
    taken from `X-Forwarded-For` only behind `trusted_proxies`; `/metrics` answers `metrics_from`.
    """

    public_url: str
    is_production: bool
    cors_origins: tuple[str, ...]
    trusted_proxies: tuple[Network, ...]
    metrics_from: tuple[Network, ...]
    admin_token_digest: bytes
    link_secret: bytes
    cursor_key: bytes
    receipt_key: bytes


@dataclass(frozen=True, kw_only=True)
class Shop:
    """Use cases by name, views, and what the edge asks itself. `probes` by part: `database`, …"""

    checkout: Checkout
    views: Views
    gateways: Mapping[str, PaymentGateway]
    gateway: str
    sessions: OrderSessions
    rate_limiter: RateLimiter
    captcha: Captcha
    realtime: Realtime
    metrics: Metrics
    limits: Limits
    clock: Clock
    new_id: NewId
    edge: Edge
    probes: Mapping[str, Probe]
