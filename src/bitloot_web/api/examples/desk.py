"""Examples of the desk: orders, money, holds, webhooks, differences to providers."""

from collections.abc import Mapping
from typing import Final

import msgspec

from bitloot.domain.reconciliation import BREAKS
from bitloot_web.api.admin.audit_logs import CheckedAudit
from bitloot_web.api.admin.fulfilment import Accepted, Because, MaybeBecause, Replacement, Revoked
from bitloot_web.api.admin.holds import HoldDecision, HoldShown, RuledOrderShown
from bitloot_web.api.admin.order_status import NewStatus
from bitloot_web.api.admin.orders import (
    AuditLine,
    FulfilmentRow,
    LedgerRow,
    OrderDetail,
    OrderRow,
    PaymentRow,
)
from bitloot_web.api.admin.payments import RefreshedPayment
from bitloot_web.api.admin.reconciliation import BreakShown, Explanation
from bitloot_web.api.admin.refunds import NewRefund
from bitloot_web.api.admin.reservations import (
    ReservationDetail,
    ReservationShown,
    SupplierOrderShown,
)
from bitloot_web.api.admin.webhook_activity import (
    Neighbours,
    ProviderFigures,
    WebhookFigures,
    WebhookHour,
    WebhookHours,
)
from bitloot_web.api.admin.webhooks import (
    BulkReplay,
    BulkReplayed,
    Replayed,
    ReplayReason,
    WebhookShown,
)
from bitloot_web.api.examples.buying import TIMELINE
from bitloot_web.api.examples.names import (
    CURSOR,
    EMAIL,
    FULFILMENT_ID,
    HOLD_ID,
    ITEM_ID,
    ORDER_ID,
    ORDER_NUMBER,
    PAYMENT_ID,
    PRODUCT_ID,
    RESERVATION_ID,
    TITLE,
    TX,
    WEBHOOK_ID,
    moment,
)
from bitloot_web.openapi import Example
from bitloot_web.paging import PageOf

_HOLD: Final = HoldShown(
    id=HOLD_ID,
    order_id=ORDER_ID,
    subject="payment",
    subject_id=PAYMENT_ID,
    reason="paid_late",
    state="open",
    opened_at=moment(662),
    decided_at=None,
    decided_by=None,
    decision_reason=None,
)
_ORDER: Final = OrderDetail(
    id=ORDER_ID,
    number=ORDER_NUMBER,
    status="paid",
    failure_reason=None,
    remarks=(),
    email=EMAIL,
    country="PT",
    total="12.50",
    created_at=moment(600),
    paid_at=moment(611),
    version=4,
    allowed_next=("failed", "partially_fulfilled"),
    payments=(
        PaymentRow(
            id=PAYMENT_ID,
            gateway="nowpayments",
            gateway_payment_id="5745459419",
            parent_payment_id=None,
            status="finished",
            pay_currency="btc",
            pay_amount="0.00019841",
            actually_paid="0.00019841",
            updated_at=moment(611),
        ),
    ),
    fulfilments=(
        FulfilmentRow(
            id=FULFILMENT_ID,
            item_no=1,
            part=1,
            quantity=1,
            supplier="kinguin",
            state="reserved",
            blocked_reason=None,
            last_error=None,
            attempts=("BL7K3M9Q2X-1-1",),
            updated_at=moment(611, 4),
        ),
    ),
    holds=(),
)
_AUDIT: Final = AuditLine(
    seq=118,
    at=moment(640),
    actor="user/01890a5d-ac96-774b-bcce-b302099a8107",
    action="order.override",
    subject=ORDER_ID,
    reason="The gateway confirmed it by mail.",
    facts={"from": "failed", "to": "paid"},
    hash=TX,
)
_RESERVATION: Final = ReservationShown(
    id=RESERVATION_ID,
    order_id=ORDER_ID,
    order_item_id=ITEM_ID,
    product_id=PRODUCT_ID,
    supplier="kinguin",
    quantity=1,
    own_keys=0,
    state="held",
    expires_at=moment(660),
    created_at=moment(600),
)
_WEBHOOK: Final = WebhookShown(
    id=WEBHOOK_ID,
    provider="nowpayments",
    classification="applied",
    signature_ok=True,
    subject="5745459419",
    status="finished",
    order_number=ORDER_NUMBER,
    order_id=ORDER_ID,
    attempts=1,
    note="",
    received_at=moment(611),
    handled_at=moment(611, 1),
    body=None,
)
_RULED: Final = RuledOrderShown(id=ORDER_ID, status="paid", failure_reason=None, version=5)
_BREAK: Final = BreakShown(
    id="01890a5d-e1f2-7b3c-9d4e-5f6a7b8c9d0e",
    kind="supplier_order_foreign",
    meaning=BREAKS["supplier_order_foreign"],
    subject="kinguin/PHS84FJAG5U",
    ours="",
    theirs="completed",
    state="open",
    note="",
    found_at=moment(180),
    settled_at=None,
)

EXAMPLES: Final[Mapping[str, Example]] = {
    "adminListOrders": Example(
        answered=PageOf(
            items=(
                OrderRow(
                    id=ORDER_ID,
                    number=ORDER_NUMBER,
                    status="paid",
                    failure_reason=None,
                    remarks=(),
                    email=EMAIL,
                    source="kinguin",
                    total="12.50",
                    open_holds=0,
                    created_at=moment(600),
                    paid_at=moment(611),
                    version=4,
                ),
            ),
            next=CURSOR,
        )
    ),
    "adminGetOrder": Example(answered=_ORDER),
    "adminGetTimeline": Example(answered=TIMELINE),
    "adminGetLedger": Example(
        answered=PageOf(
            items=(
                LedgerRow(entry="paid", account="gateway", amount="12.44", at=moment(611)),
                LedgerRow(entry="paid", account="fee", amount="0.06", at=moment(611)),
                LedgerRow(entry="paid", account="sale", amount="-12.50", at=moment(611)),
            ),
            next=None,
        )
    ),
    "adminGetOrderAudit": Example(answered=PageOf(items=(_AUDIT,), next=None)),
    "adminListAudit": Example(answered=PageOf(items=(_AUDIT,), next=CURSOR)),
    "adminVerifyAudit": Example(
        answered=CheckedAudit(checked=118, last=118, broken_at=None, next=None)
    ),
    "adminGetOrderWebhooks": Example(answered=PageOf(items=(_WEBHOOK,), next=None)),
    "adminSetOrderStatus": Example(
        asked=NewStatus(to="paid", reason="The gateway confirmed it by mail.", confirmed=True),
        answered=_RULED,
    ),
    "adminRetryFulfillment": Example(
        asked=MaybeBecause(reason="The supplier has stock again."),
        answered=Accepted(order_id=ORDER_ID, events=("retry_accepted",)),
    ),
    "adminReplaceKey": Example(
        asked=Replacement(slot=1, reason="The buyer was sold a used key."),
        answered=Accepted(order_id=ORDER_ID, events=("key_replaced",)),
    ),
    "adminResendKeys": Example(
        asked=MaybeBecause(reason="The mail was deleted by mistake."),
        answered=Accepted(order_id=ORDER_ID, events=()),
    ),
    "adminRevokeLinks": Example(
        asked=Because(reason="The buyer shared the link."), answered=Revoked(revoked=1)
    ),
    "adminRecordRefund": Example(
        asked=NewRefund(
            amount="0.00019841",
            asset="btc",
            address="bc1qexample0address0of0the0buyer000000000000",
            tx_id=TX,
            basis="then",
            eur="12.50",
            reason="The key was never delivered.",
        ),
        answered=Accepted(order_id=ORDER_ID, events=("order_refunded",)),
    ),
    "adminListReservations": Example(answered=PageOf(items=(_RESERVATION,), next=CURSOR)),
    "adminGetReservation": Example(
        answered=ReservationDetail(
            **msgspec.structs.asdict(_RESERVATION),
            order_number=ORDER_NUMBER,
            order_status="paid",
            title=TITLE,
            supplier_orders=(
                SupplierOrderShown(
                    supplier="kinguin",
                    external_id="BL7K3M9Q2X-1-1",
                    supplier_order_id="PHS84FJAG5U",
                    state="created",
                    quantity=1,
                    intent_at=moment(611, 2),
                ),
            ),
        )
    ),
    "adminListHolds": Example(answered=PageOf(items=(_HOLD,), next=CURSOR)),
    "adminDecideHold": Example(
        asked=HoldDecision(accept=True, reason="Two minutes late.", order_version=4),
        answered=_RULED,
    ),
    "adminListWebhooks": Example(answered=PageOf(items=(_WEBHOOK,), next=CURSOR)),
    "adminGetWebhook": Example(answered=_WEBHOOK),
    "adminGetWebhookStats": Example(
        answered=WebhookFigures(
            since=moment(0),
            count=41,
            succeeded=39,
            failed=1,
            waiting=1,
            success_rate="0.9750",
            providers=(
                ProviderFigures(
                    provider="nowpayments", count=41, succeeded=39, failed=1, waiting=1
                ),
            ),
        )
    ),
    "adminGetWebhookTimeline": Example(
        answered=WebhookHours(
            hours=(WebhookHour(at=moment(0), count=3, succeeded=3, failed=0, waiting=0),)
        )
    ),
    "adminGetWebhookNeighbours": Example(answered=Neighbours(previous=None, next=WEBHOOK_ID)),
    "adminReplayWebhook": Example(
        asked=ReplayReason(reason="It came before its order."),
        answered=Replayed(WEBHOOK_ID, "queued"),
    ),
    "adminBulkReplayWebhooks": Example(
        asked=BulkReplay(ids=(WEBHOOK_ID,), reason="They came during the outage."),
        answered=BulkReplayed((Replayed(WEBHOOK_ID, "queued"),)),
    ),
    "adminRefreshPayment": Example(
        answered=RefreshedPayment(
            id=PAYMENT_ID,
            order_id=ORDER_ID,
            status="finished",
            pay_currency="btc",
            pay_amount="0.00019841",
            actually_paid="0.00019841",
            updated_at=moment(612),
        )
    ),
    "adminListReconciliationBreaks": Example(answered=PageOf(items=(_BREAK,), next=None)),
    "adminExplainReconciliationBreak": Example(
        asked=Explanation(reason="Bought by hand for a test."), answered=_BREAK
    ),
}
