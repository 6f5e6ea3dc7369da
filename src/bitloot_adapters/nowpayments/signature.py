"""Whether a callback was signed by NOWPayments.

The gateway signs what JavaScript's `JSON.stringify` makes of the body with its keys sorted: not
the bytes that Python would write. A body is accepted when the HMAC-SHA-512 under the IPN secret
matches one of three texts, tried in this order:

1. the raw bytes (bodies have arrived compact and sorted since about 2024);
2. the JavaScript form with sorted keys, arrays kept as they are;
3. the same with arrays turned into objects with index keys, as the vendor's sample does.

Each needs the secret, so accepting any of them is safe. A body with a repeated key is never
canonicalised: two readers could understand it differently.

Source: NOWPayments IPN documentation, official Node SDK (`ipn.js`), ECMAScript `Number::toString`.
"""

import hmac
import json
import math
import re
from collections.abc import Iterable, Iterator
from typing import Final, NoReturn, TypeAlias

Json: TypeAlias = "str | float | bool | list[Json] | dict[str, Json] | None"

HEX_DIGITS: Final = 128
MAX_DEPTH: Final = 32
_INDEX: Final = re.compile(r"0|[1-9][0-9]{0,9}")
_NUMBERED: Final = re.compile(r"^[0-9]", re.MULTILINE)
_MAX_INDEX: Final = 2**32 - 2
_ESCAPED: Final = re.compile('[\x00-\x1f"\\\\\ud800-\udfff]')
_SHORT: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
}


class Unreadable(ValueError):
    """A body that is no unambiguous JSON: not UTF-8, not JSON, a repeated key, nested too deep."""


def is_signed(body: bytes, header: str, secret: str) -> bool:
    """Whether `header` (`x-nowpayments-sig`) is the signature of `body` under `secret`.

    The header is trimmed and may be in upper case; the secret is trimmed. Compared in constant
    time. An empty header or secret never matches.
    """
    given, key = header.strip(), secret.strip().encode()
    if not key or len(given) != HEX_DIGITS:
        return False
    try:
        told = bytes.fromhex(given)
    except ValueError:
        return False
    return any(
        hmac.compare_digest(hmac.digest(key, text, "sha512"), told) for text in _signed_texts(body)
    )


def _signed_texts(body: bytes) -> Iterator[bytes]:
    yield body
    try:
        parsed = parse_as_javascript(body)
    except Unreadable:
        return
    yield stringify(parsed).encode("utf-8", "surrogatepass")
    if b"[" in body:
        yield stringify(parsed, indexed=True).encode("utf-8", "surrogatepass")


def parse_as_javascript(body: bytes) -> Json:
    """The body as `JSON.parse` sees it: every number a double. Raises Unreadable."""
    try:
        parsed: Json = _JAVASCRIPT.decode(body.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise Unreadable(type(error).__name__) from None
    # Only what opens so many times can be so deep; nearly no body does.
    if body.count(b"{") + body.count(b"[") >= MAX_DEPTH:
        _check_depth(parsed, MAX_DEPTH)
    return parsed


def _no_repeats(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    read = dict(pairs)
    if len(read) != len(pairs):
        raise Unreadable("a key is repeated")
    return read


def _refuse_constant(name: str) -> NoReturn:
    raise Unreadable(f"{name} is not JSON")


_JAVASCRIPT: Final = json.JSONDecoder(
    object_pairs_hook=_no_repeats,
    parse_int=float,
    parse_float=float,
    parse_constant=_refuse_constant,
)


def _check_depth(value: Json, left: int) -> None:
    if left == 0:
        raise Unreadable("nested too deep")
    if isinstance(value, dict):
        for child in value.values():
            _check_depth(child, left - 1)
    elif isinstance(value, list):
        for child in value:
            _check_depth(child, left - 1)


def stringify(value: Json, *, indexed: bool = False) -> str:
    """`JSON.stringify` of a parsed value with its keys sorted recursively, without spaces.

    `indexed`: arrays are written as objects with index keys, which come in their order by rule.
    """
    # Whoever sends forged bodies has them written too: numbers and texts, which are nearly all of
    # a large one, come first.
    if isinstance(value, float):
        return javascript_number(value)
    if isinstance(value, str):
        return _string(value)
    if isinstance(value, dict):
        pairs = [f"{_string(key)}:{stringify(value[key], indexed=indexed)}" for key in _keys(value)]
        return "{" + ",".join(pairs) + "}"
    if isinstance(value, list):
        written = [stringify(each, indexed=indexed) for each in value]
        if indexed:
            return "{" + ",".join(f'"{n}":{each}' for n, each in enumerate(written)) + "}"
        return "[" + ",".join(written) + "]"
    return "null" if value is None else "true" if value else "false"


def _keys(value: dict[str, Json]) -> Iterable[str]:
    """In JavaScript's order; where every letter is ASCII and no key a number, that is Python's."""
    if len(value) < 2:
        return value
    joined = "\n".join(value)
    is_plain = joined.isascii() and not _NUMBERED.search(joined)
    return sorted(value) if is_plain else sorted(value, key=_place)


def _place(key: str) -> tuple[int, int, bytes]:
    """Where JavaScript puts a key: array indices first by number, then by UTF-16 code units."""
    if _INDEX.fullmatch(key) and int(key) <= _MAX_INDEX:
        return (0, int(key), b"")
    return (1, 0, key.encode("utf-16-be", "surrogatepass"))


def _string(text: str) -> str:
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    letter = found[0]
    return _SHORT.get(letter) or f"\\u{ord(letter):04x}"


def javascript_number(number: float) -> str:
    """A double as ECMAScript's `Number::toString` writes it; infinities become `null`."""
    text = repr(number)
    if text.endswith(".0"):
        return text[:-2] if number else "0"
    if "e" not in text and "n" not in text:
        return text
    return _in_exponents(number)


def _in_exponents(number: float) -> str:
    """One that Python writes with an exponent, or that is none."""
    if not math.isfinite(number):
        return "null"
    sign = "-" if number < 0 else ""
    mantissa, _, exponent = repr(abs(number)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    fraction = "" if fraction == "0" and not exponent else fraction.rstrip("0")
    digits = (whole + fraction).lstrip("0")
    # The point stands `point` digits to the right of the first significant digit's left side.
    leading_zeros = len(whole + fraction) - len((whole + fraction).lstrip("0"))
    point = len(whole) - leading_zeros + int(exponent or 0)
    digits = digits.rstrip("0")
    return sign + _layout(digits, point)


def _layout(digits: str, point: int) -> str:
    count = len(digits)
    if count <= point <= 21:
        return digits + "0" * (point - count)
    if 0 < point <= 21:
        return f"{digits[:point]}.{digits[point:]}"
    if -6 < point <= 0:
        return f"0.{'0' * -point}{digits}"
    mantissa = digits if count == 1 else f"{digits[0]}.{digits[1:]}"
    return f"{mantissa}e{'+' if point > 0 else '-'}{abs(point - 1)}"
