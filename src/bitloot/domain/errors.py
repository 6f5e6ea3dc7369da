"""The core's "no": a refusal with a stable code, turned into a problem document at the edge."""

from collections.abc import Mapping
from typing import Final

# Every code that the core can refuse with, and what it means to the caller. The edge maps each to
# an RFC 9457 problem; a test holds the two lists equal.
REFUSALS: Final[dict[str, str]] = {
    "not-found": "There is nothing here by that name for you.",
    "invalid-input": "A field has a value that cannot be accepted.",
    "quote-expired": "The quote is no longer frozen; ask for a new one.",
    "quote-used": "The quote was already turned into an order.",
    "price-changed": "The frozen price is below today's cost; confirm a fresh quote.",
    "out-of-stock": "There are not enough units left.",
    "not-for-sale": "The product is not on sale.",
    "country-locked": "The product cannot be activated in this country.",
    "preorder-mixed": "A preorder cannot be bought together with other items.",
    "too-many-open-orders": "There are too many unpaid orders; pay or cancel one first.",
    "shop-busy": "Deliveries are behind; new orders are accepted again shortly.",
    "order-not-payable": "The order is past the point where it can be paid.",
    "order-not-cancellable": "The order is past the point where it can be cancelled.",
    "too-many-payments": "The order has as many payments as it may have.",
    "amount-below-minimum": "The amount is below what this asset can carry.",
    "asset-unavailable": "This asset cannot be paid with at the moment.",
    "payment-rejected": "The payment provider refused to open this payment.",
    "hosted-page-unavailable": "The payment provider has no hosted page.",
    "idempotency-key-missing": "This request needs an Idempotency-Key header.",
    "idempotency-key-malformed": "The Idempotency-Key is too short, too long or not plain ASCII.",
    "idempotency-key-reused": "The Idempotency-Key was used with another request.",
    "idempotency-in-progress": "The first request with this Idempotency-Key is still running.",
    "not-revealable": "There is no key to reveal for this item now.",
    "already-reported": "This unit was reported before; somebody looks at it.",
    "link-expired": "The link has ended; reveal the key again for a new one.",
    "link-revoked": "The link was revoked.",
    "link-used-up": "The link was downloaded as often as it may be.",
    "password-too-common": "This password is among the first that are tried; choose another.",
    "code-wrong": "The code is wrong or has ended.",
    "payment-not-settled": "The gateway does not report this payment as finished.",
    "underpaid-non-refundable": "The order was underpaid; it cannot be fulfilled or refunded.",
    "retry-not-allowed": "An order in this status cannot be retried.",
    "retry-in-progress": "A retry of this order is already running.",
    "resend-not-allowed": "Only a fulfilled order whose keys can be revealed is told of again.",
    "hold-already-decided": "Somebody has decided this hold already.",
    "hold-needs-money": "Accepting needs a finished payment behind the hold.",
    "below-cost": "This would sell below today's cost; sign the loss to go on.",
    "refund-not-allowed": "An order in this status cannot be refunded.",
    "refund-needs-confirmation": "A key was already revealed; confirm the refund a second time.",
    "key-not-replaceable": "This key cannot be replaced in its present state.",
    "webhook-not-replayable": "A webhook with a bad signature is never replayed.",
    "version-conflict": "Somebody else changed this first; read it again.",
    "in-use": "Something else still depends on this.",
    "duplicate-keys": "Every key of the import is already known.",
    "provider-unavailable": "The provider does not answer at the moment.",
    "credentials-wrong": "The address or the password is wrong.",
    "sign-in-too-old": "Sign in again first, or give the password that you have until now.",
    "session-ended": "The session has ended; sign in again.",
    "account-suspended": "The account is suspended; write to support.",
    "account-deleted": "The account was deleted.",
    "email-taken": "Another account has this address.",
    "deletion-over": "The deletion was cancelled or carried out already.",
    "recovery-pending": "A recovery of this account is running already.",
    "recovery-not-ready": "The cooling period of the recovery is not over.",
    "recovery-over": "The recovery was stopped, cancelled or completed already.",
    "too-many-api-keys": "There are as many keys as one person may have; revoke one first.",
    "api-key-name-taken": "There is a key of this name already; take it back, or choose another.",
    "beyond-your-rights": "This needs rights that you do not have yourself.",
    "last-owner": "The shop needs an owner; make somebody else one first.",
}


class Refused(Exception):
    """A rule said no. `code` is one of REFUSALS; `fields` name what to mend, without secrets."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        field: str | None = None,
        facts: Mapping[str, str | int | None] | None = None,
        retry_after: int | None = None,
    ) -> None:
        """`retry_after` in seconds, where trying again later helps."""
        assert code in REFUSALS, code
        super().__init__(code, detail)
        self.code = code
        self.detail = detail or REFUSALS[code]
        self.field = field
        self.facts = dict(facts or {})
        self.retry_after = retry_after
