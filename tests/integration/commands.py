"""The command line over the database of a test, as an operator runs it."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.integration.goods_shop import OLD_KEY, PEPPER


@dataclass(frozen=True)
class Commands:
    """A shop that sells from its own stock, its keys in files below `folder`."""

    database_url: str
    redis_url: str
    folder: Path

    def run(self, *arguments: str, keks: str = OLD_KEY) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        outer = {k: v for k, v in os.environ.items() if not k.startswith("BITLOOT_")}
        settings = {
            "BITLOOT_DATABASE_URL": self.database_url,
            "BITLOOT_REDIS_URL": self.redis_url,
            "BITLOOT_DATA_DIR": str(self.folder),
            "BITLOOT_SECRET_KEY": "kX9-2mVq7sTz4RwEb8LpYc3HnJd6GfUa",
            "BITLOOT_SUPPLIERS": "custom",
            "BITLOOT_NOWPAYMENTS_API_KEY": "np-5c1e9a7b-2f4d-4f0e",
            "BITLOOT_NOWPAYMENTS_IPN_SECRET": "Wq3-ipn-8Ty5Ui2Op7As",
            "BITLOOT_NOWPAYMENTS_BASE_URL": "http://127.0.0.1:1",
            "BITLOOT_MAILER": "inbox",
            "BITLOOT_KEY_VAULT": "local",
            "BITLOOT_LOCAL_KEKS": keks,
            "BITLOOT_LOCAL_PEPPER": PEPPER,
        }
        return subprocess.run(
            [sys.executable, "-m", "bitloot_web.cli", *arguments],
            env={**outer, **settings},
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
