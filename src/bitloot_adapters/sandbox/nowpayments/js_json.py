"""JSON exactly as JavaScript writes it: `JSON.stringify` and Number-to-string.

The vendor's servers run on Node, so their replies, and the text over which a callback is
signed, follow ECMAScript (`Number::toString`, `SerializeJSONProperty`).
"""

import json
import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal, TypeAlias

Json: TypeAlias = "Mapping[str, Json] | Sequence[Json] | str | int | float | Decimal | bool | None"

_SHORT_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\b": "\\b",
    "\t": "\\t",
    "\n": "\\n",
    "\f": "\\f",
    "\r": "\\r",
}
_FIRST_PRINTABLE = 0x20
_SURROGATES = range(0xD800, 0xE000)
_LARGEST_ARRAY_INDEX = 2**32 - 2
_PLAIN_UP_TO = 21
_PLAIN_DOWN_TO = -6


def js_number(value: float) -> str:
    """Write a double as `String(value)` does; what is not finite becomes `null`."""
    if not math.isfinite(value):
        return "null"
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    if not isinstance(exponent, int):  # pragma: no cover - finite values only get here
        raise TypeError("a finite number has an integer exponent")
    text = "".join(map(str, digits))
    point = len(text) + exponent
    if len(text) <= point <= _PLAIN_UP_TO:
        body = text + "0" * (point - len(text))
    elif 0 < point <= _PLAIN_UP_TO:
        body = f"{text[:point]}.{text[point:]}"
    elif _PLAIN_DOWN_TO < point <= 0:
        body = "0." + "0" * -point + text
    else:
        fraction = f".{text[1:]}" if len(text) > 1 else ""
        body = f"{text[0]}{fraction}e{point - 1:+d}"
    return f"-{body}" if sign else body


def js_string(value: str) -> str:
    """Quote a string: non-ASCII stays raw, control characters and lone surrogates do not."""
    # A pair of surrogates that the parser left apart is one character to JavaScript.
    joined = value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return '"' + "".join(map(_js_character, joined)) + '"'


def _js_character(character: str) -> str:
    if character in _SHORT_ESCAPES:
        return _SHORT_ESCAPES[character]
    code = ord(character)
    if code < _FIRST_PRINTABLE or code in _SURROGATES:
        return f"\\u{code:04x}"
    return character


def js_key_order(key: str) -> tuple[int, int, bytes]:
    """Sort key of an object whose keys were sorted: array indices first, then UTF-16 units."""
    if key.isascii() and key.isdigit() and str(int(key)) == key:
        index = int(key)
        if index <= _LARGEST_ARRAY_INDEX:
            return (0, index, b"")
    return (1, 0, key.encode("utf-16-be", "surrogatepass"))


def stringify(value: Json, *, sort: bool = False, style: Literal["js", "loose"] = "js") -> str:
    """Write `value`; `sort` orders the keys of every object.

    `style="loose"` puts blanks after `,` and `:` and writes whole `Decimal` amounts as
    `13.0`, as callbacks of 2023 looked; it never changes the value.
    """
    comma, colon = (",", ":") if style == "js" else (", ", ": ")
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, str):
        return js_string(value)
    if isinstance(value, Decimal):
        whole = style == "loose" and value == value.to_integral_value()
        return f"{int(value)}.0" if whole else js_number(float(value))
    if isinstance(value, int | float):
        return js_number(float(value))
    if isinstance(value, Mapping):
        keys = sorted(value, key=js_key_order) if sort else list(value)
        pairs = (
            f"{js_string(key)}{colon}{stringify(value[key], sort=sort, style=style)}"
            for key in keys
        )
        return "{" + comma.join(pairs) + "}"
    return "[" + comma.join(stringify(item, sort=sort, style=style) for item in value) + "]"


def canonical(text: str, *, arrays: Literal["array", "index_object"] = "array") -> str:
    """The text that is signed: parsed, keys sorted recursively, written without spaces.

    `arrays="index_object"` turns `[a,b]` into `{"0":a,"1":b}`, as the vendor's
    documentation sample does; the vendor's SDK keeps arrays.
    """
    parsed: Json = json.loads(text, parse_int=float, parse_float=float)
    return stringify(_indexed(parsed) if arrays == "index_object" else parsed, sort=True)


def _indexed(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {key: _indexed(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {str(index): _indexed(item) for index, item in enumerate(value)}
    return value
