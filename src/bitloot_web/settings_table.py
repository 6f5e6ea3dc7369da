"""Every setting of the shop, its limits and its built-in plugins, as Markdown for people.

`docs/settings.md` is what this writes. The words come from where a setting is declared: the
comment above a field, the heading comment of a group of limits, the docstring of a plugin's struct.
"""

import inspect
import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from importlib.metadata import EntryPoint, entry_points
from typing import Final

import msgspec

from bitloot.domain.limits import CAPS, Limits
from bitloot.ports.plugin import Plugin
from bitloot_web.plugins import GROUPS
from bitloot_web.settings import LIMIT_PREFIX, PREFIX, SECRETS, Settings

BUILT_IN: Final = "bitloot_adapters."
_FIELD: Final = re.compile(r"    (\w+): ")
_COMMENT: Final = re.compile(r"    # (.+)")
_UNITS: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "m"), (1.0, "s"))
_INTRO: Final = """# Settings

Written by `bitloot config --markdown`; a test fails when this page differs from the code.

Settings are environment variables, or lines `NAME=value` of `bitloot.env` in the working folder or
of the file that `--env-file` names; variables of the process win. A secret may come from a file
instead: set the name with `_FILE` behind it. Lists are separated by commas; durations carry their
unit (`30s`, `15m`, `24h`, `7d`). Everything that is missing, malformed or unknown is told in one
message at the start, with exit code 2.
"""


def settings_table() -> str:
    """The whole page, ending in a line break."""
    return "\n".join([_INTRO, *_shop(), *_limits(), *_plugins()]).rstrip() + "\n"


def _shop() -> Iterator[str]:
    words = dict(_told(Settings))
    yield "## The shop\n"
    yield from _table(
        ("name", "default", "secret", "what it is"),
        (
            (
                f"`{PREFIX}{field.name.upper()}`",
                *_default_and_secret(field, SECRETS),
                words[field.name],
            )
            for field in msgspec.structs.fields(Settings)
            if field.name != "limits"
        ),
    )


def _limits() -> Iterator[str]:
    fields = {field.name: field for field in msgspec.structs.fields(Limits)}
    yield "## Limits\n"
    yield "None is secret. One with a cap can be lowered, not raised above it.\n"
    for heading, names in _groups(Limits):
        yield f"### {heading[0].upper()}{heading[1:]}\n"
        yield from _table(
            ("name", "default", "cap"),
            (
                (
                    f"`{LIMIT_PREFIX}{name.upper()}`",
                    _code(fields[name].default),
                    _code(CAPS[name]) if name in CAPS else "",
                )
                for name in names
            ),
        )


def _plugins() -> Iterator[str]:
    yield "## Plugins\n"
    yield "Only the settings of plugins that are chosen are read.\n"
    for group in GROUPS:
        for point in sorted(entry_points(group=group), key=lambda point: point.name):
            if point.value.startswith(BUILT_IN):
                yield from _plugin(group, point)


def _plugin(group: str, point: EntryPoint) -> Iterator[str]:
    plugin: Plugin[object] = point.load()
    fields = msgspec.structs.fields(plugin.settings)
    yield f"### `{plugin.name}` of `{group}`\n"
    if not fields:
        yield "It has no settings.\n"
        return
    yield inspect.cleandoc(plugin.settings.__doc__ or "") + "\n"
    yield from _table(
        ("name", "default", "secret"),
        (
            (
                f"`{PREFIX}{plugin.name.upper()}_{field.name.upper()}`",
                *_default_and_secret(field, plugin.secrets),
            )
            for field in fields
        ),
    )


def _told(shape: type[msgspec.Struct]) -> Iterator[tuple[str, str]]:
    """Each field with the comment above it."""
    above: list[str] = []
    for line in inspect.getsource(shape).splitlines():
        if comment := _COMMENT.match(line):
            above.append(comment[1])
        elif field := _FIELD.match(line):
            yield field[1], " ".join(above)
            above = []
        else:
            above = []


def _groups(shape: type[msgspec.Struct]) -> Iterator[tuple[str, list[str]]]:
    """The headings of a struct's fields, each with the names below it."""
    heading, names = "", list[str]()
    for line in inspect.getsource(shape).splitlines():
        if comment := _COMMENT.match(line):
            if names:
                yield heading, names
            heading, names = comment[1], []
        elif field := _FIELD.match(line):
            names.append(field[1])
    yield heading, names


def _default_and_secret(
    field: msgspec.structs.FieldInfo, secrets: frozenset[str]
) -> tuple[str, str]:
    default = "needed" if field.required else _code(field.default)
    return default, "yes" if field.name in secrets else ""


def _code(value: object) -> str:
    text = _text(value)
    return f"`{text}`" if text else "none"


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
        size, unit = next((u for u in _UNITS if not seconds % u[0]), (0.001, "ms"))
        return f"{seconds / size:g}{unit}"
    return str(value)


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(heads)} |"
    yield "|" + "---|" * len(heads)
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""
