"""The description of the API: what the handlers say of themselves, and what holds for all of them.

Shapes are described by msgspec, which reads and writes them. Every operation answers errors with a
problem document; the framework's own idea of an error is taken out. Made from a second, closed
application, so that serving it needs no page of a CDN.
"""

import inspect
import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Final

import msgspec
from litestar import Litestar, Router
from litestar.di import Provide
from litestar.handlers import BaseRouteHandler, HTTPRouteHandler
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.typing import FieldDefinition

from bitloot.domain.limits import Limits
from bitloot_web.once import AT_WILL, HEADER
from bitloot_web.operation_groups import group_of, groups
from bitloot_web.operation_problems import (
    Json,
    Node,
    codes_of,
    problem_answers,
    problem_examples,
)
from bitloot_web.problems import Problem
from bitloot_web.security.cookie_sessions import HEADER as CSRF_HEADER
from bitloot_web.security.cookie_sessions import SECURE

MEDIA_TYPE: Final = "application/vnd.oai.openapi+json"

# `PageOf[Product]` as msgspec writes it in a reference: `PageOf_Product_`.
_GENERIC: Final = re.compile(r"(?P<shape>\w+?)Of_(?:\w+\.)*(?P<of>\w+?)_")
_REF: Final = "#/components/schemas/{name}"
_JSON: Final = "application/json"
_TEXT: Final[Node] = {"type": "string"}
_FILE: Final[Mapping[str, Node]] = {"text/plain": {"schema": _TEXT}, "text/csv": {"schema": _TEXT}}
_DONE: Final[Mapping[str, str]] = {
    "200": "Done, and as it is now.",
    "201": "Made.",
    "202": "It is on its way.",
    "204": "Done.",
}
# Bodies that are read as bytes by their handlers.
_RAW_BODIES: Final[Mapping[str, Mapping[str, Node]]] = {
    "takeWebhook": {_JSON: {"schema": {"type": "object"}}},
    "adminImportKeys": _FILE,
    "adminImportFile": {
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}
    },
    "adminRecountKeys": _FILE,
}
# Answers that are streamed as another type than JSON, always or for whoever asks for it.
_STREAMED: Final[Mapping[str, str]] = {
    "adminSimulateRule": "application/x-ndjson",
    "adminExportKeys": "text/csv",
    "followOrder": "text/event-stream",
    "downloadUnit": "*/*",
    "getReceipt": "text/html",
}
# Bodies that may be left out: all their fields are optional.
_NEEDLESS_BODIES: Final = frozenset(
    {
        "requestCode", "refreshSession", "signOut", "adminStartSync", "adminReprice",
        "adminRetryFulfillment", "adminResendKeys",
    }
)  # fmt: skip
# Answers without content.
_EMPTY: Final[Mapping[str, Mapping[str, str]]] = {
    "takeWebhook": {"200": "It was taken in.", "204": "It was taken in, of a supplier."},
}
_TAGGED: Final = frozenset(
    {
        "listProducts", "getProduct", "getFilters", "listCategories", "listGroups", "getGroup",
        "getOrder", "adminGetOrder", "adminCreateRule", "adminGetRule", "adminChangeRule",
        "adminImportProduct", "adminCreateProduct", "adminGetProduct", "adminChangeProduct",
        "adminPublishProduct", "adminUnpublishProduct", "adminAddMedia", "adminChangeMedia",
        "adminCreateCategory", "adminGetCategory", "adminChangeCategory", "adminCreateGroup",
        "adminGetGroup", "adminChangeGroup", "adminJoinGroup", "adminJoinOffer", "adminGetUser",
        "adminSetRoles", "adminSuspendUser", "adminUnsuspendUser", "adminSignOutUser",
        "adminRestoreUser",
    }
)  # fmt: skip
_ETAG: Final[Node] = {
    "description": "The version of what is answered.",
    "required": True,
    "schema": {"type": "string"},
}
_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})
# Headers that must be sent although the framework lets them be left out: their handlers say so
# with problems of their own.
_NEEDED: Final[Mapping[str, Node]] = {
    HEADER: {
        "minLength": Limits().idempotency_key_min,
        "maxLength": Limits().idempotency_key_max,
        "pattern": "^[ -~]*$",
    },
    "If-Match": {"pattern": r'^(W/)?"[0-9]{1,9}"$'},
}

SECURITY: Final = {
    "orderSession": SecurityScheme(
        type="http", scheme="bearer", bearer_format="JWT", description="The token of one order."
    ),
    "userToken": SecurityScheme(
        type="http",
        scheme="bearer",
        bearer_format="JWT",
        description="The access token of whoever is signed in.",
    ),
    "pageSession": SecurityScheme(
        type="apiKey",
        name=SECURE.access,
        security_scheme_in="cookie",
        description="The access token of whoever signed in with `session` as `cookie`; without "
        "TLS on one's own machine it is called `bitloot-access`.",
    ),
    "csrfToken": SecurityScheme(
        type="apiKey",
        name=CSRF_HEADER,
        security_scheme_in="header",
        description="With a cookie, from a page of the shop: the session's `csrfToken`.",
    ),
    "apiKey": SecurityScheme(
        type="http", scheme="bearer", description="A machine's key, with the scope that it needs."
    ),
    "providerSignature": SecurityScheme(
        type="apiKey",
        name="x-nowpayments-sig",
        security_scheme_in="header",
        description="Each provider signs in its own way: see its own documents.",
    ),
}


class Example(msgspec.Struct, frozen=True):
    """What an operation is asked and answers, as shapes, or as the text of an answer that is none.

    `files` are bodies that are no JSON, by media type.
    """

    asked: msgspec.Struct | Mapping[str, str | int] | None = None
    answered: msgspec.Struct | str | None = None
    files: Mapping[str, str] = {}


class _Shapes(msgspec.Struct, frozen=True):
    asked: type | None
    answered: type | None


def describe(
    handlers: Sequence[BaseRouteHandler | Router],
    dependencies: Mapping[str, Provide],
    examples: Mapping[str, Example],
) -> bytes:
    """The OpenAPI 3.1 document of these handlers, as JSON. `examples` by the ids of operations."""
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
    shapes = _shapes(app)
    schemas = _schemas(document, shapes)
    components = _node(document, "components")
    components["examples"] = problem_examples()
    used: set[str] = set()
    for path, operation in _operations(document):
        name = str(operation["operationId"])
        group = group_of(path)
        operation["tags"] = [group]
        used.add(group)
        _ask(operation, shapes[name].asked, schemas)
        _answer(operation, shapes[name].answered, schemas)
        _exemplify(operation, examples.get(name, Example()))
        answers = _node(operation, "responses")
        for status in [each for each in answers if each >= "400"]:
            del answers[status]
        answers |= problem_answers(codes_of(path, operation), _node(components, "responses"))
    document["tags"] = [{"name": group} for group in groups() if group in used]
    _name_pages(document)
    return msgspec.json.encode(document)


def _operations(document: Node) -> Iterator[tuple[str, Node]]:
    for path, methods in _node(document, "paths").items():
        for method, operation in _as_node(methods).items():
            if method in _METHODS:
                yield path, _as_node(operation)


def _shapes(app: Litestar) -> dict[str, _Shapes]:
    """What each operation takes and gives, by its id."""
    found: dict[str, _Shapes] = {}
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if isinstance(handler, HTTPRouteHandler) and isinstance(handler.operation_id, str):
                data, told = handler.parsed_data_field, handler.responses or {}
                answered = (
                    FieldDefinition.from_annotation(told[200].data_container)
                    if 200 in told
                    else handler.parsed_return_field
                )
                found[handler.operation_id] = _Shapes(
                    asked=data.annotation if data is not None else None,
                    answered=_shape_in(answered),
                )
    return found


def _shape_in(field: FieldDefinition) -> type | None:
    """The first of our shapes in what a handler says that it returns."""
    if field.is_subclass_of(msgspec.Struct):
        shape: type = field.annotation
        return shape
    inner = (_shape_in(each) for each in field.inner_types)
    return next((shape for shape in inner if shape is not None), None)


def _schemas(document: Node, shapes: Mapping[str, _Shapes]) -> dict[type, Node]:
    """Describe every shape in the document; gives how each is referred to."""
    every = {shape for pair in shapes.values() for shape in (pair.asked, pair.answered) if shape}
    wanted = [Problem, *sorted(every, key=str)]
    references, components = msgspec.json.schema_components(wanted, ref_template=_REF)
    _node(document, "components")["schemas"] = components
    return dict(zip(wanted, references, strict=True))


def _ask(operation: Node, shape: type | None, schemas: Mapping[type, Node]) -> None:
    """What an operation is sent."""
    name = str(operation["operationId"])
    if name in _RAW_BODIES:
        content: Node = {kind: dict(schema) for kind, schema in _RAW_BODIES[name].items()}
        operation["requestBody"] = {"required": True, "content": content}
    elif shape is not None:
        body = _node(operation, "requestBody")
        body["content"] = {_JSON: {"schema": dict(schemas[shape])}}
        body["required"] = name not in _NEEDLESS_BODIES
    parameters = operation.get("parameters")
    for parameter in parameters if isinstance(parameters, list) else []:
        _state(_as_node(parameter))


def _answer(operation: Node, shape: type | None, schemas: Mapping[type, Node]) -> None:
    """What an operation answers when it does what it is asked."""
    name = str(operation["operationId"])
    answers = _node(operation, "responses")
    for status in [each for each in answers if each < "300"]:
        content: Node = {}
        if shape is not None:
            content[_JSON] = {"schema": dict(schemas[shape])}
        if name in _STREAMED:
            content[_STREAMED[name]] = {"schema": dict(_TEXT)}
        answers[status] = {"description": _DONE[status]}
        if content:
            _as_node(answers[status])["content"] = content
    for status, description in _EMPTY.get(name, {}).items():
        answers[status] = {"description": description}
    if name in _TAGGED:
        for status in [each for each in answers if each < "400"]:
            _as_node(answers[status])["headers"] = {"ETag": dict(_ETAG)}


def _state(parameter: Node) -> None:
    """A parameter is a text in a request, never null; some headers are needed."""
    schema = _node(parameter, "schema")
    choices = schema.get("oneOf")
    if isinstance(choices, list):
        real = [each for each in map(_as_node, choices) if each.get("type") != "null"]
        if len(real) == 1:
            del schema["oneOf"]
            parameter["schema"] = {**real[0], **schema}
    if parameter["name"] in _NEEDED:
        parameter["required"] = parameter.get("description") != AT_WILL
        _node(parameter, "schema").update(_NEEDED[str(parameter["name"])])


def _exemplify(operation: Node, example: Example) -> None:
    asked = {_JSON: msgspec.to_builtins(example.asked)} if example.asked is not None else {}
    for kind, value in {**asked, **example.files}.items():
        _node(_node(_node(operation, "requestBody"), "content"), kind)["example"] = value
    for status, answer in _node(operation, "responses").items():
        content = _as_node(answer).get("content")
        if status < "300" and isinstance(content, dict) and example.answered is not None:
            kind = _JSON if isinstance(example.answered, msgspec.Struct) else list(content)[-1]
            _as_node(content[kind])["example"] = msgspec.to_builtins(example.answered)


def _name_pages(document: Node) -> None:
    """`ProductPage` for what msgspec calls by the shape of all pages.

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
        schema = _as_node(schemas.pop(old))
        schema["title"] = new
        schema["description"] = inspect.cleandoc(str(schema.get("description", "")))
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


def _node(parent: Node, name: str) -> Node:
    return _as_node(parent.setdefault(name, {}))


def _as_node(value: Json) -> Node:
    assert isinstance(value, dict)
    return value
