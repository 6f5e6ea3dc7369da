"""Posting as bytes, each request on a connection of its own.

A client with a pool needs more time for hundreds of waiting requests than the shop does.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

PATIENCE: Final = 30.0


@dataclass(frozen=True)
class Answer:
    """The status and the headers, their names in lower case."""

    status: str
    headers: Mapping[str, str]


async def posted(url: str, path: str, body: bytes, headers: Mapping[str, str]) -> Answer:
    """Send a JSON body and read the whole answer. Raises OSError where there is none in time."""
    parts = urlsplit(url)
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: {parts.netloc}",
        "Connection: close",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    async with asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
        try:
            writer.write("\r\n".join((*lines, "", "")).encode() + body)
            answer = await reader.read()
        finally:
            writer.close()
    if not answer:
        raise ConnectionResetError
    first, *rest = answer.split(b"\r\n\r\n", 1)[0].decode().split("\r\n")
    named = (line.split(": ", 1) for line in rest)
    return Answer(first.split()[1], {name.lower(): value for name, value in named})
