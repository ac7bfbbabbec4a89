"""``docs/sync-rules.rst``: all thirty rules, each with tests that exist and cite it."""

from __future__ import annotations

import ast
import re
from functools import lru_cache
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from tests.meta.source import ROOT

PAGE = ROOT / "docs" / "sync-rules.rst"
TESTS = ROOT / "tests" / "eas"
_ROW = re.compile(r"^   \* - (\d+)$")
_NAME = re.compile(r"``(test_\w+)\.(\w+)\.(test_\w+)``")


def rules() -> dict[int, list[tuple[str, str, str]]]:
    """number -> (module, class, test) of each row of the table."""
    if not PAGE.is_file():
        raise SkipTest("the source tree is not here")
    found: dict[int, list[tuple[str, str, str]]] = {}
    number = 0
    for line in PAGE.read_text(encoding="utf-8").split("\n"):
        row = _ROW.match(line)
        if row is not None:
            number = int(row[1])
            found[number] = []
        elif not line.startswith("     "):
            number = 0
        elif number:
            found[number] += [match.groups() for match in _NAME.finditer(line)]  # type: ignore[misc]
    return found


@lru_cache
def _classes(path: Path) -> dict[str, ast.ClassDef]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}


def source_of(module: str, owner: str, name: str) -> str:
    """A test as it is written. :raises LookupError: there is none of that name."""
    path = TESTS / f"{module}.py"
    if not path.is_file():
        raise LookupError(module)
    (found,) = [
        node
        for node in _classes(path)[owner].body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    ]
    lines = path.read_text(encoding="utf-8").split("\n")
    return "\n".join(lines[found.lineno - 1 : found.end_lineno])


class PageTests(SynchronousTestCase):
    def test_all_thirty_are_there_in_their_order(self) -> None:
        self.assertEqual(list(rules()), list(range(1, 31)))

    def test_each_is_held_by_tests_that_exist_and_say_so(self) -> None:
        for number, tests in rules().items():
            self.assertTrue(tests, number)
            for test in tests:
                try:
                    text = source_of(*test)
                except (LookupError, ValueError):
                    self.fail(f"rule {number} is held by {'.'.join(test)}, which does not exist")
                cited = re.search(rf"\brule {number} of the sync model", text, re.IGNORECASE)
                self.assertIsNotNone(cited, f"{'.'.join(test)} does not cite rule {number}")

    def test_the_page_ends_with_the_test_of_them_all(self) -> None:
        last = _NAME.findall(PAGE.read_text(encoding="utf-8").partition("All of them together")[2])
        self.assertTrue(source_of(*last[0]))
