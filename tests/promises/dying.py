"""One request of a buyer in a process that dies in the middle of it.

`python -m tests.promises.dying JSON`: `url`, `redis_url`, `folder` and `doors` of the shop, `path`,
`body` and `headers` of a POST (or `work` as path: every job that is due), and `at`: the fail-point
at which the process is killed, or `before the answer`, when everything is committed and nobody was
told.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from tests.promises.market import Market, open_market

BEFORE_THE_ANSWER = "before the answer"
WORK = "work"
KILLED = -signal.SIGKILL


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


async def ask(told: dict[str, str]) -> None:
    def failpoint(name: str) -> None:
        if name == told["at"]:
            die()

    async with open_market(
        told["url"],
        told["redis_url"],
        Path(told["folder"]),
        json.loads(told["doors"]),
        failpoint=failpoint,
    ) as market:
        if told["path"] == WORK:
            await market.work()
        else:
            await market.client.post(
                told["path"], json=json.loads(told["body"]), headers=json.loads(told["headers"])
            )
        if told["at"] == BEFORE_THE_ANSWER:
            die()


async def ask_and_die(
    market: Market, at: str, path: str, body: object, headers: dict[str, str]
) -> int:
    """The request in a process of its own; gives how it ended, -9 where it died as it should."""
    told = {
        "url": market.url,
        "redis_url": market.variables["BITLOOT_REDIS_URL"],
        "folder": market.variables["BITLOOT_DATA_DIR"],
        "doors": json.dumps(market.doors),
        "path": path,
        "body": json.dumps(body),
        "headers": json.dumps(headers),
        "at": at,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.promises.dying",
        json.dumps(told),
        cwd=Path(__file__).parents[2],
    )
    return await process.wait()


async def work_and_die(market: Market, at: str) -> int:
    """A worker in a process of its own that dies at a fail-point; gives how it ended."""
    return await ask_and_die(market, at, WORK, {}, {})


if __name__ == "__main__":
    asyncio.run(ask(json.loads(sys.argv[1])))
