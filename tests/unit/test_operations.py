"""What a running shop does by itself: lost work, invariants, differences, metrics, retries."""

import asyncio
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from itertools import count

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from structlog.testing import capture_logs
from tests import asgi

from bitloot.domain.decision import Change, Decision, insert, update
from bitloot.domain.email import Email
from bitloot.domain.idempotency import Once
from bitloot.domain.ledger import LedgerLine
from bitloot.domain.limits import Limits
from bitloot.domain.order import Order
from bitloot.domain.payment import Invoice
from bitloot.domain.quote import Quote, Wanted
from bitloot.domain.reconciliation import ReconciliationBreak
from bitloot.ports.views.invariants import INVARIANTS
from bitloot.testing.rows import Rows
from bitloot.usecases.checkout import OrderFacts
from bitloot_web.composition.assembly import invariant_watch
from bitloot_web.composition.memory import GATEWAY
from bitloot_web.diagnosis import Finding, invariant_findings
from bitloot_web.testing import TestShop, shop

_numbers = count()


def once() -> Once:
    key = f"key-{next(_numbers):020}"
    return Once(route="test", caller="test", key=key, request_hash=key)


async def placed(it: TestShop, *slugs: str) -> OrderFacts:
    wanted = [Wanted(product=slug, quantity=1) for slug in slugs]
    quoted = await it.shop.checkout.quote(wanted, country=None, asset=None)
    return await it.shop.checkout.place(
        quoted.quote.id, email="buyer@example.org", placed_from="203.0.113.7", once=once()
    )


async def payable(it: TestShop, *slugs: str) -> tuple[OrderFacts, str]:
    order = await placed(it, *slugs)
    await it.shop.opening.pay(order.order_id, asset="btc", once=once())
    return order, it.around.gateway.of_order(order.number)[-1].gateway_payment_id


async def called_back(it: TestShop, payment: str) -> None:
    headers, body = it.around.gateway.webhook(payment)
    await it.shop.webhook_intake.accept(GATEWAY, headers, body)
    await it.run_due()


async def own(it: TestShop, keys: int = 2) -> str:
    return await it.stock_own("Office Pro", price=Decimal("10.00"), keys=keys)


async def supplied(it: TestShop) -> str:
    return await it.stock_supplier("Lantern Keeper", cost=Decimal("8.00"), units=9)


async def sweep(it: TestShop, name: str) -> None:
    at = it.around.clock.now()
    await it.around.near.jobs.tick(name, at, "sweep", f"{name}/{at:%Y-%m-%dT%H:%M:%S}")
    await it.run_due()


async def write(it: TestShop, *changes: Change) -> None:
    async with it.around.near.uow.begin() as tx:
        await tx.record(Decision(save=changes))


def status(it: TestShop, order: OrderFacts) -> str:
    return next(o.status for o in it.around.store.rows(Order) if o.id == order.order_id)


def lose_pending_jobs(it: TestShop) -> None:
    """A restored backup, a bug: work stands open and nobody is asked to do it."""
    table = it.around.store.jobs
    for job in list(table.pending()):
        table._end(job, "done")


def jobs_made(it: TestShop, *kinds: str) -> int:
    return sum(job.kind in kinds for job in it.around.store.jobs.all())


def samples(it: TestShop) -> dict[tuple[str, str], float]:
    """(name, the value of its only label or nothing) to value."""
    return {
        (sample.name, next(iter(sample.labels.values()), "")): sample.value
        for family in text_string_to_metric_families(it.shop.metrics.page().decode())
        for sample in family.samples
        if len(sample.labels) <= 1
    }


def states_of_jobs(it: TestShop, kind: str) -> list[str]:
    return [job.state for job in it.around.store.jobs.all() if job.kind == kind]


class Desk:
    """An owner at the HTTP desk."""

    def __init__(self, it: TestShop) -> None:
        self._it = it
        self._key = ""
        self._transport = asgi.transport(it.app)

    async def _token(self) -> dict[str, str]:
        self._key = self._key or await self._it.owner_key()
        return {"authorization": f"Bearer {self._key}"}

    def _open(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=self._transport, base_url="https://desk")

    async def get(self, path: str) -> httpx.Response:
        async with self._open() as http:
            return await http.get(f"/v1/admin{path}", headers=await self._token())

    async def post(self, path: str, body: dict[str, str]) -> httpx.Response:
        headers = {**await self._token(), "idempotency-key": f"key-{next(_numbers):020}"}
        async with self._open() as http:
            return await http.post(f"/v1/admin{path}", json=body, headers=headers)

    async def retry(self, order: OrderFacts) -> httpx.Response:
        path = f"/orders/{order.order_id}/retry-fulfillment"
        return await self.post(path, {"reason": "the buyer asks"})


# --- work that lost its job ----------------------------------------------------------------------


async def test_an_order_whose_every_job_was_lost_goes_on_to_its_keys() -> None:
    async with shop(seed=1) as it:
        order, payment = await payable(it, await supplied(it), await own(it))
        await it.run_due()
        it.around.gateway.pay(payment)
        for _ in range(12):
            lose_pending_jobs(it)
            await sweep(it, "redrive")
            it.around.clock.advance(timedelta(seconds=20))
        assert status(it, order) == "fulfilled"


async def test_a_stored_callback_without_a_job_is_applied() -> None:
    async with shop(seed=2) as it:
        order, payment = await payable(it, await own(it))
        it.around.gateway.pay(payment)
        headers, body = it.around.gateway.webhook(payment)
        await it.shop.webhook_intake.accept(GATEWAY, headers, body)
        lose_pending_jobs(it)
        await sweep(it, "redrive")
        assert status(it, order) == "fulfilled"


async def test_an_unpaid_order_without_its_timer_expires() -> None:
    async with shop(seed=3) as it:
        order = await placed(it, await own(it))
        lose_pending_jobs(it)
        it.around.clock.advance(timedelta(minutes=31))
        await sweep(it, "redrive")
        assert status(it, order) == "expired"


async def test_a_mail_that_lost_its_sender_is_sent_once() -> None:
    async with shop(seed=4) as it:
        await placed(it, await own(it))
        rows = Rows(clock=it.around.clock.now, new_id=it.around.near.new_id)
        await write(it, insert(rows.email()))
        it.around.clock.advance(timedelta(minutes=11))
        for _ in range(3):
            await sweep(it, "redrive")
        assert [mail.state for mail in it.around.store.rows(Email) if mail.html] == ["sent"]


async def test_what_is_redriven_keeps_its_job_and_is_not_found_again_each_minute() -> None:
    async with shop(seed=5) as it:
        slug = await own(it, keys=4)
        await payable(it, slug)
        hosted = await placed(it, slug)
        await it.shop.opening.pay_hosted(hosted.order_id, asset="btc", return_url=None, once=once())
        blocked, payment = await payable(it, await supplied(it))
        it.around.supplier.set_balance(Decimal(0))
        it.around.gateway.pay(payment)
        await called_back(it, payment)
        assert status(it, blocked) == "paid"
        lose_pending_jobs(it)
        await sweep(it, "redrive")
        assert it.around.store.rows(Invoice)
        assert await it.shop.views.desk.stuck(limit=9) == ()
        kinds = ("fulfil", "apply_payment", "expire_order", "adopt_invoice", "send_email")
        before = jobs_made(it, *kinds)
        for _ in range(5):
            it.around.clock.advance(timedelta(minutes=1))
            await sweep(it, "redrive")
        assert jobs_made(it, *kinds) == before


async def test_a_page_whose_payments_cannot_be_listed_is_watched_without_being_asked_about() -> (
    None
):
    async with shop(seed=6) as it:
        it.around.gateway.lists_by_invoice = False
        order = await placed(it, await own(it))
        await it.shop.opening.pay_hosted(order.order_id, asset="btc", return_url=None, once=once())
        await it.advance(timedelta(hours=2))
        assert states_of_jobs(it, "adopt_invoice") == ["pending"]
        assert await it.shop.views.desk.stuck(limit=9) == ()
        await it.advance(timedelta(days=7))
        assert states_of_jobs(it, "adopt_invoice") == ["done"]


# --- what must never be --------------------------------------------------------------------------


async def test_a_breach_is_logged_by_name_and_id_and_shown_as_a_gauge() -> None:
    async with shop(seed=7) as it:
        order = await placed(it, await own(it))
        line = LedgerLine(
            id=it.around.near.new_id(),
            order_id=order.order_id,
            entry=f"sale/{order.order_id}",
            account="sale",
            amount=Decimal("-1.00"),
            at=it.around.clock.now(),
        )
        await write(it, insert(line))
        with capture_logs() as logs:
            await sweep(it, "invariants")
        told = [entry for entry in logs if entry["event"] == "invariant_breached"]
        assert {entry["rule"] for entry in told} == {"ledger_unbalanced", "sale_of_unpaid_order"}
        assert all(set(e) <= {"event", "log_level", "rule", "subject"} for e in told)
        assert {entry["subject"] for entry in told} == {order.order_id}
        assert {entry["log_level"] for entry in told} == {"error"}
        found = samples(it)
        assert found["bitloot_breaches", "ledger_unbalanced"] == 1
        assert {name for rule, name in found if rule == "bitloot_breaches"} >= set(INVARIANTS)
        assert found["bitloot_breaches", "paid_but_idle"] == 0


async def test_dead_jobs_are_counted_and_the_doctor_says_so() -> None:
    async with shop(seed=8) as it:
        for name in ("no-such-sweep", "nor-this"):
            await sweep(it, name)
        await sweep(it, "invariants")
        assert samples(it)["bitloot_dead_jobs", ""] == 2
        watch = invariant_watch(it.around.near, it.shop.metrics)
        assert invariant_findings(await watch.look()) == [
            Finding("invariants", "ok"),
            Finding("reconciliation", "ok"),
            Finding("jobs", "warning", "2 dead: see `bitloot jobs dead`"),
        ]


# --- records whose time is over ------------------------------------------------------------------


async def test_done_work_ticks_and_unused_quotes_are_forgotten_in_the_end() -> None:
    async with shop(seed=9) as it:
        slug = await own(it)
        order, payment = await payable(it, slug)
        it.around.gateway.pay(payment)
        await called_back(it, payment)
        wanted = [Wanted(product=slug, quantity=1)]
        await it.shop.checkout.quote(wanted, country=None, asset=None)
        assert len(it.around.store.rows(Quote)) == 2
        await it.advance(timedelta(days=40))
        await sweep(it, "housekeeping")
        kinds = {job.kind for job in it.around.store.jobs.all()}
        assert kinds == {"sweep"}
        assert [quote.used_by for quote in it.around.store.rows(Quote)] == [order.order_id]


# --- differences to providers --------------------------------------------------------------------


async def test_an_object_that_is_gone_is_told_until_it_is_back() -> None:
    async with shop(seed=10) as it:
        order, payment = await payable(it, await own(it))
        it.around.gateway.pay(payment)
        await called_back(it, payment)
        (key,) = await it.around.near.upkeep.uploaded_keys(
            since=it.around.clock.now() - timedelta(hours=1), after=None, limit=9
        )
        stored = await it.around.vault.get(key.object_name, size=10_000)
        await it.around.vault.delete(key.object_name)
        with capture_logs() as logs:
            for _ in range(2):
                await sweep(it, "objects")
                it.around.clock.advance(timedelta(minutes=1))
        alerts = [entry for entry in logs if entry["event"] == "reconciliation_break"]
        assert [(a["rule"], a["subject"]) for a in alerts] == [("key_object_missing", key.id)]
        await it.around.vault.put(
            key.object_name, b"other bytes", sha256(b"other bytes").hexdigest()
        )
        it.around.clock.advance(timedelta(minutes=1))
        await sweep(it, "objects")
        kinds = [row.kind for row in await it.shop.views.desk.open_breaks(limit=9)]
        assert kinds == ["key_object_differs"]
        await it.around.vault.put(key.object_name, stored, key.sha256)
        it.around.clock.advance(timedelta(minutes=1))
        await sweep(it, "objects")
        assert await it.shop.views.desk.open_breaks(limit=9) == ()
        assert status(it, order) == "fulfilled"


async def test_objects_are_compared_a_batch_at_a_time() -> None:
    async with shop(seed=11, limits=Limits(reconcile_objects=1)) as it:
        slug = await own(it, keys=3)
        for _ in range(3):
            _, payment = await payable(it, slug)
            it.around.gateway.pay(payment)
            await called_back(it, payment)
        since = it.around.clock.now() - timedelta(hours=1)
        for key in await it.around.near.upkeep.uploaded_keys(since=since, after=None, limit=9):
            await it.around.vault.delete(key.object_name)
        await sweep(it, "objects")
        assert len(it.around.store.rows(ReconciliationBreak)) == 3


async def test_the_desk_lists_what_differs_and_closes_what_is_explained() -> None:
    async with shop(seed=18) as it:
        at, new_id = it.around.clock.now(), it.around.near.new_id
        rows = [
            ReconciliationBreak(
                id=new_id(),
                kind="supplier_order_foreign",
                subject=f"memory/{n}",
                ours="",
                theirs="processing",
                found_at=at,
            )
            for n in range(3)
        ]
        await write(it, *map(insert, rows))
        desk = Desk(it)
        first = (await desk.get("/reconciliation-breaks?limit=2")).json()
        assert [row["subject"] for row in first["items"]] == ["memory/0", "memory/1"]
        rest = await desk.get(f"/reconciliation-breaks?limit=2&cursor={first['next']}")
        assert [row["subject"] for row in rest.json()["items"]] == ["memory/2"]
        path = f"/reconciliation-breaks/{rows[0].id}/explanation"
        closed = await desk.post(path, {"reason": "a test purchase"})
        assert (closed.status_code, closed.json()["state"]) == (200, "settled")
        assert (await desk.post(path, {"reason": "again"})).status_code == 404
        left = (await desk.get("/reconciliation-breaks")).json()
        assert (len(left["items"]), left["next"]) == (2, None)


# --- metrics -------------------------------------------------------------------------------------


async def test_a_purchase_is_counted_where_its_decisions_are_recorded() -> None:
    async with shop(seed=12) as it:
        slug = await own(it)
        order, payment = await payable(it, slug)
        it.around.gateway.pay(payment)
        await called_back(it, payment)
        assert status(it, order) == "fulfilled"
        transport = asgi.transport(it.app)
        async with httpx.AsyncClient(transport=transport, base_url="https://shop.example") as http:
            headers, body = it.around.gateway.webhook(payment)
            again = await http.post(f"/v1/webhooks/{GATEWAY}", content=body, headers=headers)
            forged = await http.post(f"/v1/webhooks/{GATEWAY}", content=b"{}", headers=headers)
            asked = await http.post(f"/v1/orders/{order.order_id}/session/code", json={})
            nobody = it.around.near.new_id()
            assert (await http.post(f"/v1/orders/{nobody}/session/code", json={})).is_success
            await it.run_due()
            text = it.around.mailer.mailbox[-1].message.text
            code = next(word for word in text.split() if word.isdigit() and len(word) == 6)
            answer = {"challengeId": asked.json()["challengeId"], "code": code}
            right = await http.post(f"/v1/orders/{order.order_id}/session", json=answer)
        assert (again.status_code, forged.status_code, right.status_code) == (200, 401, 201)
        poor, too_little = await payable(it, slug)
        it.around.gateway.pay(too_little, Decimal("0.5"))
        await called_back(it, too_little)
        assert status(it, poor) == "failed"
        found = samples(it)
        assert found["bitloot_otp_issued_total", ""] == 1
        assert found["bitloot_otp_verified_total", ""] == 1
        assert found["bitloot_underpaid_orders_total", ""] == 1
        assert found["bitloot_time_to_key_seconds_count", ""] == 1
        assert found["bitloot_duplicate_webhook_total", GATEWAY] == 1
        assert found["bitloot_invalid_hmac_total", GATEWAY] == 1
        for kind in ("order-created", "order-ready", "order-underpaid", "reentry-code"):
            taken = found["bitloot_email_success_total", kind]
            assert taken >= 1, kind
            assert found["bitloot_email_seconds_count", kind] == taken, kind


async def test_a_mail_that_is_refused_or_comes_back_is_counted_as_a_failure() -> None:
    async with shop(seed=13) as it:
        await placed(it, await own(it))
        rows = Rows(clock=it.around.clock.now, new_id=it.around.near.new_id)
        mails = [rows.email(kind="order-ready"), rows.email(kind="order-failed", state="sent")]
        await write(it, *map(insert, mails))
        stored = it.around.store.rows(Email)[-2:]
        async with it.shop.emails.uow.begin() as tx:
            await tx.record(Decision(save=(update(stored[0], state="refused"),)))
        async with it.shop.emails.uow.begin() as tx:
            await tx.record(Decision(save=(update(stored[1], provider_event="bounced"),)))
        found = samples(it)
        assert found["bitloot_email_failure_total", "order-ready"] == 1
        assert found["bitloot_email_failure_total", "order-failed"] == 1


# --- retry of an order's goods -------------------------------------------------------------------


@pytest.mark.parametrize("fraction", ["0", "0.5"])
async def test_an_order_without_its_money_is_not_fulfilled_by_a_retry(fraction: str) -> None:
    async with shop(seed=14) as it:
        order, payment = await payable(it, await own(it))
        if fraction != "0":
            it.around.gateway.pay(payment, Decimal(fraction))
        answer = await Desk(it).retry(order)
        code = "payment-not-settled" if fraction == "0" else "underpaid-non-refundable"
        assert (answer.status_code, answer.json()["type"]) == (409, f"urn:bitloot:problem:{code}")
        assert status(it, order) == ("waiting" if fraction == "0" else "failed")


@pytest.mark.parametrize("before", ["waiting", "confirming", "failed", "underpaid"])
async def test_a_retry_of_an_order_that_the_gateway_calls_finished_delivers_it(before: str) -> None:
    async with shop(seed=15) as it:
        order, payment = await payable(it, await own(it))
        if before == "underpaid":
            it.around.gateway.pay(payment, Decimal("0.5"))
            await called_back(it, payment)
        elif before != "waiting":
            it.around.gateway.move(payment, before)
            await called_back(it, payment)
        assert status(it, order) == ("failed" if before == "underpaid" else before)
        it.around.gateway.pay(payment)
        answer = await Desk(it).retry(order)
        assert answer.status_code == 202, answer.text
        await it.run_due()
        assert status(it, order) == "fulfilled"
        actions = [line.entry.action for line in it.around.store.audit.lines]
        assert actions.count("order.retry_fulfilment") == 1


async def test_of_two_retries_at_once_one_runs_and_the_other_is_told_which() -> None:
    async with shop(seed=16) as it:
        order, payment = await payable(it, await own(it))
        it.around.gateway.pay(payment)
        desk = Desk(it)
        answers = await asyncio.gather(desk.retry(order), desk.retry(order))
        ran, refused = sorted(answers, key=lambda answer: answer.status_code)
        assert (ran.status_code, refused.status_code) == (202, 409)
        problem = refused.json()
        assert problem["type"] == "urn:bitloot:problem:retry-in-progress"
        file = await it.shop.views.desk.file(order.order_id)
        assert file is not None
        assert file.fulfilments[0].id in refused.text


async def test_while_the_gateway_is_away_a_retry_of_an_unpaid_order_decides_nothing() -> None:
    async with shop(seed=17) as it:
        order, _ = await payable(it, await own(it))
        it.around.gateway.faults.go_down(retry_after=5.0)
        answer = await Desk(it).retry(order)
        assert answer.status_code == 503
        assert status(it, order) == "waiting"
