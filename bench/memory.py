"""The memory of a process: its own pages, and its share of those that it has in common."""

from pathlib import Path


def megabytes(pid: int) -> float:
    """Proportional set size (proc(5), smaps_rollup), in units of 10^6 bytes."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Pss":
            return int(rest.split()[0]) * 1024 / 1e6
    raise RuntimeError(f"process {pid} has no Pss")
