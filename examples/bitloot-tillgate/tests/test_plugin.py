"""The plugin as a shop meets it: found by its name, told what is wrong, opened and closed."""

from importlib.metadata import entry_points
from pathlib import Path

import pytest

from bitloot.ports.errors import Unavailable
from bitloot.ports.plugin import GATEWAYS
from bitloot.testing import plugin_context
from bitloot_tillgate.plugin import TillgateSettings, plugin
from rig import KEY, SEAL_SECRET

GOOD = TillgateSettings(api_key=KEY, seal_secret=SEAL_SECRET)
# The discard port of this machine: nobody listens.
NOBODY = "http://127.0.0.1:9/v2"


def test_the_installed_package_puts_the_plugin_behind_its_name() -> None:
    (found,) = entry_points(group=GATEWAYS, name="tillgate")
    assert found.load() is plugin
    assert plugin.name == found.name


def test_good_settings_have_no_faults_in_production() -> None:
    assert plugin.faults(GOOD, is_production=True) == []


@pytest.mark.parametrize(
    ("field", "value"),
    [("api_key", " "), ("seal_secret", "short"), ("base_url", "http://api.tillgate.example/v2")],
)
def test_a_fault_names_the_variable_and_never_its_value(field: str, value: str) -> None:
    fields = {"api_key": KEY, "seal_secret": SEAL_SECRET, field: value}
    (fault,) = plugin.faults(TillgateSettings(**fields), is_production=True)
    assert fault.startswith(f"BITLOOT_TILLGATE_{field.upper()} ")
    assert value not in fault.removeprefix(f"BITLOOT_TILLGATE_{field.upper()} ").split()


def test_plain_http_is_for_trying_out_only() -> None:
    settings = TillgateSettings(api_key=KEY, seal_secret=SEAL_SECRET, base_url=NOBODY)
    assert plugin.faults(settings, is_production=False) == []


async def test_an_opened_gateway_says_when_nobody_is_there(tmp_path: Path) -> None:
    settings = TillgateSettings(api_key=KEY, seal_secret=SEAL_SECRET, base_url=NOBODY)
    async with plugin.open(settings, plugin_context(tmp_path)) as gateway:
        assert gateway.name == "tillgate"
        with pytest.raises(Unavailable):
            await gateway.check()


async def test_nothing_is_asked_while_a_transaction_is_open(tmp_path: Path) -> None:
    context = plugin_context(tmp_path, in_transaction=lambda: True)
    async with plugin.open(GOOD, context) as gateway:
        with pytest.raises(RuntimeError, match="transaction"):
            await gateway.check()
