"""Texts of strangers made harmless: what comes out is plain text, never markup."""

import html
import re
from html.parser import HTMLParser
from typing import Final

_SILENT: Final = frozenset({"script", "style", "template", "iframe", "object", "noscript", "svg"})
_BLOCKS: Final = frozenset(
    {"p", "div", "ul", "ol", "table", "tr", "section", "article", "blockquote", "pre", "hr"}
    | {f"h{level}" for level in range(1, 7)}
)
_PASSES: Final = 4
# More than this would only be read to be thrown away.
_MAX_SOURCE: Final = 200_000
_TAG_LEFT: Final = re.compile(r"<+(?=[A-Za-z/!?])")
_UNSTORABLE: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_BLANKS: Final = re.compile(r"[ \t\u00a0]+")
_EMPTY_LINES: Final = re.compile(r"\n{3,}")


class _Words(HTMLParser):
    """Collects the text between tags; scripts, styles and embedded objects are passed over."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.pieces: list[str] = []
        self._silent: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        del attrs
        if tag in _SILENT:
            self._silent.append(tag)
        elif tag == "br":
            self.pieces.append("\n")
        elif tag == "li":
            self.pieces.append("\n- ")
        elif tag in _BLOCKS:
            self.pieces.append("\n\n")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _SILENT:
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag in self._silent:
            del self._silent[self._silent.index(tag) :]
        elif tag in _BLOCKS:
            self.pieces.append("\n\n")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.pieces.append(data)


def prose(text: str, limit: int) -> str:
    """Paragraphs of plain text: tags gone, entities read, LF line ends, at most `limit` long.

    Text that was escaped more than once is read again until it stays the same, so that no markup
    can come out of a second reading elsewhere.
    """
    read = _allowed(text[:_MAX_SOURCE])
    for _ in range(_PASSES):
        before, read = read, _stripped(read)
        if read == before:
            break
    return _TAG_LEFT.sub("", _tidied(read))[:limit].rstrip()


def line(text: str, limit: int) -> str:
    """One line: entities read, every run of blanks or line ends a single blank, trimmed."""
    joined = " ".join(_allowed(html.unescape(text[:_MAX_SOURCE])).split())
    return joined[:limit].rstrip()


def _stripped(text: str) -> str:
    if "<" not in text and "&" not in text:
        return text
    parser = _Words()
    parser.feed(text)
    parser.close()
    return "".join(parser.pieces)


def _tidied(text: str) -> str:
    unified = _allowed(text.replace("\r\n", "\n").replace("\r", "\n"))
    lines = (_BLANKS.sub(" ", each).strip() for each in unified.split("\n"))
    return _EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip()


def _allowed(text: str) -> str:
    """Without control characters, direction overrides and halves of surrogate pairs."""
    return _UNSTORABLE.sub("", text)
