"""What a Resend stand-in is told when it starts: keys, domains, limits, receivers, faults."""

from typing import Final, Literal

import msgspec

DEFAULT_API_KEY: Final = "re_sandbox_full_access"


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """One API key. A ``sending_access`` key may be tied to one ``domain``.

    Source: Resend documentation, "API keys" (full access, sending access).
    """

    token: str = DEFAULT_API_KEY
    team: str = "team_sandbox"
    permission: Literal["full_access", "sending_access"] = "full_access"
    domain: str | None = None
    suspended: bool = False


class WebhookEndpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One receiver of events. Two ``secrets`` mean that a rotation is under way.

    An empty ``events`` means every event type.
    """

    url: str
    secrets: tuple[str, ...] = ("whsec_c2FuZGJveC1yZXNlbmQtc2lnbmluZy1zZWNyZXQ=",)
    events: tuple[str, ...] = ()
    team: str = "team_sandbox"


class Template(msgspec.Struct, frozen=True, kw_only=True):
    """A published template; ``{{{NAME}}}`` in its texts is replaced by a variable."""

    id: str
    subject: str | None = None
    html: str | None = None
    text: str | None = None


class ResendSandboxConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one stand-in; every default gives a working server.

    Seconds are plain numbers; sizes are bytes. ``retry_compression`` divides the waits between
    two attempts of a webhook (60.0 turns five minutes into five seconds). ``fingerprint`` says
    whether two payloads are the same by their bytes or by their parsed JSON: the vendor does not
    say which, ``bytes`` is the stricter reading. ``random_fault_rate`` is the share (0 to 1) of
    API calls that meet a fault of ``random_faults``, chosen by ``random_seed``.
    """

    api_keys: tuple[ApiKey, ...] = (ApiKey(),)
    verified_domains: tuple[str, ...] = ("shop.example", "bitloot.example")
    owner_email: str = "owner@shop.example"
    templates: tuple[Template, ...] = ()
    webhooks: tuple[WebhookEndpoint, ...] = ()

    rate_limit: int = 2
    rate_window_seconds: int = 1
    daily_quota: int | None = None
    monthly_quota: int | None = None
    idempotency_hours: float = 24.0
    fingerprint: Literal["bytes", "json"] = "bytes"
    max_message_bytes: int = 40 * 1024 * 1024
    max_schedule_days: int = 30

    sent_after_seconds: float = 0.2
    outcome_after_seconds: float = 0.5
    retry_compression: float = 1.0
    webhook_timeout_seconds: float = 3.0

    random_fault_rate: float = 0.0
    random_faults: tuple[str, ...] = (
        "500_before",
        "503_before",
        "500_after",
        "503_after",
        "drop_after",
    )
    random_seed: int = 0

    state_dir: str | None = None

    def __post_init__(self) -> None:
        """Raises:
        ValueError: a number with which the stand-in could not work.
        """
        if self.rate_limit < 1 or self.rate_window_seconds < 1:
            raise ValueError("rate_limit and rate_window_seconds must be at least 1")
        if self.retry_compression <= 0:
            raise ValueError("retry_compression must be above 0")
        if not 0 <= self.random_fault_rate <= 1:
            raise ValueError("random_fault_rate must be between 0 and 1")
