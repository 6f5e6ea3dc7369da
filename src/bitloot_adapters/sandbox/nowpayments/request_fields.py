"""Reading a JSON body field by field, so that a refusal names the field."""

import json
from collections.abc import Collection, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final
from urllib.parse import urlsplit

from bitloot_adapters.sandbox.nowpayments.errors import ApiError, invalid_params
from bitloot_adapters.sandbox.nowpayments.js_json import Json

_LONGEST_TEXT: Final = 4096
_LONGEST_SPAN: Final = 1_000_000_000


class Fields:
    """One JSON object; every reader raises `INVALID_REQUEST_PARAMS` naming the field."""

    def __init__(self, values: Mapping[str, Json]) -> None:
        self.values = values

    @classmethod
    def parse(cls, body: bytes) -> "Fields":
        """Read a body. Empty stands for `{}`; amounts keep the digits that were sent."""
        if not body.strip():
            return cls({})
        try:
            parsed: Json = json.loads(body, parse_float=Decimal)
        except (ValueError, RecursionError, ArithmeticError):
            raise ApiError(400, "INVALID_REQUEST_PARAMS", "body is not valid JSON") from None
        if not isinstance(parsed, Mapping):
            raise invalid_params("body must be an object")
        return cls(parsed)

    def has(self, name: str) -> bool:
        return self.values.get(name) is not None

    def text(self, name: str) -> str | None:
        value = self.values.get(name)
        if value is None:
            return None
        if not isinstance(value, str):
            raise invalid_params(f"{name} must be a string")
        if len(value) > _LONGEST_TEXT:
            raise invalid_params(f"{name} must not be longer than {_LONGEST_TEXT} characters")
        # What is no character becomes U+FFFD, as in the vendor's database.
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

    def required_text(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise invalid_params(f"{name} is required")
        return value

    def currency(self, name: str) -> str:
        return self.required_text(name).strip().lower()

    def amount(self, name: str) -> Decimal | None:
        """A positive JSON number; text is refused, as the vendor's schema says number."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise invalid_params(f"{name} must be a number")
        if not 0 < value < Decimal("1e18"):
            raise invalid_params(f"{name} must be a positive number")
        return Decimal(value)

    def required_amount(self, name: str) -> Decimal:
        value = self.amount(name)
        if value is None:
            raise invalid_params(f"{name} is required")
        return value

    def flag(self, name: str, *, default: bool = False) -> bool:
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise invalid_params(f"{name} must be a boolean")
        return value

    def choice(self, name: str, allowed: Collection[str], default: str) -> str:
        value = self.text(name)
        if value is None:
            return default
        if value not in allowed:
            raise invalid_params(f"{name} must be one of {', '.join(sorted(allowed))}")
        return value

    def url(self, name: str) -> str | None:
        value = self.text(name)
        if value is not None and not _is_web_address(value):
            raise invalid_params(f"{name} must be a valid url with a scheme")
        return value

    def number_id(self, name: str) -> int:
        """An id sent as a number or as digits."""
        value = self.values.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
            return int(value)
        raise invalid_params(f"{name} is required and must be a number")

    def exact(self, name: str) -> Decimal | None:
        """A positive amount as text or number (control door)."""
        value = self.values.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
            raise invalid_params(f"{name} must be a number or its text")
        try:
            amount = Decimal(value)
        except InvalidOperation:
            raise invalid_params(f"{name} must be a number or its text") from None
        if not (amount.is_finite() and 0 <= amount < Decimal("1e18")):
            raise invalid_params(f"{name} must be zero or a positive number")
        return amount

    def seconds(self, name: str, default: float) -> float:
        value = self.exact(name)
        if value is not None and value > _LONGEST_SPAN:
            raise invalid_params(f"{name} must not be more than {_LONGEST_SPAN} seconds")
        return default if value is None else float(value)

    def count(self, name: str, default: int, *, most: int = 1000) -> int:
        value = self.exact(name)
        if value is None:
            return default
        if value != int(value) or not 1 <= value <= most:
            raise invalid_params(f"{name} must be a whole number from 1 to {most}")
        return int(value)

    def texts(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self.values.get(name)
        if value is None:
            return default
        if not isinstance(value, list) or not value or len(value) > 50:
            raise invalid_params(f"{name} must be a list of 1 to 50 texts")
        texts = tuple(item for item in value if isinstance(item, str))
        if len(texts) != len(value):
            raise invalid_params(f"{name} must be a list of texts")
        return texts


def _is_web_address(text: str) -> bool:
    try:
        return urlsplit(text).scheme in {"http", "https"}
    except ValueError:
        return False
