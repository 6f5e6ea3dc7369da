"""Tillgate keeps the contract of payment gateways: all of the suite, with no lever missing."""

from bitloot.testing import PaymentGatewayContract


class TestTillgate(PaymentGatewayContract):
    """The fixture `rig` comes from `conftest.py`."""
