"""The import contracts hold on the tree, and each of them can be broken."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
LINT = "from importlinter.cli import lint_imports_command; lint_imports_command()"

OFFENCES = {
    "direction": ("bitloot_adapters/http.py", "import bitloot_web.composition"),
    "shelves": ("bitloot/domain/money.py", "import bitloot.ports.clock"),
    "core-alone": ("bitloot/domain/order.py", "import asyncio"),
    "usecases-apart": ("bitloot/usecases/planted_one.py", "import bitloot.usecases.planted_two"),
    "sandboxes-apart": ("bitloot_adapters/sandbox/resend/config.py", "import bitloot.domain.money"),
    "adapters-apart": (
        "bitloot_adapters/nowpayments/__init__.py",
        "import bitloot_adapters.memory",
    ),
    "one-composition": ("bitloot_web/devservices/faults.py", "import bitloot_adapters.http"),
    "no-cycles": ("bitloot/usecases/planted_two.py", "import bitloot.usecases.planted_one"),
}
"""A line for each contract that breaks it."""


def outcomes(root: Path) -> dict[str, str]:
    """KEPT or BROKEN, by the name of the contract."""
    told = subprocess.run(
        [sys.executable, "-c", LINT, "--no-cache"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root / "src"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.findall(r"^(.+) (KEPT|BROKEN)", told.stdout, re.MULTILINE)
    assert found, told.stdout + told.stderr
    return dict(found)


def test_every_contract_is_kept() -> None:
    assert set(outcomes(ROOT).values()) == {"KEPT"}


def test_every_contract_is_broken_by_its_offence(tmp_path: Path) -> None:
    config = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    names = dict(re.findall(r'^id = "(.+)"\nname = "(.+)"$', config, re.MULTILINE))
    assert set(names) == set(OFFENCES)
    shutil.copytree(ROOT / "src", tmp_path / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "pyproject.toml").write_text(config)
    (tmp_path / "src/bitloot/usecases/planted_two.py").write_text("")
    for place, line in OFFENCES.values():
        with (tmp_path / "src" / place).open("a") as file:
            file.write(f"\n{line}\n")
    found = outcomes(tmp_path)
    assert {name: found[name] for name in names.values()} == dict.fromkeys(names.values(), "BROKEN")
