"""Everything outside of the core that a shop is made with, real or in memory."""

from collections.abc import Mapping
from dataclasses import dataclass

from bitloot.domain.limits import Limits
from bitloot.ports.breaker import Breakers
from bitloot.ports.cache import Cache
from bitloot.ports.captcha import Captcha
from bitloot.ports.catalogue_writer import CatalogueWriter
from bitloot.ports.clock import BootClock, Clock, FailPoint, NewId, RandomBytes
from bitloot.ports.intake import Intake
from bitloot.ports.jobs import Jobs
from bitloot.ports.key_vault import KeyVault
from bitloot.ports.mailer import Mailer
from bitloot.ports.otp_store import OtpStore
from bitloot.ports.password_hasher import PasswordHasher
from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.ports.rate_limiter import RateLimiter
from bitloot.ports.realtime import Realtime
from bitloot.ports.supplier import Supplier
from bitloot.ports.unit_of_work import UnitOfWork
from bitloot.ports.upkeep import Upkeep
from bitloot_web.shop import Probe, Views


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """One adapter for each port. `gateway` names the one that new payments are opened at."""

    uow: UnitOfWork
    jobs: Jobs
    breakers: Breakers
    upkeep: Upkeep
    catalogue_writer: CatalogueWriter
    views: Views
    gateways: Mapping[str, PaymentGateway]
    gateway: str
    suppliers: Mapping[str, Supplier]
    vault: KeyVault
    mailer: Mailer
    rate_limiter: RateLimiter
    otp: OtpStore
    password_hasher: PasswordHasher
    realtime: Realtime
    cache: Cache
    captcha: Captcha
    clock: Clock
    boot_clock: BootClock
    new_id: NewId
    random_bytes: RandomBytes
    failpoint: FailPoint
    limits: Limits
    probes: Mapping[str, Probe]

    @property
    def intake(self) -> Intake:
        """The one way in which webhooks are taken in."""
        return Intake(
            uow=self.uow,
            rate_limiter=self.rate_limiter,
            limits=self.limits,
            clock=self.clock,
            new_id=self.new_id,
            failpoint=self.failpoint,
        )


def unarmed(name: str) -> None:
    """The fail-point of every shop that is not under a crash test."""
    del name
