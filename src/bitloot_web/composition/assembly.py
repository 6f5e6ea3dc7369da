"""A shop made of its neighbours: the use cases, the edge, and who handles which job."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeVar

from bitloot.domain.account_links import AccountLinks
from bitloot.domain.reactions import JobKind
from bitloot.domain.reconciliation import SUPPLIER_SWEEP
from bitloot.usecases.aftercare import Aftercare
from bitloot.usecases.assortment.products import Products
from bitloot.usecases.assortment.rules import Rules
from bitloot.usecases.assortment.shelves import Shelves
from bitloot.usecases.assortment.stock import StockDesk
from bitloot.usecases.assortment.suppliers import SupplierDesk
from bitloot.usecases.catalogue_syncs import NEWS_SWEEP, SYNC_SWEEP, CatalogueSyncs
from bitloot.usecases.checkout import Checkout
from bitloot.usecases.dead_letters import DeadLetters
from bitloot.usecases.emails import Emails
from bitloot.usecases.fulfilment import Desk, FulfilmentJob
from bitloot.usecases.housekeeping import Housekeeping
from bitloot.usecases.invariants import InvariantWatch
from bitloot.usecases.inventory import Inventory
from bitloot.usecases.payments.applying import Applying
from bitloot.usecases.payments.desk import MoneyDesk
from bitloot.usecases.payments.intake import WebhookIntake
from bitloot.usecases.payments.opening import Opening
from bitloot.usecases.people.account_mails import AccountMails
from bitloot.usecases.people.accounts import DELETION_SWEEP, Accounts
from bitloot.usecases.people.api_keys import ApiKeys
from bitloot.usecases.people.email_changes import EmailChanges
from bitloot.usecases.people.forgetting import Forgetting
from bitloot.usecases.people.identity import Identity
from bitloot.usecases.people.mailed_codes import HideAddress, KnownAs, MailedCodes
from bitloot.usecases.people.passwords import Passwords
from bitloot.usecases.people.recoveries import Recoveries
from bitloot.usecases.people.reentry import Reentry
from bitloot.usecases.people.standing import Standing
from bitloot.usecases.people.user_desk import UserDesk
from bitloot.usecases.push import Push
from bitloot.usecases.reconciliation import OBJECT_SWEEP, Reconciliation
from bitloot.usecases.repeats import Repeats
from bitloot.usecases.reveal import Reveal
from bitloot.usecases.supplier_hints import SupplierHints
from bitloot.usecases.webhook_replay import WebhookReplay
from bitloot_adapters.email_templates.render import load_email_templates, render_email
from bitloot_web import derived_keys as keys
from bitloot_web.composition.counting import CountedUnitOfWork, DecisionCounter
from bitloot_web.composition.neighbours import Neighbours
from bitloot_web.composition.watched_mailer import WatchedMailer
from bitloot_web.job_runner import Handler
from bitloot_web.metrics import Metrics
from bitloot_web.order_session import OrderSessions
from bitloot_web.security.client_address import networks
from bitloot_web.security.codes import Codes
from bitloot_web.security.rate_shares import SharedRateLimits
from bitloot_web.security.receipts import ReceiptSigner
from bitloot_web.settings import Settings
from bitloot_web.shop import Edge, Shop
from bitloot_web.sweeps import ANY, Watchman, by_name
from bitloot_web.tokens import SessionTokens

U = TypeVar("U")


@dataclass(frozen=True, kw_only=True)
class Signing:
    """What is made of the settings alone: whatever signs, derives or names the edge."""

    codes: Codes
    signer: ReceiptSigner
    link_secret: bytes = field(repr=False)
    sessions: OrderSessions
    tokens: SessionTokens
    links: AccountLinks
    hide: HideAddress
    known_as: KnownAs
    edge: Edge


def signing(settings: Settings) -> Signing:
    """Keys for one purpose each, derived from the shop's secret."""
    secret, limits, issuer = settings.secret_key, settings.limits, settings.public_url
    secrets = (secret, *settings.previous_secret_keys)
    signer = ReceiptSigner(keys.derive(secret, keys.RECEIPT))
    return Signing(
        codes=Codes(keys.derive(secret, keys.ONE_TIME_CODE), digits=limits.otp_digits),
        signer=signer,
        link_secret=keys.derive(secret, keys.DOWNLOAD_LINK),
        sessions=OrderSessions(
            [keys.derive(each, keys.ORDER_SESSION) for each in secrets],
            issuer=issuer,
            limits=limits,
        ),
        tokens=SessionTokens(secrets, issuer=issuer, limits=limits),
        links=AccountLinks(
            deletion_keys=[keys.derive(each, keys.ACCOUNT_DELETION) for each in secrets],
            recovery_keys=[keys.derive(each, keys.ACCOUNT_RECOVERY) for each in secrets],
            public_url=settings.public_url,
        ),
        hide=keys.hiding(keys.derive(secret, keys.HIDDEN_ADDRESS)),
        known_as=keys.known_as([keys.derive(each, keys.HIDDEN_ADDRESS) for each in secrets]),
        edge=_edge(settings, signer),
    )


def build_shop(
    near: Neighbours, settings: Settings, metrics: Metrics, made: Signing | None = None
) -> Shop:
    """Every use case over the ports it names. `made`: `signing(settings)`, for many shops alike."""
    near = replace(
        near,
        uow=CountedUnitOfWork(near.uow, DecisionCounter(metrics)),
        mailer=WatchedMailer(near.mailer, metrics),
    )
    made = made or signing(settings)
    limits = near.limits
    wholesale = {
        name: supplier.capabilities.wholesale_units for name, supplier in near.suppliers.items()
    }
    return Shop(
        checkout=over(Checkout, near),
        opening=over(Opening, near),
        reveal=over(Reveal, near, link_secret=made.link_secret, sign=made.signer),
        views=near.views,
        webhook_intake=over(WebhookIntake, near),
        webhook_replay=over(WebhookReplay, near, followers=_followers(near)),
        supplier_hints=over(SupplierHints, near),
        emails=over(
            Emails,
            near,
            render=render_email,
            code_of=made.codes.code_of,
            public_url=settings.public_url,
            links=made.links,
        ),
        applying=over(Applying, near, wholesale_limits=wholesale),
        fulfilment=FulfilmentJob(over(Desk, near)),
        money_desk=over(MoneyDesk, near, wholesale_limits=wholesale),
        aftercare=over(Aftercare, near),
        reconciliation=over(Reconciliation, near, desk=near.views.desk),
        inventory=over(Inventory, near),
        stock_desk=over(StockDesk, near, goods=near.views.assortment),
        supplier_desk=over(SupplierDesk, near, goods=near.views.assortment, margin=settings.margin),
        rules=over(Rules, near, goods=near.views.assortment, margin=settings.margin),
        products=over(Products, near),
        shelves=over(Shelves, near),
        catalogue_syncs=over(CatalogueSyncs, near, margin=settings.margin),
        repeats=over(Repeats, near),
        dead_letters=over(DeadLetters, near),
        **vars(people(near, settings, made)),
        sessions=made.sessions,
        tokens=made.tokens,
        rate_limiter=SharedRateLimits(near.rate_limiter, limits=limits, now=near.boot_clock),
        captcha=near.captcha,
        realtime=near.realtime,
        metrics=metrics,
        limits=limits,
        clock=near.clock,
        new_id=near.new_id,
        edge=made.edge,
        probes=near.probes,
    )


@dataclass(frozen=True, kw_only=True)
class _People:
    codes: MailedCodes
    reentry: Reentry
    identity: Identity
    passwords: Passwords
    accounts: Accounts
    email_changes: EmailChanges
    recoveries: Recoveries
    user_desk: UserDesk
    api_keys: ApiKeys
    standing: Standing


def people(near: Neighbours, settings: Settings, made: Signing) -> _People:
    """The use cases of accounts."""
    mails = AccountMails(
        mailer=near.mailer.name,
        render=render_email,
        public_url=settings.public_url,
        new_id=near.new_id,
    )
    codes = over(
        MailedCodes,
        near,
        mails=mails,
        code_of=made.codes.code_of,
        digest_of=made.codes.digest_of,
        hide=made.hide,
    )
    return _People(
        codes=codes,
        reentry=over(Reentry, near, codes=codes, mails=mails),
        identity=over(Identity, near, codes=codes, known_as=made.known_as),
        passwords=over(
            Passwords,
            near,
            people=near.views.people,
            codes=codes,
            mails=mails,
            known_as=made.known_as,
        ),
        accounts=over(Accounts, near, mails=mails, links=made.links, hide=made.hide),
        email_changes=over(EmailChanges, near, codes=codes, mails=mails, known_as=made.known_as),
        recoveries=over(Recoveries, near, mails=mails, links=made.links, known_as=made.known_as),
        user_desk=over(UserDesk, near),
        api_keys=over(ApiKeys, near),
        standing=Standing(near.views.people, near.clock, near.limits),
    )


@functools.cache
def _fields(use_case: Callable[..., object]) -> tuple[str, ...]:
    """What a use case is made of; asked of each once a process."""
    return tuple(inspect.signature(use_case).parameters)


def over(use_case: Callable[..., U], near: Neighbours, **own: object) -> U:
    """A use case over the neighbours that its fields are named after, and what is its `own`.

    Raises TypeError at the opening of the shop for a field that nobody fills.
    """
    names = _fields(use_case)
    ports = {name: getattr(near, name) for name in names if hasattr(near, name)}
    return use_case(**{**ports, **own})


def _followers(near: Neighbours) -> dict[str, JobKind]:
    """Which job follows up the webhooks of each provider."""
    followers: dict[str, JobKind] = dict.fromkeys(near.gateways, "apply_payment")
    followers |= dict.fromkeys(near.suppliers, "supplier_hint")
    followers[near.mailer.name] = "mail_event"
    return followers


def _edge(settings: Settings, signer: ReceiptSigner) -> Edge:
    return Edge(
        public_url=settings.public_url,
        is_production=settings.is_production,
        cors_origins=settings.cors_origins,
        trusted_proxies=networks(settings.trusted_proxies),
        metrics_from=networks(settings.metrics_from),
        cursor_key=keys.derive(settings.secret_key, keys.CURSOR),
        client_key=keys.derive(settings.secret_key, keys.CLIENT),
        receipt_public_key=signer.public_key,
    )


def job_handlers(near: Neighbours, shop: Shop) -> Mapping[str, Handler]:
    """Who handles each kind of job."""
    load_email_templates()  # not while the first mail waits
    push = over(Push, near, orders=near.views.orders)
    desk = near.views.desk
    house = over(Housekeeping, near, desk=desk, followers=_followers(near))
    sweeps: dict[str, Handler] = {
        "redrive": house.redrive,
        "housekeeping": house.keep_house,
        "invariants": invariant_watch(near, shop.metrics).run,
        DELETION_SWEEP: shop.accounts.run_due,
        OBJECT_SWEEP: shop.reconciliation.compare_objects,
        f"{SUPPLIER_SWEEP}{ANY}": shop.reconciliation.compare_orders,
        f"{SYNC_SWEEP}{ANY}": shop.catalogue_syncs.tick,
        f"{NEWS_SWEEP}{ANY}": shop.catalogue_syncs.tick,
    }
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
        "sweep": by_name(near.jobs, sweeps),
        "sync_catalogue": shop.catalogue_syncs.run,
        "read_product": shop.catalogue_syncs.read_product,
        "shelve_products": shop.catalogue_syncs.shelve,
        "reprice": shop.catalogue_syncs.reprice,
        "forget_orders": over(Forgetting, near).orders,
    }
    return {str(kind): handler for kind, handler in handlers.items()}


def invariant_watch(near: Neighbours, metrics: Metrics) -> InvariantWatch:
    """Who looks for what must never be, for the sweep and for the doctor."""
    return over(InvariantWatch, near, desk=near.views.desk, observe=Watchman(metrics))
