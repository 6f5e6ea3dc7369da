"""`bitloot demo`, run as a person would run it."""

import re
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from tests.e2e.programs import BITLOOT, bytecode, free_ports, inherited

from bitloot_web.demo.home import SECRETS_FILE

RUN_SECONDS = 120
SERVING = "Serving. Stop with Ctrl-C."


class Demo:
    """A demo in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "demo"
        (self.port,) = free_ports(1)
        self.variables: Mapping[str, str] = inherited() | bytecode(folder)

    def start(self, *options: str) -> subprocess.Popen[str]:
        given = ("--port", str(self.port), "--data", str(self.folder), *options)
        return subprocess.Popen(
            [*BITLOOT, "demo", *given],
            env=self.variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def once(self) -> tuple[int, str]:
        """The exit code and everything that was printed."""
        with self.start("--once") as process:
            told, _ = process.communicate(timeout=RUN_SECONDS)
        return process.returncode, told


@pytest.fixture(scope="module")
def demo(services_folder: Path) -> Demo:
    folder = services_folder / "d"
    folder.mkdir()
    return Demo(folder)


def revealed(told: str) -> list[str]:
    lines = told.partition("Both keys revealed")[2].splitlines()[1:3]
    return [line.rpartition(": ")[2] for line in lines]


def test_a_fresh_demo_sells_two_keys_and_ends_with_0(demo: Demo) -> None:
    code, told = demo.once()
    assert code == 0, told
    assert len(set(revealed(told))) == 2, told
    products = re.search(r"(\d+) products read from Kinguin, (\d+) of them new", told)
    assert products is not None, told
    # Preorders, and what has keys as pictures alone, are read and not put on the shelf.
    assert 500 <= int(products[2]) <= int(products[1])
    for step in ("database migrated", "60 own keys", "quoted", "asked to pay", "is fulfilled"):
        assert step in told, told
    for url in ("/v1/catalog/products", "/docs", "/inbox", "/_control/payments"):
        assert re.search(rf"http://127\.0\.0\.1:\d+{re.escape(url)}", told), told
    assert (demo.folder / SECRETS_FILE).stat().st_mode & 0o077 == 0


def test_a_second_start_reuses_the_data_and_serves_until_it_is_interrupted(demo: Demo) -> None:
    secrets = (demo.folder / SECRETS_FILE).read_bytes()
    with demo.start() as process:
        assert process.stdout is not None
        told = ""
        for line in process.stdout:
            told += line
            if SERVING in line:
                break
        assert SERVING in told, told
        assert ", 0 of them new" in told
        assert " 0 own keys imported" in told
        assert len(set(revealed(told))) == 2, told
        assert (demo.folder / SECRETS_FILE).read_bytes() == secrets
        code, refused = demo.once()  # the folder is taken
        assert code == 1, refused
        assert "already runs in" in refused
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=RUN_SECONDS)
    assert process.returncode == 0, rest
    assert "Traceback" not in rest


def test_a_demo_whose_provider_fails_ends_with_a_reason(services_folder: Path) -> None:
    folder = services_folder / "f"
    folder.mkdir()
    broken = Demo(folder)
    state = broken.folder / "sandbox" / "kinguin"
    state.mkdir(parents=True)
    (state / "kinguin.sqlite3").write_bytes(b"no database " * 100)
    code, told = broken.once()
    assert code == 1, told
    assert "Traceback" not in told
    assert "the kinguin sandbox ended at once" in told
