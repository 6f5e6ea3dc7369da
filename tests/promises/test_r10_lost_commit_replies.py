"""R10: a commit was carried out and nobody was told. Nothing happens twice, nothing is lost."""

import random
import re
from collections import Counter

from tests.promises.audit import audited, until_quiet
from tests.promises.buyers import Crowd
from tests.promises.figures import Figures
from tests.promises.proxy import Fate
from tests.promises.stage import Stage

WRITTEN = re.compile(r"\b(?:INSERT INTO|(?<!KEY )UPDATE) (\w+)")
# What the shop's own commits are told apart by, the first that is written winning.
KINDS = {"webhook_logs": "callbacks", "orders": "orders", "payments": "payments"}


def kind_of(statements: str) -> str:
    """What a commit of the shop was about."""
    tables = set(WRITTEN.findall(statements))
    return next((word for table, word in KINDS.items() if table in tables), "other requests")


def losing(seed: int, share: float, most: int) -> Fate:
    """So large a share of commits loses its reply, as the seed says; leases among them."""
    chance = random.Random(seed)
    left = iter(range(most))

    def fate(_statements: str) -> bool:
        return chance.random() < share and next(left, None) is not None

    return fate


async def test_r10_commits_whose_reply_is_lost_have_their_effect_once(
    stage: Stage, crowd: Crowd, figures: Figures
) -> None:
    orders, goal = (140, 500) if figures.full else (24, 40)
    share = 0.12
    before = len(stage.paid)
    stage.database["shop"].lose_commits(losing(10, share, goal * 2))
    stage.database["worker"].lose_commits(losing(11, share, goal * 2))
    bought = await crowd.many(orders * 3 // 4, "custom")
    bought += await crowd.many(orders // 4, "custom", "kinguin")
    await until_quiet(stage, [order.id for order in bought], seconds=300 if figures.full else 60)
    for proxy in stage.database.values():
        proxy.lose_commits(None)
    told = Counter(map(kind_of, stage.database["shop"].lost))
    told["steps of jobs"] = len(stage.database["worker"].lost)
    audit = await audited(stage, stage.paid[before:])
    lost = ", ".join(f"{count} {word}" for word, count in told.most_common())
    figures.note(
        "R10",
        "a commit whose reply is lost has its effect once",
        figure=f"{told.total()} replies lost ({lost}); {audit.text()}",
        scale=stage.scale,
        holds=audit.is_clean and told.total() >= goal,
    )
