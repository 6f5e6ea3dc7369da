"""The HTTP application over a shop: routes, checks, problem documents, and an orderly end.

`build_app` opens nothing: the shop is open already, and whoever opened it closes it.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final

from litestar import Litestar, Router
from litestar.config.cors import CORSConfig
from litestar.datastructures import State
from litestar.enums import HttpMethod
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.routes import HTTPRoute

from bitloot_web.api import (
    account,
    account_pages,
    auth,
    catalog,
    deliveries,
    documents,
    downloads,
    events,
    health,
    me,
    order_payments,
    orders,
    payment_options,
    quotes,
    sessions,
    sockets,
    webhooks,
)
from bitloot_web.api.admin import (
    api_keys,
    audit_logs,
    catalogue_syncs,
    fulfilment,
    holds,
    inventory,
    order_status,
    own_keys,
    payments,
    pricing_rules,
    product_media,
    product_prices,
    products,
    reconciliation,
    recoveries,
    refunds,
    reservations,
    shelves,
    unit_reports,
    users,
    webhook_activity,
)
from bitloot_web.api.admin import orders as admin_orders
from bitloot_web.api.admin import webhooks as admin_webhooks
from bitloot_web.application import Application
from bitloot_web.dependencies import DEPENDENCIES
from bitloot_web.once import HEADER
from bitloot_web.openapi import describe
from bitloot_web.problem_answers import answer_error
from bitloot_web.request_checks import check_request
from bitloot_web.routes import access_of, admit
from bitloot_web.shop import Shop

# How many that are set differently are kept: a process has one, but for tests.
FRAMEWORKS: Final = 4

PUBLIC: Final[tuple[BaseRouteHandler, ...]] = (
    catalog.products,
    catalog.product,
    catalog.filters,
    catalog.categories,
    catalog.groups,
    catalog.group,
    payment_options.currencies,
    payment_options.estimate,
    quotes.create_quote,
    orders.create_order,
    orders.order,
    orders.timeline,
    orders.cancel,
    order_payments.create_payment,
    order_payments.current_payment,
    sessions.request_code,
    sessions.create_session,
    auth.request_code,
    auth.sign_in_by_code,
    auth.sign_in_by_password,
    auth.refresh,
    auth.sign_out,
    auth.set_password,
    auth.forgot_password,
    auth.reset_password,
    me.me,
    me.change_me,
    me.own_orders,
    me.own_order,
    me.own_sessions,
    me.end_session,
    me.end_sessions,
    me.export,
    account.request_change,
    account.confirm_change,
    account.request_deletion,
    account.deletion,
    account.cancel_deletion,
    account.cancel_by_link,
    account.stop_by_link,
    account_pages.keep_account,
    account_pages.stop_recovery,
    deliveries.deliveries,
    deliveries.reveal,
    deliveries.report,
    deliveries.receipt,
    downloads.download,
    downloads.download_unit,
    events.events,
    sockets.order_socket,
    webhooks.take,
    health.healthz,
    health.readyz,
    health.metrics,
    documents.openapi_json,
    documents.docs,
)
ADMIN: Final[tuple[BaseRouteHandler, ...]] = (
    admin_orders.orders,
    admin_orders.order,
    admin_orders.timeline,
    admin_orders.ledger,
    admin_orders.audit,
    admin_orders.order_webhooks,
    order_status.set_status,
    fulfilment.retry,
    fulfilment.resend_keys,
    fulfilment.replace_key,
    fulfilment.revoke,
    refunds.record_refund,
    audit_logs.audit_logs,
    audit_logs.verify,
    holds.holds,
    holds.decide,
    unit_reports.unit_reports,
    reservations.reservations,
    reservations.reservation,
    admin_webhooks.webhooks,
    admin_webhooks.webhook,
    webhook_activity.stats,
    webhook_activity.timeline,
    webhook_activity.adjacent,
    admin_webhooks.replay,
    admin_webhooks.bulk_replay,
    payments.refresh,
    reconciliation.breaks,
    reconciliation.explain,
    inventory.import_keys,
    inventory.import_file,
    inventory.stock,
    catalogue_syncs.start,
    catalogue_syncs.status,
    catalogue_syncs.history,
    catalogue_syncs.refusals,
    catalogue_syncs.search,
    catalogue_syncs.import_product,
    own_keys.keys,
    own_keys.key,
    own_keys.add_keys,
    own_keys.change_key,
    own_keys.delete_key,
    own_keys.replace_key,
    own_keys.recount,
    own_keys.export_keys,
    own_keys.low_stock,
    pricing_rules.rules,
    pricing_rules.create_rule,
    pricing_rules.rule,
    pricing_rules.change_rule,
    pricing_rules.delete_rule,
    pricing_rules.simulate,
    product_media.media,
    product_media.add_media,
    product_media.change_media,
    product_media.delete_media,
    product_media.order_media,
    product_prices.offers,
    product_prices.join_offer,
    product_prices.part_offer,
    product_prices.price_history,
    product_prices.price_explain,
    product_prices.reprice_product,
    product_prices.reprice,
    product_prices.reprice_status,
    products.products,
    products.create_product,
    products.product,
    products.change_product,
    products.retire_product,
    products.publish_product,
    products.unpublish_product,
    products.bulk_products,
    shelves.categories,
    shelves.create_category,
    shelves.category,
    shelves.change_category,
    shelves.delete_category,
    shelves.groups,
    shelves.create_group,
    shelves.group,
    shelves.change_group,
    shelves.delete_group,
    shelves.join_group,
    shelves.leave_group,
    users.users,
    users.user,
    users.set_roles,
    users.suspend,
    users.unsuspend,
    users.force_logout,
    users.restore,
    users.delete_user,
    recoveries.recoveries,
    recoveries.start,
    recoveries.complete,
    recoveries.cancel,
    api_keys.api_keys,
    api_keys.create_api_key,
    api_keys.revoke_api_key,
)


class Framework(Litestar):
    """Litestar for bodies that are msgspec structs, as all of ours are.

    Left to itself it loads Pydantic, because Taskiq brings that along: a tenth of the time that a
    web server needs to start, and as much of its memory, for nothing.
    """

    @staticmethod
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def routes() -> list[BaseRouteHandler | Router]:
    """Every route of the API."""
    return [*PUBLIC, Router("/v1/admin", route_handlers=ADMIN)]


def check_access(app: Litestar) -> None:
    """Raises TypeError for a route that does not say who may call it, or would not ask."""
    for route in app.routes:
        for handler in (
            route.route_handlers if isinstance(route, HTTPRoute) else (route.route_handler,)
        ):
            if getattr(handler, "http_methods", None) == {HttpMethod.OPTIONS}:
                continue  # the framework's own, which tells the methods of an address
            access_of(handler)
            if isinstance(handler, HTTPRouteHandler) and admit not in handler.resolve_guards():
                raise TypeError(f"{handler} says who may call it, and nobody would be asked")


@cache
def openapi_document() -> bytes:
    """The description of the API, the same for every shop."""
    from bitloot_web.api.examples import EXAMPLES  # which nobody needs who does not read them

    return describe(routes(), DEPENDENCIES, EXAMPLES)


def build_app(shop: Shop, *, more: Sequence[BaseRouteHandler | Router] = ()) -> Application:
    """The application. `more` are the routes of pages, behind the same checks and answers."""
    framework = _framework(shop.limits.body_bytes, tuple(shop.edge.cors_origins), tuple(more))
    return Application(framework, shop, kept=catalog.LIMIT)


@lru_cache(maxsize=FRAMEWORKS)
def _framework(
    body_bytes: int, cors_origins: tuple[str, ...], more: tuple[BaseRouteHandler | Router, ...]
) -> Framework:
    """Every route with what is the same for all shops that are set alike."""
    framework = Framework(
        [*routes(), *more],
        state=State({"describe": openapi_document}),
        dependencies=dict(DEPENDENCIES),
        before_request=check_request,
        exception_handlers={Exception: answer_error},
        request_max_body_size=body_bytes,
        cors_config=_cors(cors_origins),
        openapi_config=None,
        logging_config=None,
    )
    check_access(framework)
    return framework


def _cors(origins: Sequence[str]) -> CORSConfig | None:
    """No origin but our own may read answers, unless the settings name it. Never with cookies."""
    if not origins:
        return None
    return CORSConfig(
        allow_origins=list(origins),
        allow_methods=["GET", "POST", "PUT", "PATCH", "DELETE"],
        allow_headers=["Authorization", "Content-Type", HEADER, "If-Match", "Last-Event-ID"],
        expose_headers=["ETag", "Retry-After", "RateLimit", "RateLimit-Policy", "X-Request-ID"],
        allow_credentials=False,
        max_age=600,
    )
