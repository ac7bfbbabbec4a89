"""The code pages and the constants."""

from __future__ import annotations

import csv
import re

from twisted.trial.unittest import SynchronousTestCase

from posthouse.wbxml import E, decode, tags
from posthouse.wbxml.pages import PAGES, TOKENS
from tests.support.shared import shared_path


class PageTests(SynchronousTestCase):
    def test_tokens_are_those_of_the_specification(self) -> None:
        with shared_path("ms-eas", "codepages.tsv").open(newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        wanted = {(int(row["page"]), row["namespace"], int(row["token"], 16), row["name"]) for row in rows}
        ours = {
            (page.number, page.namespace, token, tag.removeprefix(f"{page.namespace}:"))
            for page in PAGES
            for token, tag in page.tags.items()
        }
        self.assertEqual(ours, wanted)

    def test_the_rows_of_the_requirements_say_the_same(self) -> None:
        """MS-ASWBXML 2.1.2.1: each row of a code page, and each page."""
        from tests.support.requirement_rows import requirements

        seen = 0
        for one in requirements("MS-ASWBXML").values():
            row = re.search(
                r"Code Page (\d+): (\w+)\] \[Tag name\] ?(\w+)[^\[]*?(?:\[Token\])? ?0x(..)", one.text
            )
            page = re.search(r"\[Code page\] (\d+) ?\[that indicates\] \[XML namespace\] (\w+)", one.text)
            if row:
                names = {tag.lower(): place for tag, place in TOKENS.items()}
                place = int(row[1]), int(row[4], 16)
                self.assertEqual(names.get(f"{row[2]}:{row[3]}".lower()), place, one.id)
            if page and int(page[1]) != 3:
                self.assertEqual(PAGES[int(page[1])].namespace.lower(), page[2].lower(), one.id)
            seen += bool(row or page)
        self.assertGreater(seen, 300)

    def test_pages_stand_at_their_numbers(self) -> None:
        self.assertEqual([page.number for page in PAGES], list(range(26)))

    def test_obsolete_page_3_has_no_tokens(self) -> None:
        self.assertEqual(PAGES[3].namespace, "AirNotify")
        self.assertEqual(dict(PAGES[3].tags), {})

    def test_page_22_has_a_gap_at_0x14(self) -> None:
        # A wide-spread mistake: IsDraft, Bcc and Send one token too low.
        self.assertEqual(TOKENS[tags.Email2.IsDraft], (22, 0x15))
        self.assertEqual(TOKENS[tags.Email2.Send], (22, 0x17))
        self.assertNotIn(0x14, PAGES[22].tags)

    def test_tokens_leave_the_low_numbers_to_the_grammar(self) -> None:
        for page in PAGES:
            for token in page.tags:
                self.assertTrue(0x05 <= token <= 0x3F, (page.number, token))


class ConstantTests(SynchronousTestCase):
    def test_a_constant_is_namespace_and_name(self) -> None:
        for page in PAGES:
            for tag in page.tags.values():
                name = tag.removeprefix(f"{page.namespace}:")
                self.assertEqual(getattr(getattr(tags, page.namespace), name), tag)

    def test_a_misspelt_constant_does_not_exist(self) -> None:
        with self.assertRaises(AttributeError):
            tags.AirSync.SyncKy  # type: ignore[attr-defined]  # noqa: B018

    def test_decoding_gives_the_constant_itself(self) -> None:
        root = decode(bytes.fromhex("03016A00 45 4B 03 30 00 01 01"))
        self.assertEqual(root, E(tags.AirSync.Sync, E(tags.AirSync.SyncKey, "0")))
        self.assertIs(root.tag, tags.AirSync.Sync)
        self.assertIs(root.children[0].tag, tags.AirSync.SyncKey)
