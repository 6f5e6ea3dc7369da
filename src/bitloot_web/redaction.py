"""What no log record may show, whoever wrote it: the last step before a record becomes text.

Values under telling names, secrets of the settings wherever they stand, tokens in URLs, bearer
tokens, keys that look like keys, and most of every e-mail address are replaced. Bytes and objects
are named, not shown. Control characters are written out, so that one record stays one line.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import islice
from typing import Final
from uuid import UUID

MASK: Final = "[hidden]"
MAX_TEXT: Final = 2000
MAX_ITEMS: Final = 50
MAX_DEPTH: Final = 8
MAX_NAMES: Final = 1000
# Words of the program come again in each record: what showed nothing is remembered as such.
MAX_CLEAN: Final = 1000
MAX_CLEAN_TEXT: Final = 64
# Shorter ones would be found by chance in harmless text.
SECRET_MIN: Final = 8
SECRET_MAX: Final = 4096
MAX_INTEGER: Final = 2**63 - 1
_PLAIN: Final = (Decimal, UUID, datetime, date, timedelta)

_TELLING: Final = (
    r"secret|token|passw|passphrase|authoriz|cookie|signature|serial|credential|pepper|keks?\b"
    r"|plaintext|private_?key|api_?key|access_?key|licen[cs]e_?key|x-[a-z-]*sig\b|\botp\b"
)
_TELLING_NAME: Final = re.compile(_TELLING, re.IGNORECASE)
# Names that tell only as a whole; `code` is also the name of a refusal.
_WHOLE_NAMES: Final = frozenset({"key", "keys", "sig", "pin", "otp_code"})
_CODE_VALUE: Final = re.compile(r"\d{4,10}")

# Each pattern is tried only where one of its hints stands in the lower-case text: most texts hold
# none, and looking for a word is a hundred times cheaper than looking for a pattern.
_PATTERNS: Final = (
    # `Bearer …` and `Basic …` wherever they stand
    (
        ("bearer", "basic"),
        re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE),
        rf"\1 {MASK}",
    ),
    # the links that are secrets themselves
    (
        ("/downloads/", "/unsubscribe/"),
        re.compile(r"(/(?:downloads|unsubscribe)/)[^\s/?#\"'<>]+", re.IGNORECASE),
        rf"\1{MASK}",
    ),
    # user and password of an address
    (
        ("://",),
        re.compile(r"(\b[a-z][a-z0-9+.-]{0,20}://)[^\s/@\"']{0,300}@", re.IGNORECASE),
        rf"\1{MASK}@",
    ),
    # `name=value`, `name: value`, `"name": "value"`
    (
        (
            *("secret", "token", "passw", "passphrase", "authoriz", "cookie", "signature"),
            *("serial", "credential", "pepper", "kek", "plaintext", "key", "sig", "otp"),
        ),
        re.compile(
            rf"((?:{_TELLING})[\w-]{{0,40}}[\"']?\s*[:=]\s*[\"']?)(?!{re.escape(MASK)})"
            r"[^\s\"',;&}\])]+",
            re.IGNORECASE,
        ),
        rf"\1{MASK}",
    ),
    # JSON Web Tokens
    (("eyj",), re.compile(r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*"), MASK),
    # XXXXX-XXXXX-XXXXX; our ids are in lower case
    (
        ("-",),
        re.compile(r"\b(?=[A-Z0-9-]{0,70}[A-Z])[A-Z0-9]{4,8}(?:-[A-Z0-9]{4,8}){2,7}\b"),
        MASK,
    ),
)
# An id of ours, a digest or a time: no pattern above fits one, and each of them is a new text.
_ID_OR_TIME: Final = re.compile(
    r"[0-9a-f-]{1,64}|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII
)
_ADDRESS: Final = re.compile(r"([^\s@<>\"'(),:;=\[\]]{1,64})@([\w-]{1,63}(?:\.[\w-]{1,63})+)")


class Redactor:
    """`secrets` are values of the settings, masked wherever they appear."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        known = {secret for secret in secrets if SECRET_MIN <= len(secret) <= SECRET_MAX}
        self._secrets = sorted(known, key=len, reverse=True)
        self._names: dict[str, tuple[str, bool]] = {}
        self._clean: set[str] = set()

    def fields(self, record: Mapping[str, object]) -> dict[str, object]:
        """The record as it may be shown."""
        return self._mapping(record, 0)

    def text(self, text: str) -> str:
        """A text as it may be shown: one line, bounded."""
        if text in self._clean:
            return text
        if _ID_OR_TIME.fullmatch(text) and not any(secret in text for secret in self._secrets):
            return text
        shown = self._masked(text)
        if shown == text and len(text) <= MAX_CLEAN_TEXT:
            if len(self._clean) >= MAX_CLEAN:
                self._clean.clear()
            self._clean.add(text)
        return shown

    def _masked(self, text: str) -> str:
        shown = text[: MAX_TEXT + SECRET_MAX]
        # Before the cut, so that no part of a secret is left at the edge.
        for secret in self._secrets:
            shown = shown.replace(secret, MASK)
        shown = shown[:MAX_TEXT]
        lowered = shown.lower()
        for hints, pattern, replacement in _PATTERNS:
            if any(hint in lowered for hint in hints):
                shown = pattern.sub(replacement, shown)
        if "@" in shown:
            shown = _ADDRESS.sub(_shortened, shown)
        return one_line(shown) + ("…" if len(text) > MAX_TEXT else "")

    def _mapping(self, record: Mapping[str, object], depth: int) -> dict[str, object]:
        shown: dict[str, object] = {}
        for name, value in islice(record.items(), MAX_ITEMS):
            told, tells = self._name(str(name))
            hidden = tells and value is not None and not isinstance(value, bool)
            if hidden or (isinstance(value, str | int) and _is_code(told, value)):
                shown[told] = MASK
            else:
                shown[told] = self._value(value, depth)
        return shown

    def _name(self, name: str) -> tuple[str, bool]:
        """A field's name as it may be shown, and whether its value is a secret."""
        known = self._names.get(name)
        if known is None:
            tells = name.lower() in _WHOLE_NAMES or _TELLING_NAME.search(name) is not None
            known = self.text(name), tells
            if len(self._names) < MAX_NAMES:
                self._names[name] = known
        return known

    def _value(self, value: object, depth: int) -> object:
        if value is None or isinstance(value, bool | float):
            return value
        if isinstance(value, int):
            return value if abs(value) <= MAX_INTEGER else str(value)[:MAX_TEXT]
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, _PLAIN):
            return str(value)
        return self._nested(value, depth)

    def _nested(self, value: object, depth: int) -> object:
        """Mappings and lists are looked into; anything else is only named: it may quote secrets."""
        if depth < MAX_DEPTH and not isinstance(value, bytes | bytearray | memoryview):
            if isinstance(value, Mapping):
                return self._mapping(value, depth + 1)
            if isinstance(value, Sequence | set | frozenset):
                return [self._value(item, depth + 1) for item in islice(value, MAX_ITEMS)]
        return f"<{type(value).__name__}>"


def one_line(text: str) -> str:
    """Control, format and line-separating characters written out as escapes."""
    if text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character.isprintable() or unicodedata.category(character) == "Zs":
        return character
    return character.encode("unicode_escape", "backslashreplace").decode()


def _is_code(name: str, value: str | int) -> bool:
    """A one-time code, such as `code=493817`; refusals have codes, too, but in words."""
    return "code" in name.lower() and _CODE_VALUE.fullmatch(str(value)) is not None


def _shortened(found: re.Match[str]) -> str:
    return f"{found[1][0]}…@{found[2]}"
