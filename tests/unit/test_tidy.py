"""The habits of the house, checked from the text of the files alone: nothing is imported.

Each rule is a function from one file to its faults, and carries a planted offence which it must
find and a near miss which it must leave alone.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[2]
THIS = "tests/unit/test_tidy.py"

FILE_LINES = 500
FUNCTION_LINES = 60
USECASE_METHODS = 12

PACKAGES = ("src/",)
PYTHON = ("src/", "tests/", "migrations/", "examples/", "bench/")
BANNED_NAMES = frozenset({"utils", "util", "helpers", "helper", "common", "base", "manager"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class File:
    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        return tuple(ast.walk(self.tree))

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        return tuple(node for node in self.nodes if isinstance(node, Function))

    @cached_property
    def aliases(self) -> dict[str, str]:
        """Each imported name with what it stands for."""
        names: dict[str, str] = {}
        for node in self.nodes:
            if isinstance(node, ast.Import):
                for each in node.names:
                    bound = each.asname or each.name.partition(".")[0]
                    names[bound] = each.name if each.asname else bound
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                for each in node.names:
                    names[each.asname or each.name] = f"{node.module}.{each.name}"
        return names

    def comments_with(self, sign: re.Pattern[str]) -> Iterator[tuple[int, str]]:
        """Those in which it is found; a text that has it nowhere is not taken apart."""
        if sign.search(self.text):
            yield from ((line, text) for line, text in self.comments if sign.search(text))

    @cached_property
    def comments(self) -> tuple[tuple[int, str], ...]:
        tokens = tokenize.generate_tokens(io.StringIO(self.text).readline)
        return tuple(
            (each.start[0], each.string) for each in tokens if each.type == tokenize.COMMENT
        )


Faults = Iterator[str]
Check = Callable[[File], Faults]


@dataclass(frozen=True)
class Rule:
    check: Check
    planted: File
    near_miss: File
    where: tuple[str, ...] = PYTHON
    homes: tuple[str, ...] = ()

    def applies(self, path: str) -> bool:
        return path.startswith(self.where) and not path.startswith(self.homes)


# --- sizes and names -------------------------------------------------------------------------


def files_are_short(file: File) -> Faults:
    lines = file.text.count("\n")
    if lines > FILE_LINES:
        yield f"{lines} lines, more than {FILE_LINES}"


def functions_are_short(file: File) -> Faults:
    for function in file.functions:
        lines = (function.end_lineno or 0) - function.lineno + 1
        if lines > FUNCTION_LINES:
            yield f"{function.lineno}: {function.name} has {lines} lines"


def use_cases_are_narrow(file: File) -> Faults:
    for node in file.nodes:
        if isinstance(node, ast.ClassDef):
            public = [m for m in node.body if isinstance(m, Function) and m.name[0] != "_"]
            if len(public) > USECASE_METHODS:
                yield f"{node.lineno}: {node.name} has {len(public)} public methods"


def modules_are_named_for_what_they_hold(file: File) -> Faults:
    path = PurePosixPath(file.path)
    names = {path.stem, *path.parts[:-1]}
    yield from (f"the name {name!r} says nothing" for name in names & BANNED_NAMES)


# --- tests that mean it ----------------------------------------------------------------------

PATCHING = frozenset({"monkeypatch", "mocker"})
MOCKING = frozenset({"unittest.mock", "mock", "pytest_mock"})
SKIPPING = frozenset(
    [
        "pytest.skip",
        "pytest.xfail",
        "pytest.importorskip",
        "pytest.mark.skip",
        "pytest.mark.skipif",
        "pytest.mark.xfail",
        "unittest.skip",
        "unittest.skipIf",
    ]
)


def nothing_is_mocked(file: File) -> Faults:
    for line, name in imported(file):
        if any(name == each or name.startswith(f"{each}.") for each in MOCKING):
            yield f"{line}: imports {name}"
    for function in file.functions:
        for argument in [*function.args.args, *function.args.kwonlyargs]:
            if argument.arg in PATCHING:
                yield f"{function.lineno}: {function.name} takes {argument.arg}"


def no_test_is_skipped(file: File) -> Faults:
    yield from (f"{line}: {name}" for line, name in mentioned(file) if name in SKIPPING)


def no_assertion_is_empty(file: File) -> Faults:
    for node in file.nodes:
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Constant):
            yield f"{node.lineno}: asserts a constant"


# --- one home for the world ------------------------------------------------------------------

CLOCKS = frozenset(
    [
        "datetime.datetime.now",
        "datetime.datetime.utcnow",
        "datetime.datetime.today",
        "datetime.date.today",
        "time.time",
        "time.time_ns",
        "time.localtime",
        "time.ctime",
    ]
)
IDS = re.compile(r"(uuid|uuid_utils(\.compat)?)\.uuid\d")
RANDOM = re.compile(r"random(\..*)?")
ENVIRONMENT = frozenset({"os.environ", "os.environb", "os.getenv", "os.putenv"})
HOMES = (
    "src/bitloot/testing/",
    "src/bitloot_adapters/sandbox/",
    "src/bitloot_adapters/clock",
    "src/bitloot_adapters/ids",
    "src/bitloot_web/devservices/",
    "src/bitloot_web/settings",
    "src/bitloot_web/testing",
)
OUTSIDE_THE_CORE = re.compile(
    r"(asyncio|threading|socket|subprocess|secrets|random|os|time\.(sleep|monotonic|perf_counter)"
    r"|logging)(\..*)?"
)


def the_world_has_one_home(file: File) -> Faults:
    for line, name in mentioned(file):
        if (
            name in CLOCKS
            or name in ENVIRONMENT
            or IDS.fullmatch(name) is not None
            or RANDOM.fullmatch(name) is not None
        ):
            yield f"{line}: {name}"


def the_core_is_synchronous_and_alone(file: File) -> Faults:
    for line, name in [*imported(file), *mentioned(file)]:
        if OUTSIDE_THE_CORE.fullmatch(name) is not None:
            yield f"{line}: {name}"


CORE_MAY_IMPORT = sys.stdlib_module_names | {"bitloot", "msgspec"}
SUITES_MAY_IMPORT = CORE_MAY_IMPORT | {"pytest", "hypothesis"}


def the_core_needs_msgspec_alone(file: File) -> Faults:
    suite = file.path.startswith("src/bitloot/testing/")
    allowed = SUITES_MAY_IMPORT if suite else CORE_MAY_IMPORT
    for line, name in imported(file):
        if name.partition(".")[0] not in allowed:
            yield f"{line}: imports {name}"


# --- secrets ---------------------------------------------------------------------------------

SECRET = re.compile(r"secret|signature|digest|token|hmac|passw|pepper", re.IGNORECASE)
# What is only counted, or only there or not, tells nothing of what it holds.
HARMLESS = frozenset({"len", "bool"})


def secrets_are_compared_in_constant_time(file: File) -> Faults:
    for node in file.nodes:
        if not isinstance(node, ast.Compare):
            continue
        if not any(isinstance(each, ast.Eq | ast.NotEq) for each in node.ops):
            continue
        sides = [node.left, *node.comparators]
        if any(isinstance(side, ast.Constant) for side in sides):
            continue
        for name in {name for side in sides for name in words_of(side) if SECRET.search(name)}:
            yield f"{node.lineno}: {name} is compared by == or !="


def words_of(side: ast.expr) -> Iterator[str]:
    """Every name that one side of a comparison is made of."""
    if isinstance(side, ast.Call) and isinstance(side.func, ast.Name) and side.func.id in HARMLESS:
        return
    for node in ast.walk(side):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr


# --- types and lint --------------------------------------------------------------------------

IGNORE = re.compile(r"#\s*(type:\s*ignore|mypy:\s*ignore|pyright:)")
NOQA = re.compile(r"#\s*(ruff:\s*)?noqa(?P<rest>.*)", re.IGNORECASE)
NOQA_WITH_REASON = re.compile(r":\s*[A-Z]+\d+(,\s*[A-Z]+\d+)*\s+(-\s*)?\w+\W+\w+.*")
UNFINISHED = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")


def signatures_say_their_types(file: File) -> Faults:
    names = file.aliases
    for function in file.functions:
        arguments = function.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
        for annotation in [*(each.annotation for each in every), function.returns]:
            if annotation is not None and any(
                dotted(node, names) == "typing.Any" for node in ast.walk(annotation)
            ):
                yield f"{function.lineno}: {function.name} has Any in its signature"


def no_type_error_is_ignored(file: File) -> Faults:
    yield from (f"{line}: {text}" for line, text in file.comments_with(IGNORE))


def every_lint_exception_has_its_reason(file: File) -> Faults:
    for line, text in file.comments_with(NOQA):
        found = NOQA.search(text)
        if found is not None and NOQA_WITH_REASON.fullmatch(found["rest"]) is None:
            yield f"{line}: {text}"


def nothing_is_left_for_later(file: File) -> Faults:
    yield from (f"{line}: {text}" for line, text in file.comments_with(UNFINISHED))


# --- names, followed through the imports -----------------------------------------------------


def dotted(node: ast.AST, names: dict[str, str]) -> str | None:
    """The full name that an expression stands for, when it begins with an import."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        front = dotted(node.value, names)
        return None if front is None else f"{front}.{node.attr}"
    return None


def imported(file: File) -> Iterator[tuple[int, str]]:
    for node in file.nodes:
        if isinstance(node, ast.Import):
            yield from ((node.lineno, each.name) for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.lineno, node.module
            yield from ((node.lineno, f"{node.module}.{each.name}") for each in node.names)


def mentioned(file: File) -> Iterator[tuple[int, str]]:
    names = file.aliases
    for node in file.nodes:
        if isinstance(node, ast.Name | ast.Attribute):
            name = dotted(node, names)
            if name is not None:
                yield node.lineno, name


# --- the rules as a table --------------------------------------------------------------------


def lines_of(count: int) -> str:
    return "def long() -> None:\n" + "    print(1)\n" * (count - 1)


def methods(count: int) -> str:
    return "class Shop:\n" + "".join(f"    def m{n}(self) -> None: ...\n" for n in range(count))


def src(text: str, path: str = "src/bitloot_web/shop.py") -> File:
    return File(path, text)


RULES = [
    Rule(files_are_short, src("\n" * 501), src("\n" * 500)),
    Rule(functions_are_short, src(lines_of(61)), src(lines_of(60))),
    Rule(
        use_cases_are_narrow,
        File("src/bitloot/usecases/checkout.py", methods(13)),
        File("src/bitloot/usecases/checkout.py", methods(12)),
        where=("src/bitloot/usecases/",),
    ),
    Rule(
        modules_are_named_for_what_they_hold,
        src("", "src/bitloot_web/utils/money.py"),
        src("", "src/bitloot_web/database.py"),
    ),
    Rule(
        nothing_is_mocked,
        File("tests/unit/test_x.py", "def test_x(monkeypatch: object) -> None: ...\n"),
        File("tests/unit/test_x.py", "import mockingbird\n"),
    ),
    Rule(
        no_test_is_skipped,
        File("tests/unit/test_x.py", "import pytest as p\n@p.mark.skipif(1)\ndef f(): ...\n"),
        File(
            "tests/unit/test_x.py",
            "import pytest\n@pytest.mark.parametrize('a', [])\nclass C: ...\n",
        ),
    ),
    Rule(
        no_assertion_is_empty,
        File("tests/unit/test_x.py", "assert True\n"),
        File("tests/unit/test_x.py", "assert True is not False\n"),
    ),
    Rule(
        the_world_has_one_home,
        src("from datetime import datetime as d\nd.now()\n"),
        src("from datetime import datetime\ndef f(at: datetime) -> datetime: ...\n"),
        where=PACKAGES,
        homes=HOMES,
    ),
    Rule(
        the_core_is_synchronous_and_alone,
        src("import asyncio.queues\n", "src/bitloot/domain/x.py"),
        src("import ossify\n", "src/bitloot/domain/x.py"),
        where=("src/bitloot/domain/", "src/bitloot/ports/", "src/bitloot/usecases/"),
    ),
    Rule(
        the_core_needs_msgspec_alone,
        src("from attrs import define\n", "src/bitloot/domain/x.py"),
        src("from msgspec import Struct\nimport decimal\n", "src/bitloot/domain/x.py"),
        where=("src/bitloot/",),
    ),
    Rule(
        signatures_say_their_types,
        src("import typing as t\ndef f(x: list[t.Any]) -> None: ...\n"),
        src("from typing import AnyStr\ndef f(x: AnyStr) -> AnyStr: ...\n"),
        where=PACKAGES,
    ),
    Rule(
        no_type_error_is_ignored, src("x = 1  # type: ignore[x]\n"), src("x = '# type: ignore'\n")
    ),
    Rule(
        every_lint_exception_has_its_reason,
        src("x = 1  # noqa: S603\n"),
        src("x = 1  # noqa: S603 - the argument is our own\n"),
    ),
    Rule(
        secrets_are_compared_in_constant_time,
        src("ok = hmac.new(key, body, sha512).hexdigest() == given.strip()\n"),
        src("ok = compare_digest(token, given) and len(token) == size and token != ''\n"),
        where=PACKAGES,
        homes=("src/bitloot/testing/", "src/bitloot_adapters/sandbox/"),
    ),
    Rule(nothing_is_left_for_later, src("# TODO later\n"), src("# a method of work\n")),
]


@cache
def faults_found() -> dict[Check, list[str]]:
    """What each rule finds in the tree. Files are taken in turn, and none is kept: the syntax of
    all of them together is half a gigabyte, which slows down every test after these.
    """
    found: dict[Check, list[str]] = {rule.check: [] for rule in RULES}
    for top in PYTHON:
        for path in sorted((ROOT / top).rglob("*.py")):
            file = File(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))
            for rule in RULES:
                if rule.applies(file.path) and file.path != THIS:
                    found[rule.check] += (f"{file.path}:{fault}" for fault in rule.check(file))
    return found


def named(rule: Rule) -> str:
    return rule.check.__name__


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_the_tree_keeps_the_rule(rule: Rule) -> None:
    faults = faults_found()[rule.check]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("rule", RULES, ids=named)
def test_the_rule_finds_a_planted_offence_and_leaves_a_near_miss_alone(rule: Rule) -> None:
    assert rule.applies(rule.planted.path)
    assert list(rule.check(rule.planted))
    assert not list(rule.check(rule.near_miss))


@pytest.mark.parametrize(
    "text",
    [
        "import time\ntime.time()\n",
        "from time import time_ns\ntime_ns()\n",
        "import uuid\nuuid.uuid4()\n",
        "from uuid_utils import uuid7\nuuid7()\n",
        "import random\nrandom.random()\n",
        "import os\nos.environ['A']\n",
        "from os import getenv\ngetenv('A')\n",
        "import datetime\ndatetime.date.today()\n",
    ],
)
def test_every_way_to_ask_the_world_is_found(text: str) -> None:
    assert list(the_world_has_one_home(src(text)))


@pytest.mark.parametrize(
    "text",
    [
        "given == self.secret\n",
        "if shop.edge.owner_token_digest != sha256(given).digest(): ...\n",
        "signature(secret, body) == given\n",
        "(given, name) == (key.token, key.name)\n",
    ],
)
def test_every_comparison_of_a_secret_by_its_letters_is_found(text: str) -> None:
    assert list(secrets_are_compared_in_constant_time(src(text)))
