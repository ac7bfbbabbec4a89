"""Elements, their builder and the trace printer."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from twisted.trial.unittest import SynchronousTestCase

from posthouse.wbxml import E, Element, to_xml
from posthouse.wbxml.tags import AirSync, AirSyncBase, Email, ItemOperations, Settings


class BuilderTests(SynchronousTestCase):
    def test_parts_may_stand_in_any_order(self) -> None:
        element = E(AirSync.Collection, "a", E(AirSync.SyncKey), "b", E(AirSync.Status, 1))
        self.assertEqual(element.content, "ab")
        self.assertEqual([child.tag for child in element.children], [AirSync.SyncKey, AirSync.Status])

    def test_numbers_and_truth_become_text(self) -> None:
        self.assertEqual(E(AirSync.Status, 126).content, "126")
        self.assertEqual(E(Email.Read, True).content, "1")
        self.assertEqual(E(Email.Read, False).content, "0")

    def test_none_is_left_out_and_iterables_are_opened(self) -> None:
        element = E(AirSync.Commands, None, [E(AirSync.Add), None, (E(AirSync.Delete) for _ in range(2))])
        self.assertEqual(
            [child.tag for child in element.children], [AirSync.Add, AirSync.Delete, AirSync.Delete]
        )

    def test_text_beside_bytes_becomes_bytes(self) -> None:
        self.assertEqual(E(AirSyncBase.Data, "ü", b"\xff").content, b"\xc3\xbc\xff")

    def test_empty_text_is_no_content(self) -> None:
        self.assertIsNone(E(Email.Subject, "").content)
        self.assertIsNone(E(Email.Subject, b"").content)

    def test_children_can_be_added_to_a_leaf(self) -> None:
        element = E(AirSync.Collections)
        element.append(E(AirSync.Collection))
        element.append(E(AirSync.Collection), E(AirSync.Status))
        self.assertEqual(len(element.children), 3)
        self.assertEqual(E(AirSync.Collections).children, ())


class LookupTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tree = E(
            AirSync.Sync,
            E(
                AirSync.Collections,
                E(AirSync.Status, "1"),
                E(AirSync.Collection, E(AirSync.Class)),
                E(AirSync.Collection, E(AirSync.SyncKey, "7"), E(AirSyncBase.Data, b"\xff\xc3\xbc")),
            ),
        )

    def test_find_gives_the_first_child_of_a_tag(self) -> None:
        found = self.tree.find(AirSync.Collections)
        assert found is not None
        self.assertIs(found, self.tree.children[0])
        self.assertIsNone(self.tree.find(AirSync.Collection))

    def test_find_follows_a_path_through_siblings(self) -> None:
        found = self.tree.find(AirSync.Collections, AirSync.Collection, AirSync.SyncKey)
        assert found is not None
        self.assertEqual(found.value, "7")
        self.assertIsNone(self.tree.find(AirSync.Collections, AirSync.Collection, AirSync.Status))

    def test_findall_gives_only_children(self) -> None:
        self.assertEqual(len(self.tree.children[0].findall(AirSync.Collection)), 2)
        self.assertEqual(self.tree.findall(AirSync.Collection), [])

    def test_text_tells_empty_from_absent(self) -> None:
        collection = self.tree.children[0].children[1]
        self.assertEqual(collection.text(AirSync.Class), "")
        self.assertIsNone(collection.text(AirSync.SyncKey))
        self.assertEqual(collection.text(AirSync.SyncKey, "0"), "0")

    def test_opaque_bytes_read_as_text_with_replacements(self) -> None:
        collection = self.tree.children[0].children[2]
        self.assertEqual(collection.text(AirSyncBase.Data), "\ufffdü")

    def test_blob_gives_bytes_of_either_kind(self) -> None:
        collection = self.tree.children[0].children[2]
        self.assertEqual(collection.blob(AirSyncBase.Data), b"\xff\xc3\xbc")
        self.assertEqual(collection.blob(AirSync.SyncKey), b"7")
        self.assertIsNone(collection.blob(AirSync.Status))
        self.assertEqual(E(AirSync.Add, E(AirSync.Class)).blob(AirSync.Class), b"")

    def test_iter_goes_in_document_order(self) -> None:
        names = [element.tag.partition(":")[2] for element in self.tree.iter()]
        self.assertEqual(
            names,
            ["Sync", "Collections", "Status", "Collection", "Class", "Collection", "SyncKey", "Data"],
        )


class EqualityTests(SynchronousTestCase):
    def test_equal_means_tag_content_and_children(self) -> None:
        tree = E(AirSync.Sync, E(AirSync.Status, "1"))
        self.assertEqual(tree, E(AirSync.Sync, E(AirSync.Status, "1")))
        for other in (
            E(AirSync.Sync, E(AirSync.Status, "2")),
            E(AirSync.Sync, E(AirSync.SyncKey, "1")),
            E(AirSync.Sync, E(AirSync.Status, b"1")),
            E(AirSync.Sync, E(AirSync.Status, "1"), E(AirSync.Status, "1")),
            E(AirSync.Sync, "1"),
            E(AirSync.Sync),
        ):
            self.assertNotEqual(tree, other)
        self.assertNotEqual(tree, "AirSync:Sync")

    def test_empty_text_equals_none(self) -> None:
        self.assertEqual(Element(AirSync.Sync, ""), Element(AirSync.Sync, None, []))

    def test_elements_are_not_hashable_and_always_true(self) -> None:
        with self.assertRaises(TypeError):
            hash(E(AirSync.Sync))
        self.assertTrue(E(AirSync.Sync))

    def test_a_tree_of_any_depth_can_be_compared_and_shown(self) -> None:
        one = two = E(AirSync.Sync)
        for _ in range(20_000):
            one, two = E(AirSync.Sync, one), E(AirSync.Sync, two)
        self.assertEqual(one, two)
        self.assertEqual(sum(1 for _ in one.iter()), 20_001)
        self.assertIn("E('AirSync:Sync'", repr(one))


class ReprTests(SynchronousTestCase):
    def test_it_reads_like_the_call_that_builds_it(self) -> None:
        tree = E(AirSync.Sync, "x", E(AirSync.Status, 1), E(AirSync.Add, E(Email.To, b"\x00")))
        self.assertEqual(
            repr(tree),
            "E('AirSync:Sync', 'x', E('AirSync:Status', '1'), E('AirSync:Add', E('Email:To', b'\\x00')))",
        )
        self.assertEqual(eval(repr(tree), {"E": E}), tree)

    def test_it_is_short_and_keeps_secrets(self) -> None:
        tree = E(AirSync.Sync, "x" * 10_000, E(ItemOperations.Password, "sesame"), [E(AirSync.Add)] * 1000)
        self.assertLess(len(repr(tree)), 3000)
        self.assertNotIn("sesame", repr(tree))


class TraceTests(SynchronousTestCase):
    def test_it_is_indented_xml_with_namespaces(self) -> None:
        tree = E(
            AirSync.Sync,
            E(AirSync.MoreAvailable),
            E(AirSync.Add, E(Email.Subject, "a < b & c"), E(Email.To, "ada"), E(AirSync.Status, 1)),
        )
        self.assertEqual(
            to_xml(tree).split("\n"),
            [
                '<Sync xmlns="AirSync">',
                "  <MoreAvailable/>",
                "  <Add>",
                '    <Subject xmlns="Email">a &lt; b &amp; c</Subject>',
                '    <To xmlns="Email">ada</To>',
                "    <Status>1</Status>",
                "  </Add>",
                "</Sync>",
            ],
        )

    def test_opaque_is_base64_beside_its_length(self) -> None:
        tree = E(AirSyncBase.Data, bytes(range(5)))
        self.assertEqual(to_xml(tree), '<Data xmlns="AirSyncBase">AAECAwQ=<!-- opaque, 5 bytes --></Data>')

    def test_long_content_is_cut(self) -> None:
        tree = E(AirSync.Add, E(AirSyncBase.Data, "x" * 5000), E(AirSyncBase.Content, bytes(9000)))
        text = to_xml(tree, most=99)
        self.assertIn("x" * 99 + "<!-- and 4901 characters more -->", text)
        self.assertIn("<!-- opaque, 9000 bytes, cut -->", text)
        self.assertLess(len(text), 500)

    def test_secrets_are_hidden_by_default_and_mail_on_request(self) -> None:
        tree = E(
            AirSync.Add,
            E(ItemOperations.Password, "sesame"),
            E(Settings.Password, b"sesame"),
            E(Email.Subject, "private"),
        )
        text = to_xml(tree)
        self.assertNotIn("sesame", text)
        self.assertNotIn("c2VzYW1l", text)
        self.assertIn("<!-- 6 characters hidden -->", text)
        self.assertIn("private", text)
        self.assertNotIn("private", to_xml(tree, {Email.Subject}))

    def test_content_cannot_forge_a_line_and_the_result_is_well_formed(self) -> None:
        tree = E(AirSync.Add, E(Email.Subject, "a\r\n<Forged>\x00\u2028\ud800\x1b[31m"), "text")
        text = to_xml(tree)
        self.assertEqual(len(text.splitlines()), 3)
        self.assertEqual(ET.fromstring(text)[0].text, "a\\x0d\\x0a<Forged>\\x00\\x2028\\xd800\\x1b[31m")
