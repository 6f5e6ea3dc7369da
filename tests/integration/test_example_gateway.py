"""The example package adds a payment gateway to the shop by being installed, and by nothing else.

It is built and installed without a network into a folder of its own, by the build backend that it
names. What a test then starts sees that folder, or does not.
"""

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from bitloot.testing import PaymentGatewayContract
from bitloot_web.plugins import configure
from bitloot_web.settings import Environment, SettingsError

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "bitloot-tillgate"
PATIENCE = 120

SHOP = {
    "BITLOOT_GATEWAYS": "tillgate",
    "BITLOOT_DATABASE_URL": "postgresql://bitloot@/bitloot",
    "BITLOOT_REDIS_URL": "redis://localhost/0",
    "BITLOOT_SECRET_KEY": "kX9-2mVq7sTz4RwEb8LpYc3HnJd6GfUa",
    "BITLOOT_SUPPLIERS": "custom",
    "BITLOOT_MAILER": "inbox",
    "BITLOOT_LOCAL_KEKS": "k1:7LqkqQx6m8Jx0nJ1l8fZ1mZr5b0d1o2p3q4r5s6t7u8=",
    "BITLOOT_LOCAL_PEPPER": "3mVq7sTz4RwEb8LpYc3HnJd6GfUa-kX9",
    "BITLOOT_TILLGATE_API_KEY": "tk-5c1e9a7b",
    "BITLOOT_TILLGATE_SEAL_SECRET": "Wq3-seal-8Ty5Ui2Op7As",
}


@dataclass(frozen=True)
class Ended:
    """A program that came to its end."""

    code: int
    out: str
    err: str


def run(
    *command: str, cwd: Path, site: Path | None = None, variables: Mapping[str, str] | None = None
) -> Ended:
    """Python with these arguments; `site` is the folder of installed packages that it also sees."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("BITLOOT_")}
    seen = {"PYTHONPATH": str(site)} if site else {}
    outer.pop("PYTHONPATH", None)
    done = subprocess.run(
        [sys.executable, *command],
        cwd=cwd,
        env={**outer, "PYTHONDONTWRITEBYTECODE": "1", **seen, **(variables or {})},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the example is installed, and nothing else."""
    folder = tmp_path_factory.mktemp("site")
    offline = ("--isolated", "--no-index", "--no-deps", "--no-build-isolation", "--no-cache-dir")
    quiet = ("--quiet", "--disable-pip-version-check", "--no-compile")
    target = ("--target", str(folder), str(EXAMPLE))
    ended = run("-m", "pip", "install", *offline, *quiet, *target, cwd=folder)
    assert ended.code == 0, ended.err
    assert (folder / "bitloot_tillgate" / "plugin.py").exists()
    return folder


@pytest.fixture(scope="module")
def own_tests(site: Path) -> Ended:
    """The example's own tests, run against what was installed."""
    plugins = ("-p", "pytest_asyncio.plugin", "-p", "no:cacheprovider")
    alone = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}  # the plugins of the shop's own tests
    return run("-m", "pytest", "-v", *plugins, cwd=EXAMPLE, site=site, variables=alone)


def test_the_example_passes_its_own_tests_when_it_is_installed(own_tests: Ended) -> None:
    assert own_tests.code == 0, own_tests.out
    assert re.search(r"^=+ \d+ passed in ", own_tests.out, re.MULTILINE), own_tests.out


def test_every_test_of_the_shipped_contract_is_among_them_and_none_is_left_out(
    own_tests: Ended,
) -> None:
    passed = re.findall(r"test_contract\.py::TestTillgate::(\w+)\S* PASSED", own_tests.out)
    shipped = {name for name in dir(PaymentGatewayContract) if name.startswith("test_")}
    assert set(passed) == shipped
    assert re.search(r"\b(lacks|def)\b", text_of(EXAMPLE / "tests" / "test_contract.py")) is None


def test_its_readme_ends_with_the_report_that_the_suite_gives(own_tests: Ended) -> None:
    passed = re.findall(r"test_contract\.py::\S+ PASSED", own_tests.out)
    assert f" {len(passed)} passed in " in text_of(EXAMPLE / "README.md")


def test_five_broken_versions_of_it_each_fail_the_tests_that_are_named_for_them(
    own_tests: Ended,
) -> None:
    broken = re.findall(r"test_a_broken_client_fails\w+\[(\w+)\] PASSED", own_tests.out)
    assert len(set(broken)) == 5


def config(tmp_path: Path, site: Path, variables: Mapping[str, str]) -> Ended:
    return run(
        *("-m", "bitloot_web.cli", "config", "--json"),
        cwd=tmp_path,
        site=site,
        variables=variables,
    )


def test_the_installed_gateway_is_found_by_its_name_with_its_settings(
    site: Path, tmp_path: Path
) -> None:
    ended = config(tmp_path, site, SHOP)
    assert ended.code == 0, ended.out + ended.err
    shown = msgspec.json.decode(ended.out, type=dict[str, str])
    assert shown["BITLOOT_GATEWAYS"] == "tillgate"
    assert shown["BITLOOT_TILLGATE_BASE_URL"].startswith("https://")
    assert shown["BITLOOT_TILLGATE_API_KEY"] == shown["BITLOOT_TILLGATE_SEAL_SECRET"] == "****"


def test_what_is_wrong_with_its_settings_is_told_like_the_shop_s_own_faults(
    site: Path, tmp_path: Path
) -> None:
    variables = {**SHOP, "BITLOOT_TILLGATE_SEAL_SECRET": "short", "BITLOOT_TILLGATE_KEY": "x"}
    faults = told(config(tmp_path, site, variables))
    assert any("BITLOOT_TILLGATE_SEAL_SECRET is shorter" in fault for fault in faults)
    assert any("BITLOOT_TILLGATE_KEY is not a setting" in fault for fault in faults)


def test_a_gateway_that_is_not_installed_is_unknown() -> None:
    with pytest.raises(SettingsError) as refused:
        configure(Environment(SHOP))
    unknown = "no plugin 'tillgate' in bitloot.payment_gateways; installed: nowpayments"
    assert unknown in refused.value.faults


def test_nothing_in_the_shop_knows_the_example() -> None:
    sources = (path for path in (ROOT / "src").rglob("*") if path.suffix in {".py", ".html"})
    assert not [path for path in sources if "tillgate" in text_of(path).lower()]
    assert "tillgate =" not in text_of(ROOT / "pyproject.toml")


def told(ended: Ended) -> list[str]:
    assert ended.code == 2, ended.out + ended.err
    return msgspec.json.decode(ended.out, type=dict[str, list[str]])["faults"]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")
