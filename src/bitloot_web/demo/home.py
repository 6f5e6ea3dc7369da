"""Where a demo keeps its data, and the settings that it runs with."""

import base64
import json
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from bitloot_web.demo.ports import Ports

SECRETS_FILE: Final = "secrets.json"
ENV_FILE: Final = "bitloot.env"
KEY_FILE: Final = "owner-key"
PRODUCTS: Final = 600


class DemoSecrets(msgspec.Struct, frozen=True, kw_only=True):
    """Made once for each demo folder, so that a second start opens what the first one sealed."""

    secret_key: str
    kek: str
    pepper: str
    nowpayments_key: str
    ipn_secret: str
    kinguin_key: str
    kinguin_webhook: str
    resend_key: str
    resend_webhook: str

    def __repr__(self) -> str:
        return "DemoSecrets(…)"


def demo_secrets(folder: Path) -> DemoSecrets:
    """The secrets of this folder, made at the first start and readable by the owner only."""
    path = folder / SECRETS_FILE
    if path.is_file():
        return msgspec.json.decode(path.read_bytes(), type=DemoSecrets)
    made = DemoSecrets(
        secret_key=secrets.token_urlsafe(48),
        kek="demo-1:" + base64.b64encode(secrets.token_bytes(32)).decode(),
        pepper=secrets.token_urlsafe(48),
        nowpayments_key=secrets.token_hex(16),
        ipn_secret=secrets.token_urlsafe(32),
        kinguin_key=secrets.token_hex(16),
        kinguin_webhook=secrets.token_urlsafe(32),
        resend_key="re_" + secrets.token_hex(16),
        resend_webhook="whsec_" + base64.b64encode(secrets.token_bytes(24)).decode(),
    )
    path.touch(mode=0o600)
    path.write_bytes(msgspec.json.encode(made))
    return made


def sandbox_configs(folder: Path, made: DemoSecrets, ports: Ports) -> dict[str, str]:
    """The JSON that each stand-in is started with."""
    shop = f"http://127.0.0.1:{ports.shop}/v1/webhooks"
    configs: dict[str, dict[str, object]] = {
        "nowpayments": {
            "api_keys": [made.nowpayments_key],
            "ipn_secret": made.ipn_secret,
            "public_url": ports.sandbox_url("nowpayments"),
        },
        "kinguin": {
            "api_keys": [made.kinguin_key],
            "products": PRODUCTS,
            "webhook_url": f"{shop}/kinguin",
            "webhook_secret": made.kinguin_webhook,
        },
        "resend": {
            "api_keys": [{"token": made.resend_key}],
            "webhooks": [{"url": f"{shop}/resend", "secrets": [made.resend_webhook]}],
            "rate_limit": 50,
        },
    }
    for name, config in configs.items():
        state = folder / "sandbox" / name
        state.mkdir(parents=True, exist_ok=True)
        config["state_dir"] = str(state)
    return {name: json.dumps(config) for name, config in configs.items()}


def demo_environment(
    folder: Path, made: DemoSecrets, ports: Ports, *, database_url: str, redis_url: str
) -> dict[str, str]:
    """Every setting of the demo shop."""
    return {
        "BITLOOT_DATABASE_URL": database_url,
        "BITLOOT_REDIS_URL": redis_url,
        "BITLOOT_PUBLIC_URL": f"http://127.0.0.1:{ports.shop}",
        "BITLOOT_HOST": "127.0.0.1",
        "BITLOOT_PORT": str(ports.shop),
        "BITLOOT_DATA_DIR": str(folder / "data"),
        "BITLOOT_SECRET_KEY": made.secret_key,
        "BITLOOT_LOG_LEVEL": "warning",
        "BITLOOT_LOG_FORMAT": "console",
        "BITLOOT_KEY_VAULT": "local",
        "BITLOOT_LOCAL_KEKS": made.kek,
        "BITLOOT_LOCAL_PEPPER": made.pepper,
        "BITLOOT_NOWPAYMENTS_API_KEY": made.nowpayments_key,
        "BITLOOT_NOWPAYMENTS_IPN_SECRET": made.ipn_secret,
        "BITLOOT_NOWPAYMENTS_BASE_URL": ports.sandbox_url("nowpayments") + "/v1",
        "BITLOOT_KINGUIN_API_KEY": made.kinguin_key,
        "BITLOOT_KINGUIN_WEBHOOK_SECRET": made.kinguin_webhook,
        "BITLOOT_KINGUIN_BASE_URL": ports.sandbox_url("kinguin") + "/esa/api",
        "BITLOOT_RESEND_API_KEY": made.resend_key,
        "BITLOOT_RESEND_WEBHOOK_SECRET": made.resend_webhook,
        "BITLOOT_RESEND_FROM_ADDRESS": "BitLoot <orders@shop.example>",
        "BITLOOT_RESEND_BASE_URL": ports.sandbox_url("resend"),
    }


def write_environment(folder: Path, environment: Mapping[str, str]) -> Path:
    """Keep the settings beside the data, so that other commands can be pointed at the demo."""
    path = folder / ENV_FILE
    path.touch(mode=0o600)
    path.write_text("".join(f"{name}={value}\n" for name, value in environment.items()))
    return path


def kept_key(folder: Path) -> str:
    """The owner's API key of an earlier start; nothing at the first."""
    path = folder / KEY_FILE
    return path.read_text().strip() if path.is_file() else ""


def keep_key(folder: Path, text: str) -> None:
    """Keep the owner's API key, which the shop itself cannot show again, for its owner only."""
    path = folder / KEY_FILE
    path.touch(mode=0o600)
    path.write_text(f"{text}\n")
