"""What one unit of own stock is: a key, an account, a code with its PIN, or a licence file.

Each is sealed as bytes like any key. A key is its text as it stands; the others are JSON with
sorted names and no white space, so that equal items are equal bytes. What may be seen of one
without selling it is its preview; all of it leaves in a download alone.
"""

import re
from collections.abc import Mapping
from typing import ClassVar, Final, Literal, TypeAlias, get_args

import msgspec

ItemKind: TypeAlias = Literal["key", "account", "code-with-pin", "licence-file"]
TypedKind: TypeAlias = Literal["account", "code-with-pin", "licence-file"]

KINDS: Final[tuple[ItemKind, ...]] = get_args(ItemKind)
JSON_TYPE: Final = "application/json"
TEXT_TYPE: Final = "text/plain"
MAX_LOGIN: Final = 320
MAX_SECRET: Final = 1024
MAX_NOTE: Final = 2000
MAX_FILE_NAME: Final = 120
# What hides the rest of a text, however long that is.
HIDDEN: Final = "••••"
_SHOWN_OF_A_KEY: Final = 4
# RFC 6838, section 4.2: restricted names; parameters are not kept.
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+-]{0,63}"
_MEDIA_TYPE: Final = re.compile(rf"{_NAME}/{_NAME}", re.ASCII)

Fault: TypeAlias = Literal[
    "missing", "too_long", "not_text", "bad_name", "bad_media_type", "empty_file", "too_large"
]


# What a fault is called to whoever sent the field.
FAULTS: Final[Mapping[Fault, str]] = {
    "missing": "This must not be empty.",
    "too_long": "This is too long.",
    "not_text": "Control characters have no place here.",
    "bad_name": "Send the name of a file without its folder.",
    "bad_media_type": "Send a media type such as application/zip, without parameters.",
    "empty_file": "The file is empty.",
    "too_large": "The file is larger than a licence file may be.",
}


class ItemFault(ValueError):
    """A field that cannot be kept. Says nothing of its value."""

    def __init__(self, field: str, fault: Fault) -> None:
        super().__init__(f"{field}: {fault}")
        self.field = field
        self.fault: Fault = fault


class Account(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A login with its password. Its repr shows neither."""

    kind: ClassVar[TypedKind] = "account"

    login: str
    password: str
    note: str = ""

    def __repr__(self) -> str:
        return "Account()"


class CodeWithPin(msgspec.Struct, frozen=True, kw_only=True):
    """A code that opens with a PIN. Its repr shows neither."""

    kind: ClassVar[TypedKind] = "code-with-pin"

    code: str
    pin: str

    def __repr__(self) -> str:
        return "CodeWithPin()"


class LicenceFile(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A file as it is handed over; in JSON its content is base64. Its repr shows only a size."""

    kind: ClassVar[TypedKind] = "licence-file"

    name: str
    media_type: str
    content: bytes

    def __repr__(self) -> str:
        return f"LicenceFile({len(self.content)} bytes)"


TypedItem: TypeAlias = Account | CodeWithPin | LicenceFile


def account(login: str, password: str, note: str = "") -> Account:
    """An account; white space around login and note does not count. Raises ItemFault."""
    return Account(
        login=_text("login", login.strip(), MAX_LOGIN),
        password=_text("password", password, MAX_SECRET),
        note=_text("note", note.strip(), MAX_NOTE, optional=True),
    )


def code_with_pin(code: str, pin: str) -> CodeWithPin:
    """A code and its PIN, without white space around them. Raises ItemFault."""
    return CodeWithPin(
        code=_text("code", code.strip(), MAX_SECRET), pin=_text("pin", pin.strip(), MAX_SECRET)
    )


def licence_file(name: str, media_type: str, content: bytes, *, most: int) -> LicenceFile:
    """A file of at most so many bytes. Raises ItemFault."""
    named = _text("name", name.strip(), MAX_FILE_NAME)
    if named in {".", ".."} or "/" in named or "\\" in named:
        raise ItemFault("name", "bad_name")
    kind = media_type.strip().lower()
    if _MEDIA_TYPE.fullmatch(kind) is None:
        raise ItemFault("mediaType", "bad_media_type")
    if not content:
        raise ItemFault("content", "empty_file")
    if len(content) > most:
        raise ItemFault("content", "too_large")
    return LicenceFile(name=named, media_type=kind, content=content)


def sealed_form(item: TypedItem) -> bytes:
    """The bytes that are sealed for an item."""
    return msgspec.json.encode(item, order="sorted")


def identity(item: TypedItem) -> bytes:
    """The bytes by which an item is known again.

    A note, and the name of a file, make no other item of the same goods.
    """
    if isinstance(item, LicenceFile):
        return b"licence-file\n" + item.content
    without = msgspec.structs.replace(item, note="") if isinstance(item, Account) else item
    return sealed_form(without)


def opened(kind: ItemKind, payload: bytes) -> TypedItem | None:
    """The item in its sealed bytes; None for a key. Raises ValueError for bytes that are none."""
    if kind == "key":
        return None
    try:
        if kind == "account":
            return msgspec.json.decode(payload, type=Account)
        if kind == "code-with-pin":
            return msgspec.json.decode(payload, type=CodeWithPin)
        return msgspec.json.decode(payload, type=LicenceFile)
    except msgspec.MsgspecError:
        # The cause would quote the payload.
        raise ValueError(f"sealed bytes are no {kind}") from None


def preview(kind: ItemKind, payload: bytes) -> str:
    """What the desk may see: the end of a key or code, half a login, the name of a file.

    Never more than the last four characters, nor more than a quarter of a key or code.
    """
    item = opened(kind, payload)
    if isinstance(item, Account):
        return item.login[: len(item.login) // 2] + HIDDEN
    if isinstance(item, LicenceFile):
        return item.name
    text = payload.decode("utf-8", "replace") if item is None else item.code
    shown = min(_SHOWN_OF_A_KEY, len(text) // 4)
    return HIDDEN + text[len(text) - shown :]


def _text(field: str, value: str, most: int, *, optional: bool = False) -> str:
    if not value and not optional:
        raise ItemFault(field, "missing")
    if len(value) > most:
        raise ItemFault(field, "too_long")
    if not value.isprintable():
        raise ItemFault(field, "not_text")
    return value
