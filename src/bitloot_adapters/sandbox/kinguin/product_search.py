"""`GET /v1/products`: every documented filter, sorting and 1-based pages."""

from collections.abc import Callable, Sequence

from bitloot_adapters.sandbox.kinguin import queries
from bitloot_adapters.sandbox.kinguin.catalogue import Catalogue, Product
from bitloot_adapters.sandbox.kinguin.errors import violation
from bitloot_adapters.sandbox.kinguin.queries import Query

Test = Callable[[Product], bool]
SORT_FIELDS = ("kingiunId", "updatedAt", "name", "qty", "price")
"""The first name is misspelt in the vendor's documentation, and accepted in that form only."""


def search(
    catalogue: Catalogue, query: Query, *, list_out_of_stock: bool
) -> tuple[list[Product], int]:
    """One page of matches and the number of all matches.

    :raises EsaError: `ConstraintViolation` for a value outside its documented range.
    """
    page, limit = queries.paging(query)
    start = (page - 1) * limit
    sort_by = queries.choice(query, "sortBy", *SORT_FIELDS) or SORT_FIELDS[0]
    descending = queries.choice(query, "sortType", "asc", "desc") == "desc"
    tests = _tests(query)
    if not list_out_of_stock:
        tests.append(lambda p: p.total_qty > 0)
    ids = _updated_between(catalogue, query)
    if not tests and sort_by in {"kingiunId", "updatedAt"}:
        # Nothing needs to be known of a product: only those of the page are made.
        if sort_by == "updatedAt":
            ids = sorted(ids, key=catalogue.updated_at)
        ordered = ids[::-1] if descending else ids
        return list(catalogue.among(ordered[start : start + limit])), len(ids)
    matches = [product for product in catalogue.among(ids) if all(test(product) for test in tests)]
    match sort_by:
        case "updatedAt":
            matches.sort(key=lambda p: (p.updated_at, p.kinguin_id), reverse=descending)
        case "name":
            matches.sort(key=lambda p: (p.name, p.kinguin_id), reverse=descending)
        case "qty":
            matches.sort(key=lambda p: (p.qty, p.kinguin_id), reverse=descending)
        case "price":
            matches.sort(key=lambda p: (p.price, p.kinguin_id), reverse=descending)
        case _:
            matches.sort(key=lambda p: p.kinguin_id, reverse=descending)
    return matches[start : start + limit], len(matches)


def _updated_between(catalogue: Catalogue, query: Query) -> Sequence[int]:
    """The numbers of the products inside `updatedSince` and `updatedTo`, both included."""
    since = queries.moment(query, "updatedSince")
    until = queries.moment(query, "updatedTo")
    if since is None and until is None:
        return catalogue.ids()
    found = []
    for kinguin_id in catalogue.ids():
        at = catalogue.updated_at(kinguin_id)
        if (since is None or at >= since) and (until is None or at <= until):
            found.append(kinguin_id)
    return found


def _tests(query: Query) -> list[Test]:
    return [*_name_tests(query), *_list_tests(query), *_range_tests(query), *_flag_tests(query)]


def _name_tests(query: Query) -> list[Test]:
    name = query.get("name")
    if name is None:
        return []
    if len(name) < 3:
        raise violation(
            "name", "This value is too short. It should have 3 characters or more.", name
        )
    wanted = name.casefold()
    return [lambda p: wanted in p.name.casefold()]


def _list_tests(query: Query) -> list[Test]:
    tests: list[Test] = []
    platforms = queries.words(query, "platform")
    if platforms is not None:
        tests.append(lambda p: p.platform.casefold() in platforms)
    genres = queries.words(query, "genre")
    if genres is not None:
        tests.append(lambda p: any(genre.casefold() in genres for genre in p.genres))
    tags = queries.words(query, "tags")
    if tags is not None:
        tests.append(lambda p: any(tag in tags for tag in p.tags))
    numbers = queries.wholes(query, "kinguinId")
    if numbers is not None:
        tests.append(lambda p: p.kinguin_id in numbers)
    product_ids = queries.words(query, "productId")
    if product_ids is not None:
        tests.append(lambda p: p.product_id in product_ids)
    language = query.get("languages")
    if language is not None:
        spoken = language.casefold()
        tests.append(lambda p: any(known.casefold() == spoken for known in p.languages))
    merchant = query.get("merchantName")
    if merchant is not None:
        seller = merchant.casefold()
        tests.append(lambda p: any(offer.merchant.casefold() == seller for offer in p.offers))
    return tests


def _range_tests(query: Query) -> list[Test]:
    tests: list[Test] = []
    low = queries.amount(query, "priceFrom")
    if low is not None:
        tests.append(lambda p: p.price >= low)
    high = queries.amount(query, "priceTo")
    if high is not None:
        tests.append(lambda p: p.price <= high)
    region = queries.whole(query, "regionId")
    if region is not None:
        tests.append(lambda p: p.region_id == region)
    return tests


def _flag_tests(query: Query) -> list[Test]:
    tests: list[Test] = []
    preorder = queries.choice(query, "isPreorder", "yes", "no")
    if preorder is not None:
        tests.append(lambda p: p.is_preorder == (preorder == "yes"))
    if queries.choice(query, "activePreorder", "yes") is not None:
        tests.append(lambda p: p.is_preorder and p.qty > 0)
    if queries.choice(query, "withText", "yes") is not None:
        tests.append(lambda p: p.text_qty > 0)
    return tests
