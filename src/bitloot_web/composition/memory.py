"""A shop on memory adapters: no network, no files, one clock that stands still, one seed."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.domain.limits import Limits
from bitloot.ports.clock import Clock, FailPoint
from bitloot.testing.seeded import SeededBytes, SeededIds
from bitloot.testing.virtual_time import VirtualClock
from bitloot_adapters.key_inventory.plugin import OwnStock
from bitloot_adapters.memory.breakers import MemoryBreakers
from bitloot_adapters.memory.cache import MemoryCache
from bitloot_adapters.memory.captcha import CaptchaOff
from bitloot_adapters.memory.catalogue_writer import MemoryCatalogueWriter
from bitloot_adapters.memory.jobs import MemoryJobs
from bitloot_adapters.memory.key_vault import MemoryKeyVault
from bitloot_adapters.memory.mailer import MemoryMailer
from bitloot_adapters.memory.otp_store import MemoryOtpStore
from bitloot_adapters.memory.password_hasher import MemoryPasswordHasher
from bitloot_adapters.memory.payment_gateway import MemoryPaymentGateway
from bitloot_adapters.memory.rate_limiter import MemoryRateLimiter
from bitloot_adapters.memory.realtime import MemoryRealtime
from bitloot_adapters.memory.supplier import MemorySupplier
from bitloot_adapters.memory.unit_of_work import MemoryStore, MemoryUnitOfWork
from bitloot_adapters.memory.upkeep import MemoryUpkeep
from bitloot_adapters.memory.views.assortment import MemoryAssortmentViews
from bitloot_adapters.memory.views.catalog import MemoryCatalogViews
from bitloot_adapters.memory.views.desk import MemoryDeskViews
from bitloot_adapters.memory.views.orders import MemoryOrderViews
from bitloot_adapters.memory.views.people import MemoryPeopleViews
from bitloot_web.composition.neighbours import Neighbours
from bitloot_web.shop import Views

# Named as the built-in providers are, so that their webhooks come in through the same routes.
GATEWAY: Final = "nowpayments"
SUPPLIER: Final = "kinguin"
MAILER: Final = "resend"


@dataclass(frozen=True, kw_only=True)
class MemoryNeighbours:
    """The neighbours, and the levers of those that play somebody.

    `supplier` is the one that every shop has; `suppliers` are all that keys are bought from.
    """

    near: Neighbours
    store: MemoryStore
    clock: VirtualClock
    random_bytes: SeededBytes
    gateway: MemoryPaymentGateway
    supplier: MemorySupplier
    suppliers: Mapping[str, MemorySupplier]
    vault: MemoryKeyVault
    mailer: MemoryMailer
    rate_limiter: MemoryRateLimiter
    otp: MemoryOtpStore
    realtime: MemoryRealtime
    catalogue_writer: MemoryCatalogueWriter


def memory_neighbours(
    seed: int, limits: Limits, failpoint: FailPoint, further: Sequence[str] = ()
) -> MemoryNeighbours:
    """A shop in dictionaries. The same seed gives the same ids, keys and codes."""
    clock = VirtualClock()
    new_id, random_bytes = SeededIds(clock.now, seed), SeededBytes(seed)
    store = MemoryStore(clock=clock.now, new_id=new_id, limits=limits)
    uow = MemoryUnitOfWork(store)
    asking, now = uow.in_transaction, clock.now
    gateway = MemoryPaymentGateway(
        clock=now, random_bytes=random_bytes, name=GATEWAY, in_transaction=asking
    )
    suppliers = _suppliers((SUPPLIER, *further), now, random_bytes, asking)
    vault = MemoryKeyVault(random_bytes=random_bytes, in_transaction=asking)
    mailer = MemoryMailer(
        clock=now, random_bytes=random_bytes, limits=limits, name=MAILER, in_transaction=asking
    )
    rate_limiter, otp = MemoryRateLimiter(clock=now), MemoryOtpStore(clock=now)
    near = Neighbours(
        uow=uow,
        jobs=MemoryJobs(store.jobs, clock.boot),
        breakers=MemoryBreakers(clock=clock.now, limits=limits),
        upkeep=MemoryUpkeep(store),
        catalogue_writer=(writer := MemoryCatalogueWriter(store)),
        views=_views(store, limits),
        gateways={gateway.name: gateway},
        gateway=gateway.name,
        suppliers={OWN_STOCK: OwnStock(), **suppliers},
        vault=vault,
        mailer=mailer,
        rate_limiter=rate_limiter,
        otp=otp,
        password_hasher=MemoryPasswordHasher(limits=limits, random_bytes=random_bytes),
        realtime=(realtime := MemoryRealtime()),
        cache=MemoryCache(clock=clock.now, entries=limits.cache_entries),
        captcha=CaptchaOff(),
        clock=clock.now,
        boot_clock=clock.boot,
        new_id=new_id,
        random_bytes=random_bytes,
        failpoint=failpoint,
        limits=limits,
        probes={},
    )
    return MemoryNeighbours(
        near=near,
        store=store,
        clock=clock,
        random_bytes=random_bytes,
        gateway=gateway,
        supplier=suppliers[SUPPLIER],
        suppliers=suppliers,
        vault=vault,
        mailer=mailer,
        rate_limiter=rate_limiter,
        otp=otp,
        realtime=realtime,
        catalogue_writer=writer,
    )


def _suppliers(
    names: Sequence[str],
    clock: Clock,
    random_bytes: SeededBytes,
    in_transaction: Callable[[], bool],
) -> dict[str, MemorySupplier]:
    return {
        name: MemorySupplier(
            clock=clock, random_bytes=random_bytes, name=name, in_transaction=in_transaction
        )
        for name in names
    }


def _views(store: MemoryStore, limits: Limits) -> Views:
    return Views(
        orders=MemoryOrderViews(store),
        catalog=MemoryCatalogViews(
            store, gateway_fee=limits.gateway_fee, count_exact=limits.count_exact
        ),
        desk=MemoryDeskViews(store, limits=limits),
        assortment=MemoryAssortmentViews(store),
        people=MemoryPeopleViews(store),
    )
