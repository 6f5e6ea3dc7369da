"""The download behind a signed link: the one place where a key leaves the shop.

The token in the path is the permission. The file is built in memory and never stored.
"""

import base64
import hmac
import re
from datetime import datetime
from typing import Final
from urllib.parse import quote

import msgspec
from litestar import Response
from litestar.params import FromPath
from msgspec import UNSET, UnsetType

from bitloot.domain.receipt import KeyFile, SignedReceipt
from bitloot.domain.stock_item import TypedKind
from bitloot_web.dependencies import TheShop
from bitloot_web.problems import ProblemError
from bitloot_web.request_checks import NO_HEAD, EdgeRequest
from bitloot_web.routes import get
from bitloot_web.security.access import TokenInPath
from bitloot_web.security.client_address import client_of
from bitloot_web.security.rate_limits import limited
from bitloot_web.shop import Shop

MAX_TOKEN = 256
MAX_AGENT = 512
ENDINGS: Final = {
    "application/json": "json",
    "image/gif": "gif",
    "image/jpeg": "jpg",
    "image/png": "png",
    "text/plain": "txt",
}


class FileReceipt(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What was handed over. `keySha256` is the digest of the key as the file gives it."""

    order: str
    item: int
    unit: int
    title: str
    key_sha256: str
    handed_over_at: datetime
    client: str


class FileProof(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The receipt and its signature (Ed25519, base64) over `signedText`."""

    receipt: FileReceipt
    signed_text: str
    signature: str
    key_id: str


class FileKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One key: text as it is (`utf-8`), an image as `base64`. Its repr shows no key.

    Other goods say their `kind`. Of an `account`, `key` is JSON with `login`, `password` and
    maybe `note`; of a `code-with-pin` JSON with `code` and `pin`; of a `licence-file` the file in
    `base64`, with its `name` and its own `contentType`.
    """

    unit: int
    content_type: str
    encoding: str
    key: str
    proof: FileProof
    kind: TypedKind | UnsetType = UNSET
    name: str | UnsetType = UNSET

    def __repr__(self) -> str:
        return f"FileKey(unit={self.unit})"


class DownloadedKeys(msgspec.Struct, frozen=True, kw_only=True):
    """The key file of one line of an order."""

    order: str
    title: str
    instructions: str | None
    keys: tuple[FileKey, ...]


@get(
    "/v1/downloads/{token:str}",
    access=TokenInPath(),
    guards=[limited("downloads")],
    # A key counts as revealed from its first download: link scanners may not cause one.
    opt={NO_HEAD: True},
    operation_id="downloadKeys",
)
async def download(
    request: EdgeRequest, shop: TheShop, token: FromPath[str]
) -> Response[DownloadedKeys]:
    """The keys behind a link, as a JSON file with a receipt for each."""
    if len(token) > MAX_TOKEN:
        raise ProblemError("not-found")
    file = await shop.reveal.download(token, client=client_digest(request, shop))
    name = re.sub(r"[^A-Za-z0-9-]", "", file.order)
    return Response(
        shown(file),
        headers={
            "cache-control": "no-store",
            "content-disposition": f'attachment; filename="bitloot-{name}.json"',
            "x-robots-tag": "noindex",
        },
    )


@get(
    "/v1/downloads/{token:str}/units/{unit:int}",
    access=TokenInPath(),
    guards=[limited("downloads")],
    opt={NO_HEAD: True},
    operation_id="downloadUnit",
)
async def download_unit(
    request: EdgeRequest, shop: TheShop, token: FromPath[str], unit: FromPath[int]
) -> Response[bytes]:
    """One unit behind a link as it is: the text of a key, the JSON of an account or a code, a
    licence file or an image as the file that it is. Counts as one download.
    """
    if len(token) > MAX_TOKEN:
        raise ProblemError("not-found")
    file = await shop.reveal.download(token, client=client_digest(request, shop), slot=unit)
    (entry,) = file.keys
    text = entry.key.encode()
    content = text if entry.encoding == "utf-8" else base64.b64decode(text)
    ending = ENDINGS.get(entry.content_type, "bin")
    name = entry.name or f"bitloot-{file.order}-{unit}.{ending}"
    return Response(
        content,
        media_type=entry.content_type,
        headers={
            "cache-control": "no-store",
            "content-disposition": attachment(name),
            "x-robots-tag": "noindex",
        },
    )


def attachment(name: str) -> str:
    """A `Content-Disposition` for a file of any name: nothing of it can end the header or a field.

    Source: RFC 6266, section 4.3 and appendix D: a plain name for old clients, the whole one
    percent-encoded for the others.
    """
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    whole = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{whole}'


def client_digest(request: EdgeRequest, shop: Shop) -> str:
    """Who downloads, as a keyed digest: enough to compare two downloads, too little to name one."""
    address = client_of(request.scope, shop.edge.trusted_proxies)
    agent = request.headers.get("user-agent", "")[:MAX_AGENT]
    told = f"{address}\n{agent}".encode()
    return hmac.digest(shop.edge.client_key, told, "sha256").hex()


def shown(file: KeyFile) -> DownloadedKeys:
    """The file as it is answered."""
    return DownloadedKeys(
        order=file.order,
        title=file.title,
        instructions=file.instructions,
        keys=tuple(
            FileKey(
                unit=entry.unit,
                content_type=entry.content_type,
                encoding=entry.encoding,
                key=entry.key,
                proof=_proof(entry.receipt),
                kind=UNSET if entry.kind == "key" else entry.kind,
                name=UNSET if entry.name is None else entry.name,
            )
            for entry in file.keys
        ),
    )


def _proof(signed: SignedReceipt) -> FileProof:
    receipt = signed.receipt
    return FileProof(
        receipt=FileReceipt(
            order=receipt.order,
            item=receipt.item,
            unit=receipt.unit,
            title=receipt.title,
            key_sha256=receipt.key_sha256,
            handed_over_at=receipt.handed_over_at,
            client=receipt.client,
        ),
        signed_text=msgspec.json.encode(receipt, order="sorted").decode(),
        signature=signed.signature,
        key_id=signed.key_id,
    )
