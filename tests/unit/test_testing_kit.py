"""`bitloot.testing` as the author of an adapter meets it: one import, and a guide that is true."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import bitloot.testing as kit
from bitloot.testing import (
    Contract,
    KeyVaultContract,
    MailerContract,
    PaymentGatewayContract,
    SupplierContract,
    needs,
)

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "adapters.md"
PROVIDERS = (PaymentGatewayContract, SupplierContract, KeyVaultContract, MailerContract)


@pytest.mark.parametrize("name", kit.__all__)
def test_every_name_of_the_kit_can_be_had(name: str) -> None:
    assert getattr(kit, name).__name__ == name


def test_a_name_that_the_kit_does_not_have_is_named() -> None:
    with pytest.raises(AttributeError, match="PaymentGatewaysContract"):
        kit.__getattr__("PaymentGatewaysContract")


def test_clocks_and_seeds_are_had_without_pytest() -> None:
    asked = "import sys, bitloot.testing as kit; kit.VirtualClock, kit.SeededIds"
    told = f"{asked}; sys.exit('pytest' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", told], check=False).returncode == 0


READABLY = """
import sys
from bitloot.testing import SupplierContract

def test_the_suite_is_rewritten() -> None:
    spec = sys.modules[SupplierContract.__module__].__spec__
    assert type(spec.loader).__name__ == "AssertionRewritingHook"
"""


def test_a_suite_that_is_had_from_the_kit_fails_readably(tmp_path: Path) -> None:
    (tmp_path / "test_mine.py").write_text(READABLY, encoding="utf-8")
    command = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path))
    alone = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(
        command, cwd=tmp_path, env=alone, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def levers(suite: type[Contract]) -> set[str]:
    tests = (getattr(suite, name) for name in dir(suite) if name.startswith("test_"))
    return {lever for test in tests for lever in getattr(test, "levers_of_the_rig", ())}


@pytest.mark.parametrize("suite", PROVIDERS)
def test_the_guide_names_exactly_the_levers_that_may_be_missing(suite: type[Contract]) -> None:
    (row,) = re.findall(rf"^\| `{suite.__name__}` \| (.*) \|$", GUIDE.read_text(), re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) == levers(suite)
    assert suite.__doc__ is not None
    assert levers(suite) <= set(re.findall(r"`(\w+)`", suite.__doc__))


def test_a_gateway_without_hosted_pages_is_asked_for_none() -> None:
    bare = type(
        "Bare", (PaymentGatewayContract,), {"lacks": {"hosted_page": "it gives addresses only"}}
    )
    left_out = {name for name in dir(bare) if name.startswith("test_") and not getattr(bare, name)}
    assert left_out == {
        "test_a_hosted_page_has_an_id_and_an_address",
        "test_a_lost_answer_to_an_invoice_is_an_unknown_outcome_too",
        "test_payments_made_on_a_hosted_page_are_listed",
    }


def test_a_test_may_need_several_levers() -> None:
    @needs("magnet", "spring")
    def test() -> None: ...

    assert vars(test)["levers_of_the_rig"] == {"magnet", "spring"}
