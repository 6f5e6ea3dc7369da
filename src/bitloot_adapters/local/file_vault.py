"""Ciphertext in files: the vault of the demo, and of a shop on one machine."""

import asyncio
import contextlib
import hashlib
import heapq
import os
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from bitloot.ports.errors import Unavailable, VaultFault
from bitloot.ports.key_vault import KeyVault, StoredObject
from bitloot.ports.plugin import PluginContext
from bitloot_adapters.key_envelope.keyring import keyring, keyring_faults
from bitloot_adapters.key_envelope.vault import EnvelopeVault

T = TypeVar("T")

NAME: Final = "local"
MAX_OBJECT: Final = 16 * 1024 * 1024
_OBJECT_NAME: Final = re.compile(r"keys/[0-9a-f-]{36}")


class FileStore:
    """One private file for each object, written whole or not at all."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def put(self, object_name: str, ciphertext: bytes, sha256: str) -> None:
        """Write aside, flush to disk, rename: a reader sees all of it or nothing."""
        del sha256
        await _in_thread(lambda: _write(self._path(object_name), ciphertext))

    async def stat(self, object_name: str) -> StoredObject | None:
        """Size and digest of what is on disk now."""
        stored = await _in_thread(lambda: _read(self._path(object_name), MAX_OBJECT))
        if stored is None:
            return None
        return StoredObject(len(stored), hashlib.sha256(stored).hexdigest())

    async def get(self, object_name: str, *, size: int) -> bytes:
        """The bytes; raises VaultFault where there are none, or more than `size`."""
        stored = await _in_thread(lambda: _read(self._path(object_name), size))
        if stored is None or len(stored) > size:
            raise VaultFault
        return stored

    async def delete(self, object_name: str) -> None:
        """Remove the file; again is harmless."""
        await _in_thread(lambda: self._path(object_name).unlink(missing_ok=True))

    async def names(self, *, after: str | None, limit: int) -> Sequence[str]:
        """The names of all files are looked through; so many of them are kept in memory."""

        def listed() -> list[str]:
            rest = (name for name in _names(self._folder) if name > (after or ""))
            return heapq.nsmallest(limit, rest)

        return await _in_thread(listed)

    async def check(self) -> None:
        """Write and remove a small file."""
        probe = self._folder / f".check-{secrets.token_hex(4)}"
        await _in_thread(lambda: _write(probe, b""))
        await _in_thread(probe.unlink)

    def _path(self, object_name: str) -> Path:
        if not _OBJECT_NAME.fullmatch(object_name):
            raise VaultFault
        key = object_name.removeprefix("keys/")
        # The end of a UUIDv7 is random, so the files spread evenly.
        return self._folder / key[-2:] / key


async def _in_thread(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        raise Unavailable(NAME, f"errno_{error.errno}") from None


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        aside.unlink(missing_ok=True)
        raise
    # The name is on disk only once its folder is, and that one's name in the folder above.
    for folder in (path.parent, path.parent.parent):
        _flush_folder(folder)


def _flush_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _names(folder: Path) -> Iterator[str]:
    """Every object's name; a folder that was never written to has none."""
    if not folder.exists():
        return
    for shelf in folder.iterdir():
        if len(shelf.name) == 2:
            found = (f"keys/{path.name}" for path in shelf.iterdir())
            yield from (name for name in found if _OBJECT_NAME.fullmatch(name))


def _read(path: Path, at_most: int) -> bytes | None:
    try:
        with path.open("rb") as file:
            return file.read(at_most + 1)
    except FileNotFoundError:
        return None


class FileVaultSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`BITLOOT_LOCAL_<FIELD>`: key-encryption keys `id:base64,…` (first current) and the pepper."""

    keks: str
    pepper: str

    def __repr__(self) -> str:
        return "FileVaultSettings()"


class FileVaultPlugin:
    """The entry point `local` of `bitloot.key_vaults`."""

    name: str = NAME
    settings: type[msgspec.Struct] = FileVaultSettings
    secrets: frozenset[str] = frozenset({"keks", "pepper"})

    def faults(self, settings: msgspec.Struct, *, is_production: bool) -> list[str]:
        """Keys that are none, or placeholders."""
        assert isinstance(settings, FileVaultSettings)
        return keyring_faults(
            "BITLOOT_LOCAL_", settings.keks, settings.pepper, is_production=is_production
        )

    def open(
        self, settings: msgspec.Struct, context: PluginContext
    ) -> AbstractAsyncContextManager[KeyVault]:
        """A vault in the shop's private folder."""
        assert isinstance(settings, FileVaultSettings)
        return _open(settings, context)


@contextlib.asynccontextmanager
async def _open(settings: FileVaultSettings, context: PluginContext) -> AsyncIterator[KeyVault]:
    store = FileStore(context.data_dir / "vault")
    keys = keyring(settings.keks, settings.pepper)
    yield EnvelopeVault(NAME, keys, store, context.random_bytes)


plugin: Final = FileVaultPlugin()
