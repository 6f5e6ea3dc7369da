"""The page of settings says what the code reads, each with its words."""

import re
from collections.abc import Iterable
from pathlib import Path

import msgspec
from tests.unit.test_settings import GOOD

from bitloot.domain.limits import Limits
from bitloot_web.plugins import configure, shown
from bitloot_web.settings import Environment, Settings
from bitloot_web.settings_table import settings_table

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "settings.md"
# Where settings are declared, read from the environment and described: not where they are used.
DECLARED = {"limits.py", "settings.py", "settings_table.py"}


def rows() -> dict[str, list[str]]:
    lines = [line for line in settings_table().splitlines() if line.startswith("| `")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {cell[0].strip("`"): cell[1:] for cell in cells}


def test_the_page_of_settings_is_the_one_that_the_code_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == settings_table(), (
        "run: bitloot config --markdown > docs/settings.md"
    )


def test_every_setting_and_every_limit_has_a_row() -> None:
    found = rows()
    in_force = shown(configure(Environment(GOOD)))
    assert set(in_force) <= set(found)
    assert len(found) > len(in_force)
    names = {f"BITLOOT_LIMIT_{name.upper()}" for name in Limits.__struct_fields__}
    assert names <= set(found)


def test_every_setting_of_the_shop_says_what_it_is_and_whether_it_is_secret() -> None:
    found = rows()
    for field in msgspec.structs.fields(Settings):
        if field.name != "limits":
            default, secret, words = found[f"BITLOOT_{field.name.upper()}"]
            assert words.endswith("."), field.name
            assert (default == "needed") is field.required
            is_shown_masked = shown(configure(Environment(GOOD)))[f"BITLOOT_{field.name.upper()}"]
            assert (secret == "yes") is (is_shown_masked == "****")


def test_no_default_of_a_secret_is_shown() -> None:
    assert {
        default
        for default, secret, *_ in (row for row in rows().values() if len(row) > 1)
        if secret == "yes"
    } <= {"needed", "none"}


def test_a_cap_stands_beside_its_limit() -> None:
    assert rows()["BITLOOT_LIMIT_LINK_LIFE"] == ["`15m`", "`15m`"]
    assert rows()["BITLOOT_LIMIT_PAGE_MAX"] == ["`100`", "`100`"]


def unused(names: Iterable[str], form: str) -> list[str]:
    """Those of the names that the code never asks for. `form` is the pattern of such a question."""
    texts = [
        path.read_text(encoding="utf-8")
        for path in (ROOT / "src").rglob("*.py")
        if path.name not in DECLARED and "sandbox" not in path.parts
    ]
    return [name for name in names if not any(re.search(form.format(name), t) for t in texts)]


def test_every_setting_and_limit_of_the_page_is_used_by_the_code() -> None:
    # The fields of rows that choose a limit by its name carry it as a text.
    assert unused(Limits.__struct_fields__, r'(\.{0}\b|"{0}")') == []
    own = (ROOT / "src" / "bitloot_web" / "settings.py").read_text(encoding="utf-8")
    asked = [name for name in Settings.__struct_fields__ if f"self.{name}" not in own]
    assert unused(asked, r"\.{0}\b") == []


def test_a_setting_that_nobody_uses_is_found() -> None:
    assert unused(["job_lease", "never_heard_of"], r"\.{0}\b") == ["never_heard_of"]
