"""The encoder."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from posthouse.wbxml import E, Element, Encoder, decode, encode
from posthouse.wbxml.encode import clean, write_uint
from posthouse.wbxml.grammar import read_uint
from posthouse.wbxml.tags import AirSync, AirSyncBase, Email, FolderHierarchy


class EncodeTests(SynchronousTestCase):
    def check(self, tree: Element, text: str) -> None:
        self.assertEqual(encode(tree).hex(" "), bytes.fromhex("03016A00" + text).hex(" "))

    def test_empty_element_is_an_empty_tag(self) -> None:
        self.check(E(AirSync.Sync), "05")
        self.check(E(AirSync.Sync, E(AirSync.Status, "")), "45 0E 01")
        self.check(Element(AirSync.Sync, b""), "05")

    def test_text_is_an_inline_string(self) -> None:
        self.check(E(AirSync.Sync, "ü"), "45 03 C3 BC 00 01")

    def test_bytes_are_opaque(self) -> None:
        self.check(E(AirSync.Sync, b"\0\x01"), "45 C3 02 00 01 01")
        self.assertEqual(
            encode(E(AirSync.Sync, bytes(300))), bytes.fromhex("03016A00 45 C3 82 2C") + bytes(300) + b"\1"
        )

    def test_pages_are_switched_only_when_they_change(self) -> None:
        self.check(
            E(
                FolderHierarchy.FolderSync,
                E(FolderHierarchy.Status),
                E(AirSync.Status),
                E(AirSync.Add, E(AirSync.Status)),
                E(Email.Subject),
            ),
            "00 07 56 0C 00 00 0E 47 0E 01 00 02 14 01",
        )

    def test_content_stands_in_front_of_children(self) -> None:
        self.check(E(AirSync.Sync, E(AirSync.Status), "a"), "45 03 61 00 0E 01")
        self.check(E(AirSync.Sync, E(AirSync.Status), b"a"), "45 C3 01 61 0E 01")

    def test_what_xml_cannot_carry_is_left_out(self) -> None:
        self.check(E(AirSync.Sync, "a\x00b\x1f\ud800\ufffe\uffffc\t\r\n"), "45 03 61 62 63 09 0D 0A 00 01")

    def test_text_of_such_characters_alone_is_an_empty_tag(self) -> None:
        self.check(E(AirSync.Sync, E(AirSync.Status, "\x00")), "45 0E 01")
        self.check(E(AirSync.Sync, "\x00", E(AirSync.Status)), "45 0E 01")

    def test_unknown_tags_are_a_mistake_of_the_program(self) -> None:
        with self.assertRaises(ValueError):
            encode(E("AirSync:Sink"))
        with self.assertRaises(ValueError):
            Encoder().start("AirSync:Sink")

    def test_a_deep_tree_needs_no_stack(self) -> None:
        tree = E(AirSync.Sync)
        for _ in range(20_000):
            tree = E(AirSync.Sync, tree)
        self.assertEqual(
            encode(tree), bytes.fromhex("03016A00") + b"\x45" * 20_000 + b"\x05" + b"\x01" * 20_000
        )


class CleanTests(SynchronousTestCase):
    def test_each_character_of_the_first_page(self) -> None:
        for length in (1, 200):
            for code in range(0x100):
                text = "x" * length + chr(code)
                kept = code >= 0x20 or code in (9, 10, 13)
                self.assertEqual(clean(text), text.encode() if kept else b"x" * length, code)

    def test_noncharacters_and_surrogates_but_not_their_neighbours(self) -> None:
        self.assertEqual(clean("\ufffd\ufffe\uffff\ud7ff\ud800\udfff\ue000"), "\ufffd\ud7ff\ue000".encode())
        self.assertEqual(clean("\U0001f4e8\U0010ffff"), "\U0001f4e8\U0010ffff".encode())


class IntegerTests(SynchronousTestCase):
    def test_known_values(self) -> None:
        # The third is the example of WBXML 1.3 section 5.1.
        for value, text in ((0, "00"), (0x7F, "7F"), (0xA0, "81 20"), (0xFFFFFFFF, "8F FF FF FF 7F")):
            data = bytes.fromhex(text)
            self.assertEqual(write_uint(value), data)
            self.assertEqual(read_uint(data, 0), (value, len(data)))

    def test_only_32_bits_are_written(self) -> None:
        for value in (-1, 1 << 32):
            with self.assertRaises(ValueError):
                write_uint(value)


class EncoderTests(SynchronousTestCase):
    def test_pieces_make_the_same_document_as_the_whole(self) -> None:
        adds = [E(AirSync.Add, E(Email.Subject, f"mail {number}")) for number in range(5)]
        tree = E(AirSync.Sync, E(AirSync.Collections, E(AirSync.Collection, E(AirSync.Status, 1), adds)))
        encoder = Encoder()
        pieces = []
        encoder.start(AirSync.Sync)
        encoder.start(AirSync.Collections)
        encoder.start(AirSync.Collection)
        encoder.element(E(AirSync.Status, 1))
        for add in adds:
            encoder.element(add)
            pieces.append(encoder.take())
        for _ in range(3):
            encoder.end()
        pieces.append(encoder.take())
        self.assertEqual(b"".join(pieces), encode(tree))
        self.assertTrue(all(pieces))
        self.assertEqual(encoder.take(), b"")

    def test_started_and_ended_at_once_is_an_empty_tag(self) -> None:
        encoder = Encoder()
        encoder.start(AirSync.Sync)
        self.assertEqual(encoder.take(), bytes.fromhex("03016A00"))
        encoder.end()
        self.assertEqual(encoder.take(), b"\x05")

    def test_text_in_pieces_is_one_string(self) -> None:
        encoder = Encoder()
        encoder.start(AirSyncBase.Body)
        encoder.start(AirSyncBase.Data)
        pieces = []
        for text in ("one ", "", "\x00", "two ", "three"):
            encoder.text(text)
            pieces.append(encoder.take())
        encoder.end()
        encoder.start(AirSyncBase.Preview)
        encoder.text("p")
        encoder.end()
        encoder.elements([E(AirSyncBase.ContentId, 1), E(AirSyncBase.Truncated)])
        encoder.end()
        data = b"".join(pieces) + encoder.take()
        tree = E(
            AirSyncBase.Body,
            E(AirSyncBase.Data, "one two three"),
            E(AirSyncBase.Preview, "p"),
            E(AirSyncBase.ContentId, 1),
            E(AirSyncBase.Truncated),
        )
        self.assertEqual(data, encode(tree))

    def test_opaque_in_pieces(self) -> None:
        encoder = Encoder()
        encoder.start(AirSyncBase.Data)
        encoder.opaque(b"ab", size=5)
        first = encoder.take()
        encoder.more(b"c")
        encoder.more(b"de")
        encoder.end()
        self.assertEqual(decode(first + encoder.take()), E(AirSyncBase.Data, b"abcde"))

    def test_opaque_of_another_size_than_declared_is_refused(self) -> None:
        encoder = Encoder()
        encoder.start(AirSyncBase.Data)
        encoder.opaque(b"ab", size=5)
        with self.assertRaises(ValueError):
            encoder.end()
        with self.assertRaises(ValueError):
            encoder.more(b"cdef")

    def test_end_without_start_is_refused(self) -> None:
        with self.assertRaises(ValueError):
            Encoder().end()
