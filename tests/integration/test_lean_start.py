"""A process loads what its role uses: what it does not use costs time at every start, and memory.

Observed from outside, in a process of its own, which opens a shop on servers that are away.
"""

import base64
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

WEB: Final = """
import asyncio, json, sys
import bitloot_web.cli.serving, bitloot_web.cli.running
from bitloot_web.asgi import build_app
from bitloot_web.composition.opening import open_shop
from bitloot_web.plugins import configure
from bitloot_web.settings import Environment

async def main():
    async with open_shop(configure(Environment(json.loads(sys.argv[1])))) as opened:
        build_app(opened.shop)

asyncio.run(main())
print(*sys.modules)
"""
# Taskiq and its HTTP client run jobs, Jinja writes mails, the SDK of object stores belongs to the
# vault `r2`, Alembic to `migrate`; Pydantic is nobody's.
OF_OTHERS: Final = frozenset(
    {"taskiq", "aiohttp", "jinja2", "minio", "urllib3", "alembic", "pydantic", "hypothesis"}
)


def test_a_web_server_loads_nothing_that_only_others_use(tmp_path: Path) -> None:
    loaded = _loaded_by_a_web_server(tmp_path)
    assert {"litestar", "psycopg", "uvicorn"} <= loaded
    assert not loaded & OF_OTHERS


def _loaded_by_a_web_server(folder: Path) -> set[str]:
    settings = {
        "BITLOOT_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "BITLOOT_REDIS_URL": "redis://127.0.0.1:1/0",
        "BITLOOT_PUBLIC_URL": "https://shop.example",
        "BITLOOT_SECRET_KEY": "a-secret-key-for-a-start-9876543210",
        "BITLOOT_DATA_DIR": str(folder),
        "BITLOOT_KEY_VAULT": "local",
        "BITLOOT_LOCAL_KEKS": "start-1:" + base64.b64encode(bytes(range(32))).decode(),
        "BITLOOT_LOCAL_PEPPER": "a-pepper-for-a-start-0123456789abcdef",
        "BITLOOT_MAILER": "inbox",
        "BITLOOT_NOWPAYMENTS_API_KEY": "0123456789abcdef0123456789abcdef",
        "BITLOOT_NOWPAYMENTS_IPN_SECRET": "an-ipn-secret-for-a-start-0123456789",
        "BITLOOT_KINGUIN_API_KEY": "fedcba9876543210fedcba9876543210",
        "BITLOOT_KINGUIN_WEBHOOK_SECRET": "a-kinguin-webhook-secret-for-a-start",
    }
    ran = subprocess.run(
        [sys.executable, "-c", WEB, json.dumps(settings)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return {name.partition(".")[0] for name in ran.stdout.split()}
