"""How the shop finds, configures and opens R2."""

import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final
from urllib.parse import urlsplit

import msgspec

from bitloot.ports.key_vault import KeyVault
from bitloot.ports.plugin import PluginContext
from bitloot_adapters.key_envelope.keyring import keyring, keyring_faults

REGION: Final = "auto"


class R2Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`BITLOOT_R2_<FIELD>`. `endpoint` is an https address without a path."""

    endpoint: str
    bucket: str
    access_key: str
    secret_key: str
    keks: str
    pepper: str
    region: str = REGION

    def __repr__(self) -> str:
        return f"R2Settings(endpoint={self.endpoint!r}, bucket={self.bucket!r})"


class R2Plugin:
    """The entry point `r2` of `bitloot.key_vaults`."""

    name: str = "r2"
    settings: type[msgspec.Struct] = R2Settings
    secrets: frozenset[str] = frozenset({"access_key", "secret_key", "keks", "pepper"})

    def faults(self, settings: msgspec.Struct, *, is_production: bool) -> list[str]:
        """An endpoint with a path, plain http in production, keys that are none."""
        assert isinstance(settings, R2Settings)
        found = keyring_faults(
            "BITLOOT_R2_", settings.keks, settings.pepper, is_production=is_production
        )
        address = urlsplit(settings.endpoint)
        if address.scheme not in {"http", "https"} or not address.netloc:
            found.append("BITLOOT_R2_ENDPOINT must be an http(s) address")
        elif address.path.strip("/") or address.query:
            found.append("BITLOOT_R2_ENDPOINT must have no path; the bucket has its own setting")
        elif is_production and address.scheme != "https":
            found.append("BITLOOT_R2_ENDPOINT must be https in production")
        return found

    def open(
        self, settings: msgspec.Struct, context: PluginContext
    ) -> AbstractAsyncContextManager[KeyVault]:
        """A vault over the bucket until the block is left."""
        assert isinstance(settings, R2Settings)
        return _open(settings, context)


@contextlib.asynccontextmanager
async def _open(settings: R2Settings, context: PluginContext) -> AsyncIterator[KeyVault]:
    # Loaded by shops that keep their keys here; every shop asks every plugin for its settings.
    from minio import Minio

    from bitloot_adapters.key_envelope.vault import EnvelopeVault
    from bitloot_adapters.r2.store import NAME, BucketStore, http_pool

    address = urlsplit(settings.endpoint)
    pool = http_pool(context.limits)
    client = Minio(
        endpoint=address.netloc,
        access_key=settings.access_key,
        secret_key=settings.secret_key,
        secure=address.scheme == "https",
        # Without it the SDK asks the network for the region before it signs anything.
        region=settings.region,
        http_client=pool,
    )
    store = BucketStore(
        client,
        settings.bucket,
        threads=context.limits.object_store_threads,
        in_transaction=context.in_transaction,
    )
    keys = keyring(settings.keks, settings.pepper)
    try:
        yield EnvelopeVault(NAME, keys, store, context.random_bytes)
    finally:
        store.close()
        pool.clear()


plugin: Final = R2Plugin()
