"""``POST /turnstile/v0/siteverify``: a form or JSON in, JSON out, 200 for ordinary failures too."""

from collections.abc import Mapping
from typing import Final

import msgspec
from litestar import Request, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.exceptions import HTTPException

from bitloot_adapters.sandbox.turnstile.stand_in import StandIn
from bitloot_adapters.sandbox.turnstile.tokens import Question, refusal

PATH: Final = "/turnstile/v0/siteverify"

WireRequest = Request[None, None, State]


@post(PATH, status_code=200)
async def siteverify(request: WireRequest, stand_in: NamedDependency[StandIn]) -> dict[str, object]:
    question = _question(await _fields(request))
    if question is None:
        return refusal("bad-request")
    stand_in.calls.append(question)
    return stand_in.tokens.judge(question)


async def _fields(request: WireRequest) -> Mapping[str, object] | None:
    """What was sent, None where that cannot be read."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            return msgspec.json.decode(await request.body(), type=dict[str, object])
        if kind in {"application/x-www-form-urlencoded", "multipart/form-data"}:
            return dict((await request.form()).items())
    except (msgspec.DecodeError, HTTPException, ValueError):
        return None
    return None


def _question(sent: Mapping[str, object] | None) -> Question | None:
    if sent is None:
        return None
    known = {name: sent.get(name) for name in Question.__struct_fields__}
    given = {name: value for name, value in known.items() if value is not None}
    try:
        return msgspec.convert(given, Question)
    except msgspec.ValidationError:
        return None
