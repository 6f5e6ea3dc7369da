"""Batches of a supplier's catalogue into the memory store."""

from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime
from decimal import Decimal

import msgspec

from bitloot.domain.catalogue_sync import CatalogueRefusal, CatalogueSync, SyncKind, Unseen, ended
from bitloot.domain.category import Category, shelves
from bitloot.domain.decision import Change, Row, insert, update
from bitloot.domain.fulfilment_plan import OWN_STOCK
from bitloot.domain.money import BadMoney
from bitloot.domain.offer_change import unlike
from bitloot.domain.price_contexts import PriceContexts, PricingTerms
from bitloot.domain.price_derivation import PriceReason, PriceRecord, derive, price_record
from bitloot.domain.pricing_rules import PricingRule
from bitloot.domain.product import Listing, Offer, Product, is_sold_from_keys, new_listing
from bitloot.domain.product_media import ProductMedia
from bitloot.ports.catalogue_facts import (
    Sorted,
    advanced,
    category,
    digest,
    facts,
    genres_of,
    missing_shelves,
    shelves_of,
    slug,
    sorted_out,
    with_made,
)
from bitloot.ports.catalogue_writer import CatalogueBatch, MergeCounts
from bitloot.ports.clock import NewId
from bitloot.ports.errors import Conflict
from bitloot.ports.supplier_catalogue import SupplierProduct
from bitloot_adapters.memory.questions import free_keys
from bitloot_adapters.memory.unit_of_work import MemoryStore


class _Pass(msgspec.Struct, frozen=True):
    """What all prices of one pass have in common."""

    contexts: PriceContexts
    reason: PriceReason
    gateway_fee: Decimal
    at: datetime
    new_id: NewId


class MemoryCatalogueWriter:
    """The port `CatalogueWriter` over the memory store."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._seen: dict[str, set[str]] = {}

    async def merge(
        self,
        supplier: str,
        batch: CatalogueBatch,
        *,
        terms: PricingTerms,
        new_id: NewId,
        at: datetime,
        sync: CatalogueSync | None = None,
    ) -> MergeCounts:
        """All of it, or nothing where another run was faster."""
        self._store.reach()
        if sync is not None:
            self._current(sync)
        whole = sorted_out(batch)
        run = _Run(self._store, supplier, new_id, at)
        counts = run.merge(whole)
        prices = self._reprice(run.news, self._pass("sync", terms, at, new_id))
        counts = msgspec.structs.replace(counts, prices_changed=prices)
        if sync is not None:
            self._go_on(sync, advanced(sync, batch, counts))
            run.note_refusals(sync, whole)
            if sync.kind == "full":
                self._seen.setdefault(sync.id, set()).update(whole.seen)
        return counts

    async def running(self, supplier: str) -> CatalogueSync | None:
        """The one that is not done."""
        self._store.reach()
        return self._store.tables.by_key(CatalogueSync, "catalogue_syncs_one_running", supplier)

    async def sync(self, sync_id: str) -> CatalogueSync | None:
        """By id."""
        self._store.reach()
        return self._store.tables.get(CatalogueSync, sync_id)

    async def last_done(
        self, supplier: str, *, kind: SyncKind | None = None
    ) -> CatalogueSync | None:
        """The latest one that was done."""
        self._store.reach()
        done = (
            row
            for row in self._store.rows(CatalogueSync)
            if row.supplier == supplier and row.state == "done" and kind in {None, row.kind}
        )
        return max(done, key=lambda row: (row.started_at, row.id), default=None)

    async def give_up(self, failed: CatalogueSync) -> None:
        """Not to be gone on with."""
        self._store.reach()
        before = self._store.tables.get(CatalogueSync, failed.id)
        if before is None or before.version != failed.version - 1 or before.state != "running":
            raise Conflict
        self._go_on(before, failed)
        self._seen.pop(failed.id, None)

    async def unseen(self, sync: CatalogueSync) -> Unseen:
        """Counted, not written."""
        self._store.reach()
        return Unseen(in_stock=len(self._in_stock(sync)), unseen=len(self._unseen(sync)))

    def _in_stock(self, sync: CatalogueSync) -> list[Offer]:
        offers = self._store.rows(Offer)
        return [each for each in offers if each.supplier == sync.supplier and each.stock > 0]

    def _unseen(self, sync: CatalogueSync) -> list[Offer]:
        if sync.kind != "full":
            return []
        seen = self._seen.get(sync.id, set())
        return [each for each in self._in_stock(sync) if each.supplier_product_id not in seen]

    async def finish(self, sync: CatalogueSync, *, at: datetime) -> int:
        """Nothing is left of what a full run did not see."""
        self._store.reach()
        self._current(sync)
        unseen = [update(offer, stock=0, updated_at=at) for offer in self._unseen(sync)]
        self._store.tables.write(unseen)
        self._go_on(sync, ended(sync, at=at, retired=len(unseen)))
        self._seen.pop(sync.id, None)
        return len(unseen)

    async def shelve(self, *, at: datetime) -> int:
        """One after the other."""
        self._store.reach()
        known = self._store.rows(Category)
        moved: list[Change] = []
        for product in self._store.rows(Product):
            if product.source != OWN_STOCK and "category" not in product.pinned:
                by_word = shelves_of(product.genres, known)
                shelf = next((by_word[word] for word in product.genres if word in by_word), None)
                if shelf != product.category:
                    moved.append(update(product, category=shelf, updated_at=at))
        self._store.tables.write(moved)
        return len(moved)

    async def reprice(
        self,
        product_ids: Sequence[str] | None,
        *,
        reason: PriceReason,
        terms: PricingTerms,
        at: datetime,
    ) -> int:
        """One after the other."""
        self._store.reach()
        named = (
            [product.id for product in self._store.rows(Product)]
            if product_ids is None
            else list(dict.fromkeys(product_ids))
        )
        return self._reprice(named, self._pass(reason, terms, at, self._store.new_id))

    def _current(self, sync: CatalogueSync) -> CatalogueSync:
        row = self._store.tables.get(CatalogueSync, sync.id)
        if row is None or row.version != sync.version or row.state != "running":
            raise Conflict
        return row

    def _go_on(self, sync: CatalogueSync, after: CatalogueSync) -> None:
        self._store.tables.write([Change(before=sync, after=after)])

    def _pass(self, reason: PriceReason, terms: PricingTerms, at: datetime, new_id: NewId) -> _Pass:
        contexts = PriceContexts(self._store.rows(PricingRule), margin=terms.margin)
        return _Pass(contexts, reason, terms.gateway_fee, at, new_id)

    def _reprice(self, product_ids: Sequence[str], each: _Pass) -> int:
        changed = 0
        for product_id in product_ids:
            product = self._store.tables.get(Product, product_id)
            if product is not None:
                record, changes = self._priced(product, each)
                self._store.tables.write(changes)
                changed += record is not None
        return changed

    def _priced(self, product: Product, each: _Pass) -> tuple[PriceRecord | None, list[Change]]:
        listing = self._store.tables.get(Listing, product.id)
        offer = _best(self._store, product)
        can_be_bought = offer is not None and offer.stock > offer.held
        keys = free_keys(self._store.tables, product.id, at=each.at)
        dearest = max((key.cost for key in keys), default=None)
        if product.source == OWN_STOCK and is_sold_from_keys(offer, len(keys), dearest):
            offer = None
        cost = offer.cost if offer else dearest
        choice = each.contexts.choice(product.id, product.category)
        previous = listing.price if listing else None
        try:
            derived = derive(cost, each.gateway_fee, choice.applied, previous)
        except BadMoney:
            return None, []
        if derived.price is None:
            return None, []
        record = price_record(
            derived,
            record_id=each.new_id(),
            product_id=product.id,
            at=each.at,
            reason=each.reason,
            offer_row_id=offer.id if offer else None,
            tried=choice.tried,
        )
        figures = (derived.price, derived.floor, derived.is_loss_signed)
        changes = [] if record is None else [insert(record)]
        if listing is None:
            can_be_had = bool(keys) or can_be_bought
            fresh = new_listing(
                product,
                price=derived.price,
                floor=derived.floor,
                is_loss_signed=derived.is_loss_signed,
                is_available=can_be_had,
                at=each.at,
            )
            changes.append(insert(fresh))
        elif (listing.price, listing.floor, listing.is_loss_signed) != figures:
            price, floor, signed = figures
            moved = update(
                listing, price=price, floor=floor, is_loss_signed=signed, updated_at=each.at
            )
            changes.append(moved)
        return record, changes


class _Run:
    """One batch."""

    def __init__(self, store: MemoryStore, supplier: str, new_id: NewId, at: datetime) -> None:
        self._store = store
        self._supplier = supplier
        self._new_id = new_id
        self._at = at
        self.news: list[str] = []

    def merge(self, whole: Sorted) -> MergeCounts:
        """All but prices."""
        shelves = self._shelves(whole.products)
        products = {
            row.supplier_product_id: row
            for row in self._store.rows(Product)
            if row.source == self._supplier
        }
        offers = {
            (row.supplier_product_id, row.offer_id): row
            for row in self._store.rows(Offer)
            if row.supplier == self._supplier
        }
        changes: list[Change] = []
        media: list[Change] = []
        for found in whole.products:
            known = products.get(found.supplier_product_id)
            offer = offers.get((found.supplier_product_id, found.offer_id))
            home = self._joined_to(offer, known, found, offers.values())
            if _is_older(known, offer, found):
                continue
            # One that was joined without having a product of its own tells no facts.
            orphan = home if known is None else None
            product = orphan or self._product(known, found, category(found, shelves))
            sold_as = home or product
            texts = [] if orphan else _news(known, product, self._at)
            if texts:
                media += self._media(product, found)
            written = [*texts, *_news(offer, self._offer(offer, found, sold_as.id), self._at)]
            if written:
                self.news.append(sold_as.id)
            changes += written
        retired = [
            update(offer, stock=0, updated_at=self._at)
            for offer in offers.values()
            if offer.stock > 0 and self._is_replaced(offer, whole, changes)
        ]
        self._store.tables.write([*changes, *retired])
        for change in media:
            if change.before is not None and change.after == change.before:
                self._store.tables.drop(change.before)
            else:
                self._store.tables.write([change])
        self._part_unlike({each.after.id for each in changes if isinstance(each.after, Product)})
        return _counts(changes, retired=len(retired), refused=len(whole.refusals))

    def _part_unlike(self, told: AbstractSet[str]) -> None:
        """Joined offers go back to their own product once it is unlike the one they are sold as."""
        products = {row.id: row for row in self._store.rows(Product)}
        made = {(row.source, row.supplier_product_id): row for row in products.values()}
        for offer in self._store.rows(Offer):
            own = made.get((offer.supplier, offer.supplier_product_id))
            sold = products.get(offer.product_id)
            if own is None or sold is None or not {own.id, sold.id} & told:
                continue
            if unlike(sold, own) is not None:
                self._store.tables.write([update(offer, product_id=own.id, updated_at=self._at)])
                self.news += (sold.id, own.id)

    def note_refusals(self, sync: CatalogueSync, whole: Sorted) -> None:
        """What could not be taken over, each page of it once."""
        pages = {each.page for each in whole.refusals}
        for row in self._store.rows(CatalogueRefusal):
            if row.sync_id == sync.id and row.page in pages:
                self._store.tables.drop(row)
        self._store.tables.write(
            [
                insert(
                    CatalogueRefusal(
                        id=self._new_id(),
                        sync_id=sync.id,
                        page=each.page,
                        supplier_product_id=each.refused.supplier_product_id,
                        reason=each.refused.reason,
                        at=self._at,
                    )
                )
                for each in whole.refusals
            ]
        )

    def _shelves(self, products: Sequence[SupplierProduct]) -> dict[str, str]:
        known = self._store.rows(Category)
        by_word = shelves(known)
        slugs = frozenset(each.slug for each in known)
        made = missing_shelves(products, by_word, len(known))
        fresh = [
            Category(
                id=self._new_id(),
                slug=name,
                title=title,
                position=1000,
                genres=(title,),
                created_at=self._at,
                updated_at=self._at,
            )
            for name, title in made.items()
            if name not in slugs
        ]
        self._store.tables.write([insert(row) for row in fresh])
        return with_made(genres_of(products), by_word, slugs | frozenset(made))

    def _joined_to(
        self,
        offer: Offer | None,
        known: Product | None,
        found: SupplierProduct,
        offers: Iterable[Offer],
    ) -> Product | None:
        """The product that a person had this one sold as."""
        same = (each for each in offers if each.supplier_product_id == found.supplier_product_id)
        beside = offer or next(iter(same), None)
        if beside is None or (known is not None and beside.product_id == known.id):
            return None
        return self._store.tables.get(Product, beside.product_id)

    def _product(self, known: Product | None, found: SupplierProduct, shelf: str | None) -> Product:
        mark = digest(found, shelf)
        if known is None:
            identity = f"{self._supplier}/{found.supplier_product_id}"
            bare = Product(
                id=self._new_id(),
                slug=slug(found.title, identity),
                title=found.title,
                source=self._supplier,
                supplier_product_id=found.supplier_product_id,
                created_at=self._at,
                updated_at=self._at,
            )
        elif _is_said(known.facts_digest, mark):
            return known
        else:
            bare = known
        fresh = {
            name: value for name, value in facts(found, shelf).items() if name not in bare.pinned
        }
        return msgspec.structs.replace(
            bare,
            **fresh,
            facts_digest=mark,
            supplier_updated_at=found.updated_at,
            updated_at=self._at,
        )

    def _offer(self, known: Offer | None, found: SupplierProduct, product_id: str) -> Offer:
        return Offer(
            id=known.id if known else self._new_id(),
            version=known.version if known else 0,
            product_id=product_id,
            supplier=self._supplier,
            supplier_product_id=found.supplier_product_id,
            offer_id=found.offer_id,
            cost=found.price,
            stock=found.stock,
            held=known.held if known else 0,
            wholesale=found.wholesale,
            supplier_updated_at=found.updated_at,
            updated_at=known.updated_at if known else self._at,
        )

    def _is_replaced(self, offer: Offer, whole: Sorted, changes: Sequence[Change]) -> bool:
        if offer.supplier_product_id in whole.left_out:
            return True
        now = {
            change.after.offer_id
            for change in changes
            if isinstance(change.after, Offer)
            and change.after.supplier_product_id == offer.supplier_product_id
        }
        return bool(now) and offer.offer_id not in now

    def _media(self, product: Product, found: SupplierProduct) -> Iterator[Change]:
        """Media that are new or moved; one that is gone is given as a change to itself."""
        if "media" in product.pinned:
            return
        known = {
            row.url: row for row in self._store.rows(ProductMedia) if row.product_id == product.id
        }
        told = {each.url: (place, each) for place, each in enumerate(found.media, start=1)}
        for row in known.values():
            if row.source == self._supplier and row.url not in told:
                yield Change(before=row, after=row)
        for url, (place, each) in told.items():
            now = {"kind": each.kind, "thumbnail_url": each.thumbnail_url, "position": place}
            was = known.get(url)
            if was is None:
                bare = ProductMedia(
                    id=self._new_id(),
                    product_id=product.id,
                    kind=each.kind,
                    url=url,
                    source=self._supplier,
                )
                yield insert(msgspec.structs.replace(bare, **now))
            elif was.source == self._supplier and (msgspec.structs.replace(was, **now) != was):
                yield update(was, **now)


def _is_said(before: str | None, now: str) -> bool:
    return before == now


def _is_older(known: Product | None, offer: Offer | None, found: SupplierProduct) -> bool:
    said = (row.supplier_updated_at for row in (known, offer) if row is not None)
    return any(at is not None and at > found.updated_at for at in said)


def _news(known: Row | None, row: Product | Offer, at: datetime) -> list[Change]:
    if known is None:
        return [insert(row)]
    if row == known:
        return []
    fields = {name: getattr(row, name) for name in row.__struct_fields__ if name != "version"}
    return [update(known, **{**fields, "updated_at": at})]


def _best(store: MemoryStore, product: Product) -> Offer | None:
    """The offer that the product would be bought from."""
    offers = (offer for offer in store.rows(Offer) if offer.product_id == product.id)
    return min(offers, key=lambda each: (each.stock <= each.held, each.cost, each.id), default=None)


def _counts(changes: Sequence[Change], *, retired: int, refused: int) -> MergeCounts:
    def count(row: type[Product] | type[Offer], *, new: bool) -> int:
        return sum(isinstance(c.after, row) and (c.before is None) is new for c in changes)

    return MergeCounts(
        products_new=count(Product, new=True),
        products_changed=count(Product, new=False),
        offers_new=count(Offer, new=True),
        offers_changed=count(Offer, new=False),
        retired=retired,
        refused=refused,
    )
