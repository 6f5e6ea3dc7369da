"""The description of the API: what the handlers say of themselves, and what holds for all of them.

Every operation answers errors with a problem document; the framework's own idea of an error is
taken out. Made from a second, closed application, so that serving it needs no page of a CDN.
"""

import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Final, TypeAlias

import msgspec
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme

from bitloot_web.once import HEADER
from bitloot_web.problems import MEDIA_TYPE as PROBLEM_TYPE
from bitloot_web.problems import Problem

MEDIA_TYPE: Final = "application/vnd.oai.openapi+json"
Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Node: TypeAlias = "dict[str, Json]"

# `PageOf[Product]` as the framework writes it: `PageOf_some.module.Product_`.
_GENERIC: Final = re.compile(r"(?P<shape>\w+?)Of_(?:\w+\.)*(?P<of>\w+?)_")
_REF: Final = "#/components/schemas/{name}"
_ERRORS: Final[Mapping[str, str]] = {
    "400": "The request cannot be read.",
    "404": "There is nothing here, or it is not for the caller.",
    "429": "Too many requests.",
    "500": "Something went wrong here.",
    "503": "A part that this needs does not answer; nothing was done.",
    "default": "Every other error.",
}
_WITH_TOKEN: Final = {"401": "A valid token is needed."}
_WITH_BODY: Final = {
    "413": "The body is too large.",
    "415": "The body is of another type.",
    "422": "A field cannot be accepted.",
}
_TEXT: Final[Node] = {"schema": {"type": "string"}}
# Bodies that are read as bytes by their handlers.
_RAW_BODIES: Final[Mapping[str, Node]] = {
    "takeWebhook": {"application/json": {"schema": {"type": "object"}}},
    "adminImportKeys": {"text/plain": _TEXT, "text/csv": _TEXT},
    "adminRecountKeys": {"text/plain": _TEXT, "text/csv": _TEXT},
}
# Answers that are streamed as another type than JSON.
_STREAMED: Final[Mapping[str, str]] = {
    "adminSimulateRule": "application/x-ndjson",
    "adminExportKeys": "text/csv",
}
# Bodies that may be left out: all their fields are optional.
_NEEDLESS_BODIES: Final = frozenset({"requestCode"})
# Answers that come in a second type beside JSON, by `Accept`.
_ALSO: Final[Mapping[str, str]] = {"followOrder": "text/event-stream", "getReceipt": "text/html"}
_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})

SECURITY: Final = {
    "orderSession": SecurityScheme(
        type="http", scheme="bearer", bearer_format="JWT", description="The token of one order."
    ),
    "adminToken": SecurityScheme(type="http", scheme="bearer", description="The desk's token."),
    "providerSignature": SecurityScheme(
        type="apiKey",
        name="x-nowpayments-sig",
        security_scheme_in="header",
        description="Each provider signs in its own way: see its own documents.",
    ),
}


def describe(
    handlers: Sequence[BaseRouteHandler | Router], dependencies: Mapping[str, Provide]
) -> bytes:
    """The OpenAPI 3.1 document of these handlers, as JSON."""
    app = Litestar(
        list(handlers),
        dependencies=dict(dependencies),
        openapi_config=OpenAPIConfig(
            title="BitLoot",
            version=version("bitloot"),
            description="A crypto-only shop for the instant delivery of digital goods.",
            components=Components(security_schemes=dict(SECURITY)),
            use_handler_docstrings=True,
        ),
        logging_config=None,
    )
    document: Node = app.openapi_schema.to_schema()
    _, schemas = msgspec.json.schema_components([Problem], ref_template=_REF)
    _node(_node(document, "components"), "schemas").update(schemas)
    for path in _node(document, "paths").values():
        for method, operation in _as_node(path).items():
            if method in _METHODS:
                _complete(_as_node(operation))
    _name_pages(document)
    return msgspec.json.encode(document)


def _name_pages(document: Node) -> None:
    """`ProductPage` for what the framework calls by the module that `Product` is written in.

    Raises ValueError where two shapes would go by one name.
    """
    schemas = _node(_node(document, "components"), "schemas")
    named: dict[str, str] = {}
    for name in schemas:
        generic = _GENERIC.fullmatch(name)
        named[name] = f"{generic['of']}{generic['shape']}" if generic else name
    if len(set(named.values())) < len(named):
        raise ValueError("two shapes of the API go by one name")
    for old, new in named.items():
        schema = schemas.pop(old)
        if old != new:
            _as_node(schema)["title"] = new
        schemas[new] = schema
    _refer(document, {_REF.format(name=old): _REF.format(name=new) for old, new in named.items()})


def _refer(value: Json, renamed: Mapping[str, str]) -> None:
    """Every reference below, by the new names."""
    if isinstance(value, list):
        for each in value:
            _refer(each, renamed)
    elif isinstance(value, dict):
        reference = value.get("$ref")
        if isinstance(reference, str):
            value["$ref"] = renamed.get(reference, reference)
        for each in value.values():
            _refer(each, renamed)


def _complete(operation: Node) -> None:
    name = str(operation.get("operationId"))
    if name in _RAW_BODIES:
        operation["requestBody"] = {"required": True, "content": dict(_RAW_BODIES[name])}
    if name in _NEEDLESS_BODIES:
        _node(operation, "requestBody")["required"] = False
    errors = dict(_ERRORS)
    if operation.get("security"):
        errors |= _WITH_TOKEN
    if "requestBody" in operation:
        errors |= _WITH_BODY
    parameters = operation.get("parameters")
    for parameter in parameters if isinstance(parameters, list) else []:
        if _as_node(parameter).get("name") == HEADER:
            _as_node(parameter)["required"] = True
            errors |= {"409": "Not in this state, or the first request is still running."}
    responses = _node(operation, "responses")
    if name in _ALSO:
        _node(_as_node(responses["200"]), "content")[_ALSO[name]] = _TEXT
    if name in _STREAMED:
        _as_node(responses["200"])["content"] = {_STREAMED[name]: _TEXT}
    reference: Node = {"$ref": _REF.format(name="Problem")}
    for status, description in errors.items():
        responses[status] = {
            "description": description,
            "content": {PROBLEM_TYPE: {"schema": reference}},
        }


def _node(parent: Node, name: str) -> Node:
    return _as_node(parent.setdefault(name, {}))


def _as_node(value: Json) -> Node:
    assert isinstance(value, dict)
    return value
