"""Query parameters: reading them, and refusing what the documentation does not allow."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from urllib.parse import parse_qsl

from bitloot_adapters.sandbox.kinguin.errors import violation

DEFAULT_LIMIT = 25
MAX_LIMIT = 100
DATE_FORMATS = (
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%S.%fZ",
    "%Y-%m-%dT%H:%M:%S%z",
)

Query = Mapping[str, str]


def parse(query_string: bytes) -> Query:
    """The last value of each parameter; a bare `+` means a blank, as everywhere in URLs."""
    return dict(parse_qsl(query_string.decode("latin-1"), keep_blank_values=True))


def paging(query: Query) -> tuple[int, int]:
    """`page` (from 1) and `limit` (1 to 100, 25 when absent)."""
    page = whole(query, "page")
    limit = whole(query, "limit")
    if page is not None and page < 1:
        raise violation("page", "This value should be greater than or equal to 1.", page)
    if limit is not None and not 1 <= limit <= MAX_LIMIT:
        raise violation("limit", "This value should be between 1 and 100.", limit)
    return page or 1, limit or DEFAULT_LIMIT


def whole(query: Query, name: str) -> int | None:
    raw = query.get(name)
    if raw is None:
        return None
    if not raw.removeprefix("-").isascii() or not raw.removeprefix("-").isdigit():
        raise violation(name, "This value should be of type integer.", raw)
    if len(raw) > 12:
        raise violation(name, "This value is out of range.", raw)
    return int(raw)


def wholes(query: Query, name: str) -> frozenset[int] | None:
    """A comma-separated list of integers."""
    listed = words(query, name)
    if listed is None:
        return None
    return frozenset(whole({name: item}, name) or 0 for item in listed)


def words(query: Query, name: str) -> frozenset[str] | None:
    """A comma-separated list of names, compared without regard to case."""
    raw = query.get(name)
    if raw is None:
        return None
    return frozenset(part.strip().casefold() for part in raw.split(",") if part.strip())


def amount(query: Query, name: str) -> Decimal | None:
    raw = query.get(name)
    if raw is None:
        return None
    try:
        value = Decimal(raw)
    except InvalidOperation:
        raise violation(name, "This value should be of type float.", raw) from None
    if not value.is_finite():
        raise violation(name, "This value should be of type float.", raw)
    return value


def choice(query: Query, name: str, *allowed: str) -> str | None:
    raw = query.get(name)
    if raw is not None and raw not in allowed:
        raise violation(name, f"The value must be one of: {', '.join(allowed)}.", raw)
    return raw


def moment(query: Query, name: str) -> datetime | None:
    """A date in one of the five documented formats; without an offset it is UTC."""
    raw = query.get(name)
    if raw is None:
        return None
    for pattern in DATE_FORMATS:
        zoned = pattern.endswith("%z")
        text, shape = (raw, pattern) if zoned else (f"{raw} +0000", f"{pattern} %z")
        try:
            return datetime.strptime(text, shape).astimezone(UTC)
        except (ValueError, OverflowError):
            continue
    raise violation(name, "This value is not a valid date.", raw)
