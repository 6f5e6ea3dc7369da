"""The doctor's advice is what the adapter says of itself."""

import pytest

from bitloot.domain.limits import Limits
from bitloot.ports.payment_gateway import GatewayCapabilities
from bitloot.testing.seeded import SeededBytes
from bitloot.testing.virtual_time import VirtualClock
from bitloot_adapters.http import open_client
from bitloot_adapters.memory.payment_gateway import MemoryPaymentGateway
from bitloot_adapters.nowpayments.client import NowPayments
from bitloot_web.diagnosis import gateway_findings

ADVICE = "register the shop for statements at the gateway's office"


class OutsideGateway(MemoryPaymentGateway):
    """A gateway of somebody else, with capabilities of its own."""

    def __init__(self, capabilities: GatewayCapabilities) -> None:
        super().__init__(clock=VirtualClock().now, random_bytes=SeededBytes(1), name="tollgate")
        self._told = capabilities

    @property
    def capabilities(self) -> GatewayCapabilities:
        return self._told


def advice(capabilities: GatewayCapabilities) -> list[str]:
    found = gateway_findings({"tollgate": OutsideGateway(capabilities)})
    assert {(each.part, each.state) for each in found} <= {("tollgate", "warning")}
    return [each.detail for each in found]


def test_an_outside_gateway_is_told_of_with_its_own_remedy() -> None:
    capabilities = GatewayCapabilities(
        hosted_page=True, lists_by_invoice=False, listing_needs=ADVICE
    )
    [told] = advice(capabilities)
    assert told.endswith(ADVICE)


def test_a_gateway_that_cannot_list_at_all_is_given_no_settings_to_mend() -> None:
    [told] = advice(GatewayCapabilities(hosted_page=True, lists_by_invoice=False))
    assert "BITLOOT_" not in told
    assert "found by hand only" in told


@pytest.mark.parametrize(("hosted_page", "lists"), [(True, True), (False, False)])
def test_a_gateway_that_needs_no_listing_is_not_warned_of(
    *, hosted_page: bool, lists: bool
) -> None:
    assert advice(GatewayCapabilities(hosted_page=hosted_page, lists_by_invoice=lists)) == []


async def test_nowpayments_names_the_two_settings_that_its_list_call_needs() -> None:
    limits = Limits()
    async with open_client(
        "http://127.0.0.1:9", limits=limits, in_transaction=bool, headers={}
    ) as http:
        gateway = NowPayments(http, ipn_secret="s" * 16, callback_url="", limits=limits)
        [found] = gateway_findings({gateway.name: gateway})
    assert "BITLOOT_NOWPAYMENTS_EMAIL" in found.detail
    assert "BITLOOT_NOWPAYMENTS_PASSWORD" in found.detail
