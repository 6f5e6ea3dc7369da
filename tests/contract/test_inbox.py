"""The inbox mailer keeps the contract of mailers, and keeps its mails to itself."""

import asyncio
import stat
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Literal

import msgspec
import pytest

from bitloot.ports.errors import Unavailable
from bitloot.ports.mailer import Mailer, Message
from bitloot.ports.payment_gateway import Forged
from bitloot.testing.contract import LeverMissing
from bitloot.testing.mailer import MailerContract
from bitloot.testing.provider_rigs import Delivery
from bitloot_adapters.local.inbox_mailer import InboxMailer, StoredMail

NOON = datetime(2026, 1, 15, 12, 0, tzinfo=UTC)


def mail(subject: str = "Hello") -> Message:
    return Message(to="a@shop.example", subject=subject, html="<p>x</p>", text="x", kind="test")


class InboxRig:
    """A folder that can be taken away."""

    address = "buyer@mail.example"

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "inbox"
        self.mailer: Mailer = InboxMailer(self.folder, lambda: NOON)

    def now(self) -> float:
        return NOON.timestamp()

    async def mails(self) -> Sequence[tuple[str, str]]:
        stored = [
            msgspec.json.decode(path.read_bytes(), type=StoredMail)
            for path in sorted(self.folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        ]
        return [(each.message.to, each.message.subject) for each in stored]

    async def go_down(self) -> None:
        self.folder.write_bytes(b"a file where the folder should be")

    async def come_back(self) -> None:
        self.folder.unlink()

    async def spoil_credentials(self) -> None:
        raise LeverMissing

    async def lose_next_reply(self) -> None:
        raise LeverMissing

    async def use_up_quota(self) -> None:
        raise LeverMissing

    async def webhook(
        self, provider_id: str, event: Literal["delivered", "bounced", "complained"]
    ) -> Delivery:
        raise LeverMissing

    async def sign(self, body: bytes) -> Delivery:
        raise LeverMissing


class TestInbox(MailerContract):
    """A folder has no account, no quota, no network and no news."""

    lacks: ClassVar[Mapping[str, str]] = {
        "spoil_credentials": "a folder has no account",
        "lose_next_reply": "there is no network between the shop and a folder",
        "use_up_quota": "a folder has no quota",
        "webhook": "a folder sends none",
    }

    @pytest.fixture
    def rig(self, tmp_path: Path) -> InboxRig:
        return InboxRig(tmp_path)


async def test_only_the_owner_can_read_a_mail(tmp_path: Path) -> None:
    inbox = InboxMailer(tmp_path / "inbox", lambda: NOON)
    await inbox.send(mail(), idempotency_key="test/1/1")
    (path,) = (tmp_path / "inbox").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_a_mail_is_one_readable_file_and_no_scraps_stay(tmp_path: Path) -> None:
    inbox = InboxMailer(tmp_path / "inbox", lambda: NOON)
    sent = [inbox.send(mail(), idempotency_key="test/1/1") for _ in range(20)]
    assert len(set(await asyncio.gather(*sent))) == 1
    (path,) = (tmp_path / "inbox").iterdir()
    stored = msgspec.json.decode(path.read_bytes(), type=StoredMail)
    assert (stored.key, stored.sent_at, stored.message) == ("test/1/1", NOON, mail())


async def test_the_oldest_mails_make_room(tmp_path: Path) -> None:
    inbox = InboxMailer(tmp_path / "inbox", lambda: NOON, max_mails=10)
    for number in range(25):
        await inbox.send(mail(f"Mail {number}"), idempotency_key=f"test/{number}/1")
    kept = [
        msgspec.json.decode(path.read_bytes(), type=StoredMail).message.subject
        for path in (tmp_path / "inbox").iterdir()
    ]
    assert len(kept) <= 10
    assert "Mail 24" in kept
    assert "Mail 0" not in kept


async def test_a_folder_that_cannot_be_made_is_an_absence(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    inbox = InboxMailer(tmp_path / "file" / "inbox", lambda: NOON)
    with pytest.raises(Unavailable):
        await inbox.check()


def test_whoever_claims_to_be_the_inbox_is_lying(tmp_path: Path) -> None:
    inbox = InboxMailer(tmp_path, lambda: NOON)
    assert isinstance(inbox.read_webhook({}, b"{}", now=0), Forged)
