"""Turns what happens to mails into signed notices, and sends them until they are taken.

Source: Resend documentation, "Managing Webhooks" (retries), "Event Types" (envelope).
"""

import logging
import ssl
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Final

import httpx
import msgspec

from bitloot_adapters.sandbox.resend.clock import VirtualClock, fresh_token
from bitloot_adapters.sandbox.resend.config import ResendSandboxConfig
from bitloot_adapters.sandbox.resend.records import (
    Attempt,
    Endpoint,
    Mail,
    Notice,
    PlannedEvent,
)
from bitloot_adapters.sandbox.resend.signature import signed_headers
from bitloot_adapters.sandbox.resend.state import State

Deliver = Callable[[str, Mapping[str, str], bytes], Awaitable[tuple[int, bytes]]]
"""Posts a body to a URL and gives back the status and the body of the answer."""

RETRY_WAITS_SECONDS: Final = (0, 5, 300, 1800, 7200, 18000, 36000, 36000)
"""The wait before each attempt, counted from the one before."""

DISABLED_AFTER: Final = timedelta(days=5)
"""An endpoint that has only failed for so long gets nothing more."""

_logger = logging.getLogger(__name__)


def wire_moment(moment: datetime) -> str:
    """ISO 8601 as in webhooks: ``2026-01-15T08:30:00.123Z``."""
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def over_http(timeout_seconds: float) -> Deliver:
    """The sender of a stand-in that runs as a process of its own."""

    async def deliver(url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        async with httpx.AsyncClient(
            verify=_trusted(), trust_env=False, follow_redirects=False, timeout=timeout_seconds
        ) as client:
            answer = await client.post(url, headers=dict(headers), content=body)
            return answer.status_code, answer.content

    return deliver


@cache
def _trusted() -> ssl.SSLContext:
    """Read once: the certificates of the world take longer to read than a notice to send."""
    return httpx.create_ssl_context(trust_env=False)


def envelope(mail: Mail, event: PlannedEvent, *, legacy_tags: bool) -> bytes:
    """The body of one event. ``tags`` are an object map, in older events an array."""
    data: dict[str, object] = {
        "email_id": mail.id,
        "message_id": mail.message_id,
        "created_at": mail.created_at.isoformat(timespec="microseconds"),
        "from": mail.sender,
        "to": mail.to,
        "subject": mail.subject,
    }
    if mail.template_id is not None:
        data["template_id"] = mail.template_id
    if mail.headers:
        data["headers"] = [{"name": name, "value": text} for name, text in mail.headers.items()]
    if mail.tags and legacy_tags:
        data["tags"] = [{"name": name, "value": text} for name, text in mail.tags]
    elif mail.tags:
        data["tags"] = dict(mail.tags)
    data.update(event.extra)
    body = {"type": event.type, "created_at": wire_moment(event.due), "data": data}
    return msgspec.json.encode(body)


class Postman:
    """Writes notices for the endpoints of a team and makes one attempt at a time."""

    def __init__(
        self, config: ResendSandboxConfig, clock: VirtualClock, state: State, deliver: Deliver
    ) -> None:
        self._config = config
        self._clock = clock
        self._state = state
        self._deliver = deliver

    def announce(self, mail: Mail, event: PlannedEvent) -> None:
        """One notice per enabled endpoint that wants this type."""
        mode = self._state.mode
        body = envelope(mail, event, legacy_tags=mode.legacy_tags).decode()
        for endpoint in self._state.endpoints:
            wanted = not endpoint.events or event.type in endpoint.events
            if endpoint.team != mail.team or endpoint.status != "enabled" or not wanted:
                continue
            self._state.notices.put(
                Notice(
                    id=fresh_token("msg_"),
                    number=self._state.next_number(),
                    endpoint_id=endpoint.id,
                    type=event.type,
                    body=body,
                    next_at=event.due + timedelta(seconds=event.sends_after),
                    repeats_left=mode.duplicates,
                )
            )

    async def attempt(self, notice: Notice) -> None:
        """Send one notice once, and set when it is sent again, if ever."""
        endpoint = self._state.endpoints.get(notice.endpoint_id)
        if endpoint is None or endpoint.status != "enabled":
            notice.status, notice.next_at = "failed", None
            self._state.notices.put(notice)
            return
        body = notice.body.encode()
        headers = self._headers(endpoint, notice.id, body)
        try:
            status, _ = await self._deliver(endpoint.url, headers, body)
        except Exception:  # whatever a receiver does is a failed attempt
            _logger.info("no answer from the webhook endpoint %s", endpoint.url, exc_info=True)
            status = 0
        notice.tries += 1
        notice.attempts.append(Attempt(at=self._clock.now(), status=status, headers=headers))
        if 200 <= status < 300:
            self._taken(notice, endpoint)
        else:
            self._refused(notice, endpoint)
        self._state.notices.put(notice)
        self._state.endpoints.put(endpoint)

    def _headers(self, endpoint: Endpoint, message_id: str, body: bytes) -> dict[str, str]:
        mode = self._state.mode
        timestamp = int(self._clock.now().timestamp()) + mode.timestamp_skew_seconds
        return {
            "content-type": "application/json",
            "user-agent": "Svix-Webhooks/1.0 (sandbox)",
            **signed_headers(
                endpoint.secrets,
                message_id=message_id,
                timestamp=timestamp,
                body=body,
                style=mode.header_style,
                decoy=mode.decoy_signature,
                wrong=mode.wrong_signature,
            ),
        }

    def _taken(self, notice: Notice, endpoint: Endpoint) -> None:
        endpoint.failing_since = None
        if notice.repeats_left > 0:
            notice.repeats_left -= 1
            notice.next_at = self._clock.now()
        else:
            notice.status, notice.next_at = "delivered", None

    def _refused(self, notice: Notice, endpoint: Endpoint) -> None:
        now = self._clock.now()
        endpoint.failing_since = endpoint.failing_since or now
        patience = DISABLED_AFTER / self._config.retry_compression
        if now - endpoint.failing_since > patience:
            endpoint.status = "disabled"
        if notice.tries >= len(RETRY_WAITS_SECONDS) or endpoint.status != "enabled":
            notice.status, notice.next_at = "failed", None
        else:
            wait = RETRY_WAITS_SECONDS[notice.tries] / self._config.retry_compression
            notice.next_at = now + timedelta(seconds=wait)
