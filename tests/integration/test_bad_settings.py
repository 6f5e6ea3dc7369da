"""A program with settings that cannot be used ends before it opens anything; one whose servers are
down says so in a line.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.integration.commands import Commands

from bitloot_web.cli.main import cli
from bitloot_web.settings import SettingsError

COMMANDS = (
    ("serve",),
    ("worker",),
    ("scheduler",),
    ("migrate",),
    ("seed",),
    ("sync", "kinguin"),
    ("config",),
    ("keys", "rotate"),
    ("orders", "replay", "BL-AAAA-AAAA"),
)
# One of each kind of mistake; the values must not be told where they are secret.
MISTAKES = {
    "BITLOOT_PORT": "eighty",
    "BITLOOT_SECRET_KEY": "tiny-secret",
    "BITLOOT_LIMIT_LINK_LIFE": "16m",
    "BITLOOT_MAILER": "pigeon",
    "BITLOOT_KINGIUN_API_KEY": "x",
}


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_no_command_begins_without_its_settings(arguments: tuple[str, ...], tmp_path: Path) -> None:
    nothing = tmp_path / "nothing.env"
    nothing.touch()
    unset = dict.fromkeys((name for name in os.environ if name.startswith("BITLOOT_")), None)
    ended = CliRunner(env=unset).invoke(cli, ["--env-file", str(nothing), *arguments])
    assert isinstance(ended.exception, SettingsError), ended
    told = str(ended.exception)
    for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "KINGUIN_API_KEY"):
        assert told.count(f"BITLOOT_{name} (or") == 1, told


def test_malformed_and_missing_settings_are_told_in_one_message_and_end_with_2(
    tmp_path: Path,
) -> None:
    file = tmp_path / "shop.env"
    file.write_text("# a comment\nBITLOOT_WORKER_CONCURRENCY=many\n")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("BITLOOT_")}
    ended = subprocess.run(
        [sys.executable, "-m", "bitloot_web.cli", "--env-file", str(file), "serve"],
        env={**inherited, **MISTAKES},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    told = ended.stderr + ended.stdout
    assert ended.returncode == 2, told
    assert "Traceback" not in told
    assert told.count("The settings cannot be used:") == 1
    for words in (
        "BITLOOT_DATABASE_URL (or BITLOOT_DATABASE_URL_FILE) is missing",
        "BITLOOT_PORT has a value that cannot be used",
        "BITLOOT_WORKER_CONCURRENCY has a value that cannot be used",
        "pigeon",
        "did you mean BITLOOT_KINGUIN_API_KEY?",
    ):
        assert words in told, told
    assert "tiny-secret" not in told


def test_a_command_whose_database_is_down_says_what_to_do_in_one_line(tmp_path: Path) -> None:
    nobody = "postgresql://shop@127.0.0.1:1/shop"
    ended = Commands(nobody, "redis://127.0.0.1:1/0", tmp_path).run("migrate")
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "does not answer" in ended.stderr
    assert "BITLOOT_DATABASE_URL" in ended.stderr
