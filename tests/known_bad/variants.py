"""The planted bugs: what is changed where, and which test has to say no."""

import re
import tomllib
from pathlib import Path

import msgspec

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
NAMES = sorted(path.stem for path in HERE.glob("*.toml"))
# A variant that cannot even run proves nothing about the test that it stops.
BROKEN_VARIANT = re.compile(
    r"^E +(\w+\.)*(Import|ModuleNotFound|Name|UnboundLocal|Attribute|Syntax|Indentation|Type)Error",
    re.MULTILINE,
)


class Variant(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`old` stands once in `file` and is replaced by `new`; then `caught_by` has to fail."""

    why: str
    file: str
    caught_by: str
    old: str
    new: str


def variant(name: str) -> Variant:
    read = tomllib.loads((HERE / f"{name}.toml").read_text())
    return msgspec.convert(read, Variant)


def is_caught(told: str, caught_by: str) -> bool:
    """Whether the named test itself said no, by what it asserts."""
    return f"FAILED {caught_by}" in told and BROKEN_VARIANT.search(told) is None
