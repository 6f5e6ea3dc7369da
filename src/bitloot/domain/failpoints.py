"""The named boundaries of the selling path, where a process may die between two commits.

A use case calls its fail-point at each; it does nothing unless a test armed it.
"""

from typing import Final

PAYMENT_ROW_BEFORE_CALL: Final = "payment row before the gateway call"
GATEWAY_DONE_NO_REPLY: Final = "gateway done, no reply"
AFTER_SIGNATURE_CHECK: Final = "after signature check"
AFTER_WEBHOOK_COMMIT: Final = "after webhook commit"
AFTER_MARK_BEFORE_XADD: Final = "after mark before XADD"
AFTER_LEASE: Final = "after lease"
BEFORE_PAID_COMMIT: Final = "before paid commit"
AFTER_PAID_COMMIT: Final = "after paid commit"
AFTER_INTENT_COMMIT: Final = "after intent commit"
SUPPLIER_DONE_NO_REPLY: Final = "supplier done, no reply"
REPLY_BEFORE_OUTCOME: Final = "reply before outcome commit"
AFTER_OUTCOME_COMMIT: Final = "after outcome commit"
KEYS_READ_BEFORE_SEAL: Final = "keys read before seal commit"
AFTER_SEAL: Final = "after seal"
UPLOADED_BEFORE_DELIVER: Final = "uploaded before deliver commit"
AFTER_DELIVER_COMMIT: Final = "after deliver commit before XACK"
MAIL_ACCEPTED_BEFORE_SENT: Final = "mail accepted before sent commit"
AFTER_SENT_COMMIT: Final = "after sent commit before XACK"

FAIL_POINTS: Final = (
    PAYMENT_ROW_BEFORE_CALL,
    GATEWAY_DONE_NO_REPLY,
    AFTER_SIGNATURE_CHECK,
    AFTER_WEBHOOK_COMMIT,
    AFTER_MARK_BEFORE_XADD,
    AFTER_LEASE,
    BEFORE_PAID_COMMIT,
    AFTER_PAID_COMMIT,
    AFTER_INTENT_COMMIT,
    SUPPLIER_DONE_NO_REPLY,
    REPLY_BEFORE_OUTCOME,
    AFTER_OUTCOME_COMMIT,
    KEYS_READ_BEFORE_SEAL,
    AFTER_SEAL,
    UPLOADED_BEFORE_DELIVER,
    AFTER_DELIVER_COMMIT,
    MAIL_ACCEPTED_BEFORE_SENT,
    AFTER_SENT_COMMIT,
)
