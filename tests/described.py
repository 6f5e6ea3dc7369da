"""Answers held against the description of the API: nothing is answered that it does not name."""

import re
from collections.abc import Mapping
from functools import cache
from typing import TypeAlias

import httpx
import jsonschema_rs
import msgspec

from bitloot_web.asgi import openapi_document

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | float | bool | None"
Node: TypeAlias = "dict[str, Json]"

PROBLEM = "application/problem+json"


def at(value: Json, *names: str) -> Node:
    """The object under these names; empty where there is none."""
    for name in names:
        value = value.get(name, {}) if isinstance(value, dict) else {}
    assert isinstance(value, dict)
    return value


class Description:
    """The document, and what it says of a request by its method and path."""

    def __init__(self, document: Node) -> None:
        self.document = document
        self.operations: dict[str, Node] = {}
        self.addresses: dict[str, tuple[str, str]] = {}
        self._places: list[tuple[str, re.Pattern[str], str]] = []
        for path, methods in at(document, "paths").items():
            pattern = re.compile(re.sub(r"\{\w+\}", "[^/]+", path))
            for method in at(methods):
                operation = at(methods, method)
                name = str(operation["operationId"])
                self.operations[name] = operation
                self.addresses[name] = (method.upper(), path)
                self._places.append((method.upper(), pattern, name))
        # The exact address first: `/products/bulk` is no product.
        self._places.sort(key=lambda place: place[1].pattern.count("[^/]+"))
        self._validators: dict[str, jsonschema_rs.Validator] = {}

    def operation_of(self, method: str, path: str) -> str | None:
        """The id of the operation at an address, if the document names one."""
        asked = "GET" if method == "HEAD" else method
        places = (
            name
            for known, pattern, name in self._places
            if known == asked and pattern.fullmatch(path)
        )
        return next(places, None)

    def answer(self, name: str, status: int) -> Node:
        """What the document says of a status of an operation; fails where it says nothing."""
        answers = at(self.operations[name], "responses")
        assert str(status) in answers, f"{name} answers {status}, which is not described"
        answer = at(answers, str(status))
        reference = answer.get("$ref")
        return self.referred(reference) if isinstance(reference, str) else answer

    def referred(self, reference: str) -> Node:
        """What a reference into the document stands for."""
        return at(self.document, *reference.removeprefix("#/").split("/"))

    def faults(self, schema: Node, value: Json) -> list[str]:
        """What is wrong with a value by a schema of the document."""
        key = msgspec.json.encode(schema).decode()
        if key not in self._validators:
            whole = {
                **schema,
                "components": {"schemas": at(self.document, "components", "schemas")},
            }
            self._validators[key] = jsonschema_rs.Draft202012Validator(whole, validate_formats=True)
        found = self._validators[key].iter_errors(value)
        return [f"{each.instance_path}: {each.message}" for each in found]

    def check(self, method: str, path: str, answer: httpx.Response) -> None:
        """An answer that was read, as the description has it."""
        name = self.operation_of(method, path)
        if name is None or answer.status_code == httpx.codes.METHOD_NOT_ALLOWED:
            return
        told = self.answer(name, answer.status_code)
        content, headers = at(told, "content"), at(told, "headers")
        for header in headers:
            if at(headers, header).get("required"):
                assert header in answer.headers, f"{name} leaves out {header}"
        kind = answer.headers.get("content-type", "").partition(";")[0]
        if not answer.content or not content:
            return
        assert {kind, "*/*"} & {*content}, f"{name} answers {kind}, which is not described"
        if kind in {PROBLEM, "application/json"}:
            faults = self.faults(at(content, kind, "schema"), answer.json())
            assert not faults, (name, answer.status_code, faults, answer.text[:500])


@cache
def description() -> Description:
    """The description of the API as every shop serves it."""
    return Description(msgspec.json.decode(openapi_document()))


def example_faults(media: Mapping[str, Json], described: Description) -> list[str]:
    """What is wrong with the examples of a body; that there is none, too."""
    if "example" not in media:
        return ["there is no example"]
    return described.faults(at(dict(media), "schema"), media["example"])
