"""A mail provider whose long absences are told to whoever runs the shop.

A quota that is used up lasts for hours or days, refused credentials last until somebody has put
them right (Resend documentation, "Errors"): meanwhile no mail goes out, and no repetition helps.
"""

from collections.abc import Mapping
from typing import Final

from bitloot.ports.errors import Rejected, Unavailable
from bitloot.ports.mailer import Mailer, MailWebhook, Message
from bitloot_web.alerts import Alert, alert
from bitloot_web.metrics import Metrics

# Seconds. Whoever asks for less is merely asked too often.
LONG: Final = 3600.0


class WatchedMailer:
    """The mailer behind it. Each process tells of an absence once, until a mail goes out again."""

    def __init__(self, mailer: Mailer, metrics: Metrics) -> None:
        self._mailer = mailer
        self._metrics = metrics
        self._told: Alert | None = None

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self._mailer.name

    async def send(self, message: Message, *, idempotency_key: str) -> str:
        """As the port says; then told."""
        try:
            provider_id = await self._mailer.send(message, idempotency_key=idempotency_key)
        except Unavailable as error:
            if error.retry_after is not None and error.retry_after >= LONG:
                self._tell("mail_quota_used_up")
            raise
        except Rejected as error:
            if error.reason == "credentials":
                self._tell("mail_credentials_refused")
            raise
        self._told = None
        return provider_id

    async def check(self) -> None:
        """As the port says."""
        await self._mailer.check()

    def read_webhook(self, headers: Mapping[str, str], body: bytes, *, now: float) -> MailWebhook:
        """As the port says."""
        return self._mailer.read_webhook(headers, body, now=now)

    def _tell(self, what: Alert) -> None:
        if self._told != what:
            alert(self._metrics, what, provider=self.name)
        self._told = what
