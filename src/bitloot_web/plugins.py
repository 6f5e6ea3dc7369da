"""Finding the chosen plugins behind their entry points and checking their settings.

Our own adapters come through the same door as those of an outside package: an entry point in one
of the groups of `bitloot.ports.plugin`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from importlib.metadata import EntryPoints, distributions
from typing import Final, Generic, TypeVar

import msgspec

from bitloot.ports.captcha import Captcha
from bitloot.ports.key_vault import KeyVault
from bitloot.ports.mailer import Mailer
from bitloot.ports.payment_gateway import PaymentGateway
from bitloot.ports.plugin import CAPTCHAS, GATEWAYS, KEY_VAULTS, MAILERS, SUPPLIERS, Plugin
from bitloot.ports.supplier import Supplier
from bitloot_web.settings import (
    LIMIT_PREFIX,
    PREFIX,
    SECRETS,
    Choice,
    Environment,
    Settings,
    SettingsError,
    read_settings,
)

P = TypeVar("P")
P_co = TypeVar("P_co", covariant=True)

GROUPS: Final = (GATEWAYS, SUPPLIERS, KEY_VAULTS, MAILERS, CAPTCHAS)
# The word for leaving out what a shop may do without.
NONE: Final = "none"


class Chosen(msgspec.Struct, Generic[P_co], frozen=True):
    """A plugin with the settings that it was given."""

    plugin: Plugin[P_co]
    settings: msgspec.Struct

    def __repr__(self) -> str:
        return f"Chosen({self.plugin.name!r})"


class ChosenPlugins(msgspec.Struct, frozen=True, kw_only=True):
    """Every plugin that the settings name, ready to be opened. `captcha` may be left out."""

    gateways: tuple[Chosen[PaymentGateway], ...]
    suppliers: tuple[Chosen[Supplier], ...]
    key_vault: Chosen[KeyVault]
    mailer: Chosen[Mailer]
    captcha: Chosen[Captcha] | None

    def everyone(self) -> tuple[Chosen[object], ...]:
        """All of them, of whatever kind."""
        one = () if self.captcha is None else (self.captcha,)
        return (*self.gateways, *self.suppliers, self.key_vault, self.mailer, *one)


class Configuration(msgspec.Struct, frozen=True):
    """Everything that the environment says, checked."""

    settings: Settings
    plugins: ChosenPlugins


def configure(environment: Environment) -> Configuration:
    """Read and check everything. Raises SettingsError with a line for each thing that is wrong."""
    settings, choice = read_settings(environment)
    plugins = choose(choice, environment)
    faults = [*environment.faults, *environment.unknown()]
    if choice.is_production:
        faults += [fault for fault in environment.examples() if fault not in faults]
    if faults or settings is None or plugins is None:
        raise SettingsError(faults)
    return Configuration(settings, plugins)


def _names(installed: EntryPoints, group: str) -> tuple[str, ...]:
    """The names that can be chosen in a group."""
    return tuple(sorted(point.name for point in installed.select(group=group)))


def choose(choice: Choice, environment: Environment) -> ChosenPlugins | None:
    """The plugins that the settings name; None with faults collected in the environment.

    Settings of installed plugins that were not chosen are known names, but not read.
    """
    # Asked once: each time, the metadata of every package there is are read.
    installed = EntryPoints(point for each in distributions() for point in each.entry_points)
    asked = _Asked(installed, choice, environment)
    gateways: list[Chosen[PaymentGateway] | None] = [
        _choose(GATEWAYS, name, asked) for name in choice.gateways
    ]
    suppliers: list[Chosen[Supplier] | None] = [
        _choose(SUPPLIERS, name, asked) for name in choice.suppliers
    ]
    vault: Chosen[KeyVault] | None = _choose(KEY_VAULTS, choice.key_vault, asked)
    mailer: Chosen[Mailer] | None = _choose(MAILERS, choice.mailer, asked)
    captcha: Chosen[Captcha] | None = (
        None if choice.captcha == NONE else _choose(CAPTCHAS, choice.captcha, asked)
    )
    _know_the_others(asked)
    if environment.faults or vault is None or mailer is None:
        return None
    return ChosenPlugins(
        gateways=tuple(chosen for chosen in gateways if chosen),
        suppliers=tuple(chosen for chosen in suppliers if chosen),
        key_vault=vault,
        mailer=mailer,
        captcha=captcha,
    )


@dataclass(frozen=True)
class _Asked:
    """What there is to choose from, and who asks for what."""

    installed: EntryPoints
    choice: Choice
    environment: Environment


def _choose(group: str, name: str, asked: _Asked) -> Chosen[P] | None:
    environment = asked.environment
    plugin: Plugin[P] | None = _load(asked.installed, group, name)
    if plugin is None:
        known = ", ".join(_names(asked.installed, group)) or "none"
        environment.faults.append(f"no plugin {name!r} in {group}; installed: {known}")
        return None
    before = len(environment.faults)
    prefix = f"{PREFIX}{plugin.name.upper()}_"
    values = environment.struct(plugin.settings, prefix, plugin.secrets)
    if len(environment.faults) > before:
        return None
    read = msgspec.convert(values, plugin.settings)
    environment.faults += plugin.faults(read, is_production=asked.choice.is_production)
    return Chosen(plugin, read)


def _load(installed: EntryPoints, group: str, name: str) -> Plugin[P] | None:
    points = installed.select(group=group, name=name)
    found: Sequence[Plugin[P]] = [point.load() for point in points]
    return found[0] if found else None


def _know_the_others(asked: _Asked) -> None:
    """Variables of installed but unchosen plugins are no mistakes: several shops share one file."""
    choice = asked.choice
    chosen = {*choice.gateways, *choice.suppliers, choice.key_vault, choice.mailer, choice.captcha}
    for group in GROUPS:
        for name in _names(asked.installed, group):
            if name not in chosen:
                plugin: Plugin[object] | None = _load(asked.installed, group, name)
                if plugin is not None:
                    asked.environment.know(f"{PREFIX}{plugin.name.upper()}_", plugin.settings)


def shown(configuration: Configuration) -> dict[str, str]:
    """Every setting in force by its variable's name, secrets as `****`."""
    settings, plugins = configuration.settings, configuration.plugins
    found = _shown(settings, PREFIX, SECRETS)
    del found[f"{PREFIX}LIMITS"]
    found |= _shown(settings.limits, LIMIT_PREFIX, frozenset())
    for chosen in plugins.everyone():
        prefix = f"{PREFIX}{chosen.plugin.name.upper()}_"
        found |= _shown(chosen.settings, prefix, chosen.plugin.secrets)
    return found


def _shown(struct: msgspec.Struct, prefix: str, secrets: frozenset[str]) -> dict[str, str]:
    return {
        prefix + name.upper(): "****" if name in secrets else _text(getattr(struct, name))
        for name in struct.__struct_fields__
    }


def _text(value: object) -> str:
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g}s"
    return str(value)


def secret_values(configuration: Configuration) -> list[str]:
    """Every secret in force, of the shop and of its plugins: what no log line may contain.

    Lists of keys are given whole and key by key, without the ids. The addresses of servers are
    left out: what is secret in them is masked by its place.
    """
    settings, plugins = configuration.settings, configuration.plugins
    texts = [settings.secret_key, *settings.previous_secret_keys]
    for chosen in plugins.everyone():
        texts += [str(getattr(chosen.settings, name)) for name in sorted(chosen.plugin.secrets)]
    parts = [part.strip().rpartition(":")[2] for text in texts for part in text.split(",")]
    return [*texts, *parts]
