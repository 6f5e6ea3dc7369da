"""The memory providers keep the contracts of the four provider ports."""

import pytest

from bitloot.testing.payment_gateway import PaymentGatewayContract
from bitloot_adapters.memory.rigs import MemoryGatewayRig


class TestMemoryPaymentGateway(PaymentGatewayContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> MemoryGatewayRig:
        return MemoryGatewayRig()
