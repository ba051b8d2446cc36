"""The description of the whole product, whatever apps it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
from django.urls import Resolver404, resolve
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    GENERATOR_STATS.reset()
    return dict(SchemaGenerator().get_schema(request=None, public=True))


def view_at(path: str) -> Any:
    """The view of a path of the description, with values that its parameters take."""
    values = ("1", "0198c0de-0000-7000-8000-000000000000", "vm_1")
    for chosen in product(values, repeat=path.count("{")):
        left = iter(chosen)
        try:
            return resolve(re.sub(r"{\w+}", lambda _, left=left: next(left), path)).func
        except Resolver404:
            continue
    return None


def operations(schema: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, found in schema["paths"].items():
        for method in METHODS:
            if method in found:
                yield method, path, found[method]


def test_is_valid_and_was_written_without_a_guess(
    schema: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    validate_schema(schema)
    assert not GENERATOR_STATS, capsys.readouterr().err


def test_has_every_path_answer_with_and_without_a_slash(schema: dict[str, Any]) -> None:
    for path in schema["paths"]:
        assert path == "/" or not path.endswith("/")
        plain, slashed = (view_at(one) for one in (path, f"{path.rstrip('/')}/"))
        assert plain is slashed is not None, path


def test_tells_of_every_refusal(schema: dict[str, Any]) -> None:
    for method, path, operation in operations(schema):
        wanted = {"400", "503"}
        if {} not in operation["security"]:
            wanted |= {"401", "403"}
        if method != "get":
            wanted |= {"413", "415", "429"}
        if "{" in path:
            wanted.add("404")
        assert wanted <= set(operation["responses"]), (method, path)


def test_gives_every_error_the_same_shape(schema: dict[str, Any]) -> None:
    for method, path, operation in operations(schema):
        for status, response in operation["responses"].items():
            if status >= "400":
                shape = response["content"]["application/json"]["schema"]
                assert shape == {"$ref": "#/components/schemas/Error"}, (method, path, status)


def test_names_every_operation_once(schema: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(schema)]
    assert len(names) == len(set(names))


def test_says_how_to_sign_in(schema: dict[str, Any]) -> None:
    schemes = schema["components"]["securitySchemes"]
    found = {name: one["type"] for name, one in schemes.items()}
    assert {"adminSession": "apiKey", "apiKey": "apiKey", "jwt": "http"}.items() <= found.items()


@pytest.mark.parametrize("path", ["/", "/auth/login", "/auth/refresh", "/auth/logout"])
def test_asks_no_sign_in_where_there_is_none(schema: dict[str, Any], path: str) -> None:
    for operation in schema["paths"][path].values():
        assert operation["security"] == [{}]
