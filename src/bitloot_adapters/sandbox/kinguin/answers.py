"""Who may ask, and how answers and refusals are written."""

import hmac
from collections.abc import Callable
from typing import TypeAlias

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from litestar.enums import MediaType

from bitloot_adapters.sandbox.kinguin.config import ERROR_STATUSES
from bitloot_adapters.sandbox.kinguin.draw import hex_id
from bitloot_adapters.sandbox.kinguin.errors import EsaError, error_json, unauthorised
from bitloot_adapters.sandbox.kinguin.product_wire import seconds
from bitloot_adapters.sandbox.kinguin.state import Store

Call: TypeAlias = Request[None, None, State]
KEY_HEADERS = ("x-api-key", "api-ecommerce-auth")


class Answers:
    """Runs the work of an endpoint behind the key check and writes what comes out of it."""

    def __init__(self, store: Store, before: Callable[[], None]) -> None:
        self._store = store
        self._before = before

    def to(
        self,
        call: Call,
        work: Callable[[], object],
        *,
        status: int = 200,
        guarded: bool = False,
    ) -> Response[bytes]:
        """The answer of `work`, or the error object of its refusal.

        `guarded` endpoints also ask the store's IP allow-list.
        """
        with self._store.acting():
            self._before()
            if not self._known(call) or (guarded and not self._allowed(call)):
                return _json(401, msgspec.json.encode(unauthorised()))
            try:
                payload = work()
            except EsaError as error:
                return _json(*self.error(error, call.url.path, call.method))
            return _json(status, msgspec.json.encode(payload))

    def error(self, error: EsaError, path: str, method: str) -> tuple[int, bytes]:
        """The HTTP status and the body of a refusal."""
        if error.kind == "Authorization":
            return 401, msgspec.json.encode(unauthorised())
        number = self._store.count()
        variant: str = self._store.switches.error_variant
        if variant == "alternate":
            variant = "title" if number % 2 else "type"
        configured = self._store.config.error_statuses.get(error.kind)
        status = error.status or configured or ERROR_STATUSES.get(error.kind, 400)
        shown = error_json(
            error,
            status=status,
            path=path.removeprefix("/esa"),
            method=method,
            trace=hex_id("trace", self._store.config.seed, number)[:10],
            at=seconds(self._store.now()),
            variant=variant,
        )
        return status, msgspec.json.encode(shown)

    def refused(self, call: Call, error: EsaError) -> Response[bytes]:
        with self._store.acting():
            return _json(*self.error(error, call.url.path, call.method))

    def _known(self, call: Call) -> bool:
        given = next((call.headers[name] for name in KEY_HEADERS if name in call.headers), "")
        return any(
            hmac.compare_digest(given.encode(), key.encode()) for key in self._store.config.api_keys
        )

    def _allowed(self, call: Call) -> bool:
        allowed = self._store.config.allowed_addresses
        return allowed is None or (call.client is not None and call.client.host in allowed)


def _json(status: int, body: bytes) -> Response[bytes]:
    return Response(body, status_code=status, media_type=MediaType.JSON)
