"""Contract suites for the authors of adapters, and what tests of the core are built from.

One suite a port, each a class: `PaymentGatewayContract`, `SupplierContract`, `KeyVaultContract`,
`MailerContract`, `UnitOfWorkContract`, `JobsContract`, `RateLimiterContract`, `OtpStoreContract`,
`RealtimeContract`, `CacheContract`, `BreakersContract`, `ClockContract`; and for the read views
`OrderViewsContract`, `CatalogViewsContract`, `DeskViewsContract`. A test module subclasses
one and gives it a fixture `rig`: the adapter under test with the levers that the suite pulls.

    class TestMyGateway(PaymentGatewayContract):
        @pytest.fixture
        async def rig(self) -> AsyncIterator[GatewayRig]:
            async with my_rig() as rig:
                yield rig

A lever that a provider really does not have is declared, with its reason, in `lacks`; the tests
that need it are then left out of that subclass; a lever that no test needs cannot be declared.
Call `pytest.register_assert_rewrite("bitloot.testing")` in a `conftest.py` for readable failures.
"""
