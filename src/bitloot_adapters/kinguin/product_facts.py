"""What a product is, as Kinguin tells it: names, requirements, pictures and films, cleaned.

All of these are optional: a field of the wrong type or out of range is left out, and every list
and text has its most.

Source: Kinguin eCommerce API documentation, product v1, "Product object".
"""

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import islice
from typing import Final
from urllib.parse import urlsplit

from bitloot.ports.supplier import SupplierMedia, SystemRequirements
from bitloot.ports.supplier_catalogue import MediaKind
from bitloot_adapters.kinguin import plain_text
from bitloot_adapters.kinguin.values import Json, elements, fields, percent, word

MAX_NAME: Final = 300
MAX_LABEL: Final = 100
MAX_LABELS: Final = 50
MAX_SYSTEMS: Final = 10
MAX_REQUIREMENTS: Final = 40
MAX_SCREENSHOTS: Final = 30
MAX_VIDEOS: Final = 10
MAX_URL: Final = 2_000
VIDEO_PAGE: Final = "https://www.youtube.com/watch?v="
_VIDEO_ID: Final = re.compile(r"[A-Za-z0-9_-]{11}")
_STEAM_APP: Final = re.compile(r"[1-9][0-9]{0,9}")


def name(value: Json, limit: int = MAX_NAME) -> str | None:
    """One line of text, None where there is none."""
    return (plain_text.line(value, limit) or None) if isinstance(value, str) else None


def labels(value: Json) -> tuple[str, ...]:
    """Short names, each once whatever its case, in the spelling of the first."""
    read = (name(each, MAX_LABEL) for each in elements(value))
    return tuple(islice(once(label for label in read if label is not None), MAX_LABELS))


def once(words: Iterator[str]) -> Iterator[str]:
    """Each word as it is spelt first, whatever its case later."""
    seen: set[str] = set()
    for each in words:
        folded = each.casefold()
        if folded not in seen:
            seen.add(folded)
            yield each


def metacritic(value: Json) -> Decimal | None:
    """A score above 0 and at most 100: 0 says that there is none."""
    return percent(value) or None


def steam_app(value: Json) -> str | None:
    """The number of a Steam app, as text."""
    read = word(value)
    return read if read is not None and _STEAM_APP.fullmatch(read) else None


def system_requirements(value: Json) -> tuple[SystemRequirements, ...]:
    """One entry a system, in plain lines; a system that is named twice is taken as said first."""
    found: dict[str, SystemRequirements] = {}
    for each in elements(value):
        body = fields(each)
        system, asked = name(body.get("system"), MAX_LABEL), body.get("requirement")
        lines = _plain_lines([asked] if isinstance(asked, str) else elements(asked))
        if system is not None and lines and len(found) < MAX_SYSTEMS:
            found.setdefault(system, SystemRequirements(system=system, requirements=lines))
    return tuple(found.values())


def _plain_lines(values: Sequence[Json]) -> tuple[str, ...]:
    """Without markup; `prose` first, since a line keeps what looks like a tag."""
    texts = (plain_text.prose(each, MAX_NAME) for each in values if isinstance(each, str))
    lines = (plain_text.line(text, MAX_NAME) for text in texts)
    return tuple(islice((each for each in lines if each), MAX_REQUIREMENTS))


def media(images: Json, videos: Json) -> tuple[SupplierMedia, ...]:
    """The cover, the screenshots, then the films; no address twice."""
    body = fields(images)
    shown = (
        *islice(_pictures("image", body.get("cover")), 1),
        *islice(_pictures("screenshot", body.get("screenshots")), MAX_SCREENSHOTS),
        *islice(_films(videos), MAX_VIDEOS),
    )
    found: dict[str, SupplierMedia] = {}
    for each in shown:
        found.setdefault(each.url, each)
    return tuple(found.values())


def cover_url(found: Sequence[SupplierMedia]) -> str | None:
    """The address of the cover, else of the first screenshot."""
    return next((each.url for each in found if each.kind != "video"), None)


def _pictures(kind: MediaKind, value: Json) -> Iterator[SupplierMedia]:
    """An object or an array of them; a picture whose own address is useless is its thumbnail."""
    for each in value if isinstance(value, list) else [value]:
        body = fields(each)
        url, thumbnail = web_address(body.get("url")), web_address(body.get("thumbnail"))
        if url is not None:
            yield SupplierMedia(kind=kind, url=url, thumbnail_url=thumbnail)
        elif thumbnail is not None:
            yield SupplierMedia(kind=kind, url=thumbnail)


def _films(value: Json) -> Iterator[SupplierMedia]:
    for each in elements(value):
        video_id = fields(each).get("video_id")
        if isinstance(video_id, str) and _VIDEO_ID.fullmatch(video_id.strip()):
            yield SupplierMedia(kind="video", url=VIDEO_PAGE + video_id.strip())


def web_address(value: Json) -> str | None:
    """An address of `http` or `https` with a host and without a user, safe inside markup."""
    if not isinstance(value, str) or len(value) > MAX_URL:
        return None
    url = value.strip()
    if not url.isprintable() or any(each in url for each in " \"'<>\\`"):
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    is_web = parts.scheme.lower() in {"http", "https"} and "@" not in parts.netloc
    return url if is_web and host else None
