"""Every operation of the description does what it says: asked with data made from it by
Schemathesis, right and wrong, and with its own examples, on PostgreSQL and Valkey.
"""

from collections.abc import Iterator, Mapping

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.config import SchemathesisConfig
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.described import at, description
from tests.integration.described_shop import DESK, Case, DescribedShop, Operation, described_shop

from bitloot_web.devservices import Databases, ValkeyStore

# Not among them, and why: `ignored_auth` sends further requests by itself, over the network; that
# nothing opens without a token is shown for every operation in test_http_callers.py, and that no
# method but the described is served, and no header may be missing, in test_http_problems.py and
# test_http_description.py. `positive_data_acceptance` knows no rules of a shop, which may refuse
# what is of the right shape: `demand_read` asks what is left of it.
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    negative_data_rejection,
]
# So many of each operation and kind, the same in every run.
CASES = 4
# Statuses that a wrong request may get: also too large, of another version, a link that has ended.
REFUSED = [
    "400", "401", "403", "404", "406", "409", "410", "412", "413", "415", "422", "428",
]  # fmt: skip
# A text of the right shape is no cursor of ours: they are signed.
SIGNED = {"cursor"}
# They take nothing, or any text: nothing that they are sent is of a wrong shape.
NEVER_WRONG = {
    "health", "readiness", "downloadKeys", "adminGetSyncStatus", "adminGetRepriceStatus",
    "getMe", "exportMe", "listMySessions", "endMySessions",
    "requestDeletion", "getDeletion", "cancelDeletion",
}  # fmt: skip
# Their examples name what this shop does not have, which is refused as a wrong field.
OF_ANOTHER_SHOP = {"adminJoinGroup", "adminOrderMedia"}


@pytest.fixture(scope="module")
def shop(
    postgres_server: Databases,
    shop_template: str,
    valkey_server: ValkeyStore,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[DescribedShop]:
    name = "bitloot_described"
    url = postgres_server.create_database(name, shop_template)
    with described_shop(url, valkey_server.url, tmp_path_factory.mktemp("described")) as opened:
        yield opened
    postgres_server.drop_database(name)


@pytest.fixture
def operations(shop: DescribedShop) -> Mapping[str, Operation]:
    """Every operation by its id. Of what an address names, most is there."""
    config = SchemathesisConfig.from_dict(
        {
            # Everybody may ask here: a right that is missing is no fault of the data.
            "generation": {"with-security-parameters": False},
            "checks": {"negative_data_rejection": {"expected-statuses": REFUSED}},
            "dictionaries": {name: {"values": [value]} for name, value in shop.known.items()},
            "parameters": {
                f"path.{name}": {"dictionary": name, "probability": 0.7} for name in shop.known
            },
        }
    )
    schema = schemathesis.openapi.from_dict(description().document, config=config)
    found = [each.ok() for each in schema.get_all_operations() if isinstance(each, Ok)]
    assert len(found) == len(description().operations) > 90
    return {str(each.definition.raw["operationId"]): each for each in found}


def demand_read(answer: httpx.Response) -> None:
    """Nobody who keeps to the description is told that a request cannot be read."""
    if answer.status_code == httpx.codes.BAD_REQUEST:
        fields = {fault["field"] for fault in answer.json().get("errors", [])}
        assert fields, answer.text
        assert fields <= SIGNED, answer.text


def test_every_example_is_taken_by_its_operation(
    shop: DescribedShop, subtests: pytest.Subtests
) -> None:
    asked = 0
    for name, operation in description().operations.items():
        content = at(operation, "requestBody", "content")
        for kind in content:
            asked += 1
            with subtests.test(operation=name, kind=kind):
                answer = shop.example(name, kind, at(content, kind)["example"])
                description().check(*description().addresses[name], answer)
                refused = {400, 413, 415} if name in OF_ANOTHER_SHOP else {400, 413, 415, 422}
                assert answer.status_code not in refused, answer.text
    assert asked > 35


@pytest.mark.parametrize("is_desk", [False, True], ids=["buyers", "desk"])
@pytest.mark.parametrize("mode", GenerationMode, ids=lambda mode: mode.value)
def test_every_operation_answers_as_described(
    shop: DescribedShop,
    operations: Mapping[str, Operation],
    subtests: pytest.Subtests,
    mode: GenerationMode,
    *,
    is_desk: bool,
) -> None:
    for name, operation in operations.items():
        if operation.path.startswith(DESK) != is_desk:
            continue
        if mode.is_negative and name in NEVER_WRONG:
            continue

        @settings(
            max_examples=CASES,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def ask(case: Case) -> None:
            answer = shop.ask(case)
            case.validate_response(answer, checks=CHECKS)
            if mode.is_positive:
                demand_read(answer)

        with subtests.test(operation=name):
            ask()
