"""The description of the API as a page to read: plain HTML in groups, one line an operation.

Made from the OpenAPI document, so that the two never differ. Nothing of it is fetched or run: each
operation opens where it stands, without a script, and the one style sheet stands in the page, known
to the browser by its digest.
"""

import re
from base64 import b64encode
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from hashlib import sha256
from html import escape
from typing import Final

import msgspec

_METHODS: Final = ("get", "post", "put", "patch", "delete")
_NOTHING: Final = msgspec.Raw()
_INDENT: Final = 2
_CODE: Final = re.compile("`([^`]+)`")
_STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --shade: #8881; --quiet: light-dark(#555, #aaa) }
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1rem; max-width: 58rem;
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { margin-bottom: 0 }
h2 { margin: 2.5rem 0 .5rem; padding-top: .5rem; font-size: 1.3rem }
h3 { display: flex; gap: .6rem; margin: 0; font-size: 1rem; font-weight: normal }
h3::after { content: "+"; margin-left: auto; color: var(--quiet) }
details[open] > summary h3::after { content: "\\2212" }
h4 { margin: 1rem 0 .3rem; font-size: .9rem }
a { color: light-dark(#0550ae, #79b8ff) }
code, pre { font: .875rem/1.5 ui-monospace, monospace }
nav ul { columns: 15rem; padding: 0; list-style: none }
.quiet, dd { color: var(--quiet) }
details { border-top: 1px solid var(--line) }
details:last-child { border-bottom: 1px solid var(--line) }
summary { padding: .5rem 0; cursor: pointer; list-style: none }
summary::-webkit-details-marker { display: none }
summary:hover, details[open] > summary { background: var(--shade) }
summary > span { display: block; margin: .1rem 0 0 4.6rem }
section { padding: 0 0 1rem 4.6rem; scroll-margin-top: 7rem }
section p { margin: .3rem 0 }
section ul { margin: 0; padding-left: 1.1rem }
.method { flex: none; width: 4rem; height: 1.5rem; border-radius: .25rem; color: #fff;
  font: bold .7rem/1.5rem ui-monospace, monospace; text-align: center }
.get { background: #0a5fb4 } .post { background: #1a7f37 } .put { background: #7d4e00 }
.patch { background: #6e40c9 } .delete { background: #b3261e }
pre { margin: .3rem 0; padding: .6rem; color: CanvasText; border-radius: .25rem;
  background: var(--shade); max-height: 24rem; overflow: auto; white-space: pre-wrap }
dt { margin-top: .5rem } dd { margin: 0 }
@media (max-width: 40rem) { section { padding-left: 0 } summary > span { margin-left: 0 } }
"""
_DIGEST: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
# As the edge says it of every answer, but for the one style sheet.
POLICY: Final = f"default-src 'none'; style-src 'sha256-{_DIGEST}'; frame-ancestors 'none'"
_PAGE: Final = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8">\
<meta name="viewport" content="width=device-width, initial-scale=1">\
<title>{title}</title><style>{style}</style></head>
<body>
<h1>{title} {version}</h1>
<p>{about}</p>
<p>For programs: <a href="/openapi.json">openapi.json</a>.</p>
<nav><ul>
<li><a href="#credentials">Credentials</a></li>
{contents}
</ul></nav>
<main>
<h2 id="credentials">Credentials</h2>
<dl>
{credentials}
</dl>
{groups}
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
    tags: tuple[str, ...]
    description: str = ""
    security: tuple[Mapping[str, msgspec.Raw], ...] | None = None
    parameters: tuple[_Parameter, ...] = ()
    request_body: _Body = _Body()
    responses: Mapping[str, _Answer] = {}


class _Info(msgspec.Struct, frozen=True, kw_only=True):
    title: str
    version: str
    description: str = ""


class _Scheme(msgspec.Struct, frozen=True, kw_only=True):
    description: str = ""


class _Components(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    responses: Mapping[str, _Answer] = {}
    security_schemes: Mapping[str, _Scheme] = {}


class _Tag(msgspec.Struct, frozen=True, kw_only=True):
    name: str


class _Document(msgspec.Struct, frozen=True, kw_only=True):
    info: _Info
    tags: tuple[_Tag, ...] = ()
    paths: Mapping[str, Mapping[str, msgspec.Raw]] = {}
    components: _Components = _Components()


@lru_cache(maxsize=1)
def docs_page(document: bytes) -> str:
    """The page of an OpenAPI document; every text in it is escaped."""
    read = msgspec.json.decode(document, type=_Document)
    groups: dict[str, list[str]] = defaultdict(list)
    for path, method, operation in _operations(read):
        groups[operation.tags[0]].append(_operation(path, method, operation, read.components))
    named = [tag.name for tag in read.tags if tag.name in groups]
    return _PAGE.format(
        title=escape(read.info.title),
        style=_STYLE,
        version=escape(read.info.version),
        about=escape(read.info.description),
        contents="\n".join(_entry(name, len(groups[name])) for name in named),
        credentials="\n".join(
            f"<dt><code>{escape(name)}</code></dt><dd>{_text(scheme.description)}</dd>"
            for name, scheme in read.components.security_schemes.items()
        ),
        groups="\n".join(_listed(name, groups[name]) for name in named),
    )


def _operations(document: _Document) -> Iterator[tuple[str, str, _Operation]]:
    """Each with its path and its method, path by path."""
    for path, methods in sorted(document.paths.items()):
        for method in _METHODS:
            if method in methods:
                yield path, method, msgspec.json.decode(methods[method], type=_Operation)


def _entry(group: str, size: int) -> str:
    link = f'<a href="#{_anchor(group)}">{escape(group)}</a>'
    return f'<li>{link} <span class="quiet">{size}</span></li>'


def _listed(group: str, operations: Sequence[str]) -> str:
    heading = f'<h2 id="{_anchor(group)}">{escape(group)}</h2>'
    return "\n".join((heading, "<div>", *operations, "</div>"))


def _anchor(group: str) -> str:
    return f"group-{group.lower().replace(': ', '-').replace(' ', '-')}"


def _operation(path: str, method: str, operation: _Operation, shared: _Components) -> str:
    """A line that opens. The anchor lies inside: a browser that goes there opens what is around."""
    badge = f'<span class="method {method}">{method.upper()}</span>'
    parts = [
        f"<details><summary><h3>{badge} <code>{escape(path)}</code></h3>",
        f'<span class="quiet">{_text(operation.description)}</span></summary>',
        f'<section id="{escape(operation.operation_id)}">',
        f'<p class="quiet"><code>{escape(operation.operation_id)}</code></p>',
        f"<p>Asks for: {_credentials(operation)}.</p>",
        *_parameters(operation),
        *_bodies(operation),
        "<h4>Answers</h4>",
        "<dl>",
        *_answers(operation, shared),
        "</dl>",
        "</section></details>",
    ]
    return "\n".join(part for part in parts if part)


def _bodies(operation: _Operation) -> Iterator[str]:
    if operation.request_body.content:
        yield "<h4>Body</h4>"
    for kind, media in operation.request_body.content.items():
        yield _example(kind, media)


def _credentials(operation: _Operation) -> str:
    """Each way to be let in; an empty one asks for nothing."""
    ways = [
        " and ".join(f'<a href="#credentials">{escape(name)}</a>' for name in way) or "nothing"
        for way in operation.security or ({},)
    ]
    return ", or ".join(ways)


def _parameters(operation: _Operation) -> Iterator[str]:
    if not operation.parameters:
        return
    yield "<h4>Parameters</h4>"
    yield "<ul>"
    for each in operation.parameters:
        need = "needed" if each.required else "may be left out"
        said = f": {_text(each.description)}" if each.description else ""
        name = escape(each.name)
        yield f"<li><code>{name}</code> ({escape(each.place)}, {need}){said}</li>"
    yield "</ul>"


def _answers(operation: _Operation, shared: _Components) -> Iterator[str]:
    for status, answer in sorted(operation.responses.items()):
        found = shared.responses.get(answer.shared, answer)
        codes = "".join(f" <code>{escape(code)}</code>" for code in _problems(answer))
        yield f"<dt><b>{escape(status)}</b>{codes}</dt><dd>{_text(found.description)}"
        for kind, media in answer.content.items():
            yield _example(kind, media)
        yield "</dd>"


def _text(told: str) -> str:
    """What stands between backticks, as descriptions have it, is code."""
    return _CODE.sub(r"<code>\1</code>", escape(told))


def _problems(answer: _Answer) -> list[str]:
    return answer.shared.split(".") if answer.shared else []


def _example(kind: str, media: _Media) -> str:
    if not bytes(media.example):
        return ""
    shown = msgspec.json.format(bytes(media.example), indent=_INDENT).decode()
    return f'<p class="quiet">{escape(kind)}</p>\n<pre>{escape(shown)}</pre>'
