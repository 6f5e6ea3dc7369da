"""Starting an event loop for commands, with logs as the settings say."""

import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import rich_click as click
import uvloop

from bitloot_web.cli.source import source
from bitloot_web.logs import configure_logs
from bitloot_web.plugins import Configuration, configure, secret_values
from bitloot_web.process_roles import CannotListenError, Role, run_roles

T = TypeVar("T")


def configured(extra: Mapping[str, str] | None = None) -> Configuration:
    """The checked settings, with logs set up. Raises SettingsError."""
    configuration = configure(source(extra))
    settings = configuration.settings
    configure_logs(
        level=settings.log_level,
        form=settings.log_format,
        secrets=secret_values(configuration),
        stream=sys.stderr,
    )
    return configuration


def run(roles: frozenset[Role], extra: Mapping[str, str]) -> None:
    """Run roles until a signal comes."""
    configuration = configured(extra)
    try:
        uvloop.run(run_roles(configuration, roles))
    except CannotListenError as error:
        raise click.ClickException(str(error)) from None


def run_once(work: Callable[[Configuration], Awaitable[T]]) -> T:
    """Run one piece of work with the settings of the process."""
    configuration = configured()

    async def main() -> T:
        return await work(configuration)

    return uvloop.run(main())
