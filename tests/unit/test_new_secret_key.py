"""What a new secret key leaves as it was, as long as the one of before is named."""

from datetime import timedelta

import pytest
from tests.unit.people_shop import BUYER, CLIENT, signed_in

from bitloot.domain.account_deletion import AccountDeletion
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.usecases.people.accounts import DELETION_SWEEP
from bitloot_web.composition.assembly import Signing, build_shop, signing
from bitloot_web.metrics import open_metrics
from bitloot_web.settings import Settings
from bitloot_web.shop import Shop
from bitloot_web.testing import TestShop, shop

OLD, NEW = "the secret of last year, 0123456789", "the secret of this year, 9876543210"
MONTH = Limits().deletion_grace


def opened(it: TestShop, *secrets: str) -> tuple[Shop, Signing]:
    """The same shop under the first of these secrets; the others are those of before."""
    settings = Settings(
        database_url="postgresql://memory",
        redis_url="redis://memory",
        secret_key=secrets[0],
        previous_secret_keys=secrets[1:],
    )
    made = signing(settings)
    return build_shop(it.around.near, settings, open_metrics(), made), made


async def test_a_link_in_a_mail_outlives_the_secret_that_signed_it() -> None:
    async with shop(seed=1) as it:
        who = await signed_in(it)
        deletion = await it.shop.accounts.request_deletion(who.user.id)
        link = opened(it, OLD)[1].links.to_cancel(deletion)
        token = link.partition("?token=")[2]
        with pytest.raises(Refused, match="not-found"):
            await opened(it, NEW)[0].accounts.cancel_by_link(token)
        assert opened(it, NEW, OLD)[1].links.to_cancel(deletion) != link
        await opened(it, NEW, OLD)[0].accounts.cancel_by_link(token)
        (row,) = it.around.store.rows(AccountDeletion)
        assert row.state == "cancelled"


async def test_a_forgotten_address_is_known_under_the_secret_of_its_day() -> None:
    async with shop(seed=2) as it:
        before, _ = opened(it, OLD)
        who = await signed_in(it)
        await before.accounts.request_deletion(who.user.id)
        await it.run_due()
        it.around.clock.advance(MONTH + timedelta(days=1))
        jobs, at = it.around.near.jobs, it.around.clock.now()
        await jobs.tick(DELETION_SWEEP, at, "sweep", f"{DELETION_SWEEP}/{at}")
        (job_id,) = await jobs.claim_due(1)
        lease = await jobs.lease(job_id)
        assert lease is not None
        await before.accounts.run_due(lease)
        later, made = opened(it, NEW, OLD)
        challenge = (await later.identity.request(BUYER)).challenge_id
        code = made.codes.code_of(challenge)
        with pytest.raises(Refused, match="account-deleted"):
            await later.identity.verify(BUYER, challenge, code, CLIENT)
