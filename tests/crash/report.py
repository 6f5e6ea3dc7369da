"""The table of a run, and whether it holds."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.crash.children import Line
from tests.crash.matrix import Matrix
from tests.crash.scale import windows
from tests.crash.weather import AFTER_THE_EFFECT

from bitloot.domain.failpoints import FAIL_POINTS

COUNTS = ("lost", "bought_twice", "delivered_twice", "extra_mails", "stuck")
HEAD = ("boundary", "orders", "kills", *(name.replace("_", " ") for name in COUNTS))
SHOWN_FAULTS = 40


@dataclass
class Report:
    """What a run found."""

    matrix: Matrix
    found: defaultdict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    owner: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    letters: list[str] = field(default_factory=list)
    holds_open: list[str] = field(default_factory=list)
    counted: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, matrix: Matrix, lines: list[Line]) -> "Report":
        """The report of what the checker told."""
        report = cls(matrix)
        for line in lines:
            if "found" in line:
                report.found[str(line["found"])].add(str(line["order"]))
            elif "ref" in line:
                report.owner[str(line["ref"])] = str(line["order"])
            elif "fault" in line:
                report.faults.append(str(line["fault"]))
            elif "letter" in line:
                report.letters.append(str(line["letter"]))
            elif "hold" in line:
                report.holds_open.append(str(line["hold"]))
            else:
                report.counted |= {name: int(str(count)) for name, count in line.items()}
        return report

    @property
    def holds(self) -> bool:
        """Whether every column is 0 and nothing else was found."""
        bad = any(self.found[name] for name in COUNTS)
        return not bad and not self.faults and self.matrix.is_quiet

    def rows(self) -> Iterator[tuple[str, ...]]:
        """The table, the sum of all orders last."""
        for boundary in FAIL_POINTS:
            refs = self.matrix.killed[boundary]
            orders = {self.owner[ref] for ref in refs if ref in self.owner}
            counts = (str(len(self.found[name] & orders)) for name in COUNTS)
            yield boundary, str(len(orders)), str(self.matrix.kills[boundary]), *counts
        everything = (str(len(self.found[name])) for name in COUNTS)
        paid, kills = len(self.matrix.paid), self.matrix.kills.total()
        yield "all orders", str(paid), str(kills), *everything

    def facts(self) -> Iterator[str]:
        """What the run was like, one sentence each."""
        matrix = self.matrix
        rung, again = matrix.counted["rung"], matrix.counted["rung again"]
        said = ", ".join([*self.holds_open, *self.letters]) or "no hold, no dead letter"
        yield (
            f"{len(matrix.paid)} paid orders of {len(matrix.purchases)};"
            f" {len(self.found['human'])} of them wait for a person ({said})."
        )
        told = ", ".join(f"{code} {n}" for code, n in sorted(matrix.refused.items())) or "nothing"
        yield f"Refused to buyers, who asked again: {told}."
        yield (
            f"{self.counted['sold']} supplier orders, {self.counted['keys']} keys delivered,"
            f" {self.counted['mails']} mails."
        )
        yield f"{again} of {rung} jobs were rung for twice ({percent(again, rung)})."
        for line in matrix.weather:
            hits = line["faults"]
            assert isinstance(hits, dict)
            calls, hit = int(str(line["calls"])), sum(hits.values())
            after = sum(count for name, count in hits.items() if name in AFTER_THE_EFFECT)
            yield (
                f"{line['name']}: {hit} of {calls} calls hit ({percent(hit, calls)}),"
                f" {percent(after, hit)} of them after the effect."
            )
        yield (
            f"Quiet {matrix.recovery_seconds:.1f} s after the last fault"
            f" ({matrix.recovery_seconds * matrix.factor / 60:.0f} min unscaled; the settle window"
            " alone is 15)."
            if matrix.is_quiet
            else "It did not become quiet."
        )

    def text(self) -> str:
        """For a terminal."""
        table = [HEAD, *self.rows()]
        widths = [max(len(row[place]) for row in table) for place in range(len(HEAD))]
        lines = [
            "  ".join(
                cell.ljust(width) if place == 0 else cell.rjust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in table
        ]
        lines += ["", *self.facts()]
        lines += [f"  dead letter: {letter}" for letter in self.letters]
        lines += [f"  {name}: {order}" for name in COUNTS for order in sorted(self.found[name])]
        lines += [f"  FAULT {fault}" for fault in self.faults[:SHOWN_FAULTS]]
        return "\n".join(lines)

    def markdown(self, command: str, date: str) -> str:
        """A section for `docs/reliability.md`."""
        lines = [
            f"`{command}`, {date}, windows divided by {self.matrix.factor:g}.",
            "",
            "| " + " | ".join(HEAD) + " |",
            "|---" + "|---:" * (len(HEAD) - 1) + "|",
            *("| " + " | ".join(row) + " |" for row in self.rows()),
            "",
            *(f"- {fact}" for fact in self.facts()),
            "",
            "| window | real | here |",
            "|---|---:|---:|",
            *(
                f"| `{name}` | {real} | {here} |"
                for name, real, here in windows(self.matrix.factor)
            ),
        ]
        return "\n".join(lines) + "\n"


def percent(part: int, whole: int) -> str:
    """A share without decimals."""
    return f"{100 * part / whole:.0f} %" if whole else "none"
