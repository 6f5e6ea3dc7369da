"""The HTTP client with which the demo walks a purchase, as any buyer's program would."""

from contextlib import AbstractAsyncContextManager

from bitloot.domain.limits import Limits
from bitloot_adapters.http import Ambiguous, Answer, HttpClient, NotSent, open_client

__all__ = ["Ambiguous", "Answer", "HttpClient", "NotSent", "open_walker"]


def open_walker(base_url: str) -> AbstractAsyncContextManager[HttpClient]:
    """A client that asks `base_url` for JSON."""
    return open_client(
        base_url,
        limits=Limits(),
        in_transaction=lambda: False,
        headers={"accept": "application/json"},
    )
