"""The description of the API as a page to read: plain HTML, which needs no style and no script.

Made from the OpenAPI document, so that the two never differ.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache
from html import escape
from typing import Final

import msgspec

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_NOTHING: Final = msgspec.Raw()
_INDENT: Final = 2
_PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width">\
<title>{title}</title></head>
<body>
<h1>{title} {version}</h1>
<p>{about}</p>
<p>For programs: <a href="/openapi.json">openapi.json</a>.</p>
<nav><ul>
{contents}
</ul></nav>
<main>
{operations}
</main>
</body>
</html>
"""


class _Media(msgspec.Struct, frozen=True):
    example: msgspec.Raw = _NOTHING


class _Body(msgspec.Struct, frozen=True):
    content: Mapping[str, _Media] = {}


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    """`reference` leads to an answer that operations share; it is called by its problems."""

    reference: str = msgspec.field(name="$ref", default="")
    description: str = ""
    content: Mapping[str, _Media] = {}

    @property
    def shared(self) -> str:
        return self.reference.rpartition("/")[2]


class _Parameter(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    place: str = msgspec.field(name="in", default="")
    required: bool = False
    description: str = ""


class _Operation(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    operation_id: str
    description: str = ""
    security: tuple[Mapping[str, msgspec.Raw], ...] | None = None
    parameters: tuple[_Parameter, ...] = ()
    request_body: _Body = _Body()
    responses: Mapping[str, _Answer] = {}


class _Info(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    version: str
    description: str = ""


class _Components(msgspec.Struct, frozen=True, kw_only=True):
    responses: Mapping[str, _Answer] = {}


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    info: _Info
    paths: Mapping[str, Mapping[str, msgspec.Raw]] = {}
    components: _Components = _Components()


@lru_cache(maxsize=1)
def docs_page(document: bytes) -> str:
    """The page of an OpenAPI document; every text in it is escaped."""
    read = msgspec.json.decode(document, type=_Document)
    operations = list(_operations(read))
    return _PAGE.format(
        title=escape(read.info.title),
        version=escape(read.info.version),
        about=escape(read.info.description),
        contents="\n".join(
            f'<li><a href="#{escape(each.operation_id)}"><code>{escape(at)}</code></a></li>'
            for at, each in operations
        ),
        operations="\n".join(_section(at, each, read.components) for at, each in operations),
    )


def _operations(document: _Document) -> Iterator[tuple[str, _Operation]]:
    """Each as `GET /v1/orders/{order_id}`, path by path."""
    for path, methods in sorted(document.paths.items()):
        for method in _METHODS:
            if method in methods:
                operation = msgspec.json.decode(methods[method], type=_Operation)
                yield f"{method.upper()} {path}", operation


def _section(at: str, operation: _Operation, shared: _Components) -> str:
    parts = [
        f'<section id="{escape(operation.operation_id)}">',
        f"<h2><code>{escape(at)}</code></h2>",
        f"<p>{escape(operation.description)}</p>",
        f"<p>Asks for: {_credentials(operation)}.</p>",
        *_parameters(operation),
        *(_example(kind, media) for kind, media in operation.request_body.content.items()),
        "<dl>",
        *_answers(operation, shared),
        "</dl>",
        "</section>",
    ]
    return "\n".join(part for part in parts if part)


def _credentials(operation: _Operation) -> str:
    ways = [" and ".join(map(escape, way)) for way in operation.security or () if way]
    return ", or ".join(ways) or "nothing"


def _parameters(operation: _Operation) -> Iterator[str]:
    if not operation.parameters:
        return
    yield "<ul>"
    for each in operation.parameters:
        need = "needed" if each.required else "may be left out"
        said = f": {escape(each.description)}" if each.description else ""
        name = escape(each.name)
        yield f"<li><code>{name}</code> ({escape(each.place)}, {need}){said}</li>"
    yield "</ul>"


def _answers(operation: _Operation, shared: _Components) -> Iterator[str]:
    for status, answer in sorted(operation.responses.items()):
        found = shared.responses.get(answer.shared, answer)
        codes = "".join(f" <code>{escape(code)}</code>" for code in _problems(answer))
        yield f"<dt>{escape(status)}{codes}</dt><dd>{escape(found.description)}"
        for kind, media in answer.content.items():
            yield _example(kind, media)
        yield "</dd>"


def _problems(answer: _Answer) -> list[str]:
    return answer.shared.split(".") if answer.shared else []


def _example(kind: str, media: _Media) -> str:
    if not bytes(media.example):
        return ""
    shown = msgspec.json.format(bytes(media.example), indent=_INDENT).decode()
    return f"<p>{escape(kind)}</p>\n<pre>{escape(shown)}</pre>"
