"""A mail provider in memory: a mailbox to look into, and webhooks to send."""

import re
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest, new
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from bitloot.domain.limits import Limits
from bitloot.ports.clock import Clock, RandomBytes
from bitloot.ports.errors import Rejected, Unavailable
from bitloot.ports.mailer import MailEvent, MailWebhook, Message
from bitloot.ports.payment_gateway import Forged, Malformed
from bitloot_adapters.memory.faults import Faults, never_in_transaction
from bitloot_adapters.memory.signed_json import Fields, Unreadable, read_object, text

KEY_LIFE: Final = timedelta(hours=24)
MailWord: TypeAlias = Literal[
    "sent", "delivered", "delayed", "bounced", "complained", "failed", "other"
]
_ADDRESS: Final = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+\.[^@\s\x00-\x1f]+")


class Sent(msgspec.Struct, frozen=True):
    """A mail as it lies in the mailbox."""

    provider_id: str
    message: Message
    sent_at: datetime


class _Keyed(msgspec.Struct, frozen=True):
    provider_id: str
    message: Message
    ends_at: datetime


class MemoryMailer:
    """Sends into `mailbox`. Signs webhooks as the Standard Webhooks specification has it."""

    def __init__(
        self,
        *,
        clock: Clock,
        random_bytes: RandomBytes,
        limits: Limits,
        name: str = "memory",
        in_transaction: Callable[[], bool] = never_in_transaction,
    ) -> None:
        self._name: Final = name
        self._clock = clock
        self._random_bytes = random_bytes
        self._tolerance = limits.webhook_timestamp_tolerance.total_seconds()
        self._secret = random_bytes(24)
        self._keys: dict[str, _Keyed] = {}
        self._mailbox: list[Sent] = []
        self._quota_ends_at: datetime | None = None
        self.faults: Final = Faults(name, in_transaction=in_transaction)

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self._name

    @property
    def mailbox(self) -> Sequence[Sent]:
        """Every mail, oldest first."""
        return tuple(self._mailbox)

    async def send(self, message: Message, *, idempotency_key: str) -> str:
        """Send once per key."""
        self.faults.arrive(key=idempotency_key)
        now = self._clock()
        if self._quota_ends_at is not None and now < self._quota_ends_at:
            wait = (self._quota_ends_at - now).total_seconds()
            raise Unavailable(self._name, "quota", retry_after=wait)
        if not _ADDRESS.fullmatch(message.to):
            raise Rejected(self._name, "address")
        known = self._keys.get(idempotency_key)
        if known is not None and now < known.ends_at:
            if known.message != message:
                raise Rejected(self._name, "invalid", "the key was used with another mail")
            self.faults.leave(key=idempotency_key)
            return known.provider_id
        provider_id = self._random_bytes(16).hex()
        self._mailbox.append(Sent(provider_id, message, now))
        self._keys[idempotency_key] = _Keyed(provider_id, message, now + KEY_LIFE)
        self.faults.leave(key=idempotency_key)
        return provider_id

    async def check(self) -> None:
        """Reach the provider."""
        self.faults.arrive()

    def read_webhook(self, headers: Mapping[str, str], body: bytes, *, now: float) -> MailWebhook:
        """The signature over id, time and bytes first, then the event."""
        message_id, moment = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        if not message_id or not (moment.isascii() and moment.isdigit() and len(moment) < 12):
            return Forged("headers")
        given = headers.get("webhook-signature", "").split(" ")
        wanted = self._signature(message_id, moment, body)
        if not any(compare_digest(one.encode(), wanted.encode()) for one in given):
            return Forged("signature")
        if abs(now - int(moment)) > self._tolerance:
            return Forged("timestamp")
        try:
            return _event(message_id, read_object(body))
        except Unreadable as error:
            return Malformed(str(error))

    # --- the levers ----------------------------------------------------------------------

    def use_up_quota(self, *, until: datetime) -> None:
        """Nothing is sent before then."""
        self._quota_ends_at = until

    def webhook(
        self, provider_id: str, event: str, *, permanent: bool = False
    ) -> tuple[Mapping[str, str], bytes]:
        """What is sent when something became of a mail."""
        to = [sent.message.to for sent in self._mailbox if sent.provider_id == provider_id]
        body = {"event": event, "id": provider_id, "permanent": permanent, "to": to}
        encoded = msgspec.json.encode(body)
        return self.sign(encoded), encoded

    def sign(self, body: bytes) -> Mapping[str, str]:
        """The headers of a webhook with these bytes, sent now."""
        message_id = f"msg_{self._random_bytes(8).hex()}"
        moment = str(int(self._clock().timestamp()))
        return {
            "webhook-id": message_id,
            "webhook-timestamp": moment,
            "webhook-signature": self._signature(message_id, moment, body),
        }

    def _signature(self, message_id: str, moment: str, body: bytes) -> str:
        signed = f"{message_id}.{moment}.".encode() + body
        return "v1," + b64encode(new(self._secret, signed, sha256).digest()).decode()


def _event(message_id: str, fields: Fields) -> MailEvent:
    word = text(fields.get("event"))
    to = fields.get("to")
    if word is None:
        raise Unreadable("no event")
    return MailEvent(
        dedupe_key=message_id,
        provider_id=text(fields.get("id")),
        event=_word(word),
        permanent=fields.get("permanent") is True,
        to=tuple(found for one in (to if isinstance(to, list) else ()) if (found := text(one))),
    )


def _word(word: str) -> MailWord:
    known: tuple[MailWord, ...] = get_args(MailWord)
    return next((one for one in known if one == word), "other")
