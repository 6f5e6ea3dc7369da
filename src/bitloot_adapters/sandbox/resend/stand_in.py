"""One stand-in: its parts put together, and the acceptance of mails."""

from collections.abc import Callable, Sequence
from datetime import datetime

from bitloot_adapters.sandbox.resend.clock import VirtualClock, fresh_token, fresh_uuid
from bitloot_adapters.sandbox.resend.config import ApiKey, ResendSandboxConfig, WebhookEndpoint
from bitloot_adapters.sandbox.resend.faults import Faults
from bitloot_adapters.sandbox.resend.fields import bare_address, domain_of
from bitloot_adapters.sandbox.resend.idempotency import IdempotencyDesk
from bitloot_adapters.sandbox.resend.limits import Quota, RateLimit
from bitloot_adapters.sandbox.resend.payload import Draft
from bitloot_adapters.sandbox.resend.records import Endpoint, Mail, PlannedEvent
from bitloot_adapters.sandbox.resend.schedule import Schedule, release
from bitloot_adapters.sandbox.resend.signature import check_secret
from bitloot_adapters.sandbox.resend.state import State
from bitloot_adapters.sandbox.resend.webhooks import Deliver, Postman, over_http


class StandIn:
    """The parts of one server; everything that its routes need."""

    def __init__(
        self,
        config: ResendSandboxConfig,
        *,
        clock: Callable[[], datetime] | None = None,
        deliver: Deliver | None = None,
    ) -> None:
        self.config = config
        self.clock = VirtualClock(clock)
        self.state = State(config.state_dir)
        self.rate = RateLimit(config)
        self.quota = Quota(config, self.state)
        self.faults = Faults(config)
        self.idempotency = IdempotencyDesk(self.state, config.idempotency_hours)
        self.postman = Postman(
            config,
            self.clock,
            self.state,
            deliver or over_http(config.webhook_timeout_seconds),
        )
        self.schedule = Schedule(config, self.clock, self.state, self.postman)
        self._add_configured_endpoints()

    def _add_configured_endpoints(self) -> None:
        known = {endpoint.url for endpoint in self.state.endpoints}
        for wanted in self.config.webhooks:
            if wanted.url not in known:
                self.add_endpoint(wanted)
        self.state.commit()

    def reset(self) -> None:
        """Back to the state of a first start; the added time stays."""
        self.state.reset()
        self.rate.reset()
        self.faults.clear()
        self._add_configured_endpoints()

    def key_of(self, token: str) -> ApiKey | None:
        return next((key for key in self.config.api_keys if key.token == token), None)

    def add_endpoint(self, wanted: WebhookEndpoint) -> Endpoint:
        """Raises:
        ValueError: a secret that cannot sign, or none.
        """
        if not wanted.secrets:
            raise ValueError("an endpoint has at least one signing secret")
        for secret in wanted.secrets:
            check_secret(secret)
        endpoint = Endpoint(
            id=fresh_uuid(),
            team=wanted.team,
            url=wanted.url,
            secrets=list(wanted.secrets),
            events=list(wanted.events),
            created_at=self.clock.now(),
        )
        self.state.endpoints.put(endpoint)
        return endpoint

    def accept(
        self, drafts: Sequence[Draft], *, key: ApiKey, idempotency_key: str | None
    ) -> list[Mail]:
        """Take good mails in, in order; all of them or, over quota, none.

        Raises:
            WireError: 429 when the team's quota does not allow them.

        """
        at = self.clock.now()
        if drafts:
            self.quota.spend(key.team, len(drafts), at)
        return [self._accept_one(draft, key, idempotency_key, at) for draft in drafts]

    def _accept_one(
        self, draft: Draft, key: ApiKey, idempotency_key: str | None, at: datetime
    ) -> Mail:
        waits = draft.scheduled_at is not None and draft.scheduled_at > at
        domain = domain_of(bare_address(draft.sender) or draft.sender)
        mail = Mail(
            id=fresh_uuid(),
            number=self.state.next_number(),
            team=key.team,
            message_id=f"<{fresh_token('')}@{domain}>",
            created_at=at,
            sender=draft.sender,
            to=draft.to,
            subject=draft.subject,
            html=draft.html,
            text=draft.text,
            cc=draft.cc,
            bcc=draft.bcc,
            reply_to=draft.reply_to,
            headers=draft.headers,
            attachments=draft.attachments,
            tags=draft.tags,
            topic_id=draft.topic_id,
            template_id=draft.template_id,
            idempotency_key=idempotency_key,
            scheduled_at=draft.scheduled_at,
            released=False,
            last_event="scheduled",
        )
        if waits:
            self.state.mails.put(mail)
            self.state.planned.put(
                PlannedEvent(
                    id=fresh_uuid(),
                    number=self.state.next_number(),
                    mail_id=mail.id,
                    type="email.scheduled",
                    due=at,
                    sets_last_event=False,
                )
            )
        else:
            release(self.state, mail, self.config, at)
        return mail
