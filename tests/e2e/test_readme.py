"""The walk-through of the README, taken from the README and run."""

import os
import re
import subprocess
from pathlib import Path

from tests.e2e.programs import inherited
from tests.e2e.town import Town

README = Path(__file__).parents[2] / "README.md"
WALK_SECONDS = 120


def walk_through() -> str:
    section = README.read_text(encoding="utf-8").partition("## Buy something by hand")[2]
    found = re.search(r"```sh\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_purchase_of_the_readme_ends_with_both_keys(town: Town, tmp_path: Path) -> None:
    town.mend()
    script = tmp_path / "walk.sh"
    script.write_text(walk_through())
    walked = subprocess.run(
        ["bash", "-euo", "pipefail", str(script)],
        env=inherited() | {"SHOP": town.url("shop"), "GATEWAY": town.url("nowpayments")},
        capture_output=True,
        text=True,
        timeout=WALK_SECONDS,
        check=False,
    )
    told = f"{walked.stdout}\n{walked.stderr}"
    assert walked.returncode == 0, told
    _, is_fulfilled, keys = walked.stdout.partition(" is fulfilled\n")
    assert is_fulfilled, told
    # A key may have many lines: the terms of its licence come with some.
    assert len({line for line in keys.splitlines() if line}) >= 2, told


def test_the_readme_names_every_target_and_command_as_it_is() -> None:
    text = README.read_text(encoding="utf-8")
    targets = set(re.findall(r"make (\w+)", text))
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    assert targets <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    assert os.access(README.parent / "ARCHITECTURE.md", os.R_OK)
