"""The suite of captchas."""

import asyncio
from datetime import timedelta
from typing import Final, Protocol

import pytest

from bitloot.ports.captcha import Captcha
from bitloot.ports.errors import Rejected, Unavailable
from bitloot.testing.contract import Contract
from bitloot.testing.provider_rigs import ProviderRig

WHO: Final = "192.0.2.7"
LIFE: Final = timedelta(minutes=5)
MOST: Final = 2048


class CaptchaRig(ProviderRig, Protocol):
    """A captcha that is switched on."""

    @property
    def captcha(self) -> Captcha: ...

    async def solve(self, action: str) -> str:
        """Somebody solves the captcha of a form; gives the token that the page sends."""
        ...

    async def pass_time(self, span: timedelta) -> None:
        """Time passes at the provider."""
        ...


class CaptchaContract(Contract):
    """Fixture `rig`: a `CaptchaRig`."""

    async def test_a_token_proves_a_person_once(self, rig: CaptchaRig) -> None:
        token = await rig.solve("order")
        passed = [await rig.captcha.passes(token, action="order", remote_ip=WHO) for _ in "abc"]
        assert passed == [True, False, False]
        assert await rig.captcha.passes(await rig.solve("order"), action="order", remote_ip=WHO)

    async def test_of_many_with_one_token_at_once_one_passes(self, rig: CaptchaRig) -> None:
        token = await rig.solve("order")
        calls = [rig.captcha.passes(token, action="order", remote_ip=WHO) for _ in range(10)]
        assert sorted(await asyncio.gather(*calls)) == [False] * 9 + [True]

    async def test_calls_with_one_mark_are_one_call(self, rig: CaptchaRig) -> None:
        token = await rig.solve("order")
        marks = ("one", "one", "two", None, "one")
        passed = [
            await rig.captcha.passes(token, action="order", remote_ip=WHO, mark=mark)
            for mark in marks
        ]
        assert passed == [True, True, False, False, True]

    async def test_a_mark_opens_nothing_without_a_token_of_its_own(self, rig: CaptchaRig) -> None:
        token = await rig.solve("order")
        assert await rig.captcha.passes(token, action="order", remote_ip=WHO, mark="one")
        for other in (None, "", f"{token}x", token[:-1]):
            assert not await rig.captcha.passes(other, action="order", remote_ip=WHO, mark="one")

    async def test_a_token_of_another_form_proves_nothing(self, rig: CaptchaRig) -> None:
        token = await rig.solve("code")
        assert not await rig.captcha.passes(token, action="order", remote_ip=WHO)
        assert not await rig.captcha.passes(await rig.solve(""), action="order", remote_ip=WHO)

    @pytest.mark.parametrize(
        "token",
        [None, "", " ", "x", "0.invented", "é", "a b", "a\r\nb", "0" * (MOST + 1), "\ud800"],
    )
    async def test_what_is_no_token_is_refused(self, rig: CaptchaRig, token: str | None) -> None:
        assert not await rig.captcha.passes(token, action="order", remote_ip=WHO)

    async def test_a_token_ends(self, rig: CaptchaRig) -> None:
        token, other = await rig.solve("order"), await rig.solve("order")
        await rig.pass_time(LIFE - timedelta(seconds=1))
        assert await rig.captcha.passes(token, action="order", remote_ip=WHO)
        await rig.pass_time(timedelta(seconds=2))
        assert not await rig.captcha.passes(other, action="order", remote_ip=WHO)

    @pytest.mark.parametrize("remote_ip", ["", "unknown", "2001:db8::/64", "2001:db8::7", "x" * 99])
    async def test_who_asks_may_be_anybody(self, rig: CaptchaRig, remote_ip: str) -> None:
        token = await rig.solve("order")
        assert await rig.captcha.passes(token, action="order", remote_ip=remote_ip)

    async def test_nobody_passes_while_the_provider_is_down(self, rig: CaptchaRig) -> None:
        token = await rig.solve("order")
        await rig.go_down()
        for _ in range(2):
            with pytest.raises(Unavailable) as down:
                await rig.captcha.passes(token, action="order", remote_ip=WHO)
            assert down.value.provider == rig.captcha.name
            assert token not in repr(down.value)
        with pytest.raises(Unavailable):
            await rig.captcha.check()
        # A page without a token needs nobody to say no.
        assert not await rig.captcha.passes(None, action="order", remote_ip=WHO)
        await rig.come_back()
        assert await rig.captcha.passes(token, action="order", remote_ip=WHO)

    async def test_bad_credentials_are_named_and_nobody_passes(self, rig: CaptchaRig) -> None:
        token = await rig.solve("order")
        await rig.captcha.check()
        await rig.spoil_credentials()
        for call in (
            rig.captcha.passes(token, action="order", remote_ip=WHO),
            rig.captcha.check(),
        ):
            with pytest.raises(Rejected) as refused:
                await call
            assert refused.value.reason == "credentials"
            assert token not in repr(refused.value)

    async def test_a_page_can_show_it(self, rig: CaptchaRig) -> None:
        assert rig.captcha.name
        assert rig.captcha.site_key
