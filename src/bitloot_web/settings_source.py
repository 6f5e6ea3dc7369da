"""Where commands take their settings from: the process, and a file in the working folder."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bitloot_web.settings import Environment

ENV_FILE: Final = "bitloot.env"


def environment(
    extra: Mapping[str, str] | None = None, *, file: Path = Path(ENV_FILE)
) -> Environment:
    """The process's variables over those of a file, `bitloot.env` unless another is named."""
    return Environment({**_from_file(file), **os.environ, **(extra or {})})


def _from_file(path: Path) -> dict[str, str]:
    if not path.is_file():
        return {}
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): value.strip() for name, _, value in pairs}
