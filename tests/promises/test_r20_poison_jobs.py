"""R20: a job that kills whoever runs it, and one that always raises."""

import json
import os
import subprocess
import sys

from tests.promises.figures import Figures

PATIENCE_SECONDS = 600
MOST_LOST = 0.01


def test_r20_poison_jobs_end_as_dead_letters_and_the_others_are_done(figures: Figures) -> None:
    good, seconds = (10_000, 500) if figures.full else (150, 100)
    ended = subprocess.run(
        [
            *(sys.executable, "-m", "tests.promises.poisoned"),
            *("--good", str(good), "--poison", "2", "--seconds", str(seconds)),
        ],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        env={name: text for name, text in os.environ.items() if not name.startswith("BITLOOT_")},
    )
    assert ended.returncode == 0, ended.stderr[-6000:]
    told = json.loads(ended.stdout.splitlines()[-1])
    jobs = {(kind, state): (int(count), int(most)) for kind, state, count, most, *_ in told["jobs"]}
    attempts = told["attempts"]
    spent = sum(count * most for (kind, _), (count, most) in jobs.items() if kind != "good")
    share = spent / (good + spent)
    figures.note(
        "R20",
        "a poisonous job is a dead letter after its last attempt, and the others are done",
        figure=f"{good} jobs done among 2 that kill and 2 that raise: these were dead after"
        f" {attempts} attempts each, {told['deaths']} processes died; {100 * share:.1f} % of all"
        f" attempts went to them; the others were done after {told['good_after']:.1f} s,"
        f" all after {told['all_after']:.1f} s",
        scale="lease ÷ 120",
        holds=jobs.get(("kills", "dead")) == (2, attempts)
        and jobs.get(("raises", "dead")) == (2, attempts)
        and jobs.get(("good", "done"), (0, 0))[0] == good
        and (share <= MOST_LOST or not figures.full),
    )
