"""What is asked of every request before its handler: known parameters, and a body to the letter.

Bodies are decoded here strictly, by the shape that the handler declares: a number is no text, a
text no number, an unknown field is refused, and the problem names the field.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec
from litestar import Request
from litestar.datastructures import State
from litestar.exceptions import MethodNotAllowedException
from litestar.handlers import HTTPRouteHandler
from litestar.params import ParameterKwarg, QueryParameter

from bitloot_web.problems import FieldError, ProblemError

EdgeRequest: TypeAlias = Request[None, None, State]

# In the state of a request: it was a HEAD.
HEAD_ONLY: Final = "head_only"
# In the options of a route: its GET is no mere reading, so nobody may do it by a HEAD.
NO_HEAD: Final = "no_head"
# What msgspec reads as None wherever None may stand: as a word it is no value of a parameter.
_NOTHING: Final = "null"
MAX_NAME: Final = 60
MAX_ERRORS: Final = 10
_AT: Final = re.compile(r" - at `(?:key in )?\$\.?(?P<path>.*)`$")
_NAMED: Final = re.compile(r"(?:unknown|required) field `(?P<name>[^`]*)`")
_JSON: Final = re.compile(r"application/(?:[\w.+-]+\+)?json", re.IGNORECASE)


async def check_request(request: EdgeRequest) -> None:
    """Raises ProblemError `invalid-request`, `unsupported-media-type` or `invalid-input`, and
    MethodNotAllowedException for a HEAD where a GET does more than read.
    """
    handler = request.route_handler
    if handler.opt.get(NO_HEAD) and request.scope["state"].get(HEAD_ONLY):
        raise MethodNotAllowedException(headers={"Allow": "GET"})
    _check_query(request, _query_names(handler))
    if any("\x00" in str(value) for value in request.path_params.values()):
        raise ProblemError("not-found")
    field = handler.parsed_data_field
    if field is not None:
        content_type = request.content_type[0]
        body = await request.body()
        if not _JSON.fullmatch(content_type) and (content_type or body):
            raise ProblemError("unsupported-media-type")
        if body or not field.has_default:
            read_json(body, field.annotation)


def _check_query(request: EdgeRequest, known: Mapping[str, "_Known"]) -> None:
    seen: set[str] = set()
    errors: list[FieldError] = []
    for name, value in sorted(request.query_params.multi_items()):
        shown = name[:MAX_NAME]
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            errors.append(FieldError(shown, f"This parameter is not known here; known: {names}."))
        elif name in seen:
            errors.append(FieldError(shown, "Give this parameter once."))
        elif "\x00" in value:
            errors.append(FieldError(shown, "Leave out the NUL character."))
        elif value.lower() == _NOTHING and not known[name].is_text:
            errors.append(FieldError(shown, "Give a value, or leave this parameter out."))
        seen.add(name)
    if not errors:
        missing = sorted(
            name for name, each in known.items() if each.is_needed and name not in seen
        )
        errors = [FieldError(name, "This parameter is needed.") for name in missing]
    if errors:
        raise ProblemError("invalid-request", errors=tuple(errors[:MAX_ERRORS]))


class _Known(msgspec.Struct, frozen=True):
    """What is known of a query parameter."""

    is_needed: bool
    is_text: bool


@lru_cache(maxsize=512)
def _query_names(handler: HTTPRouteHandler) -> Mapping[str, _Known]:
    """The query parameters of a handler by their names on the wire."""
    return {
        kwarg.name or name: _Known(
            is_needed=not field.has_default,
            is_text=any(each.annotation is str for each in (field, *field.inner_types)),
        )
        for name, field in handler.parsed_fn_signature.parameters.items()
        if isinstance(kwarg := field.kwarg_definition, QueryParameter)
    }


def wire_name(handler: HTTPRouteHandler, parameter: str) -> str:
    """How a parameter of a handler is called on the wire."""
    field = handler.parsed_fn_signature.parameters.get(parameter)
    kwarg = field.kwarg_definition if field else None
    return (kwarg.name or parameter) if isinstance(kwarg, ParameterKwarg) else parameter


def read_json(body: bytes, shape: type) -> None:
    """Decode strictly. Raises ProblemError `invalid-request` or `invalid-input`."""
    if not body.strip():
        raise ProblemError("invalid-request", "The body is missing; send a JSON object.")
    try:
        msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        raise ProblemError("invalid-input", errors=(field_error(str(error)),)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise ProblemError("invalid-request", "The body is no valid JSON.") from None


def field_error(message: str) -> FieldError:
    """The field and the remedy in a message of msgspec."""
    at = _AT.search(message)
    path = at["path"] if at else ""
    text = message[: at.start()] if at else message
    named = _NAMED.search(text)
    if named is not None:
        name = named["name"][:MAX_NAME]
        path = f"{path}.{name}" if path else name
    return FieldError(path or "body", text.replace("`", "") + ".")
