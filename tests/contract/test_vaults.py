"""The vault over a bucket keeps the contract; files lie as privately and whole as is said."""

import asyncio
import base64
import hashlib
import secrets
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from datetime import timedelta
from io import BytesIO
from pathlib import Path

import msgspec
import pytest
from minio import Minio
from moto.server import ThreadedMotoServer

from bitloot.domain.limits import Limits
from bitloot.ports.errors import Rejected, Unavailable, VaultFault
from bitloot.ports.key_vault import KeyVault, StoredObject
from bitloot.ports.plugin import PluginContext
from bitloot.testing.key_vault import KeyVaultContract
from bitloot.testing.seeded import SeededIds
from bitloot.testing.virtual_time import VirtualClock
from bitloot_adapters.local import file_vault
from bitloot_adapters.local.file_vault import FileStore, FileVaultSettings
from bitloot_adapters.r2 import plugin as r2
from bitloot_adapters.r2.plugin import R2Settings
from bitloot_adapters.r2.store import BucketStore, http_pool

PEPPER = "a pepper that is long enough for it"
# Longer than a busy machine stands still; where a store never answers, nobody waits for that.
LIMITS = Limits(object_store_connect=timedelta(seconds=5), object_store_read=timedelta(seconds=5))
HURRIED = Limits(
    object_store_connect=timedelta(seconds=0.3), object_store_read=timedelta(seconds=0.3)
)
NAME = "keys/0198f2a4-8d1c-7c3e-9f00-0123456789ab"


def context(
    folder: Path, *, in_transaction: bool = False, limits: Limits = LIMITS
) -> PluginContext:
    clock = VirtualClock()
    return PluginContext(
        limits=limits,
        clock=clock.now,
        boot_clock=clock.boot,
        new_id=SeededIds(clock.now, seed=5),
        random_bytes=secrets.token_bytes,
        public_url="http://shop.test",
        data_dir=folder,
        is_production=False,
        in_transaction=lambda: in_transaction,
    )


def kek(name: str) -> str:
    return f"{name}:{base64.b64encode(secrets.token_bytes(32)).decode()}"


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


class Bucket:
    """moto's server on a loopback port; its objects outlive a stop."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        _, self.port = self._server.get_host_and_port()
        self.client = Minio(f"127.0.0.1:{self.port}", "test", "test", secure=False, region="auto")

    def stop(self) -> None:
        listening = self._server._server
        self._server.stop()
        assert listening is not None
        listening.server_close()

    def start(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()

    def write(self, bucket: str, name: str, content: bytes) -> None:
        self.client.put_object(
            bucket_name=bucket, object_name=name, data=BytesIO(content), length=len(content)
        )

    def settings(self, bucket: str, keks: str = "") -> R2Settings:
        return R2Settings(
            endpoint=f"http://127.0.0.1:{self.port}",
            bucket=bucket,
            access_key="test",
            secret_key="test",
            keks=keks or kek("one"),
            pepper=PEPPER,
        )


@pytest.fixture(scope="module")
def storage() -> Iterator[Bucket]:
    bucket = Bucket()
    yield bucket
    bucket.stop()


@pytest.fixture
def bucket(storage: Bucket) -> str:
    name = f"keys-{secrets.token_hex(6)}"
    storage.client.make_bucket(bucket_name=name)
    return name


class BucketVaultRig:
    """The vault as the shop opens it, over a bucket of its own."""

    def __init__(self, storage: Bucket, bucket: str, folder: Path, stack: AsyncExitStack) -> None:
        self._storage, self._bucket = storage, bucket
        self._context, self._stack = context(folder), stack
        self._keks = [kek("kek-1")]
        self.new_id = self._context.new_id
        self.vault: KeyVault

    async def open(self) -> None:
        settings = self._storage.settings(self._bucket, ",".join(self._keks))
        self.vault = await self._stack.enter_async_context(r2.plugin.open(settings, self._context))

    async def rotate(self) -> None:
        self._keks.insert(0, kek(f"kek-{len(self._keks) + 1}"))
        await self.open()

    async def overwrite(self, object_name: str, stored: bytes) -> None:
        await asyncio.to_thread(self._storage.write, self._bucket, object_name, stored)

    async def go_down(self) -> None:
        self._storage.stop()

    async def come_back(self) -> None:
        self._storage.start()


class TestBucketVault(KeyVaultContract):
    """All of the suite."""

    @pytest.fixture
    async def rig(
        self, storage: Bucket, bucket: str, tmp_path: Path
    ) -> AsyncIterator[BucketVaultRig]:
        async with AsyncExitStack() as stack:
            rig = BucketVaultRig(storage, bucket, tmp_path, stack)
            await rig.open()
            yield rig


# --- the bucket ------------------------------------------------------------------------------


@pytest.fixture
async def vault(storage: Bucket, bucket: str, tmp_path: Path) -> AsyncIterator[KeyVault]:
    async with r2.plugin.open(storage.settings(bucket), context(tmp_path)) as opened:
        yield opened


async def test_an_object_says_the_digest_that_it_was_stored_with(vault: KeyVault) -> None:
    await vault.put(NAME, b"ciphertext", digest(b"ciphertext"))
    assert await vault.stat(NAME) == StoredObject(10, digest(b"ciphertext"))


async def test_an_object_of_somebody_else_has_no_digest(
    vault: KeyVault, storage: Bucket, bucket: str
) -> None:
    await asyncio.to_thread(storage.write, bucket, NAME, b"foreign")
    assert await vault.stat(NAME) == StoredObject(7, None)


async def test_reading_many_objects_leaves_the_connections_usable(vault: KeyVault) -> None:
    await vault.put(NAME, b"x" * 1000, digest(b"x" * 1000))
    for _ in range(3):
        answers = await asyncio.gather(*(vault.get(NAME, size=1000) for _ in range(20)))
        assert answers == [b"x" * 1000] * 20
        with pytest.raises(VaultFault):
            await vault.get(NAME, size=999)


async def test_a_bucket_that_does_not_exist_is_told_by_the_check(
    storage: Bucket, tmp_path: Path
) -> None:
    async with r2.plugin.open(storage.settings("no-such-bucket"), context(tmp_path)) as vault:
        with pytest.raises(Rejected) as refusal:
            await vault.check()
        assert refusal.value.reason == "not_found"
        with pytest.raises(Unavailable):
            await vault.put(NAME, b"x", digest(b"x"))


@pytest.mark.parametrize(
    "name", ["", "keys/", "keys/../other", "other/x", f"{NAME}/x", f"/{NAME}", f"{NAME}\n"]
)
async def test_names_that_are_not_ours_reach_no_store(
    vault: KeyVault, tmp_path: Path, name: str
) -> None:
    for store in (vault, FileStore(tmp_path / "vault")):
        for call in (
            store.put(name, b"x", digest(b"x")),
            store.stat(name),
            store.get(name, size=1),
            store.delete(name),
        ):
            with pytest.raises(VaultFault):
                await call


async def test_inside_a_transaction_the_bucket_is_not_called(
    storage: Bucket, bucket: str, tmp_path: Path
) -> None:
    inside = context(tmp_path, in_transaction=True)
    async with r2.plugin.open(storage.settings(bucket), inside) as vault:
        with pytest.raises(RuntimeError, match="transaction"):
            await vault.stat(NAME)


class RawServer:
    """Answers each connection as a test says; counts them."""

    def __init__(self, answer: bytes | None) -> None:
        self._answer = answer
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.connections = 0
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            if self._answer is not None:
                connection.recv(65536)
                connection.sendall(self._answer)
                connection.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        for connection in self._open:
            connection.close()

    def store(self) -> BucketStore:
        client = Minio(
            f"127.0.0.1:{self.port}",
            "test",
            "test",
            secure=False,
            region="auto",
            http_client=http_pool(HURRIED),
        )
        return BucketStore(client, "bucket", threads=2, in_transaction=lambda: False)


def raw(status: str, code: str, *headers: str) -> bytes:
    body = f"<Error><Code>{code}</Code><Message>no</Message></Error>".encode()
    head = [
        f"HTTP/1.1 {status}",
        "Content-Type: application/xml",
        f"Content-Length: {len(body)}",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body


XML_HEAD = b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/xml\r\nContent-Length: "


async def test_a_store_that_never_answers_is_given_up_in_seconds() -> None:
    server = RawServer(None)
    store = server.store()
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await store.get(NAME, size=10)
    assert time.monotonic() - began < 10
    assert server.connections == 2
    store.close()
    server.close()


async def test_a_store_s_wish_for_a_long_pause_is_not_slept_through() -> None:
    server = RawServer(raw("503 Service Unavailable", "ServiceUnavailable", "Retry-After: 3600"))
    store = server.store()
    began = time.monotonic()
    with pytest.raises(Unavailable):
        await store.put(NAME, b"x", digest(b"x"))
    assert time.monotonic() - began < 10
    assert server.connections == 2
    store.close()
    server.close()


@pytest.mark.parametrize(
    ("status", "code"),
    [
        ("403 Forbidden", "AccessDenied"),
        ("403 Forbidden", "SignatureDoesNotMatch"),
        ("401 Unauthorized", "Unauthorized"),
        ("403 Forbidden", "InvalidAccessKeyId"),
        ("403 Forbidden", "AccountProblem"),
    ],
)
async def test_wrong_credentials_are_rejected_and_not_tried_again(status: str, code: str) -> None:
    server = RawServer(raw(status, code))
    store = server.store()
    with pytest.raises(Rejected) as refusal:
        await store.get(NAME, size=10)
    assert (refusal.value.reason, refusal.value.detail) == ("credentials", code)
    assert server.connections == 1
    store.close()
    server.close()


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden"])
async def test_wrong_credentials_are_known_where_an_answer_has_no_body(status: str) -> None:
    server = RawServer(f"HTTP/1.1 {status}\r\nConnection: close\r\n\r\n".encode())
    store = server.store()
    for call in (store.stat(NAME), store.check()):
        with pytest.raises(Rejected) as refusal:
            await call
        assert refusal.value.reason == "credentials"
    store.close()
    server.close()


async def test_a_clock_that_is_wrong_is_no_matter_of_credentials() -> None:
    server = RawServer(raw("403 Forbidden", "RequestTimeTooSkewed"))
    store = server.store()
    with pytest.raises(Unavailable):
        await store.put(NAME, b"x", digest(b"x"))
    store.close()
    server.close()


async def test_removing_what_a_store_calls_missing_is_harmless() -> None:
    server = RawServer(raw("404 Not Found", "NoSuchKey"))
    store = server.store()
    await store.delete(NAME)
    store.close()
    server.close()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 409 Conflict\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nLast-Modified: yesterday\r\nConnection: close\r\n\r\n",
        b"HTTP/1.1 429 Too Many Requests\r\nConnection: close\r\n\r\n",
    ],
)
async def test_what_a_head_cannot_say_is_unavailable(answer: bytes) -> None:
    server = RawServer(answer)
    store = server.store()
    with pytest.raises(Unavailable):
        await store.stat(NAME)
    store.close()
    server.close()


@pytest.mark.parametrize(
    "answer",
    [
        raw("429 Too Many Requests", "TooManyRequests"),
        raw("501 Not Implemented", "NotImplemented"),
        raw("500 Internal Server Error", "InternalError"),
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\ncut",
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\noops",
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\noops",
        b"garbage\r\n\r\n",
        XML_HEAD + b"12\r\n\r\n<Error><Code",
        XML_HEAD + b"3\r\n\r\nf\xfcr",
        b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\nf\xfcr",
    ],
)
async def test_every_other_answer_is_unavailable(answer: bytes) -> None:
    server = RawServer(answer)
    store = server.store()
    with pytest.raises(Unavailable):
        await store.get(NAME, size=10)
    with pytest.raises(Unavailable):
        await store.put(NAME, b"x", digest(b"x"))
    with pytest.raises(Unavailable):
        await store.names(after=None, limit=10)
    store.close()
    server.close()


async def test_no_region_is_auto_and_asks_the_network_for_none(
    storage: Bucket, tmp_path: Path
) -> None:
    server = RawServer(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    settings = msgspec.structs.replace(
        storage.settings("keys"), endpoint=f"http://127.0.0.1:{server.port}", region=""
    )
    async with r2.plugin.open(settings, context(tmp_path)) as vault:
        assert await vault.stat(NAME) == StoredObject(0, None)
    assert server.connections == 1
    server.close()


# --- files -----------------------------------------------------------------------------------


async def test_files_are_private_whole_and_leave_nothing_aside(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "vault")
    for content in (b"one", b"two"):
        await store.put(NAME, content, digest(content))
    assert await store.stat(NAME) == StoredObject(3, digest(b"two"))
    await store.check()
    files = [path for path in (tmp_path / "vault").rglob("*") if path.is_file()]
    assert [path.name for path in files] == [NAME.removeprefix("keys/")]
    assert files[0].stat().st_mode & 0o777 == 0o600
    folders = [path for path in (tmp_path / "vault").rglob("*") if path.is_dir()]
    assert all(folder.stat().st_mode & 0o077 == 0 for folder in folders)


async def test_the_local_plugin_keeps_its_files_in_the_data_folder(tmp_path: Path) -> None:
    settings = FileVaultSettings(keks=kek("one"), pepper=PEPPER)
    async with file_vault.plugin.open(settings, context(tmp_path)) as vault:
        await vault.put(NAME, b"x", digest(b"x"))
    assert any(path.is_file() for path in (tmp_path / "vault").rglob("*"))
    assert vault.name == "local"
    assert vault.kek_id == "one"
