"""The vault of files keeps the contract of key vaults, on a real disk."""

import shutil
from pathlib import Path

import pytest

from bitloot.testing.key_vault import KeyVaultContract
from bitloot.testing.seeded import SeededBytes, SeededIds
from bitloot.testing.virtual_time import VirtualClock
from bitloot_adapters.key_envelope.keyring import Keyring
from bitloot_adapters.key_envelope.vault import EnvelopeVault
from bitloot_adapters.local.file_vault import FileStore

PEPPER = b"a pepper that is long enough for a test"


class FileVaultRig:
    """The vault in a folder of the test; while it is down, a file stands where the folder was."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "vault"
        self._aside = folder / "aside"
        self._random = SeededBytes(3)
        self._keys = {"kek-1": self._random(32)}
        self.new_id = SeededIds(VirtualClock().now, seed=3)
        self.vault = self._opened("kek-1")

    def _opened(self, current: str) -> EnvelopeVault:
        keys = Keyring(current=current, keys=dict(self._keys), pepper=PEPPER)
        return EnvelopeVault("local", keys, FileStore(self._folder), self._random)

    async def rotate(self) -> None:
        name = f"kek-{len(self._keys) + 1}"
        self._keys[name] = self._random(32)
        self.vault = self._opened(name)

    async def overwrite(self, object_name: str, stored: bytes) -> None:
        key = object_name.removeprefix("keys/")
        (found,) = self._folder.rglob(key)
        found.write_bytes(stored)

    async def go_down(self) -> None:
        if self._folder.exists():
            shutil.move(self._folder, self._aside)
        self._folder.write_bytes(b"")

    async def come_back(self) -> None:
        self._folder.unlink()
        if self._aside.exists():
            shutil.move(self._aside, self._folder)


class TestFileVault(KeyVaultContract):
    """All of the suite."""

    @pytest.fixture
    def rig(self, tmp_path: Path) -> FileVaultRig:
        return FileVaultRig(tmp_path)
