"""The file that a download gives, and the receipt in it that can be checked offline.

A receipt names the order, the unit, the time, the key's digest and the buyer's client as a digest;
it is signed over its canonical bytes, so one changed byte is seen by anybody with the public key.
"""

import base64
import hashlib
from datetime import datetime

import msgspec

from bitloot.domain.key_inventory import SealedKey
from bitloot.domain.stock_item import ItemKind, LicenceFile, opened


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What was handed over. `key_sha256` is the hex digest of the key as the file gives it."""

    order: str
    item: int
    unit: int
    title: str
    key_sha256: str
    handed_over_at: datetime
    client: str


class SignedReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """The receipt with its signature over `canonical(receipt)`, base64, and who signed."""

    receipt: Receipt
    signature: str
    key_id: str


class KeyEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One key of the file. Text as it is, an image as base64. Its repr shows no key.

    An account or a code with its PIN is JSON; a licence file is base64 and has a `name`.
    """

    unit: int
    kind: ItemKind
    name: str | None
    content_type: str
    encoding: str
    key: str
    receipt: SignedReceipt

    def __repr__(self) -> str:
        return f"KeyEntry(unit={self.unit})"


class KeyFile(msgspec.Struct, frozen=True, kw_only=True):
    """The JSON key file of one item."""

    order: str
    title: str
    instructions: str | None
    keys: tuple[KeyEntry, ...]


class OpenedKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key in the clear, in memory only. Its repr shows no serial.

    `serial` is what is handed over: of a licence file the file itself, with its own `content_type`
    and `name`.
    """

    slot: int
    content_type: str
    serial: bytes
    kind: ItemKind = "key"
    name: str | None = None

    def __repr__(self) -> str:
        return f"OpenedKey(slot={self.slot})"


def opened_key(key: SealedKey, plaintext: bytes) -> OpenedKey:
    """What is handed over of a sealed key. Raises ValueError for bytes that are not of its kind."""
    item = opened(key.kind, plaintext)
    whole = OpenedKey(
        slot=key.slot or 0, content_type=key.content_type, serial=plaintext, kind=key.kind
    )
    if isinstance(item, LicenceFile):
        return msgspec.structs.replace(
            whole, content_type=item.media_type, serial=item.content, name=item.name
        )
    return whole


def canonical(receipt: Receipt) -> bytes:
    """The bytes that are signed: JSON with sorted names and no white space."""
    return msgspec.json.encode(receipt, order="sorted")


def receipt_of(
    key: OpenedKey, *, order: str, item: int, title: str, client: str, at: datetime
) -> Receipt:
    """The receipt of one key. `client` is a digest of the client's address and agent."""
    return Receipt(
        order=order,
        item=item,
        unit=key.slot,
        title=title,
        key_sha256=hashlib.sha256(key.serial).hexdigest(),
        handed_over_at=at,
        client=client,
    )


def entry_of(key: OpenedKey, receipt: SignedReceipt) -> KeyEntry:
    """The key as the file shows it: text where it is text, base64 for everything else."""
    text: str | None = None
    is_text = key.content_type.startswith("text/") or key.kind in {"account", "code-with-pin"}
    if is_text and key.kind != "licence-file":
        try:
            text = key.serial.decode("utf-8")
        except UnicodeDecodeError:
            text = None
    return KeyEntry(
        unit=key.slot,
        kind=key.kind,
        name=key.name,
        content_type=key.content_type,
        encoding="base64" if text is None else "utf-8",
        key=base64.b64encode(key.serial).decode() if text is None else text,
        receipt=receipt,
    )
