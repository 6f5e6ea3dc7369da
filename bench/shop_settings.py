"""The settings that a shop under measurement runs with, and the secrets in them."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PORTS: Final = ("shop", "limit", "nowpayments", "kinguin", "resend", "small-shop", "large-shop")
MANY: Final = "100000000"
# Counted as always, but nobody is turned away: the load comes from one machine.
HIGH_LIMITS: Final = (
    "OPEN_ORDERS_PER_ADDRESS",
    "OPEN_ORDERS_PER_IP",
    "CATALOGUE_PER_MINUTE",
    "QUOTES_PER_MINUTE",
    "ORDERS_PER_10_MINUTES",
    "REVEALS_PER_HOUR",
    "SIGN_INS_PER_15_MINUTES",
    "REFRESHES_PER_MINUTE",
    "ADMIN_PER_MINUTE",
    "NOWPAYMENTS_CREATE_PER_SECOND",
    "NOWPAYMENTS_ESTIMATE_PER_SECOND",
    "RESEND_PER_SECOND",
)
SECRET_KEY: Final = "a-secret-key-for-measuring-9876543210"
IPN_SECRET: Final = "an-ipn-secret-for-measuring-0123456789"
GATEWAY_KEY: Final = "0123456789abcdef0123456789abcdef"
SUPPLIER_KEY: Final = "fedcba9876543210fedcba9876543210"
SUPPLIER_SECRET: Final = "a-kinguin-webhook-secret-for-measuring"
MAIL_KEY: Final = "re_0123456789abcdef"
MAIL_SECRET: Final = "whsec_" + base64.b64encode(b"a-secret-for-measuring-x").decode()


def shop_variables(
    database_url: str, redis_url: str, ports: Mapping[str, int], folder: Path
) -> dict[str, str]:
    """The environment of every role: the defaults, but for what measuring needs."""
    urls = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
    return {f"BITLOOT_LIMIT_{name}": MANY for name in HIGH_LIMITS} | {
        "BITLOOT_DATABASE_URL": database_url,
        "BITLOOT_REDIS_URL": redis_url,
        "BITLOOT_PUBLIC_URL": urls["shop"],
        "BITLOOT_PORT": str(ports["shop"]),
        # The load generator is the proxy in front: each buyer has an address of their own.
        "BITLOOT_TRUSTED_PROXIES": "127.0.0.0/8",
        "BITLOOT_DATA_DIR": str(folder / "data"),
        "BITLOOT_SECRET_KEY": SECRET_KEY,
        "BITLOOT_KEY_VAULT": "local",
        "BITLOOT_LOCAL_KEKS": "bench-1:" + base64.b64encode(bytes(range(32))).decode(),
        "BITLOOT_LOCAL_PEPPER": "a-pepper-for-measuring-0123456789abcdef",
        "BITLOOT_NOWPAYMENTS_API_KEY": GATEWAY_KEY,
        "BITLOOT_NOWPAYMENTS_IPN_SECRET": IPN_SECRET,
        "BITLOOT_NOWPAYMENTS_BASE_URL": urls["nowpayments"] + "/v1",
        "BITLOOT_KINGUIN_API_KEY": SUPPLIER_KEY,
        "BITLOOT_KINGUIN_WEBHOOK_SECRET": SUPPLIER_SECRET,
        "BITLOOT_KINGUIN_BASE_URL": urls["kinguin"] + "/esa/api",
        "BITLOOT_KINGUIN_KEY_TYPE": "any",
        "BITLOOT_RESEND_API_KEY": MAIL_KEY,
        "BITLOOT_RESEND_WEBHOOK_SECRET": MAIL_SECRET,
        "BITLOOT_RESEND_FROM_ADDRESS": "BitLoot <orders@shop.example>",
        "BITLOOT_RESEND_BASE_URL": urls["resend"],
    }
