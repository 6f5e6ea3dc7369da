"""Ciphertext in an S3-compatible bucket, through the minio SDK.

The SDK is synchronous and waits for minutes by default: it runs on threads of its own, with its own
short time-outs. No presigned link is ever made: what a buyer gets is a link to our own download.

Source: Cloudflare R2 documentation (S3 compatibility, errors, limits), minio-py 7.2.
"""

import asyncio
import contextlib
import io
import itertools
import re
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar
from xml.etree.ElementTree import ParseError

import urllib3
from minio import Minio
from minio.error import InvalidResponseError, S3Error, ServerError

from bitloot.domain.limits import Limits
from bitloot.ports.errors import Rejected, Unavailable, VaultFault
from bitloot.ports.key_vault import StoredObject

NAME: Final = "r2"
DIGEST: Final = "sha256"
PREFIX: Final = "keys/"
# Two tries with their time-outs; below half the lease of a job.
TOTAL_SECONDS: Final = 25.0
_MISSING: Final = frozenset({"NoSuchKey", "NoSuchObject"})
# Whatever code comes with them, but that of a clock that is wrong, which ends by itself.
_CREDENTIALS: Final = frozenset({401, 403})
_SKEWED: Final = "RequestTimeTooSkewed"
_OBJECT_NAME: Final = re.compile(r"keys/[0-9a-f-]{36}")

T = TypeVar("T")


class BucketStore:
    """One bucket. Close it to end its threads."""

    def __init__(
        self, client: Minio, bucket: str, *, threads: int, in_transaction: Callable[[], bool]
    ) -> None:
        self._client = client
        self._bucket = bucket
        self._in_transaction = in_transaction
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="object-store")

    async def put(self, object_name: str, ciphertext: bytes, sha256: str) -> None:
        """Store the bytes with their digest as metadata. Again is harmless."""
        _check_name(object_name)
        await self._run(
            lambda: self._client.put_object(
                bucket_name=self._bucket,
                object_name=object_name,
                data=io.BytesIO(ciphertext),
                length=len(ciphertext),
                content_type="application/octet-stream",
                metadata={DIGEST: sha256},
            )
        )

    async def stat(self, object_name: str) -> StoredObject | None:
        """A HEAD: size and the digest that the object was stored with."""
        _check_name(object_name)

        def head() -> StoredObject | None:
            try:
                found = self._client.stat_object(bucket_name=self._bucket, object_name=object_name)
            except S3Error as error:
                if error.code in _MISSING:
                    return None
                raise
            metadata = found.metadata or {}
            digest = metadata.get(f"x-amz-meta-{DIGEST}")
            return StoredObject(found.size or 0, str(digest) if digest else None)

        return await self._run(head)

    async def get(self, object_name: str, *, size: int) -> bytes:
        """The bytes; raises VaultFault where there are none, or more than `size`."""
        _check_name(object_name)

        def read() -> bytes | None:
            try:
                answer = self._client.get_object(bucket_name=self._bucket, object_name=object_name)
            except S3Error as error:
                if error.code in _MISSING:
                    return None
                raise
            with contextlib.closing(answer):
                content = answer.read(size + 1)
                answer.release_conn()
            return bytes(content)

        content = await self._run(read)
        if content is None or len(content) > size:
            raise VaultFault
        return content

    async def delete(self, object_name: str) -> None:
        """Remove; what is not there is removed, however the store says so."""
        _check_name(object_name)

        def remove() -> None:
            try:
                self._client.remove_object(bucket_name=self._bucket, object_name=object_name)
            except S3Error as error:
                if error.code not in _MISSING:
                    raise

        await self._run(remove)

    async def names(self, *, after: str | None, limit: int) -> Sequence[str]:
        """A page of ListObjectsV2: S3 lists in the order of the names."""

        def listed() -> list[str]:
            found = self._client.list_objects(
                bucket_name=self._bucket, prefix=PREFIX, recursive=True, start_after=after
            )
            return [str(each.object_name) for each in itertools.islice(found, limit)]

        return await self._run(listed)

    async def check(self) -> None:
        """Whether the bucket is there and the credentials open it."""
        if not await self._run(lambda: self._client.bucket_exists(bucket_name=self._bucket)):
            raise Rejected(NAME, "not_found", "there is no such bucket")

    def close(self) -> None:
        """Let running calls end by their time-outs; start none."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _run(self, call: Callable[[], T]) -> T:
        if self._in_transaction():
            raise RuntimeError("a network call inside a database transaction")
        try:
            # A cancelled wait leaves its thread, which ends by the time-outs of the pool.
            async with asyncio.timeout(TOTAL_SECONDS):
                return await asyncio.get_running_loop().run_in_executor(self._threads, call)
        except (S3Error, ServerError) as error:
            raise _refusal(error) from None
        except (InvalidResponseError, urllib3.exceptions.HTTPError, OSError) as error:
            raise Unavailable(NAME, type(error).__name__) from None
        except (ParseError, ValueError):
            # The SDK trips over what it cannot read: half an XML, other letters, a date that is
            # none. The names that it would refuse by the same error are looked at before.
            raise Unavailable(NAME, "unreadable_answer") from None


def _refusal(error: S3Error | ServerError) -> Rejected | Unavailable:
    """An answer to HEAD has no body, so that its status is all there is (`ServerError`)."""
    if isinstance(error, S3Error):
        status, code = error.response.status, str(error.code or f"http_{error.response.status}")
    else:
        status, code = error.status_code, f"http_{error.status_code}"
    if status in _CREDENTIALS and code != _SKEWED:
        return Rejected(NAME, "credentials", code)
    return Unavailable(NAME, code)


def _check_name(object_name: str) -> None:
    if not _OBJECT_NAME.fullmatch(object_name):
        raise VaultFault


def http_pool(limits: Limits) -> urllib3.PoolManager:
    """Connections of the SDK: seconds instead of minutes, one retry instead of five."""
    return urllib3.PoolManager(
        timeout=urllib3.Timeout(
            connect=limits.object_store_connect.total_seconds(),
            read=limits.object_store_read.total_seconds(),
        ),
        maxsize=limits.object_store_threads,
        retries=urllib3.Retry(
            total=1,
            redirect=0,
            backoff_factor=0.2,
            status_forcelist=[500, 502, 503, 504],
            # A wish to come back in an hour would be slept through in the thread.
            respect_retry_after_header=False,
        ),
    )
