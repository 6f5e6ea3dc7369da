"""Calling an application without a server between."""

from collections.abc import Awaitable, Callable

import httpx


def transport(
    app: Callable[..., Awaitable[None]], client: tuple[str, int] = ("127.0.0.1", 123)
) -> httpx.ASGITransport:
    """Litestar and httpx write one interface in different types: here they meet."""
    return httpx.ASGITransport(app, client=client)
