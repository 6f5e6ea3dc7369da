"""The settings that a command runs with."""

from collections.abc import Mapping
from pathlib import Path

import rich_click as click

from bitloot_web.settings import Environment
from bitloot_web.settings_source import ENV_FILE, environment


def source(extra: Mapping[str, str] | None = None) -> Environment:
    """The process's variables over those of `--env-file`, or of ./bitloot.env if it is there."""
    context = click.get_current_context(silent=True)
    named = context.find_root().params.get("env_file") if context else None
    return environment(extra, file=named if isinstance(named, Path) else Path(ENV_FILE))
