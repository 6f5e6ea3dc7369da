"""R6: not one callback of the gateway arrives. Every payment is settled by asking, and soon."""

import asyncio
import time

from tests.e2e.programs import until
from tests.promises.audit import audited, until_quiet
from tests.promises.buyers import Bought, Crowd
from tests.promises.figures import Figures
from tests.promises.stage import Stage

# What comes of a payment, how it is brought about, and how the order must end.
ENDS = {
    "finished": ("pay", {}, "fulfilled"),
    "paid over": ("pay", {"fraction": "1.2"}, "fulfilled"),
    "paid under": ("pay", {"fraction": "0.5"}, "failed"),
    "failed": ("status", {"status": "failed"}, "failed"),
}
POLLS = 2


async def test_r6_every_payment_is_final_within_two_polls_without_any_callback(
    stage: Stage, crowd: Crowd, figures: Figures
) -> None:
    each = 50 if figures.full else 4
    poll = stage.limits.payment_poll.total_seconds()
    orders: dict[str, str] = {}
    told: dict[str, float] = {}
    final: dict[str, float] = {}

    async def look() -> bool | None:
        now = time.monotonic()
        rows = await stage.sql(
            "SELECT id::text, status FROM orders WHERE id = ANY(%s::uuid[])", [list(told)]
        )
        for order, status in rows:
            if status == orders[str(order)]:
                final.setdefault(str(order), now - told[str(order)])
        return True if len(final) == each * len(ENDS) else None

    looking = asyncio.create_task(
        until("every payment to be final", look, seconds=each * len(ENDS) + POLLS * poll * 3)
    )
    for scenario, how, status in ENDS.values():
        for _ in range(each):
            order = await crowd.place("custom")
            await crowd.address(order)
            orders[order.id] = status
            await bring_about(crowd, order, scenario, **how)
            told[order.id] = time.monotonic()
            if status == "fulfilled":
                stage.paid.append(order.id)
    await looking
    await until_quiet(stage, [one for one in orders if one in stage.paid], seconds=30)
    heard = await stage.count(
        "SELECT count(*)::int FROM webhook_logs WHERE order_id = ANY(%s::uuid[])", [list(orders)]
    )
    audit = await audited(stage, [one for one in orders if orders[one] == "fulfilled"])
    worst = max(final.values())
    figures.note(
        "R6",
        "every payment is final within two polls although every callback is lost",
        figure=f"{len(final)} payments, {heard} callbacks heard; the slowest order was final"
        f" after {worst / poll:.2f} polls ({stage.real(worst)}); {audit.text()}",
        scale=stage.scale,
        holds=heard == 0 and worst <= POLLS * poll and audit.is_clean,
    )


async def bring_about(crowd: Crowd, order: Bought, scenario: str, **how: str) -> None:
    """Let it happen at the gateway, with every callback lost on its way."""
    path = f"/_control/payments/{order.payment}/{scenario}"
    (await crowd.gateway.post(path, json={**how, "ipn": "lost"})).raise_for_status()
