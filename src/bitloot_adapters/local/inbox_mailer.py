"""Mails as files in a private folder: the mailer of the demo, and of a shop without a provider."""

import asyncio
import contextlib
import hashlib
import itertools
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from bitloot.ports.clock import Clock
from bitloot.ports.errors import Rejected, Unavailable
from bitloot.ports.mailer import Mailer, MailWebhook, Message
from bitloot.ports.payment_gateway import Forged
from bitloot.ports.plugin import PluginContext

T = TypeVar("T")

NAME: Final = "inbox"
FOLDER: Final = "inbox"
# Past this many, the oldest are removed, a tenth at a time.
MAX_MAILS: Final = 10_000
MAX_MAIL_BYTES: Final = 4 * 1024 * 1024
_ADDRESS: Final = re.compile(r"[^\s@]+@[^\s@]+")


class StoredMail(msgspec.Struct, frozen=True, kw_only=True):
    """One file of the inbox, as JSON."""

    id: str
    key: str
    sent_at: datetime
    message: Message


class InboxMailer:
    """`Mailer` over a folder. The file's name comes from the key, so a key is one mail."""

    def __init__(self, folder: Path, clock: Clock, *, max_mails: int = MAX_MAILS) -> None:
        self._folder = folder
        self._clock = clock
        self._max_mails = max_mails

    @property
    def name(self) -> str:
        """`inbox`."""
        return NAME

    async def send(self, message: Message, *, idempotency_key: str) -> str:
        """Write the mail, whole or not at all; the same key again writes nothing.

        Raises Unavailable where nothing can be written, Rejected (`address`) for what is none, and
        (`invalid`) for a key that was used for another mail.
        """
        if not _ADDRESS.fullmatch(message.to):
            raise Rejected(NAME, "address", "not an address")
        mail_id = hashlib.sha256(idempotency_key.encode()).hexdigest()[:32]
        mail = StoredMail(id=mail_id, key=idempotency_key, sent_at=self._clock(), message=message)
        encoded = msgspec.json.format(msgspec.json.encode(mail), indent=2)
        if len(encoded) > MAX_MAIL_BYTES:
            raise Rejected(NAME, "invalid", "the mail is too large")
        stored = await _in_thread(lambda: self._store(mail_id, encoded))
        if stored is not None and stored.message != message:
            raise Rejected(NAME, "invalid", "the key was used for another mail")
        return mail_id

    async def check(self) -> None:
        """Write and remove a small file."""
        await _in_thread(self._try_out)

    def read_webhook(self, headers: Mapping[str, str], body: bytes, *, now: float) -> MailWebhook:
        """A folder sends no webhooks: whoever claims so is lying."""
        del headers, body, now
        return Forged("the inbox sends no webhooks")

    def _store(self, mail_id: str, encoded: bytes) -> StoredMail | None:
        """Write aside, flush, and give it its name unless it is taken; what was there before."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        target = self._folder / f"{mail_id}.json"
        aside = self._folder / f".{mail_id}-{secrets.token_hex(4)}"
        try:
            _write_private(aside, encoded)
            os.link(aside, target)
        except FileExistsError:
            return msgspec.json.decode(target.read_bytes(), type=StoredMail)
        finally:
            aside.unlink(missing_ok=True)
        self._make_room()
        return None

    def _make_room(self) -> None:
        mails = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        if len(mails) > self._max_mails:
            surplus = len(mails) - self._max_mails + self._max_mails // 10
            for oldest in itertools.islice(mails, surplus):
                oldest.unlink(missing_ok=True)

    def _try_out(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = self._folder / f".check-{secrets.token_hex(4)}"
        _write_private(probe, b"")
        probe.unlink()


def _write_private(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


async def _in_thread(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except (OSError, msgspec.DecodeError) as error:
        raise Unavailable(NAME, type(error).__name__) from None


class InboxSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`BITLOOT_INBOX_<FIELD>`. `max_mails` are kept; then the oldest go."""

    max_mails: int = MAX_MAILS


class InboxPlugin:
    """The entry point `inbox` of `bitloot.mailers`."""

    name: str = NAME
    settings: type[msgspec.Struct] = InboxSettings
    secrets: frozenset[str] = frozenset()

    def faults(self, settings: msgspec.Struct, *, is_production: bool) -> list[str]:
        """An inbox that keeps nothing."""
        del is_production
        assert isinstance(settings, InboxSettings)
        if settings.max_mails < 10:
            return ["BITLOOT_INBOX_MAX_MAILS must be at least 10"]
        return []

    def open(
        self, settings: msgspec.Struct, context: PluginContext
    ) -> AbstractAsyncContextManager[Mailer]:
        """The folder `inbox` below the shop's data folder."""
        assert isinstance(settings, InboxSettings)
        return _open(settings, context)


@contextlib.asynccontextmanager
async def _open(settings: InboxSettings, context: PluginContext) -> AsyncIterator[Mailer]:
    yield InboxMailer(context.data_dir / FOLDER, context.clock, max_mails=settings.max_mails)


plugin: Final = InboxPlugin()
