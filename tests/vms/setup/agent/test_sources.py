"""The agent runs on what a bare machine has."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from vms.setup import bundle

FILES = sorted(bundle.SOURCE.glob("*.py"))
# What of the standard library and the language came after 3.8 and is easily written by hand.
TOO_NEW = {
    "removeprefix",
    "removesuffix",
    "is_relative_to",
    "pairwise",
    "TaskGroup",
    "StrEnum",
    "UTC",
    "batched",
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
class TestAgentSources:
    def test_speak_python_3_8(self, path: Path) -> None:
        tree = ast.parse(path.read_text(), feature_version=(3, 8))
        names = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        names |= {
            alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
        }
        assert not names & TOO_NEW

    def test_evaluate_no_annotation(self, path: Path) -> None:
        # `str | None` and `list[str]` are fine in annotations as long as nobody evaluates them.
        assert "from __future__ import annotations" in path.read_text() or path.name == "__init__.py"

    def test_import_the_standard_library_only(self, path: Path) -> None:
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                assert all(alias.name.split(".")[0] in sys.stdlib_module_names for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                assert str(node.module).split(".")[0] in sys.stdlib_module_names


class TestArchive:
    def test_is_the_same_bytes_each_time(self) -> None:
        first = bundle.archive()
        bundle.archive.cache_clear()
        assert bundle.archive() == first
