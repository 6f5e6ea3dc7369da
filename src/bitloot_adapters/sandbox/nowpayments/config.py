"""Everything that can be set on the NOWPayments stand-in before it starts.

All fields except `state_dir` can also be changed while it runs (`POST /_control/config`).
"""

from decimal import Decimal
from typing import Literal

import msgspec

IpnOrder = Literal["normal", "duplicate", "burst", "reversed", "shuffled", "lost", "delayed"]
IpnMode = Literal["modern", "legacy"]
ArrayForm = Literal["array", "index_object"]
RedepositResult = Literal["finished", "partially_paid"]
WrongAssetResult = Literal["wrong_asset_confirmed", "partially_paid", "finished"]

SECRET_FIELDS = frozenset({"api_keys", "ipn_secret", "account_password", "jwt_secret"})


class NowPaymentsSandboxConfig(
    msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """One merchant account of the vendor, and how its server behaves.

    Units: `*_seconds` are seconds; percentages are 0-100; money is `Decimal`.
    """

    # The account.
    api_keys: tuple[str, ...] = ("NOWPAY-SANDBOX-KEY-0001", "NOWPAY-SANDBOX-KEY-0002")
    ipn_secret: str | None = msgspec.field(default="nowpayments-sandbox-ipn-secret")
    """None: no secret was generated for the account, so no IPN is ever sent."""
    account_email: str = "merchant@sandbox.invalid"
    account_password: str = msgspec.field(default="Sandbox-Password-1")
    jwt_secret: str = msgspec.field(default="nowpayments-sandbox-jwt-secret-0123456789")
    jwt_seconds: int = 300
    outcome_currency: str | None = None
    """The wallet that receives the settlement; None settles in the coin that was paid."""
    merchant_coins: tuple[str, ...] | None = None
    """Tickers ticked in the dashboard; None means every enabled one."""
    ipn_url: str | None = None
    """The account's own callback address, used when a payment names none."""
    redeposit_result: RedepositResult = "finished"
    wrong_asset_result: WrongAssetResult = "wrong_asset_confirmed"
    covering_percent: Decimal = Decimal(100)
    fail_below_minimum: bool = False
    """True: a deposit under the coin's minimum ends `failed` instead of `partially_paid`."""
    propagate_order_id_to_child: bool = True

    # Windows and prices.
    quote_seconds: int = 20 * 60
    valid_seconds: int = 7 * 24 * 3600
    fixed_rate_ends_with_quote: bool = False
    """True: a fixed-rate payment expires when its quote ends, as the documentation says;
    False: after `valid_seconds`, as live traffic of 2025 shows."""
    service_fee_percent: Decimal = Decimal("0.5")
    estimate_as_text: bool = False
    """`estimated_amount` as a numeric string; both forms were seen live."""

    # How payments proceed on their own.
    step_seconds: float = 0.0
    """Pause between two status changes of one chain."""
    case_seconds: float = 0.0
    """How long after creation an explicit sandbox `case` starts to play."""
    autopay_after: float | None = None
    """Seconds after which a payment without a `case` is paid in full by itself."""
    actually_paid_zero: bool = False
    """`finished` carries `actually_paid: 0`, as the vendor's sandbox does."""
    emit_expired_ipn: bool = True

    # Callbacks.
    ipn_order: IpnOrder = "normal"
    ipn_mode: IpnMode = "modern"
    ipn_array_form: ArrayForm = "array"
    ipn_child_ids: bool = False
    """True: `payment_extra_ids` in callbacks is an array once there are children."""
    ipn_attempts: int = 3
    ipn_retry_seconds: float = 60.0
    ipn_deadline_seconds: float = 3.0
    ipn_delay_seconds: float = 3600.0
    drop_ipns: bool = False
    allow_localhost_callbacks: bool = False

    # Front proxy limits, per second and client address; None switches one off.
    create_per_second: int | None = None
    estimate_per_second: int | None = None
    any_per_second: int | None = None

    # The process.
    public_url: str | None = None
    """Where a browser reaches this server; None takes it from the request."""
    state_dir: str | None = None
    """Folder of the durable state; None keeps everything in memory."""

    def __repr__(self) -> str:
        """Show no secret."""
        return f"NowPaymentsSandboxConfig(state_dir={self.state_dir!r}, …)"
