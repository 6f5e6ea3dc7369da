"""A supplier of an invented catalogue: it can be read, searched and changed, and sells nothing."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Final

import msgspec

from bitloot.domain.money import ZERO, Eur
from bitloot.ports.errors import Rejected
from bitloot.ports.payment_gateway import Forged
from bitloot.ports.supplier import (
    CataloguePage,
    RefusedProduct,
    SuppliedKey,
    SupplierCapabilities,
    SupplierOffer,
    SupplierOrder,
    SupplierProduct,
    SupplierRequest,
    SupplierWebhook,
)
from bitloot.testing.invented_catalogue import (
    Epoch,
    EpochKind,
    InventedCatalogue,
)

PAGE: Final = 100
SEARCH_LETTERS: Final = 3


class InventedSupplier:
    """`Supplier` over `size` products out of a seed; `unreadable` are listed on the first page.

    `epochs` are what happened since the first day, in order: the same history makes the same
    catalogue, so a second supplier with it is a twin of the first.
    """

    def __init__(
        self,
        seed: int,
        size: int,
        *,
        name: str = "invented",
        epochs: Sequence[Epoch] = (),
        unreadable: Sequence[RefusedProduct] = (),
        page: int = PAGE,
    ) -> None:
        self._name = name
        self._made = InventedCatalogue(seed, size)
        self._epochs = list(epochs)
        self._unreadable = tuple(unreadable)
        self._page = page
        self._sold: dict[int, tuple[Eur, int]] = {}

    # --- levers ------------------------------------------------------------------------------

    def pass_epoch(self, kind: EpochKind, share: float = 1.0) -> None:
        """A day passes, and this happens to so many of the products."""
        self._epochs.append(Epoch(kind, share))

    @property
    def epochs(self) -> tuple[Epoch, ...]:
        """What happened so far."""
        return tuple(self._epochs)

    def sell(self, price: Eur, stock: int) -> str:
        """The next product costs that and has so many units, whatever happens later."""
        place = len(self._sold)
        self._sold[place] = (price, stock)
        return self._made.id_of(place)

    def now(self) -> Iterator[SupplierProduct]:
        """Every product that is there, one after the other, the oldest first."""
        for place in range(self._made.size):
            found = self._at(place)
            if found is not None:
                yield found

    def _at(self, place: int) -> SupplierProduct | None:
        found = self._made.product(place, self._epochs)
        if found is None or place not in self._sold:
            return found
        price, stock = self._sold[place]
        return msgspec.structs.replace(found, price=price, stock=stock)

    # --- goods -------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """The plugin's name."""
        return self._name

    @property
    def capabilities(self) -> SupplierCapabilities:
        """It can be searched."""
        return SupplierCapabilities(search_letters=SEARCH_LETTERS)

    async def catalogue(
        self, *, updated_since: datetime | None, first_page: int = 1
    ) -> AsyncIterator[CataloguePage]:
        """A page is a stretch of places: those that are gone leave it shorter, none moves.

        An incremental read goes by age as well: its pages have no mark to go on from.
        """
        pages = max(1, -(-self._made.size // self._page))
        begin = first_page if updated_since is None else 1
        for page in range(begin, max(pages, begin) + 1):
            places = range((page - 1) * self._page, min(page * self._page, self._made.size))
            found = (self._at(place) for place in places)
            yield CataloguePage(
                number=page - begin + first_page,
                products=tuple(
                    each
                    for each in found
                    if each is not None
                    and (updated_since is None or each.updated_at >= updated_since)
                ),
                refused=self._unreadable if page == 1 else (),
                is_last=page >= pages,
            )

    async def product(self, supplier_product_id: str) -> SupplierProduct | None:
        """One product."""
        place = self._made.place_of(supplier_product_id)
        return None if place is None else self._at(place)

    async def search(self, name: str, *, limit: int) -> Sequence[SupplierProduct]:
        """The oldest products whose title holds this text, in any case."""
        wanted = name.strip().casefold()
        if len(wanted) < SEARCH_LETTERS:
            raise Rejected(self._name, "invalid", "name")
        return tuple(islice((p for p in self.now() if wanted in p.title.casefold()), limit))

    async def offers(self, supplier_product_id: str) -> Sequence[SupplierOffer]:
        """The one offer of a product that is in stock."""
        found = await self.product(supplier_product_id)
        if found is None or not found.stock:
            return ()
        return (
            SupplierOffer(
                supplier_product_id=supplier_product_id,
                offer_id=found.offer_id,
                price=found.price,
                stock=found.stock,
            ),
        )

    # --- orders: there are none ----------------------------------------------------------------

    async def place(self, request: SupplierRequest) -> SupplierOrder:
        """Always refused: its goods are invented."""
        raise Rejected(self._name, "unavailable", request.external_id)

    async def find(self, external_id: str) -> Sequence[SupplierOrder]:
        """None."""
        del external_id
        return ()

    async def order(self, supplier_order_id: str) -> SupplierOrder:
        """There is none by any id."""
        raise Rejected(self._name, "not_found", supplier_order_id)

    async def keys(self, supplier_order_id: str) -> Sequence[SuppliedKey]:
        """There is no order to read keys of."""
        raise Rejected(self._name, "not_found", supplier_order_id)

    async def give_back(self, supplier_order_id: str) -> None:
        """There is nothing to give back."""
        raise Rejected(self._name, "nothing_to_return", supplier_order_id)

    async def balance(self) -> Eur:
        """Nothing."""
        return ZERO

    async def orders_since(
        self, since: datetime, *, first_page: int = 1
    ) -> AsyncIterator[Sequence[SupplierOrder]]:
        """None."""
        del since, first_page
        none: tuple[Sequence[SupplierOrder], ...] = ()
        for page in none:
            yield page

    def read_webhook(self, headers: Mapping[str, str], body: bytes) -> SupplierWebhook:
        """It never calls."""
        del headers, body
        return Forged("no webhooks")
