"""A shop made of its neighbours: the use cases, the edge, and who handles which job."""

import hashlib
from collections.abc import Mapping
from ipaddress import ip_network

from bitloot.domain.reactions import JobKind
from bitloot.usecases.aftercare import Aftercare
from bitloot.usecases.checkout import Checkout
from bitloot.usecases.emails import Emails
from bitloot.usecases.fulfilment import Desk, FulfilmentJob
from bitloot.usecases.inventory import Inventory
from bitloot.usecases.payments.applying import Applying
from bitloot.usecases.payments.desk import MoneyDesk
from bitloot.usecases.payments.intake import WebhookIntake
from bitloot.usecases.payments.opening import Opening
from bitloot.usecases.push import Push
from bitloot.usecases.reconciliation import Reconciliation
from bitloot.usecases.reentry import Reentry
from bitloot.usecases.repeats import Repeats
from bitloot.usecases.reveal import Reveal
from bitloot.usecases.supplier_hints import SupplierHints
from bitloot_adapters.email_templates.render import load_email_templates
from bitloot_web.composition.neighbours import Neighbours
from bitloot_web.job_runner import Handler
from bitloot_web.metrics import Metrics
from bitloot_web.security import keys
from bitloot_web.security.codes import Codes
from bitloot_web.security.order_session import OrderSessions
from bitloot_web.security.receipts import ReceiptSigner
from bitloot_web.settings import Settings
from bitloot_web.shop import Edge, Shop


def build_shop(near: Neighbours, settings: Settings, metrics: Metrics) -> Shop:
    """Every use case over the ports it names."""
    secret, limits = settings.secret_key, near.limits
    codes = Codes(keys.derive(secret, keys.ONE_TIME_CODE), digits=limits.otp_digits)
    signer = ReceiptSigner(keys.derive(secret, keys.RECEIPT))
    wholesale = {
        name: supplier.capabilities.wholesale_units for name, supplier in near.suppliers.items()
    }
    return Shop(
        checkout=Checkout(
            uow=near.uow,
            gateways=near.gateways,
            gateway=near.gateway,
            limits=limits,
            clock=near.clock,
            new_id=near.new_id,
            random_bytes=near.random_bytes,
            failpoint=near.failpoint,
        ),
        opening=Opening(
            uow=near.uow,
            gateways=near.gateways,
            gateway=near.gateway,
            breakers=near.breakers,
            cache=near.cache,
            limits=limits,
            clock=near.clock,
            new_id=near.new_id,
            failpoint=near.failpoint,
        ),
        reveal=Reveal(
            uow=near.uow,
            vault=near.vault,
            clock=near.clock,
            new_id=near.new_id,
            limits=limits,
            link_secret=keys.derive(secret, keys.DOWNLOAD_LINK),
            sign=signer,
        ),
        reentry=Reentry(
            uow=near.uow,
            otp=near.otp,
            rate_limiter=near.rate_limiter,
            mailer=near.mailer.name,
            code_of=codes.code_of,
            digest_of=codes.digest_of,
            clock=near.clock,
            new_id=near.new_id,
            limits=limits,
        ),
        views=near.views,
        webhook_intake=WebhookIntake(
            uow=near.uow,
            gateways=near.gateways,
            rate_limiter=near.rate_limiter,
            limits=limits,
            clock=near.clock,
            new_id=near.new_id,
            failpoint=near.failpoint,
        ),
        supplier_hints=SupplierHints(
            uow=near.uow,
            jobs=near.jobs,
            suppliers=near.suppliers,
            clock=near.clock,
            new_id=near.new_id,
            limits=limits,
            failpoint=near.failpoint,
        ),
        emails=_emails(near, settings, codes),
        applying=Applying(
            uow=near.uow,
            jobs=near.jobs,
            gateways=near.gateways,
            breakers=near.breakers,
            wholesale_limits=wholesale,
            limits=limits,
            clock=near.clock,
            new_id=near.new_id,
            failpoint=near.failpoint,
        ),
        fulfilment=_fulfilment(near),
        money_desk=MoneyDesk(
            uow=near.uow,
            gateways=near.gateways,
            wholesale_limits=wholesale,
            limits=limits,
            clock=near.clock,
            new_id=near.new_id,
        ),
        aftercare=Aftercare(
            uow=near.uow,
            jobs=near.jobs,
            suppliers=near.suppliers,
            vault=near.vault,
            clock=near.clock,
            new_id=near.new_id,
            random_bytes=near.random_bytes,
            limits=limits,
        ),
        inventory=Inventory(
            uow=near.uow, vault=near.vault, clock=near.clock, new_id=near.new_id, limits=limits
        ),
        repeats=Repeats(uow=near.uow, clock=near.clock, new_id=near.new_id, limits=limits),
        sessions=OrderSessions(
            keys.derive(secret, keys.ORDER_SESSION), issuer=settings.public_url, limits=limits
        ),
        rate_limiter=near.rate_limiter,
        captcha=near.captcha,
        realtime=near.realtime,
        metrics=metrics,
        limits=limits,
        clock=near.clock,
        new_id=near.new_id,
        edge=_edge(settings, signer),
        probes=near.probes,
    )


def _emails(near: Neighbours, settings: Settings, codes: Codes) -> Emails:
    return Emails(
        uow=near.uow,
        jobs=near.jobs,
        mailer=near.mailer,
        breakers=near.breakers,
        render=load_email_templates(),
        code_of=codes.code_of,
        clock=near.clock,
        new_id=near.new_id,
        random_bytes=near.random_bytes,
        limits=near.limits,
        failpoint=near.failpoint,
        public_url=settings.public_url,
    )


def _fulfilment(near: Neighbours) -> FulfilmentJob:
    return FulfilmentJob(
        Desk(
            uow=near.uow,
            jobs=near.jobs,
            suppliers=near.suppliers,
            vault=near.vault,
            breakers=near.breakers,
            clock=near.clock,
            boot_clock=near.boot_clock,
            new_id=near.new_id,
            random_bytes=near.random_bytes,
            limits=near.limits,
            failpoint=near.failpoint,
        )
    )


def _edge(settings: Settings, signer: ReceiptSigner) -> Edge:
    return Edge(
        public_url=settings.public_url,
        is_production=settings.is_production,
        cors_origins=settings.cors_origins,
        trusted_proxies=tuple(map(ip_network, settings.trusted_proxies)),
        metrics_from=tuple(map(ip_network, settings.metrics_from)),
        admin_token_digest=hashlib.sha256(settings.admin_token.encode()).digest(),
        cursor_key=keys.derive(settings.secret_key, keys.CURSOR),
        client_key=keys.derive(settings.secret_key, keys.CLIENT),
        receipt_public_key=signer.public_key,
    )


def job_handlers(near: Neighbours, shop: Shop) -> Mapping[str, Handler]:
    """Who handles each kind of job."""
    push = Push(orders=near.views.orders, realtime=near.realtime, jobs=near.jobs)
    sweeps = Reconciliation(
        uow=near.uow,
        jobs=near.jobs,
        upkeep=near.upkeep,
        suppliers=near.suppliers,
        clock=near.clock,
        new_id=near.new_id,
        limits=near.limits,
    )
    handlers: dict[JobKind, Handler] = {
        "apply_payment": shop.applying.apply,
        "adopt_invoice": shop.applying.adopt_invoice,
        "expire_order": shop.checkout.expire,
        "fulfil": shop.fulfilment.run,
        "supplier_hint": shop.supplier_hints.follow_up,
        "mail_event": shop.emails.follow_up,
        "send_email": shop.emails.send,
        "push": push.run,
        "return_keys": shop.aftercare.return_keys,
        "delete_object": shop.aftercare.delete_object,
        "sweep": sweeps.sweep,
    }
    return {str(kind): handler for kind, handler in handlers.items()}
