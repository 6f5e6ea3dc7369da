"""The version of a row on its way: out as an `ETag`, back in an `If-Match`.

Whoever changes something says which version they read; what was changed meanwhile is not written
over. Sources: RFC 9110, sections 8.8.3 and 13.1.1.
"""

import re
from typing import Annotated, Final, TypeAlias, TypeVar

import msgspec
from litestar import Response
from litestar.params import HeaderParameter

from bitloot_web.problems import FieldError, ProblemError

S = TypeVar("S", bound=msgspec.Struct)

IfMatch: TypeAlias = Annotated[str | None, HeaderParameter(name="If-Match")]
# An entity tag, and one that is a version.
_TAG: Final = re.compile(r'(?:W/)?"([\x21\x23-\x7e\x80-\xff]*)"')
_VERSION: Final = re.compile(r"[0-9]{1,9}")
# That of nothing: tags that are none of ours were never those of what is there now.
NO_VERSION: Final = -1


def expected_version(if_match: str | None) -> int:
    """The version in an `If-Match` header.

    Raises ProblemError `precondition-required`, or `invalid-request` for what is no tag.
    """
    if if_match is None:
        raise ProblemError("precondition-required")
    tag = _TAG.fullmatch(if_match.strip())
    if tag is None:
        fault = FieldError("If-Match", 'Send the version that you read, such as "7".')
        raise ProblemError("invalid-request", errors=(fault,))
    return int(tag[1]) if _VERSION.fullmatch(tag[1]) else NO_VERSION


def versioned(shown: S, version: int) -> Response[S]:
    """The answer with the version that it is of."""
    return Response(shown, headers={"etag": f'"{version}"'})
