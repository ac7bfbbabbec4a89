"""The pages of ``docs/protocols`` say what is so, and the finding of citations finds what is meant."""

from __future__ import annotations

import ast

from twisted.trial.unittest import SynchronousTestCase

from tests.support.citations import DOCUMENTS, CitationError, Span, default_of, spans
from tests.support.requirements import PAGES, Table, pages


def cited(text: str, default: str = "MS-ASCMD") -> list[tuple[str, int, int]]:
    return [(span.document.removeprefix("MS-AS"), span.first, span.last) for span in spans(text, default)]


class GrammarTests(SynchronousTestCase):
    def test_a_name_holds_until_another_or_a_semicolon(self) -> None:
        self.assertEqual(
            cited("R1; MS-ASAIRS R346, (as R10030). ASCON_R5, R6; R765 and Reply R, XR4, R4b"),
            [("CMD", 1, 1), ("AIRS", 346, 346), ("AIRS", 10030, 10030), ("CON", 5, 5), ("CON", 6, 6)]
            + [("CMD", 765, 765)],
        )

    def test_ranges(self) -> None:
        for text in ("R2066-R2069", "R2066-2069", "R2066 to R2069", "R2066 to 69"):
            self.assertEqual(cited(text), [("CMD", 2066, 2069)])
        for text in ("R5286 to R5691", "R20-R1"):
            with self.assertRaises(CitationError):
                list(spans(text))

    def test_a_docstring_says_what_bare_numbers_are(self) -> None:
        module = ast.parse('"""Conversations. Bare numbers\nare MS-ASCON."""')
        self.assertEqual(default_of(module, "MS-ASCMD"), "MS-ASCON")
        self.assertEqual(list(spans("R5", "MS-ASCON")), [Span("MS-ASCON", 5, 5)])


class PageTests(SynchronousTestCase):
    def test_everything_cited_exists_and_nothing_is_kept_and_excused(self) -> None:
        self.assertEqual(Table().errors, [])

    def test_no_row_is_unexplained(self) -> None:
        """A test cites it, a rule of the checker keeps it, or there is a reason."""
        table = Table()
        left = [f"{document} {one.id}" for document in DOCUMENTS for one in table.missing(document)]
        self.assertEqual(left, [])

    def test_the_pages_are_current(self) -> None:
        """Else: PYTHONPATH=src:. python -m tests.support.requirements."""
        for name, content in pages(Table()).items():
            held = (PAGES / name).read_text(encoding="utf-8") if (PAGES / name).exists() else ""
            changed = set(content.splitlines()) ^ set(held.splitlines())
            self.assertEqual(sorted(changed)[:5], [], f"{name} is out of date: run {pages.__module__}")
            self.assertEqual(content, held)
