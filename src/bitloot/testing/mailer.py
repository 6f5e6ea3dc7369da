"""The suite of mail providers."""

from typing import Final, Literal

import msgspec
import pytest

from bitloot.domain.limits import Limits
from bitloot.ports.errors import OutcomeUnknown, Rejected, Unavailable
from bitloot.ports.mailer import MailEvent, Message
from bitloot.ports.payment_gateway import Forged, Malformed
from bitloot.testing.contract import Contract, needs
from bitloot.testing.provider_rigs import MailerRig

KEY: Final = "order-ready/01890000-0000-7000-8000-000000000001/1"
OTHER_KEY: Final = "order-ready/01890000-0000-7000-8000-000000000001/2"
TOLERANCE: Final = Limits().webhook_timestamp_tolerance.total_seconds()


def message(rig: MailerRig, subject: str = "Your key is ready") -> Message:
    """A mail."""
    return Message(
        to=rig.address,
        subject=subject,
        html="<p>Ready: <b>ключ</b></p>",
        text="Ready: ключ\n",
        kind="order-ready",
        headers=(("List-Unsubscribe", "<https://shop.example/u>"),),
    )


class MailerContract(Contract):
    """Fixture `rig`: a `MailerRig`. Levers that may be missing: `go_down`, `lose_next_reply`,
    `spoil_credentials`, `use_up_quota`, `webhook`, `refuse_address`.
    """

    async def test_a_mail_is_sent_and_has_an_id(self, rig: MailerRig) -> None:
        provider_id = await rig.mailer.send(message(rig), idempotency_key=KEY)
        assert isinstance(provider_id, str)
        assert provider_id
        assert list(await rig.mails()) == [(rig.address, "Your key is ready")]

    async def test_the_same_mail_with_the_same_key_is_sent_once(self, rig: MailerRig) -> None:
        ids = {await rig.mailer.send(message(rig), idempotency_key=KEY) for _ in range(3)}
        assert len(ids) == 1
        assert len(await rig.mails()) == 1

    async def test_another_mail_with_the_same_key_is_refused(self, rig: MailerRig) -> None:
        await rig.mailer.send(message(rig), idempotency_key=KEY)
        with pytest.raises(Rejected) as refused:
            await rig.mailer.send(message(rig, "Changed"), idempotency_key=KEY)
        assert refused.value.reason == "invalid"
        assert len(await rig.mails()) == 1

    async def test_another_key_sends_another_mail(self, rig: MailerRig) -> None:
        first = await rig.mailer.send(message(rig), idempotency_key=KEY)
        second = await rig.mailer.send(message(rig), idempotency_key=OTHER_KEY)
        assert first != second
        assert len(await rig.mails()) == 2

    @pytest.mark.parametrize("to", ["nobody", "a b@shop.example", "a@b\r\nBcc: c@d.example", ""])
    @needs("refuse_address")
    async def test_what_is_no_address_is_refused(self, rig: MailerRig, to: str) -> None:
        wrong = msgspec.structs.replace(message(rig), to=to)
        with pytest.raises(Rejected) as refused:
            await rig.mailer.send(wrong, idempotency_key=KEY)
        assert refused.value.reason in {"address", "invalid"}
        assert list(await rig.mails()) == []

    @needs("spoil_credentials")
    async def test_bad_credentials_are_named(self, rig: MailerRig) -> None:
        await rig.spoil_credentials()
        for call in (rig.mailer.send(message(rig), idempotency_key=KEY), rig.mailer.check()):
            with pytest.raises(Rejected) as refused:
                await call
            assert refused.value.reason == "credentials"
        assert list(await rig.mails()) == []

    @needs("lose_next_reply")
    async def test_a_lost_answer_is_unknown_and_the_same_key_sends_nothing_more(
        self, rig: MailerRig
    ) -> None:
        await rig.lose_next_reply()
        with pytest.raises(OutcomeUnknown) as unknown:
            await rig.mailer.send(message(rig), idempotency_key=KEY)
        assert unknown.value.key == KEY
        assert len(await rig.mails()) == 1
        assert await rig.mailer.send(message(rig), idempotency_key=KEY)
        assert len(await rig.mails()) == 1

    @needs("go_down")
    async def test_nothing_is_sent_while_the_provider_is_down(self, rig: MailerRig) -> None:
        await rig.go_down()
        with pytest.raises((Unavailable, OutcomeUnknown)):
            await rig.mailer.send(message(rig), idempotency_key=KEY)
        with pytest.raises(Unavailable) as down:
            await rig.mailer.check()
        assert down.value.provider == rig.mailer.name
        await rig.come_back()
        assert list(await rig.mails()) == []
        await rig.mailer.send(message(rig), idempotency_key=KEY)
        assert len(await rig.mails()) == 1

    @needs("use_up_quota")
    async def test_a_used_up_quota_is_a_long_absence(self, rig: MailerRig) -> None:
        await rig.use_up_quota()
        with pytest.raises(Unavailable) as absent:
            await rig.mailer.send(message(rig), idempotency_key=KEY)
        assert absent.value.retry_after is not None
        assert absent.value.retry_after > 60
        assert list(await rig.mails()) == []

    # --- webhooks ------------------------------------------------------------------------

    @pytest.mark.parametrize("event", ["delivered", "bounced", "complained"])
    @needs("webhook")
    async def test_what_became_of_a_mail_is_told(
        self, rig: MailerRig, event: Literal["delivered", "bounced", "complained"]
    ) -> None:
        provider_id = await rig.mailer.send(message(rig), idempotency_key=KEY)
        sent = await rig.webhook(provider_id, event)
        told = rig.mailer.read_webhook(sent.headers, sent.body, now=rig.now())
        assert isinstance(told, MailEvent)
        assert (told.event, told.provider_id) == (event, provider_id)
        assert told.to == (rig.address,)
        assert told.permanent or event != "bounced"
        assert not (told.permanent and event == "delivered")

    @needs("webhook")
    async def test_the_same_webhook_has_the_same_key_and_another_has_another(
        self, rig: MailerRig
    ) -> None:
        provider_id = await rig.mailer.send(message(rig), idempotency_key=KEY)
        first = await rig.webhook(provider_id, "delivered")
        second = await rig.webhook(provider_id, "complained")
        told = [
            rig.mailer.read_webhook(one.headers, one.body, now=rig.now())
            for one in (first, first, second)
        ]
        keys = [one.dedupe_key for one in told if isinstance(one, MailEvent)]
        assert len(keys) == 3
        assert keys[0] == keys[1] != keys[2]

    @needs("webhook")
    async def test_a_webhook_without_a_good_signature_is_forged(self, rig: MailerRig) -> None:
        provider_id = await rig.mailer.send(message(rig), idempotency_key=KEY)
        good = await rig.webhook(provider_id, "delivered")
        now = rig.now()
        read = rig.mailer.read_webhook
        assert isinstance(read(good.headers, good.body, now=now), MailEvent)
        assert isinstance(read({}, good.body, now=now), Forged)
        assert isinstance(read(dict.fromkeys(good.headers, ""), good.body, now=now), Forged)
        assert isinstance(read(dict.fromkeys(good.headers, "é"), good.body, now=now), Forged)
        assert isinstance(read(good.headers, good.body + b" ", now=now), Forged)
        for name, value in good.headers.items():
            middle = len(value) // 2
            digit = "1" if value[middle] != "1" else "2"
            changed = {**good.headers, name: value[:middle] + digit + value[middle + 1 :]}
            assert isinstance(read(changed, good.body, now=now), Forged), name

    @needs("webhook")
    async def test_an_old_or_future_webhook_is_forged(self, rig: MailerRig) -> None:
        provider_id = await rig.mailer.send(message(rig), idempotency_key=KEY)
        good = await rig.webhook(provider_id, "delivered")
        read = rig.mailer.read_webhook
        for shift in (TOLERANCE + 5, -TOLERANCE - 5):
            assert isinstance(read(good.headers, good.body, now=rig.now() + shift), Forged)
        for shift in (TOLERANCE - 5, 5 - TOLERANCE):
            assert isinstance(read(good.headers, good.body, now=rig.now() + shift), MailEvent)

    @pytest.mark.parametrize("body", [b"", b"null", b"[]", b"{", b"\xff\xfe", b'{"a":' * 2000])
    @needs("webhook")
    async def test_a_signed_body_that_is_no_event_is_malformed(
        self, rig: MailerRig, body: bytes
    ) -> None:
        signed = await rig.sign(body)
        assert isinstance(
            rig.mailer.read_webhook(signed.headers, signed.body, now=rig.now()), Malformed
        )
