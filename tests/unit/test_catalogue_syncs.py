"""Synchronisations as jobs: begun once, gone on with anywhere, given up with a reason."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
import pytest

from bitloot.domain import category_change
from bitloot.domain.catalogue_sync import CatalogueSync, Unseen, doubt
from bitloot.domain.category import Category
from bitloot.domain.decision import Decision, JobRequest, insert
from bitloot.domain.errors import Refused
from bitloot.domain.limits import Limits
from bitloot.domain.pricing_rules import RuleTerms, new_rule
from bitloot.domain.product import Listing, Offer, Product
from bitloot.ports.errors import Rejected, Unavailable
from bitloot.ports.jobs import Lease
from bitloot.ports.supplier_catalogue import CataloguePage
from bitloot.testing.invented_supplier import InventedSupplier
from bitloot.usecases.catalog import Catalog, Synced
from bitloot.usecases.catalogue_syncs import CatalogueSyncs
from bitloot_adapters.memory.catalogue_writer import MemoryCatalogueWriter
from bitloot_adapters.memory.rigs import MemoryStoreRig

SIZE = 60
PAGE = 10


class Faulty(InventedSupplier):
    """A supplier that is away, or refuses, from a page on."""

    fault: Exception | None = None
    from_page = 1

    async def catalogue(
        self, *, updated_since: datetime | None, first_page: int = 1
    ) -> AsyncIterator[CataloguePage]:
        pages = super().catalogue(updated_since=updated_since, first_page=first_page)
        async for page in pages:
            if self.fault is not None and page.number >= self.from_page:
                raise self.fault
            yield page


class Bench:
    """The jobs of the catalogue over a memory store."""

    def __init__(self) -> None:
        self.rig = MemoryStoreRig()
        self.supplier = Faulty(1, SIZE, page=PAGE)
        self.step = 0.0
        self._boot = 0.0
        self.syncs = CatalogueSyncs(
            uow=self.rig.uow,
            jobs=self.rig.jobs,
            catalogue_writer=MemoryCatalogueWriter(self.rig.store),
            suppliers={self.supplier.name: self.supplier},
            margin=Decimal("0.1"),
            limits=Limits(),
            clock=self.rig.now,
            boot_clock=self.boot,
            new_id=self.rig.new_id,
        )

    def boot(self) -> float:
        """A clock that goes on by `step` whenever it is looked at."""
        self._boot += self.step
        return self.rig.clock.boot() + self._boot

    async def ask(self, kind: str, ref: str) -> None:
        async with self.rig.uow.begin() as tx:
            await tx.record(Decision(jobs=(JobRequest(kind=kind, ref=ref),)))

    async def lease(self, kind: str) -> Lease | None:
        for job in await self.rig.all_jobs():
            if job.kind == kind and job.state == "pending":
                return await self.rig.jobs.lease(job.id)
        return None

    async def work(self, kind: str = "sync_catalogue") -> bool:
        """Whether there was such a job to do."""
        lease = await self.lease(kind)
        if lease is None:
            return False
        handlers = {
            "sync_catalogue": self.syncs.run,
            "read_product": self.syncs.read_product,
            "reprice": self.syncs.reprice,
            "shelve_products": self.syncs.shelve,
            "sweep": self.syncs.tick,
        }
        await handlers[kind](lease)
        return True

    def runs(self) -> list[CatalogueSync]:
        return self.rig.store.rows(CatalogueSync)


@pytest.fixture
def bench() -> Bench:
    return Bench()


async def test_a_run_is_begun_once_however_often_it_is_asked_for(bench: Bench) -> None:
    first = await bench.syncs.start("invented", "full")
    assert await bench.syncs.start("invented", "incremental") == first
    assert len(bench.runs()) == 1
    with pytest.raises(Refused, match="not-found"):
        await bench.syncs.start("nobody", "full")


async def test_a_run_reads_everything_and_is_done(bench: Bench) -> None:
    await bench.syncs.start("invented", "full")
    assert await bench.work()
    (run,) = bench.runs()
    assert (run.state, run.pages) == ("done", SIZE // PAGE)
    assert run.products == run.products_new == len(bench.rig.store.rows(Product))
    assert not await bench.work()


async def test_a_run_that_takes_longer_than_its_lease_goes_on_as_the_next_job(
    bench: Bench,
) -> None:
    bench.step = 20.0
    await bench.syncs.start("invented", "full")
    assert await bench.work()
    (run,) = bench.runs()
    assert run.state == "running"
    assert 1 < run.next_page <= SIZE // PAGE
    while await bench.work():
        pass
    (run,) = bench.runs()
    assert run.state == "done"
    assert run.products == len(bench.rig.store.rows(Product))


async def test_a_supplier_that_is_away_is_asked_again_from_the_page_that_is_missing(
    bench: Bench,
) -> None:
    await bench.syncs.start("invented", "full")
    bench.step = 20.0
    assert await bench.work()
    at = bench.runs()[0].next_page
    bench.supplier.fault = Unavailable("invented", "timeout")
    with pytest.raises(Unavailable):
        await bench.work()
    (run,) = bench.runs()
    assert (run.state, run.next_page) == ("running", at)


async def test_a_run_whose_tries_are_spent_is_given_up_with_the_reason(bench: Bench) -> None:
    await bench.syncs.start("invented", "full")
    bench.supplier.fault = Rejected("invented", "credentials")
    for _ in range(Limits().job_attempts - 1):
        with pytest.raises(Rejected):
            await bench.work()
        await bench.rig.pass_time(timedelta(minutes=15))
    await bench.work()
    (run,) = bench.runs()
    assert (run.state, run.last_error) == ("failed", "credentials")
    assert (await bench.syncs.start("invented", "full")).id != run.id


def due(name: str, at: datetime) -> str:
    return f"{name}-invented/{at:%Y-%m-%dT%H:%M:%SZ}"


async def test_what_changed_is_read_from_a_little_before_the_last_run(bench: Bench) -> None:
    await bench.syncs.start("invented", "full")
    await bench.work()
    began = bench.runs()[0].started_at
    await bench.rig.pass_time(timedelta(minutes=30))
    await bench.ask("sweep", due("news", bench.rig.now()))
    await bench.work("sweep")
    news = bench.runs()[-1]
    assert news.kind == "incremental"
    assert news.updated_since == began - Limits().catalogue_overlap


async def test_a_tick_leaves_alone_what_nobody_asked_for_and_what_was_read_since(
    bench: Bench,
) -> None:
    await bench.ask("sweep", due("catalogue", bench.rig.now()))
    await bench.work("sweep")
    assert bench.runs() == []
    before = bench.rig.now()
    await bench.rig.pass_time(timedelta(minutes=1))
    await bench.syncs.start("invented", "full")
    await bench.work()
    await bench.ask("sweep", due("catalogue", before))
    await bench.work("sweep")
    assert len(bench.runs()) == 1
    await bench.rig.pass_time(timedelta(minutes=1))
    await bench.ask("sweep", due("catalogue", bench.rig.now()))
    await bench.work("sweep")
    assert [run.kind for run in bench.runs()] == ["full", "full"]


def of_stock(bench: Bench) -> int:
    return sum(offer.stock > 0 for offer in bench.rig.store.rows(Offer))


async def emptied(bench: Bench, *, share: float = 1.0) -> int:
    """A supplier that was read once, and then lists less; how many offers had stock."""
    bench.syncs = replace(bench.syncs, limits=msgspec.structs.replace(Limits(), **FEW))
    await bench.syncs.start("invented", "full")
    await bench.work()
    bench.supplier.pass_epoch("vanish", share)
    await bench.rig.pass_time(timedelta(hours=1))
    return of_stock(bench)


FEW = {"catalogue_vanishing_offers": 5}


async def test_a_supplier_that_lists_nothing_any_more_is_not_believed(bench: Bench) -> None:
    before = await emptied(bench)
    assert before > 5
    await bench.syncs.start("invented", "full")
    assert await bench.work()
    run = bench.runs()[-1]
    assert (run.state, run.retired) == ("failed", 0)
    assert run.last_error == f"would take {before} of {before} offers out of stock; confirm it"
    assert of_stock(bench) == before
    (job,) = (each for each in await bench.rig.all_jobs() if each.ref == run.id)
    assert (job.state, job.last_error) == ("dead", run.last_error)


async def test_what_a_person_confirms_to_be_gone_is_taken_away(bench: Bench) -> None:
    await emptied(bench)
    await bench.syncs.start("invented", "full")
    await bench.work()
    confirmed = await bench.syncs.start("invented", "incremental", confirmed_by="ada")
    assert (confirmed.kind, confirmed.confirmed_by) == ("full", "ada")
    assert await bench.work()
    assert bench.runs()[-1].state == "done"
    assert of_stock(bench) == 0
    entry = bench.rig.store.audit.lines[-1].entry
    assert (entry.actor, entry.action, entry.subject) == (
        "ada",
        "catalogue.vanishing-confirmed",
        confirmed.id,
    )


async def test_a_person_at_a_terminal_is_told_and_may_confirm_too(bench: Bench) -> None:
    before = await emptied(bench)
    heard: list[Synced] = []
    shelves = Catalog(
        uow=bench.rig.uow,
        writer=bench.syncs.catalogue_writer,
        suppliers=bench.syncs.suppliers,
        margin=bench.syncs.margin,
        limits=bench.syncs.limits,
        clock=bench.rig.now,
        new_id=bench.rig.new_id,
    )
    doubted = await shelves.sync("invented", told=heard.append)
    assert doubted.fault == f"would take {before} of {before} offers out of stock; confirm it"
    assert of_stock(bench) == before
    believed = await shelves.sync("invented", told=heard.append, confirmed_by="cli")
    assert believed.fault is None
    assert of_stock(bench) == 0


async def test_a_confirmation_holds_for_one_run_only(bench: Bench) -> None:
    await emptied(bench)
    await bench.syncs.start("invented", "full", confirmed_by="ada")
    await bench.work()
    again = await bench.syncs.start("invented", "full")
    assert again.confirmed_by is None


async def test_what_vanishes_on_any_day_is_taken_away_without_a_person(bench: Bench) -> None:
    before = await emptied(bench, share=0.2)
    gone = before - sum(each.stock > 0 for each in bench.supplier.now())
    assert 0 < gone <= before * Limits().catalogue_vanishing_share
    await bench.syncs.start("invented", "full")
    assert await bench.work()
    run = bench.runs()[-1]
    assert (run.state, run.retired) == ("done", gone)


@pytest.mark.parametrize(
    ("in_stock", "unseen", "is_doubted"),
    [(1000, 300, False), (1000, 301, True), (50, 50, False), (51, 51, True), (0, 0, False)],
)
def test_a_run_is_doubted_by_the_share_and_the_number_that_it_would_take_away(
    bench: Bench, in_stock: int, unseen: int, *, is_doubted: bool
) -> None:
    run = CatalogueSync(id="s", supplier="x", kind="full", started_at=bench.rig.now())
    found = Unseen(in_stock=in_stock, unseen=unseen)
    share = Decimal("0.3")
    assert (doubt(run, found, share=share, at_least=50) is not None) is is_doubted
    confirmed = msgspec.structs.replace(run, confirmed_by="ada")
    assert doubt(confirmed, found, share=share, at_least=50) is None


async def test_a_product_is_read_again_and_one_that_is_gone_has_no_stock(bench: Bench) -> None:
    there = next(bench.supplier.now())
    ref = f"invented/{there.supplier_product_id}"
    await bench.ask("read_product", ref)
    assert await bench.work("read_product")
    (offer,) = bench.rig.store.rows(Offer)
    assert (offer.cost, offer.stock) == (there.price, there.stock)
    bench.supplier.pass_epoch("vanish", 1.0)
    await bench.ask("read_product", ref)
    assert await bench.work("read_product")
    (offer,) = bench.rig.store.rows(Offer)
    assert offer.stock == 0
    assert len(bench.rig.store.rows(Product)) == 1


async def test_products_that_moved_to_another_category_are_priced_by_its_rules(
    bench: Bench,
) -> None:
    await bench.syncs.start("invented", "full")
    await bench.work()
    shelf = next(each for each in bench.rig.store.rows(Category) if each.slug == "puzzle")
    terms = RuleTerms(scope="category", subject="puzzle", kind="fixed", value=Decimal(1000))
    rule = new_rule(terms, rule_id=bench.rig.new_id(), at=bench.rig.now())
    decision = category_change.changed(
        shelf,
        {"genres": ("Puzzle", "Action"), "position": 1},
        expected_version=shelf.version,
        actor="ada",
        at=bench.rig.now(),
    )
    async with bench.rig.uow.begin() as tx:
        await tx.record(msgspec.structs.replace(decision, save=(*decision.save, insert(rule))))
    assert await bench.work("shelve_products")
    assert await bench.work("reprice")
    products = [row for row in bench.rig.store.rows(Product) if row.genres[0] == "Action"]
    assert products
    assert {row.category for row in products} == {"puzzle"}
    prices = {row.id: row.price for row in bench.rig.store.rows(Listing)}
    assert all(prices[row.id] > 1000 for row in products)


async def test_a_title_or_a_hidden_category_moves_no_product(bench: Bench) -> None:
    await bench.syncs.start("invented", "full")
    await bench.work()
    shelf = next(each for each in bench.rig.store.rows(Category) if each.slug == "puzzle")
    decision = category_change.changed(
        shelf,
        {"title": "Riddles", "is_shown": False},
        expected_version=shelf.version,
        actor="ada",
        at=bench.rig.now(),
    )
    assert decision.jobs == ()


async def test_prices_are_worked_out_anew_by_a_job(bench: Bench) -> None:
    await bench.syncs.start("invented", "full")
    await bench.work()
    before = {row.id: row.price for row in bench.rig.store.rows(Listing)}
    terms = RuleTerms(scope="global", kind="fixed", value=Decimal(1000))
    rule = new_rule(terms, rule_id=bench.rig.new_id(), at=bench.rig.now())
    async with bench.rig.uow.begin() as tx:
        job = JobRequest(kind="reprice", ref="all")
        await tx.record(Decision(save=(insert(rule),), jobs=(job,)))
    assert await bench.work("reprice")
    after = {row.id: row.price for row in bench.rig.store.rows(Listing)}
    assert all(after[each] > before[each] + 900 for each in before)
