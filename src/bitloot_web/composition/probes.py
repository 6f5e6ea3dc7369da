"""Reaching each part that the shop needs, for readiness and for the doctor."""

import asyncio
from collections.abc import Mapping

from redis.asyncio import Redis

from bitloot.ports.captcha import Captcha
from bitloot.ports.errors import StoreUnavailable
from bitloot.ports.key_vault import KeyVault
from bitloot.ports.mailer import Mailer
from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.ports.supplier import Supplier
from bitloot_adapters.postgres.pool import Database
from bitloot_adapters.redis.connection import CALL_SECONDS, LOST
from bitloot_web.shop import Probe


def probes(
    *,
    database: Database,
    redis: Redis,
    gateways: Mapping[str, PaymentGateway],
    suppliers: Mapping[str, Supplier],
    vault: KeyVault,
    mailer: Mailer,
    captcha: Captcha,
) -> dict[str, Probe]:
    """By part: `database`, `redis`, and each plugin by its name."""

    async def ask_redis() -> None:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await redis.exists("bitloot:probe")
        except LOST as error:
            raise StoreUnavailable(type(error).__name__) from None

    async def ask_database() -> None:
        async with database.lent() as connection:
            await connection.execute("SELECT 1")

    def balance_of(supplier: Supplier) -> Probe:
        async def read() -> None:
            await supplier.balance()

        return read

    return {
        "database": ask_database,
        "redis": ask_redis,
        **{name: gateway.check for name, gateway in gateways.items()},
        **{
            name: balance_of(supplier)
            for name, supplier in suppliers.items()
            if not supplier.capabilities.own_stock
        },
        vault.name: vault.check,
        mailer.name: mailer.check,
        **({} if captcha.site_key is None else {captcha.name: captcha.check}),
    }
