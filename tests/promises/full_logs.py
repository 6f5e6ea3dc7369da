"""`python -m tests.promises.full_logs`: a shop whose logs have no room left.

Runs in a mount namespace of its own, in which the logs of the roles lie on a small file system. It
is filled, stays full while orders are placed, paid and delivered, and has room again. Prints one
line of JSON.
"""

import argparse
import asyncio
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx
from tests.e2e.town import ROLES
from tests.promises.audit import audited, until_quiet
from tests.promises.buyers import open_crowd
from tests.promises.full_disk import BALLAST, MEGABYTE, keep_full, mount
from tests.promises.stage import Stage, open_stage

SIZE = 4 * MEGABYTE
MOST_SECONDS = 600.0


def point_logs_to(logs: Path, folder: Path) -> None:
    """Have the roles write there."""
    for role in ROLES:
        (logs / f"{role}.log").touch()
        (folder / f"{role}.log").symlink_to(logs / f"{role}.log")


def written(logs: Path) -> int:
    """How much of logs there is, bytes."""
    return sum((logs / f"{role}.log").stat().st_size for role in ROLES)


async def pressed(stage: Stage, logs: Path, orders: int) -> dict[str, object]:
    """Fill, sell, make room, and count."""
    programs = stage.pids()
    async with open_crowd(stage) as crowd:
        filling = asyncio.create_task(keep_full(logs, MOST_SECONDS, left=0))
        await asyncio.sleep(1)
        full = written(logs)
        asked = Counted(crowd.shop)
        bought = await crowd.many(orders, "custom", "kinguin")
        paid = [order.id for order in bought]
        quiet = await until_quiet(stage, paid, seconds=120)
        answers = await asked.answers(20)
        meanwhile = written(logs) - full
        filling.cancel()
        await asyncio.gather(filling, return_exceptions=True)
        (logs / BALLAST).unlink()
        room = written(logs)
        await asked.answers(20)
        await asyncio.sleep(1)
        after = written(logs) - room
    audit = await audited(stage, paid)
    return {
        "answers": answers,
        "meanwhile": meanwhile,
        "after": after,
        "quiet": quiet,
        "programs": stage.pids() == programs,
        "audit": audit.text() if audit.is_clean else audit.explain(),
        "clean": audit.is_clean,
        "scale": stage.scale,
    }


class Counted:
    """Asks for something small and counts what is answered."""

    def __init__(self, shop: httpx.AsyncClient) -> None:
        self._shop = shop

    async def answers(self, times: int) -> dict[str, int]:
        """By status, after so many requests."""
        found: dict[str, int] = {}
        for _ in range(times):
            status = str((await self._shop.get("/readyz")).status_code)
            found[status] = found.get(status, 0) + 1
        return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--orders", type=int, default=2)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bitloot-logs-"))
    logs = folder / "logs"
    mount(logs, SIZE)
    point_logs_to(logs, folder)
    with open_stage(folder, is_full=False) as stage:
        told = asyncio.run(pressed(stage, logs, asked.orders))
    sys.stdout.write(json.dumps(told) + "\n")
    subprocess.run(["umount", str(logs)], check=True)
    shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
