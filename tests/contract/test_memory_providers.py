"""The memory providers keep the contracts of the four provider ports."""

import pytest

from bitloot.testing.key_vault import KeyVaultContract
from bitloot.testing.mailer import MailerContract
from bitloot.testing.payment_gateway import PaymentGatewayContract
from bitloot.testing.supplier import SupplierContract
from bitloot_adapters.memory.rigs import (
    MemoryGatewayRig,
    MemoryMailerRig,
    MemorySupplierRig,
    MemoryVaultRig,
)


class TestMemoryPaymentGateway(PaymentGatewayContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> MemoryGatewayRig:
        return MemoryGatewayRig()


class TestMemorySupplier(SupplierContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> MemorySupplierRig:
        return MemorySupplierRig()


class TestMemoryKeyVault(KeyVaultContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> MemoryVaultRig:
        return MemoryVaultRig()


class TestMemoryMailer(MailerContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self) -> MemoryMailerRig:
        return MemoryMailerRig()
