"""The walk-through of the README, taken from the README and run."""

import json
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
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", section, re.DOTALL)
    assert len(blocks) == 3
    return "\n".join(blocks)


def test_the_walk_of_the_readme_ends_with_both_keys_an_account_and_a_look_at_the_desk(
    town: Town, tmp_path: Path
) -> None:
    town.mend()
    (tmp_path / "owner-key").write_text(f"{town.key}\n")
    script = tmp_path / "walk.sh"
    script.write_text(walk_through())
    shown = {
        "SHOP": town.url("shop"),
        "GATEWAY": town.url("nowpayments"),
        "MAILS": town.url("resend"),
        "DEMO": str(tmp_path),
    }
    walked = subprocess.run(
        ["bash", "-euo", "pipefail", str(script)],
        env=inherited() | shown,
        capture_output=True,
        text=True,
        timeout=WALK_SECONDS,
        check=False,
    )
    told = f"{walked.stdout}\n{walked.stderr}"
    assert walked.returncode == 0, told
    before, is_fulfilled, after = walked.stdout.partition(" is fulfilled\n")
    assert is_fulfilled, told
    number = before.rpartition("\n")[2]
    # A key may have many lines: the terms of its licence come with some.
    *keys, own, desk = [line for line in after.splitlines() if line]
    assert len(set(keys)) >= 2, told
    (order,) = json.loads(own)["items"]
    assert (order["number"], order["status"]) == (number, "fulfilled")
    assert number in {row["number"] for row in json.loads(desk)["items"]}


def test_the_readme_names_every_target_and_command_as_it_is() -> None:
    text = README.read_text(encoding="utf-8")
    targets = set(re.findall(r"make (\w+)", text))
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    assert targets <= set(re.findall(r"^(\w+):", makefile, re.MULTILINE))
    assert os.access(README.parent / "ARCHITECTURE.md", os.R_OK)
