"""How the shop finds, configures and opens R2."""

import contextlib
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Final
from urllib.parse import SplitResult, urlsplit

import msgspec

from bitloot.ports.key_vault import KeyVault
from bitloot.ports.plugin import PluginContext
from bitloot_adapters.key_envelope.keyring import keyring, keyring_faults

REGION: Final = "auto"
_HOST: Final = re.compile(
    r"(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9._-]*[a-z0-9])?)(:[0-9]+)?", re.IGNORECASE
)
# Cloudflare R2, "Bucket-level operations"; the dot is for other stores.
_BUCKET: Final = re.compile(r"[a-z0-9](?!.*(\.\.|\.-|-\.))[a-z0-9.-]{1,61}[a-z0-9]")
_NUMBERS: Final = re.compile(r"[0-9.]+")
_REGION: Final = re.compile(r"[a-z0-9-]{1,63}")
_KEY: Final = re.compile(r"[\x21-\x7e]{1,256}")


class R2Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`BITLOOT_R2_<FIELD>`. `endpoint` is an https address without a path.

    An empty `region` is `auto`, as it is at R2.
    """

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
        """An endpoint, a bucket or a region that is none, plain http in production, keys that are
        none.
        """
        assert isinstance(settings, R2Settings)
        found = keyring_faults(
            "BITLOOT_R2_", settings.keks, settings.pepper, is_production=is_production
        )
        found += _endpoint_faults(settings.endpoint, is_production=is_production)
        if not _BUCKET.fullmatch(settings.bucket) or _NUMBERS.fullmatch(settings.bucket):
            found.append("BITLOOT_R2_BUCKET must be 3 to 63 lower-case letters, digits and hyphens")
        if settings.region and not _REGION.fullmatch(settings.region):
            found.append("BITLOOT_R2_REGION must be a name such as auto")
        return found + [
            f"BITLOOT_R2_{name} must be plain printable text without blanks"
            for name, key in (
                ("ACCESS_KEY", settings.access_key),
                ("SECRET_KEY", settings.secret_key),
            )
            if not _KEY.fullmatch(key)
        ]

    def open(
        self, settings: msgspec.Struct, context: PluginContext
    ) -> AbstractAsyncContextManager[KeyVault]:
        """A vault over the bucket until the block is left."""
        assert isinstance(settings, R2Settings)
        return _open(settings, context)


def _endpoint_faults(endpoint: str, *, is_production: bool) -> list[str]:
    address = _address(endpoint)
    if address is None or address.scheme not in {"http", "https"}:
        return ["BITLOOT_R2_ENDPOINT must be an http(s) address"]
    if address.path.strip("/") or address.query or address.fragment:
        return ["BITLOOT_R2_ENDPOINT must have no path; the bucket has its own setting"]
    if is_production and address.scheme != "https":
        return ["BITLOOT_R2_ENDPOINT must be https in production"]
    return []


def _address(endpoint: str) -> SplitResult | None:
    """The parts of an address with a host that can be called, None for anything else."""
    try:
        address = urlsplit(endpoint)
        is_host = _HOST.fullmatch(address.netloc) and (address.port is None or address.port > 0)
    except ValueError:
        return None
    return address if is_host and endpoint == endpoint.strip() else None


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
        region=settings.region or REGION,
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
