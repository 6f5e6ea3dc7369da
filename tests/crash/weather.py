"""A provider's stand-in as a process of its own, on a network that loses and garbles one call in
five, more than half of them after the work was done.

`python -m tests.crash.weather NAME PORT CONFIG SHARE SEED`. Which call is hit and how follows from
the seed and the number of the call. Three doors beside those of the stand-in: `/_weather` tells how
many calls there were and how many of each fault, `/_weather/rough` begins the faults and
`/_weather/calm` ends them.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Awaitable, Callable

import uvicorn
from uvicorn._types import (
    ASGIReceiveCallable,
    ASGIReceiveEvent,
    ASGISendCallable,
    ASGISendEvent,
    HTTPScope,
    Scope,
)

from bitloot_web.composition.sandboxes import sandbox_app

# What happens to a call, and how often of a hundred faults.
FAULTS = {
    "drop_after": 35,
    "500_after": 25,
    "garbage": 5,
    "drop_before": 20,
    "500_before": 15,
}
AFTER_THE_EFFECT = frozenset({"drop_after", "500_after", "garbage"})
SPAN = 2**32


class Weather:
    """Stands before a stand-in and has its own faults happen to the calls that are hit."""

    def __init__(self, inner: Callable[..., Awaitable[None]], share: float, seed: str) -> None:
        self._inner = inner
        self._share = share
        self._is_rough = False
        self._seed = seed
        self._calls = 0
        self._hit: Counter[str] = Counter()

    async def __call__(
        self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable
    ) -> None:
        path = scope["path"] if scope["type"] == "http" else "/_"
        if path in {"/_weather/calm", "/_weather/rough"}:
            self._is_rough = path.endswith("rough")
        if path.startswith("/_weather"):
            await _answer(send, {"calls": self._calls, "faults": dict(self._hit)})
            return
        if self._is_rough and not path.startswith("/_"):
            self._calls += 1
            if (fault := self._drawn()) is not None:
                self._hit[fault] += 1
                await self._order(fault)
        await self._inner(scope, receive, send)

    def _drawn(self) -> str | None:
        digest = hashlib.sha256(f"{self._seed}/{self._calls}".encode()).digest()
        if int.from_bytes(digest[:4]) / SPAN >= self._share:
            return None
        left = int.from_bytes(digest[4:8]) % sum(FAULTS.values())
        for fault, weight in FAULTS.items():
            if left < weight:
                return fault
            left -= weight
        return None

    async def _order(self, fault: str) -> None:
        """Tell the stand-in's control door that its next call goes wrong."""
        body = json.dumps({"op": "*", "fault": fault, "times": 1}).encode()
        scope: HTTPScope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST",
            "scheme": "http",
            "path": "/_control/faults",
            "raw_path": b"/_control/faults",
            "root_path": "",
            "query_string": b"",
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", str(len(body)).encode()),
            ],
            "client": ("127.0.0.1", 0),
            "server": ("127.0.0.1", 0),
        }
        answered: list[int] = []

        async def receive() -> ASGIReceiveEvent:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: ASGISendEvent) -> None:
            if message["type"] == "http.response.start":
                answered.append(message["status"])

        await self._inner(scope, receive, send)
        assert answered == [200], f"the control door answered {answered}"


async def _answer(send: ASGISendCallable, document: object) -> None:
    body = json.dumps(document).encode()
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": False})


def main() -> None:
    name, port, config, share, seed = sys.argv[1:]
    app = Weather(sandbox_app(name, config.encode()), float(share), f"{name}/{seed}")
    uvicorn.run(app, host="127.0.0.1", port=int(port), log_level="warning", access_log=False)


if __name__ == "__main__":
    main()
