"""Nothing in the process grows without a bound: queues have a size, caches too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).parents[2] / "src"
# What lives in tests only, and the stand-ins of providers, keep what they were given.
FOR_TESTS = ("bitloot/testing/", "bitloot_adapters/memory/", "bitloot_adapters/sandbox/")
QUEUES = frozenset({"Queue", "LifoQueue", "PriorityQueue", "SimpleQueue"})


def name_of(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def unbounded(tree: ast.Module) -> Iterator[str]:
    """Queues and deques without a size, caches without a size that remember arguments."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name, named = name_of(node.func), {each.arg for each in node.keywords}
            if name in QUEUES and not node.args and "maxsize" not in named:
                yield f"{node.lineno}: {name} without a size"
            if name == "deque" and len(node.args) < 2 and "maxlen" not in named:
                yield f"{node.lineno}: deque without a length"
            if name == "lru_cache" and any(
                isinstance(each.value, ast.Constant) and each.value.value is None
                for each in node.keywords
            ):
                yield f"{node.lineno}: lru_cache without a size"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            caches = [each for each in node.decorator_list if name_of(each) == "cache"]
            taken = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
            # There are only so many classes and named functions.
            kinds = [ast.unparse(each).partition(": ")[2] for each in taken]
            endless = [kind for kind in kinds if not kind.startswith(("type[", "Callable["))]
            if caches and endless:
                yield f"{node.lineno}: {node.name} remembers every argument"


def test_every_queue_and_every_cache_of_the_process_has_a_size() -> None:
    faults = []
    for path in sorted(SRC.rglob("*.py")):
        name = path.relative_to(SRC).as_posix()
        if not name.startswith(FOR_TESTS):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            faults += [f"{name}:{fault}" for fault in unbounded(tree)]
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize(
    ("text", "is_bounded"),
    [
        ("asyncio.Queue()", False),
        ("asyncio.Queue(64)", True),
        ("queue.Queue(maxsize=8)", True),
        ("deque()", False),
        ("deque((), 8)", True),
        ("@lru_cache(maxsize=None)\ndef f(a): ...", False),
        ("@lru_cache(maxsize=8)\ndef f(a): ...", True),
        ("@functools.cache\ndef f(a): ...", False),
        ("@cache\ndef f(): ...", True),
        ("@cache\ndef f(shape: type[Row]): ...", True),
    ],
)
def test_what_has_no_size_is_found(text: str, is_bounded: bool) -> None:
    assert (not list(unbounded(ast.parse(text)))) is is_bounded
