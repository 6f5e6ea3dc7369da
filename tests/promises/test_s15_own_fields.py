"""S15: nobody writes a field that is not theirs to write, by naming it beside those that are."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import msgspec
from tests.promises.figures import Figures
from tests.promises.market import once
from tests.promises.people import CLI, Door, code, open_town, sign_in

from bitloot_web.asgi import openapi_document
from bitloot_web.devservices import ValkeyStore

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"
Node: TypeAlias = dict[str, Json]

# What would be worth writing, beside every name that any answer shows.
WORTH: Final = (
    "roles", "role", "isAdmin", "permissions", "scopes", "userId", "user_id", "ownerId",
    "passwordHash", "emailKey", "state", "status", "version", "id", "createdAt", "deletedAt",
    "paidAt", "total", "price", "cost", "floor", "amount", "discount", "currency", "unitPrice",
    "settledBy", "lastUsedAt", "expiresAt", "generation", "sessionId", "signatureOk",
    "__proto__", "constructor", "$set",
)  # fmt: skip
FEW: Final = ("roles", "userId", "version", "total")


@dataclass(frozen=True)
class Write:
    """An operation that takes a JSON object, one that it takes, and all fields that it may bear,
    however deep inside: an example leaves out what need not be there.
    """

    name: str
    method: str
    path: str
    body: Node
    own: frozenset[str]


def at(value: Json, *names: str) -> Node:
    """The object under these names; empty where there is none."""
    for name in names:
        value = value.get(name, {}) if isinstance(value, dict) else {}
    return value if isinstance(value, dict) else {}


def writes(document: Node) -> Iterator[Write]:
    """Every one of them, with the example of its description."""
    schemas = at(document, "components", "schemas")
    for path, methods in at(document, "paths").items():
        for method, operation in at(methods).items():
            media = at(operation, "requestBody", "content", "application/json")
            examples = [each for each in at(media, "examples").values() if isinstance(each, dict)]
            values = [media.get("example"), *(each.get("value") for each in examples)]
            body = next((each for each in values if isinstance(each, dict)), None)
            if body is not None:
                name = str(at(operation).get("operationId"))
                filled = path.replace("{provider}", "nowpayments")
                shapes = written_shapes(schemas, [media])
                own = frozenset(
                    field for each in shapes for field in at(schemas, each, "properties")
                )
                yield Write(name, method.upper(), filled, body, own)


def all_bodies(document: Node) -> list[Json]:
    """What every operation says of its body."""
    return [
        at(operation, "requestBody")
        for methods in at(document, "paths").values()
        for operation in at(methods).values()
    ]


def written_shapes(schemas: Node, bodies: Iterable[Json]) -> set[str]:
    """The names of all shapes that these bodies may hold, however deep inside."""
    found: set[str] = set()
    waiting = list(bodies)
    while waiting:
        node = waiting.pop()
        if isinstance(node, list):
            waiting += node
        elif isinstance(node, dict):
            waiting += [each for name, each in node.items() if name != "examples"]
            name = str(node.get("$ref", "")).rpartition("/")[2]
            if name in schemas and name not in found:
                found.add(name)
                waiting.append(schemas[name])
    return found


def shown_names(document: Node) -> set[str]:
    """The name of every field that any answer shows."""
    schemas = at(document, "components", "schemas")
    return {name for shape in schemas.values() for name in at(shape, "properties")}


def places(body: Json) -> Iterator[tuple[str | int, ...]]:
    """Where in a body there are objects."""
    if isinstance(body, dict):
        yield ()
        for name, value in body.items():
            yield from ((name, *rest) for rest in places(value))
    elif isinstance(body, list) and body:
        yield from ((0, *rest) for rest in places(body[0]))


def child(value: Json, step: str | int) -> Json:
    if isinstance(value, list) and isinstance(step, int):
        return value[step]
    return at(value).get(str(step))


def with_field(value: Json, place: tuple[str | int, ...], name: str) -> Json:
    """The body with one field more in the object at that place."""
    if not place:
        assert isinstance(value, dict)
        return {**value, name: "x"}
    step, *rest = place
    if isinstance(value, list) and isinstance(step, int):
        return [with_field(value[step], tuple(rest), name), *value[1:]]
    assert isinstance(value, dict)
    return {**value, str(step): with_field(value[str(step)], tuple(rest), name)}


def cases(write: Write, names: Iterable[str]) -> Iterator[tuple[str, Json]]:
    """Each of these names in each object of the body where it has no business."""
    for place in places(write.body):
        inside: Json = write.body
        for step in place:
            inside = child(inside, step)
        for name in names:
            if isinstance(inside, dict) and name not in write.own | inside.keys():
                yield name, with_field(write.body, place, name)


async def test_s15_no_request_writes_a_field_that_is_not_its_own(
    shop_url: str, valkey_server: ValkeyStore, tmp_path: Path, figures: Figures
) -> None:
    """By somebody who may do everything else."""
    valkey_server.flush()
    document: Node = msgspec.json.decode(openapi_document())
    schemas = at(document, "components", "schemas")
    open_ended = [
        name
        for name in written_shapes(schemas, all_bodies(document))
        if at(schemas[name]).get("type") == "object"
        and at(schemas[name]).get("additionalProperties") is not False
    ]
    every = sorted({*WORTH, *shown_names(document)})
    told, taken = Counter[str](), list[str]()
    asked = [each for each in writes(document) if each.name != "takeWebhook"]
    async with open_town(shop_url, valkey_server.url, tmp_path) as town:
        market, email = town.first, "owner@reader.example"
        await market.own("own-game", b"AAAA-1")
        order = await market.order("own-game", email=email)
        first = await sign_in(market, email)
        await market.shop.user_desk.set_roles(first.user_id, ["owner"], actor=CLI)
        who = await sign_in(market, email)
        for number, write in enumerate(asked):
            path = Door("", write.method, write.path, ()).filled(order_id=order.id)
            names = every if figures.full else (*FEW, every[number % len(every)])
            for name, body in cases(write, names):
                headers = {**once(), **who.headers, "if-match": '"1"'}
                answer = await market.client.request(write.method, path, json=body, headers=headers)
                told[code(answer)] += 1
                if answer.status_code != 422 or name not in answer.text:
                    taken.append(f"{write.name} {name}: {answer.status_code}")
    figures.note(
        "S15",
        "no request writes a field that is not its own",
        figure=f"{len(asked)} operations, {told.total()} requests with one field more:"
        f" {dict(told)}; taken: {taken[:8] or 0}; shapes that bear more fields: {open_ended or 0}",
        scale="full" if figures.full else f"{len(FEW) + 1} of {len(every)} names",
        holds=not taken and not open_ended and len(asked) > 40,
    )
